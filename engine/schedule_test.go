package engine_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/flow-pipelines/flow/engine"
	"github.com/flow-pipelines/flow/engine/event"
	"github.com/flow-pipelines/flow/engine/executor"
	"github.com/flow-pipelines/flow/engine/plan"
	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/stages/dataset"
	"github.com/flow-pipelines/flow/stages/exec"
)

// actor is an executor without processes: the first word of a command says
// what happens. "ok" succeeds, "fail" fails, "flaky" fails at first.
type actor struct {
	mu      sync.Mutex
	started []string
	active  int
	most    int // stages at once
	big     bool
	alone   bool // a stage named "big" never had company
	tries   map[string]int
}

func (a *actor) Run(ctx context.Context, t executor.Task) (executor.Result, error) {
	a.mu.Lock()
	a.started = append(a.started, t.ID)
	a.active++
	a.most = max(a.most, a.active)
	isBig := strings.HasPrefix(t.ID, "exec.big")
	a.big = a.big || isBig
	if a.big && a.active > 1 {
		a.alone = false
	}
	a.tries[t.ID]++
	try := a.tries[t.ID]
	a.mu.Unlock()
	select {
	case <-time.After(10 * time.Millisecond):
	case <-ctx.Done():
	}
	a.mu.Lock()
	a.active--
	a.big = a.big && !isBig
	a.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return executor.Result{Exit: -1, Signal: "SIGTERM"}, nil
	case t.Command[0] == "fail", t.Command[0] == "flaky" && try < 3:
		return executor.Result{Exit: 75}, nil
	}
	return executor.Result{}, os.WriteFile(filepath.Join(t.Dir, "o"), nil, 0o644)
}

type applied struct {
	*engine.Report
	*actor
	events []event.Event
}

func applyHCL(t *testing.T, ctx context.Context, hcl string, o engine.ApplyOptions) applied {
	t.Helper()
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "p.hcl"), []byte(hcl), 0o644); err != nil {
		t.Fatal(err)
	}
	a := &actor{alone: true, tries: map[string]int{}}
	p, err := engine.Open(engine.Options{Dir: dir, Types: []stage.Type{dataset.Type{}, exec.Type{}}, Executor: a, Self: []string{"flow"}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var events []event.Event
	o.Sink = func(e event.Event) { events = append(events, e) }
	rep, err := p.Apply(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	return applied{rep, a, events}
}

const many = `
exec "s" {
  count   = 8
  command = ["ok", count.index]
}
`

func TestJobsBoundWhatRunsAtOnce(t *testing.T) {
	got := applyHCL(t, t.Context(), many, engine.ApplyOptions{Jobs: 3})
	if got.most != 3 {
		t.Errorf("%d stages ran at once, want 3", got.most)
	}
	if got.Counts["ran"] != 8 {
		t.Errorf("counts: %v", got.Counts)
	}
}

func TestAStageLargerThanTheMachineRunsAlone(t *testing.T) {
	got := applyHCL(t, t.Context(), many+`
exec "big" {
  command = ["ok"]
  resources { cpus = 100000 }
}
`, engine.ApplyOptions{Jobs: 4})
	if !got.alone || got.Counts["ran"] != 9 {
		t.Errorf("alone: %v, counts: %v", got.alone, got.Counts)
	}
}

const failing = `
exec "a_fail" { command = ["fail"] }
exec "b_after" {
  command    = ["ok"]
  depends_on = [exec.a_fail]
}
exec "c_other" {
  count   = 4
  command = ["ok", count.index]
}
`

func TestAFailureStopsWhatDependsOnIt(t *testing.T) {
	got := applyHCL(t, t.Context(), failing, engine.ApplyOptions{Jobs: 1, KeepGoing: true})
	if len(got.Failed) != 1 || got.Counts["ran"] != 4 || got.Counts["skipped"] != 1 {
		t.Errorf("failed %v, counts %v", got.Failed, got.Counts)
	}
	if slices.Contains(got.started, "exec.b_after") {
		t.Error("a stage ran though what it needs failed")
	}
}

func TestAFailureStartsNothingNewUnlessToldTo(t *testing.T) {
	got := applyHCL(t, t.Context(), failing, engine.ApplyOptions{Jobs: 1})
	if !slices.Equal(got.started, []string{"exec.a_fail"}) {
		t.Errorf("started %v after a failure", got.started)
	}
	if got.Counts["skipped"] != 5 {
		t.Errorf("counts %v", got.Counts)
	}
}

func TestRetriesAreTriedAsOftenAsAllowed(t *testing.T) {
	const flaky = `
exec "x" {
  command = ["flaky"]
  retry {
    attempts = ATTEMPTS
    on       = ["exit:75"]
  }
}
`
	got := applyHCL(t, t.Context(), strings.Replace(flaky, "ATTEMPTS", "3", 1), engine.ApplyOptions{})
	if got.tries["exec.x"] != 3 || got.Counts["ran"] != 1 {
		t.Errorf("%d tries, counts %v", got.tries["exec.x"], got.Counts)
	}
	got = applyHCL(t, t.Context(), strings.Replace(flaky, "ATTEMPTS", "2", 1), engine.ApplyOptions{})
	if got.tries["exec.x"] != 2 || len(got.Failed) != 1 {
		t.Errorf("%d tries, failed %v", got.tries["exec.x"], got.Failed)
	}
	got = applyHCL(t, t.Context(), strings.NewReplacer("ATTEMPTS", "3", "exit:75", "timeout").Replace(flaky), engine.ApplyOptions{})
	if got.tries["exec.x"] != 1 {
		t.Errorf("%d tries on a failure that is not to be retried", got.tries["exec.x"])
	}
}

func TestAnInterruptStopsGently(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	soon := func(*plan.Plan) (bool, error) { time.AfterFunc(15*time.Millisecond, cancel); return true, nil }
	got := applyHCL(t, ctx, many, engine.ApplyOptions{Jobs: 1, Confirm: soon})
	if !got.Interrupted || len(got.Failed) > 0 {
		t.Errorf("interrupted %v, failed %v", got.Interrupted, got.Failed)
	}
	if n := got.Counts["ran"] + got.Counts["skipped"]; n != 8 || got.Counts["skipped"] == 0 {
		t.Errorf("counts %v", got.Counts)
	}
}

func TestEventsTellTheWholeStory(t *testing.T) {
	got := applyHCL(t, t.Context(), failing, engine.ApplyOptions{Jobs: 1, KeepGoing: true})
	ends := map[string]int{}
	for _, e := range got.events {
		switch e.Kind {
		case event.Done, event.Failed, event.Skipped:
			ends[e.Addr.String()]++
		}
	}
	if len(ends) != 6 {
		t.Errorf("got ends of %v", ends)
	}
	for a, n := range ends {
		if n != 1 {
			t.Errorf("%s ended %d times", a, n)
		}
	}
	first, last := got.events[0], got.events[len(got.events)-1]
	if first.Kind != event.RunStarted || last.Kind != event.RunFinished || last.Text != "failed" {
		t.Errorf("first %v, last %v %q", first.Kind, last.Kind, last.Text)
	}
}
