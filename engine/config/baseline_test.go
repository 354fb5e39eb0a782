package config_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/stage"
)

// A revision is read once, however often and by whomever it is named; keys of
// both kinds lead to the metrics.
func TestBaselinesAreReadOnce(t *testing.T) {
	reads := 0
	read := func(rev string) (config.Recorded, error) {
		reads++
		if rev != "main" {
			return config.Recorded{}, errors.New("there is none")
		}
		at := func(s string) addr.Address {
			a, err := addr.Parse(s)
			if err != nil {
				t.Fatal(err)
			}
			return a
		}
		return config.Recorded{Metrics: map[addr.Address]stage.Metrics{
			at("exec.a"): {"f1": 0.5}, at(`train.m["x y"]`): {"f1": 0.25}, at("train.n[1]"): {"val": map[string]any{"f1": 0.125}}, at("exec.none"): nil,
		}}, nil
	}
	dir := project(t, map[string]string{"pipeline.hcl": `
output "sum" {
  value = baseline("main").exec.a.f1 + baseline("main").train.m["x y"].f1 + baseline("main").train.n[1].val.f1
}
output "first" { value = try(baseline("nope").exec.a.f1, baseline("main").exec.none.f1, 7) }
`})
	p, diags := config.Load(config.Options{Dir: dir, Types: types(), Baseline: read})
	if diags.HasErrors() {
		t.Fatal(render(p, diags))
	}
	for range 2 {
		outs, diags := p.Outputs(config.NoResults{})
		if diags.HasErrors() {
			t.Fatal(render(p, diags))
		}
		for i, want := range []float64{7, 0.875} {
			if !outs[i].Value.RawEquals(cty.NumberFloatVal(want)) {
				t.Errorf("%s: got %#v, want %v", outs[i].Name, outs[i].Value, want)
			}
		}
	}
	if reads != 2 {
		t.Errorf("%d reads of two revisions", reads)
	}
}

func TestABaselineWithoutAReaderIsUnknown(t *testing.T) {
	p := load(t, `output "x" { value = baseline("main").exec.a.f1 >= 0.5 }`)
	outs, diags := p.Outputs(config.NoResults{})
	if diags.HasErrors() || outs[0].Value.IsKnown() {
		t.Errorf("got %#v, %s", outs, strings.TrimSpace(render(p, diags)))
	}
}

// What is in a module is under it, and no stage of the project is taken for
// one of a module with the same name.
func TestBaselinesOfModules(t *testing.T) {
	recorded := map[addr.Address]stage.Metrics{}
	for text, v := range map[string]float64{
		"exec.a": 1, "module.m.exec.a": 2, `module.each["eu"].exec.a`: 3, "module.m.module.n[1].exec.b[0]": 4, "module.m.exec.only": 5,
	} {
		a, err := addr.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		recorded[a] = stage.Metrics{"v": v}
	}
	dir := project(t, map[string]string{"pipeline.hcl": `
output "v" {
  value = [
    baseline("main").exec.a.v, baseline("main").module.m.exec.a.v, baseline("main").module.each["eu"].exec.a.v,
    baseline("main").module.m.module.n[1].exec.b[0].v, try(baseline("main").exec.only.v, 0)
  ]
}
`})
	for range 20 {
		p, diags := config.Load(config.Options{Dir: dir, Types: types(), Baseline: func(string) (config.Recorded, error) { return config.Recorded{Metrics: recorded}, nil }})
		if diags.HasErrors() {
			t.Fatal(render(p, diags))
		}
		outs, diags := p.Outputs(config.NoResults{})
		if diags.HasErrors() {
			t.Fatal(render(p, diags))
		}
		var got []int64
		for _, v := range outs[0].Value.AsValueSlice() {
			n, _ := v.AsBigFloat().Int64()
			got = append(got, n)
		}
		if want := []int64{1, 2, 3, 4, 0}; !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
}

// try stands in for what is not recorded, not for what cannot be read: a gate
// would open.
func TestTryDoesNotHideDoubtfulBaselines(t *testing.T) {
	a := addr.Address{Type: "exec", Name: "a"}
	read := func(rev string) (config.Recorded, error) {
		switch rev {
		case "bad":
			return config.Recorded{}, &config.UnreadableBaseline{Err: errors.New("it is torn")}
		case "nope":
			return config.Recorded{}, &config.UnknownRevision{Err: errors.New("no revision \"nope\"")}
		}
		return config.Recorded{Doubtful: []addr.Address{a}, Metrics: map[addr.Address]stage.Metrics{{Type: "exec", Name: "b"}: {"v": 1}}}, nil
	}
	for expr, want := range map[string]string{
		`try(baseline("main").exec.a.v, 0) < 1`:                                          `The baseline "main" of exec.a cannot be relied on`,
		`can(baseline("main").exec.a.v)`:                                                 `The baseline "main" of exec.a cannot be relied on`,
		`try(baseline("main").exec["a"].v, 0) < 1`:                                       `The baseline "main" of exec.a cannot be relied on`,
		`try(local.base.exec.a.v, 0) < 1`:                                                `The baseline "main" of exec.a cannot be relied on`,
		`length([for n in ["a"] : 1 if try(baseline("main").exec[n].v, 0) < 1]) == 1`:    `The baseline "main" of exec.a cannot be relied on`,
		`try(baseline("bad").exec.a.v, 0) < 1`:                                           `The baseline "bad" cannot be read`,
		`try(baseline("main").exec.b.v, 0) < 1 || try(baseline("main").exec.c.v, 0) < 1`: "",
	} {
		for _, text := range []string{
			"exec \"x\" {\n  command = [\"true\"]\n  outputs = { o = \"o\" }\n  when = " + expr + "\n}\n",
			"output \"x\" { value = " + expr + " }\n",
		} {
			dir := project(t, map[string]string{"pipeline.hcl": "locals { base = baseline(\"main\") }\n" + text})
			p, diags := config.Load(config.Options{Dir: dir, Types: types(), Baseline: read})
			if diags.HasErrors() {
				t.Fatal(render(p, diags))
			}
			_, diags = p.Stages(config.NoResults{})
			_, more := p.Outputs(config.NoResults{})
			got := render(p, append(diags, more...))
			if want == "" && got != "" || !strings.Contains(got, want) {
				t.Errorf("%s: want %q, got:\n%s", text, want, got)
			}
		}
		dir := project(t, map[string]string{"pipeline.hcl": "locals { base = baseline(\"main\") }\n"})
		p, _ := config.Load(config.Options{Dir: dir, Types: types(), Baseline: read})
		for range 2 {
			if _, _, diags := p.Evaluate(expr, config.NoResults{}); want == "" && diags.HasErrors() || !strings.Contains(render(p, diags), want) {
				t.Errorf("console: %s: want %q, got:\n%s", expr, want, render(p, diags))
			}
			if _, _, diags := p.Evaluate("1", config.NoResults{}); diags.HasErrors() {
				t.Errorf("console after %s: %s", expr, render(p, diags))
			}
		}
	}
	for _, text := range []string{
		`output "x" { value = try(baseline("nope").exec.a.v, 0) }`,
		"exec \"x\" {\n  command = [\"true\"]\n  when = 1 > try(baseline(\"nope\").exec.a.v, 0)\n}\n",
		"locals { least = try(baseline(\"nope\").exec.a.v, 0) }\nexec \"x\" {\n  command = [\"true\", local.least]\n}\n",
	} {
		dir := project(t, map[string]string{"pipeline.hcl": text})
		p, diags := config.Load(config.Options{Dir: dir, Types: types(), Baseline: read})
		if diags.HasErrors() || len(diags) != 1 || diags[0].Summary != `There is no baseline "nope"` {
			t.Errorf("an unknown revision in %s: %s", text, render(p, diags))
		}
	}
}
