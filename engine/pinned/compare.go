package pinned

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/key"
	"github.com/flow-pipelines/flow/engine/lock"
	"github.com/flow-pipelines/flow/engine/plan"
)

// Difference is one thing that is not as it was when the plan was made.
type Difference struct {
	// Of is what differs: a file, flow.lock, a variable or a stage.
	Of   string
	Text string
}

func (d Difference) String() string { return d.Of + ": " + d.Text }

// StaleError says that a plan cannot be carried out, since what it was made
// from has changed.
type StaleError struct{ Differences []Difference }

func (e *StaleError) Error() string {
	lines := make([]string, len(e.Differences))
	for i, d := range e.Differences {
		lines[i] = d.String()
	}
	return "the plan is out of date: " + strings.Join(lines, "; ")
}

// Compare lists what is different now from when the plan was made, causes
// before consequences.
func (d *Document) Compare(now *Document) ([]Difference, error) {
	var ds []Difference
	if d.Flow != now.Flow {
		ds = append(ds, Difference{"flow", fmt.Sprintf("version %s made the plan, this is version %s", d.Flow, now.Flow)})
	}
	ds = append(ds, files(d.Files, now.Files, "changed")...)
	ds = append(ds, files(d.Read, now.Read, "changed; an expression reads it")...)
	ds = append(ds, d.variables(now)...)
	ds = append(ds, d.locked(now)...)
	var gone []Difference
	seen := map[addr.Address]bool{}
	after := now.byAddress()
	for i := range d.Stages {
		s := &d.Stages[i]
		seen[s.Address] = true
		n := after[s.Address]
		if n == nil {
			gone = append(gone, Difference{s.Address.String(), "is no stage of the plan any more"})
			continue
		}
		more, err := s.compare(n)
		if err != nil {
			return nil, err
		}
		ds = append(ds, more...)
	}
	ds = append(ds, gone...)
	for _, l := range now.Later {
		if !d.mayBe(l.Address) {
			ds = append(ds, Difference{l.Address.String(), "has instances now that are not known yet"})
		}
	}
	for _, s := range now.Stages {
		if !seen[s.Address] && !d.mayBe(s.Address) {
			ds = append(ds, Difference{s.Address.String(), "is a new stage"})
		}
	}
	if len(ds) == 0 {
		ds = d.outputs(now)
	}
	if !slices.Equal(d.Removed, now.Removed) && len(ds) == 0 {
		ds = append(ds, Difference{lock.FileName, fmt.Sprintf("%d stages are no longer in the pipeline, and %d were", len(now.Removed), len(d.Removed))})
	}
	return ds, nil
}

// mayBe reports whether a is, or could be, of a block whose instances were not
// known when the plan was made.
func (d *Document) mayBe(a addr.Address) bool {
	return slices.ContainsFunc(d.Later, func(l Later) bool { return a.Within(l.Address) })
}

func (d *Document) byAddress() map[addr.Address]*Stage {
	by := make(map[addr.Address]*Stage, len(d.Stages))
	for i := range d.Stages {
		by[d.Stages[i].Address] = &d.Stages[i]
	}
	return by
}

// files compares digests by name.
func files(before, after map[string]digest.Digest, changed string) []Difference {
	var ds []Difference
	both := maps.Clone(after)
	if both == nil {
		both = map[string]digest.Digest{}
	}
	maps.Copy(both, before)
	for _, name := range slices.Sorted(maps.Keys(both)) {
		b, had := before[name]
		a, has := after[name]
		switch {
		case !had:
			ds = append(ds, Difference{name, "is new"})
		case !has:
			ds = append(ds, Difference{name, "is gone"})
		case a != b:
			ds = append(ds, Difference{name, changed})
		}
	}
	return ds
}

// variables compares the sensitive ones; the others have the plan's values.
func (d *Document) variables(now *Document) []Difference {
	var ds []Difference
	for _, v := range d.Variables {
		i := slices.IndexFunc(now.Variables, func(n Variable) bool { return n.Name == v.Name })
		if v.Sensitive && i >= 0 && !bytes.Equal(v.Proof, now.Variables[i].Proof) {
			ds = append(ds, Difference{"variable " + v.Name, "has not the (sensitive) value that it was planned with"})
		}
	}
	return ds
}

func (d *Document) locked(now *Document) []Difference {
	var ds []Difference
	for _, c := range files(d.Lock, now.Lock, "") {
		text := c.Of + " was recorded again since the plan was made"
		switch c.Text {
		case "is new":
			text = c.Of + " was recorded since the plan was made"
		case "is gone":
			text = c.Of + " is not recorded any more"
		}
		ds = append(ds, Difference{lock.FileName, text})
	}
	return ds
}

// compare lists what is different about a stage.
func (s *Stage) compare(now *Stage) ([]Difference, error) {
	before, err := s.manifest()
	if err != nil {
		return nil, err
	}
	after, err := now.manifest()
	if err != nil {
		return nil, err
	}
	var ds []Difference
	add := func(text string) { ds = append(ds, Difference{s.Address.String(), text}) }
	if len(before) > 0 && len(after) > 0 { // else one of them was blocked before there were facts
		for _, text := range plan.Explain(before, after, func(f key.Fact) bool { return s.unsettled(now, f, before, after) }) {
			add(text)
		}
	}
	for _, text := range s.given(now) {
		add(text)
	}
	switch {
	case len(ds) > 0:
	case s.Action != now.Action:
		text := fmt.Sprintf("was %s, and is now %s", actionText(s.Action), actionText(now.Action))
		if len(now.Reasons) > 0 {
			text += ": " + now.Reasons[0].Text
		}
		add(text)
	case s.Key != now.Key && !s.Key.IsZero() && !now.Key.IsZero():
		add("a sensitive value changed")
	}
	return ds, nil
}

// unsettled reports whether a fact was not known when one of the two plans was
// made, for another stage runs first. That it does is a difference of its own.
func (s *Stage) unsettled(now *Stage, f key.Fact, before, after key.Manifest) bool {
	if f.Kind != key.Input {
		return among(s.Unknown, f) || among(now.Unknown, f)
	}
	_, had := before.Get(key.Input, f.Name)
	_, has := after.Get(key.Input, f.Name)
	return now.upstream[f.Name] && (!had && s.Key.IsZero() || !has && now.Key.IsZero())
}

// given compares the content of the user's own files.
func (s *Stage) given(now *Stage) []string {
	if !s.Given {
		return nil
	}
	var texts []string
	for _, r := range s.Results {
		i := slices.IndexFunc(now.Results, func(n Result) bool { return n.Name == r.Name })
		if i >= 0 && now.Results[i].Content != r.Content {
			texts = append(texts, contentText(r, now.Results[i]))
		}
	}
	return texts
}

func contentText(before, after Result) string {
	b, err1 := parseNode(before.Content)
	a, err2 := parseNode(after.Content)
	if err1 != nil || err2 != nil || b.Size == a.Size {
		return after.Path + " has other content now, of the same size"
	}
	return fmt.Sprintf("%s changed, %s → %s", after.Path, plan.Bytes(b.Size), plan.Bytes(a.Size))
}

func actionText(a plan.Action) string {
	switch a {
	case plan.Keep:
		return "to be kept"
	case plan.Restore:
		return "to be restored"
	case plan.Run:
		return "to run"
	case plan.Defer:
		return "to run perhaps"
	case plan.Blocked:
		return "blocked"
	}
	return string(a)
}

// Checker returns a function that compares a stage, decided again with what it
// needs at hand, with the plan: only what was not known when the plan was made
// may be new. What it returns is a *StaleError, or says that the plan itself is
// damaged. It may be called concurrently.
func (d *Document) Checker() func(*plan.Step) error {
	by := d.byAddress()
	return func(step *plan.Step) error {
		s := by[step.Addr]
		if s == nil && d.mayBe(step.Addr) {
			return nil
		}
		if s == nil {
			return &StaleError{[]Difference{{step.Addr.String(), "is not in the plan"}}}
		}
		return s.check(step)
	}
}

func (s *Stage) check(step *plan.Step) error {
	if step.Action == plan.Blocked && step.Manifest == nil {
		return nil // a gate that was not known is closed: it does nothing, and says why
	}
	before, err := s.manifest()
	if err != nil {
		return err
	}
	now, err := stageOf(step)
	if err != nil {
		return err
	}
	after := step.Manifest.Redacted()
	texts := plan.Explain(before, after, func(f key.Fact) bool { return s.Key.IsZero() && s.unsettled(&now, f, before, after) })
	if s.Known {
		texts = append(texts, s.given(&now)...)
	}
	if len(texts) == 0 && !s.Key.IsZero() && s.Key != step.Key && !step.Key.IsZero() {
		texts = append(texts, "a sensitive value changed")
	}
	if len(texts) == 0 {
		return nil
	}
	e := &StaleError{}
	for _, t := range texts {
		e.Differences = append(e.Differences, Difference{step.Addr.String(), t})
	}
	return e
}

// among reports whether a fact is made from one of the arguments.
func among(arguments []string, f key.Fact) bool {
	switch f.Kind {
	case key.Argument:
		top := f.Name
		if i := strings.IndexAny(top, ".["); i > 0 {
			top = top[:i]
		}
		return slices.Contains(arguments, top)
	case key.Command:
		return slices.Contains(arguments, "command")
	case key.Environment:
		return slices.Contains(arguments, "env")
	case key.Input, key.TypeFact, key.Output, key.MetricsFile, key.IsolationFact:
	}
	return false
}
