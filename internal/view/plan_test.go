package view

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/key"
	"github.com/flow-pipelines/flow/engine/lock"
	"github.com/flow-pipelines/flow/engine/plan"
	"github.com/flow-pipelines/flow/engine/stage"
)

func at(t testing.TB, s string) addr.Address {
	t.Helper()
	a, err := addr.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func file(content string, size int64) digest.Node {
	return digest.Node{Kind: digest.File, Digest: digest.OfBytes([]byte(content)), Size: size, Files: 1}
}

// step makes a step of a plan.
func step(t testing.TB, a string, action plan.Action, deps []string, reasons ...plan.Reason) *plan.Step {
	t.Helper()
	st := &config.Stage{Addr: at(t, a), Schema: &stage.Schema{}, Job: &stage.Job{}}
	for _, d := range deps {
		st.Deps = append(st.Deps, at(t, d))
	}
	return &plan.Step{Addr: st.Addr, Action: action, Stage: st, Reasons: reasons}
}

// everyAction is a plan with each action, and data, arguments and gates among
// its reasons.
func everyAction(t testing.TB) *plan.Plan {
	data := step(t, "dataset.scans", plan.Run, nil, plan.Reason{
		Kind: plan.DataChanged, Text: "data/scans changed, 3 files, 1.2 MB → 4 files, 1.3 MB",
		Files: []plan.FileChange{
			{Path: "a.png", Old: file("a", 400_000), New: file("b", 410_000)},
			{Path: "new.png", New: file("c", 100_000)},
			{Path: "old.png", Old: file("d", 100_000)},
		},
		More: 12,
	})
	data.Stage.Job.Given = true
	data.Known, data.Results = true, []lock.Result{{Name: "data", Path: "data/scans", Node: file("scans", 1_300_000), Given: true}}
	split := step(t, "split.holdout", plan.Restore, []string{"dataset.scans"},
		plan.Reason{Kind: plan.MissingOutput, Text: "out/split/holdout/train.csv is missing"})
	split.RestoreBytes = 1_200_000
	small := step(t, `train.mlp["small"]`, plan.Run, []string{"split.holdout"},
		plan.Reason{Kind: plan.Changed, Text: "argument epochs: 10 → 20", Change: &key.Change{Kind: key.Argument, Name: "epochs", Old: "10", New: "20", HasOld: true, HasNew: true}},
		plan.Reason{Kind: plan.Changed, Text: "argument optimizer.adam.learning_rate: default → 0.05", Change: &key.Change{Kind: key.Argument, Name: "optimizer.adam.learning_rate", New: "0.05", HasNew: true}})
	small.Usual = 12 * time.Second
	wide := step(t, `train.mlp["wide"]`, plan.Run, []string{"split.holdout"}, plan.Reason{Kind: plan.FirstTime, Text: "first time"})
	best := step(t, "select.best", plan.Defer, []string{`train.mlp["small"]`, `train.mlp["wide"]`},
		plan.Reason{Kind: plan.Upstream, Text: `train.mlp["small"] and train.mlp["wide"] run first`})
	best.Usual = 40 * time.Millisecond
	deploy := step(t, "deploy.local", plan.Blocked, []string{"select.best"}, plan.Reason{Kind: plan.Gate, Text: "when: evaluate.final.metrics.f1 >= 0.95 is false"})
	kept := step(t, "exec.report", plan.Keep, nil)
	return &plan.Plan{
		Steps: []*plan.Step{data, split, small, wide, best, deploy, kept}, Removed: []addr.Address{at(t, "exec.gone")},
		Outputs: []config.Output{
			{Name: "f1", Value: cty.UnknownVal(cty.Number)},
			{Name: "name", Value: cty.StringVal("wide")},
			{Name: "token", Value: cty.StringVal("hush"), Sensitive: true},
		},
		Forecast: plan.Forecast{Total: 12040 * time.Millisecond, CriticalPath: 12040 * time.Millisecond, Elapsed: 12040 * time.Millisecond, Jobs: 2, Unknown: 1, RestoreBytes: 1_200_000},
	}
}

func TestPlanShowsEveryReason(t *testing.T) {
	pl := everyAction(t)
	golden(t, "plan-200.txt", print(200, func(p *Printer) { p.Plan(pl, false) }))
	golden(t, "plan.txt", print(80, func(p *Printer) { p.Plan(pl, false) }))
	golden(t, "plan-verbose.txt", print(100, func(p *Printer) { p.Plan(pl, true) }))
}

func TestPlanFitsANarrowTerminal(t *testing.T) {
	got := print(40, func(p *Printer) { p.Plan(everyAction(t), false) })
	golden(t, "plan-narrow.txt", got)
	for _, line := range bytes.Split(got, []byte("\n")) {
		if w := textWidth(string(line)); w > 40 {
			t.Errorf("a line has %d columns, want at most 40: %s", w, line)
		}
	}
}

func TestPlanForPrograms(t *testing.T) {
	var b bytes.Buffer
	if err := PlanJSON(&b, everyAction(t)); err != nil {
		t.Fatal(err)
	}
	golden(t, "plan.json", b.Bytes())
}

func TestPlanGroupsManyInstances(t *testing.T) {
	pl := &plan.Plan{}
	for i := range 500 {
		s := step(t, fmt.Sprintf("exec.shard[%d]", i), plan.Run, nil, plan.Reason{Kind: plan.Changed, Text: "input src/shard.py changed, 1.2 kB → 1.3 kB"})
		if i%100 == 0 {
			s.Reasons = append(s.Reasons, plan.Reason{Kind: plan.Changed, Text: fmt.Sprintf("argument part: %d → %d", i, i+1), Change: &key.Change{Kind: key.Argument, Name: "part", HasOld: true, HasNew: true}})
		}
		s.Usual = 2 * time.Second
		pl.Steps = append(pl.Steps, s)
	}
	pl.Forecast = plan.Forecast{Total: 1000 * time.Second, CriticalPath: 2 * time.Second, Elapsed: 500 * time.Second, Jobs: 2}
	golden(t, "plan-many.txt", print(80, func(p *Printer) { p.Plan(pl, false) }))
	golden(t, "plan-many-40.txt", print(40, func(p *Printer) { p.Plan(pl, false) }))
	golden(t, "plan-many-200.txt", print(200, func(p *Printer) { p.Plan(pl, false) }))
	for _, width := range []int{40, 80, 200} {
		golden(t, fmt.Sprintf("status-%d.txt", width), print(width, func(p *Printer) {
			p.Status(pl, &lock.Lock{}, Live{Stages: map[addr.Address]bool{pl.Steps[3].Addr: true}}, false)
		}))
	}
}

func TestNothingToDoIsOneLine(t *testing.T) {
	kept := func(n int) *plan.Plan {
		pl := &plan.Plan{}
		for i := range n {
			pl.Steps = append(pl.Steps, step(t, fmt.Sprintf("exec.s%d", i), plan.Keep, nil))
		}
		return pl
	}
	targeted, blocked := kept(2), kept(2)
	targeted.Targeted = true
	blocked.Steps = append(blocked.Steps, step(t, "deploy.local", plan.Blocked, nil, plan.Reason{Kind: plan.Gate, Text: "when: false"}))
	var b bytes.Buffer
	for _, pl := range []*plan.Plan{kept(0), kept(1), kept(3), targeted, blocked} {
		b.Write(print(80, func(p *Printer) { p.NothingToDo(pl) }))
	}
	golden(t, "nothing.txt", b.Bytes())
}

func TestColourChangesNoWord(t *testing.T) {
	var plain, colored bytes.Buffer
	NewPrinter(&plain, false, 80).Plan(everyAction(t), true)
	NewPrinter(&colored, true, 80).Plan(everyAction(t), true)
	if plain.String() == colored.String() {
		t.Error("got no colour")
	}
	if got := stripped(colored.String()); got != plain.String() {
		t.Errorf("got %s, want %s", got, plain.String())
	}
}
