package config

import (
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// options evaluates the meta-arguments that are not part of the key, and when.
func (e *encoder) options(s *Stage) {
	e.when(s)
	if v, _, ok := e.option(e.b.meta["description"], cty.String, "description"); ok {
		s.Description = v.AsString()
	}
	s.Timeout = e.duration(e.b.meta["timeout"], "timeout")
	if a := e.b.retryArgs["attempts"]; a != nil {
		s.Retry.Attempts = int(e.whole(a, "retry.attempts", 1))
	}
	if e.b.retry != nil && e.b.retryArgs["attempts"] == nil {
		e.fail("retry", "A retry block without attempts", "It says nothing without the number of tries: attempts = 3 is the first and two more.")
	}
	e.retryOn(s)
	s.Retry.Delay = e.duration(e.b.retryArgs["delay"], "retry.delay")
	s.Retry.MaxDelay = e.duration(e.b.retryArgs["max_delay"], "retry.max_delay")
	if s.Retry.MaxDelay > 0 && s.Retry.MaxDelay < s.Retry.Delay {
		e.fail("retry.max_delay", "max_delay is shorter than delay", "delay is the time before the second try, and max_delay the longest that it grows to.")
	}
	s.Retry.Backoff = 1
	if v, _, ok := e.option(e.b.retryArgs["backoff"], cty.Number, "retry.backoff"); ok {
		if s.Retry.Backoff, _ = v.AsBigFloat().Float64(); !(s.Retry.Backoff >= 1 && s.Retry.Backoff <= 100) {
			e.fail("retry.backoff", "Not a factor for the time between tries", "Each time between two tries is that many times as long as the one before: 1 to 100.")
		}
	}
	if v, _, ok := e.option(e.b.resArgs["cpus"], cty.Number, "resources.cpus"); ok {
		s.Resources.CPUs, _ = v.AsBigFloat().Float64()
		if s.Resources.CPUs <= 0 {
			e.fail("resources.cpus", "Not a number of CPUs", "cpus is more than 0; 0.5 is half of one.")
		}
	}
	s.Resources.Memory = e.bytes(e.b.resArgs["memory"], "resources.memory")
	if a := e.b.resArgs["gpus"]; a != nil {
		s.Resources.GPUs = int(e.whole(a, "resources.gpus", 0))
	}
	s.Lifecycle.AlwaysRun = e.flag("always_run")
	s.Lifecycle.KeepOutputs = e.flag("keep_outputs")
	if s.Resources.GPUMemory = e.bytes(e.b.resArgs["gpu_memory"], "resources.gpu_memory"); s.Resources.GPUMemory > 0 && e.b.resArgs["gpus"] == nil {
		s.Resources.GPUs = 1
	}
	e.licenses(s)
}

// licenses reads what a stage needs of the things that the pipeline block counts.
func (e *encoder) licenses(s *Stage) {
	v, rng, ok := e.option(e.b.resArgs["licenses"], cty.Map(cty.Number), "resources.licenses")
	if !ok {
		return
	}
	want, diags := counts(v, rng, "licenses")
	if diags.HasErrors() {
		e.fail("resources.licenses", diags[0].Summary, diags[0].Detail)
		return
	}
	have := e.ev.p.settings.Capacity
	for _, name := range mapKeys(want) {
		n, declared := have[name]
		switch {
		case !declared:
			e.fail("resources.licenses", fmt.Sprintf("Nothing says how many %q there are", name),
				fmt.Sprintf("Write it into the pipeline block: capacity = { %s = 1 }.%s", name, guess(name, mapKeys(have))))
		case want[name] > n:
			e.fail("resources.licenses", fmt.Sprintf("The stage needs more %q than there are", name),
				fmt.Sprintf("It asks for %d, and capacity in the pipeline block says %d.", want[name], n))
		}
	}
	s.Resources.Licenses = want
}

// counts reads a map of whole numbers, at least 1.
func counts(v cty.Value, rng hcl.Range, what string) (map[string]int, hcl.Diagnostics) {
	all := map[string]int{}
	for name, number := range v.AsValueMap() {
		if number.IsNull() || !number.IsKnown() {
			return nil, hcl.Diagnostics{errorAt(rng, fmt.Sprintf("%q of %s has no number", name, what), "Leave it out, or say how many.")}
		}
		n, accuracy := number.AsBigFloat().Int64()
		if accuracy != big.Exact || n < 1 || n > 1<<20 {
			return nil, hcl.Diagnostics{errorAt(rng, fmt.Sprintf("%q of %s is not a whole number", name, what), fmt.Sprintf("It is at least 1; got %s.", literalText(number)))}
		}
		all[name] = int(n)
	}
	return all, nil
}

func (e *encoder) when(s *Stage) {
	a := e.b.meta["when"]
	if a == nil {
		return
	}
	rng := a.Expr.Range()
	s.When = Condition{Text: exprText(e.ev.p, a.Expr), Range: rng}
	v, diags := a.Expr.Value(e.ctx)
	if diags.HasErrors() {
		e.failed = true
		e.diags = append(e.diags, e.ev.p.improve(diags)...)
		return
	}
	v, f := strip(v)
	e.depend(f)
	got, diags := convertTo(f.secret(v), cty.Bool, rng)
	got, _ = got.Unmark()
	switch {
	case f.broken:
		e.failed = true
	case diags.HasErrors():
		e.failed = true
		e.diags = append(e.diags, diags...)
	case !got.IsKnown():
		s.When.Value = Unknown
		e.dynamic = true
	case got.IsNull():
		e.fail("when", "The condition is null", "when is true or false.")
	case got.False():
		s.When.Value = False
	}
}

// option evaluates one option. It must be known: nothing can be planned with
// a timeout or a memory that is not.
func (e *encoder) option(a *hcl.Attribute, t cty.Type, where string) (cty.Value, hcl.Range, bool) {
	if a == nil {
		return cty.NilVal, hcl.Range{}, false
	}
	rng := a.Expr.Range()
	v, diags := a.Expr.Value(e.ctx)
	if diags.HasErrors() {
		e.failed = true
		e.diags = append(e.diags, e.ev.p.improve(diags)...)
		return cty.NilVal, rng, false
	}
	v, f := strip(v)
	if f.broken {
		e.failed = true
		return cty.NilVal, rng, false
	}
	if f.sensitive {
		e.secretOptions = append(e.secretOptions, where)
	}
	got, diags := convertTo(f.secret(v), t, rng)
	got, _ = got.UnmarkDeep()
	if diags.HasErrors() {
		e.failed = true
		e.diags = append(e.diags, diags...)
		return cty.NilVal, rng, false
	}
	if !got.IsWhollyKnown() {
		e.fail(where, fmt.Sprintf("%s must be known before anything runs", a.Name), "It depends on the metrics of a stage that has not run.")
		return cty.NilVal, rng, false
	}
	return got, rng, !got.IsNull()
}

// secretOption reports whether an option, or what it is in, is sensitive.
func (e *encoder) secretOption(where string) bool {
	return slices.ContainsFunc(e.secretOptions, func(o string) bool { return where == o || strings.HasPrefix(where, o+"[") })
}

// unshown is what is said of a sensitive argument instead of the reason, which
// may quote it.
func unshown(where string) (summary, detail string) {
	return where + " cannot have this value", "The reason is not shown, for the value is sensitive."
}

// flag evaluates an argument of lifecycle.
func (e *encoder) flag(name string) bool {
	v, _, ok := e.option(e.b.lifeArgs[name], cty.Bool, "lifecycle."+name)
	return ok && v.True()
}

func (e *encoder) whole(a *hcl.Attribute, where string, least int64) int64 {
	v, _, ok := e.option(a, cty.Number, where)
	if !ok {
		return 0
	}
	n, accuracy := v.AsBigFloat().Int64()
	if accuracy != big.Exact || n < least || n > 1<<20 {
		e.fail(where, fmt.Sprintf("%s is a whole number", a.Name), fmt.Sprintf("It is at least %d; got %s.", least, literalText(v)))
	}
	return n
}

func (e *encoder) duration(a *hcl.Attribute, where string) time.Duration {
	v, _, ok := e.option(a, cty.String, where)
	if !ok {
		return 0
	}
	d, err := time.ParseDuration(v.AsString())
	if err != nil || d <= 0 {
		e.fail(where, fmt.Sprintf("%q is not a duration", v.AsString()), `Durations are written "90s", "10m", "2h" or "1h30m".`)
		return 0
	}
	return d
}

// exitCode matches the codes of failures: 1 to 255.
var exitCode = regexp.MustCompile(`^exit:([1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5])$`)

func (e *encoder) retryOn(s *Stage) {
	v, _, ok := e.option(e.b.retryArgs["on"], cty.List(cty.String), "retry.on")
	if !ok {
		return
	}
	for i, item := range v.AsValueSlice() {
		where := fmt.Sprintf("retry.on[%d]", i)
		if item.IsNull() {
			e.fail(where, "An entry of the list is null", "Leave it out.")
			continue
		}
		on := item.AsString()
		if on != "timeout" && on != "out_of_memory" && !exitCode.MatchString(on) {
			e.fail(where, fmt.Sprintf("%q is not a kind of failure", on), `Failures are "timeout", "out_of_memory" and "exit:CODE" with a code from 1 to 255, as in "exit:75".`+guess(on, []string{"timeout", "out_of_memory"}))
		}
		s.Retry.On = append(s.Retry.On, on)
	}
}

// bytes reads "8GiB", "500 MB" or a number of bytes.
func (e *encoder) bytes(a *hcl.Attribute, where string) int64 {
	v, _, ok := e.option(a, cty.String, where)
	if !ok {
		return 0
	}
	n, ok := parseBytes(v.AsString())
	if !ok {
		e.fail(where, fmt.Sprintf("%q is not an amount of memory", v.AsString()), `Write a number and a unit: "512MiB", "8GiB", "1.5GB". GiB is 1024³ bytes, GB 1000³.`)
	}
	return n
}

func parseBytes(s string) (int64, bool) {
	units := []struct {
		name  string
		bytes float64
	}{
		{"KiB", 1 << 10},
		{"MiB", 1 << 20},
		{"GiB", 1 << 30},
		{"TiB", 1 << 40},
		{"kB", 1e3},
		{"KB", 1e3},
		{"MB", 1e6},
		{"GB", 1e9},
		{"TB", 1e12},
		{"B", 1},
		{"", 1},
	}
	for _, u := range units {
		text, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if size := n * u.bytes; err != nil || !(size >= 1 && size < 1<<62) {
			return 0, false
		}
		return int64(n * u.bytes), true
	}
	return 0, false
}
