package apply

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/cas"
	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/event"
	"github.com/flow-pipelines/flow/engine/key"
	"github.com/flow-pipelines/flow/engine/lock"
	"github.com/flow-pipelines/flow/engine/plan"
	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/engine/state"
	"github.com/flow-pipelines/flow/engine/worktree"
)

// work decides one stage with the results it now has, and does it.
// vacated is called when its place on the machine is free, if that is before
// work returns.
func (a *apply) work(ctx context.Context, n *node, before *lock.Stage, outcomes map[addr.Address]plan.Outcome, vacated func()) result {
	r := result{node: n, step: n.step, vacated: vacated}
	var err error
	if !settled(n) {
		r.step, err = a.decide(ctx, n.step, outcomes)
	}
	if err == nil {
		err = a.act(ctx, &r, before, outcomes)
	}
	var changed *worktree.ChangedError
	if settled(n) && errors.As(err, &changed) {
		// Somebody wrote there after the plan, perhaps while it was asked
		// about.
		if r.step, err = a.decide(ctx, n.step, outcomes); err == nil {
			err = a.act(ctx, &r, before, outcomes)
		}
	}
	if errors.As(err, &changed) && r.step.Given() {
		err = failf("%s changed while it was read; run flow apply again when nothing writes to it", changed.Path)
	}
	var f *failure
	switch {
	case err == nil:
	case ctx.Err() != nil:
		r.count, r.why = Skipped, "interrupted"
		a.emit(event.Event{Kind: event.Skipped, Addr: n.step.Addr, Text: "interrupted"})
	case errors.As(err, &f):
		r.count = Failed
		f.event.Kind, f.event.Addr = event.Failed, n.step.Addr
		a.emit(f.event)
	default:
		r.err = err
	}
	return r
}

// settled reports whether the plan's decision about the user's own files holds.
// To decide anew would be to walk over all of them again. What the plan saw, and
// was agreed to, is what is kept, or it is a *worktree.ChangedError: Store looks
// for what the cache lacks and checks all that it reads. A file that has changed
// since and is not read is seen by the next plan, like one that changes just
// after a walk has passed it. With store = false nothing vouches for the content.
func settled(n *node) bool {
	return n.untouched && n.step.Given() && n.step.Action == plan.Run && !n.step.Stage.Open() &&
		!slices.ContainsFunc(n.step.Stage.Job.Outputs, func(o stage.Output) bool { return o.NoStore })
}

// decide is plan's decision with what is known by now.
func (a *apply) decide(ctx context.Context, step *plan.Step, outcomes map[addr.Address]plan.Outcome) (*plan.Step, error) {
	st := step.Stage
	if st.Open() || len(st.Mistakes) > 0 || step.Action == plan.Defer {
		var diags hcl.Diagnostics
		if st, diags = a.pipeline().Resolve(step.Addr, a); diags.HasErrors() {
			return nil, mistake(diags)
		}
	}
	next, err := plan.Decide(ctx, a.World, st, func(d addr.Address) plan.Outcome {
		if o, ok := outcomes[d]; ok {
			return o
		}
		return plan.Outcome{State: plan.Ready}
	}, a.options)
	if err != nil {
		if len(stage.ProblemsIn(err)) > 0 {
			return nil, mistake(a.pipeline().Diagnose(step.Addr, err))
		}
		return nil, err
	}
	if a.Check != nil {
		if err := a.Check(next); err != nil {
			return nil, &failure{event.Event{Text: err.Error(), Hints: []string{"nothing of it was run; make a new plan"}}}
		}
	}
	return next, nil
}

// failure is a stage that failed. It is a result, not a breakdown.
type failure struct{ event event.Event }

func (f *failure) Error() string { return f.event.Text }

func mistake(diags hcl.Diagnostics) error {
	var texts []string
	for _, d := range diags {
		texts = append(texts, d.Summary)
	}
	return &failure{event.Event{Text: strings.Join(texts, "; "), Diags: diags}}
}

func failf(format string, args ...any) error {
	return &failure{event.Event{Text: fmt.Sprintf(format, args...)}}
}

func (a *apply) act(ctx context.Context, r *result, before *lock.Stage, outcomes map[addr.Address]plan.Outcome) error {
	step := r.step
	start := a.Clock()
	switch step.Action {
	case plan.Blocked:
		if len(step.Failing) > 0 {
			f := broken(step.Failing)
			if remedy := step.Remedy(); remedy != "" {
				f.event.Hints = []string{remedy}
			}
			return f
		}
		r.count, r.why = Blocked, step.Reasons[0].Text
		return nil
	case plan.Keep:
		r.count = Kept
		if r.node.step.Action != plan.Keep { // it was not sure before
			a.emit(event.Event{Kind: event.Done, Addr: step.Addr, Action: Kept, Metrics: numbers(step.Metrics)})
		}
		return nil
	case plan.Restore:
		a.emit(event.Event{Kind: event.Started, Addr: step.Addr, Action: string(plan.Restore)})
		err := a.restore(ctx, step, before)
		if errors.Is(err, cas.ErrNotFound) && !step.Given() {
			// Damage, found before it was linked out, or the cache was cleared
			// since the plan. The stage is decided again, now that the cache
			// does not have the objects any more.
			lost := err
			if err := a.heal(ctx, step); err != nil {
				return err
			}
			if r.step, err = a.decide(ctx, step, outcomes); err != nil {
				return err
			}
			if r.step.Action == plan.Restore {
				return fmt.Errorf("restore: %w", lost)
			}
			return a.act(ctx, r, before, outcomes)
		}
		if err != nil {
			return err
		}
		r.count = Restored
	case plan.Run:
		action := "run"
		if step.Given() {
			action = "record"
		}
		a.emit(event.Event{Kind: event.Started, Addr: step.Addr, Action: action, Usual: step.Usual.Seconds(), GPUs: borrowed(r.node.loan)})
		if err := a.produce(ctx, r, before); err != nil {
			return err
		}
		r.count = Ran
		if step.Given() {
			r.count = Recorded
		}
		if sameResults(before, step) {
			r.count = Unchanged
		}
	default:
		return fmt.Errorf("BUG: %s is to be %s with all its inputs known", step.Addr, step.Action)
	}
	r.locked = &lock.Stage{Addr: step.Addr, Key: step.Key, Manifest: step.Manifest.Redacted(), Results: step.Results, Metrics: step.Metrics}
	a.emit(event.Event{Kind: event.Done, Addr: step.Addr, Action: r.count, Elapsed: a.Clock().Sub(start).Seconds(), Metrics: numbers(step.Metrics), Usage: r.usage})
	return nil
}

func sameResults(before *lock.Stage, step *plan.Step) bool {
	if before == nil {
		return false
	}
	for _, r := range step.Results {
		if old, ok := before.Result(r.Name); !ok || old.Node != r.Node {
			return false
		}
	}
	return len(step.Results) == len(before.Results) && sameMetrics(before.Metrics, step.Metrics)
}

// sameMetrics compares metrics as flow.lock would have them.
func sameMetrics(a, b stage.Metrics) bool {
	before, err := json.Marshal(a)
	if err != nil {
		return false
	}
	now, err := json.Marshal(b)
	return err == nil && (bytes.Equal(before, now) || len(a) == 0 && len(b) == 0)
}

// heal moves all damaged objects of a stage's results out of the way at once.
func (a *apply) heal(ctx context.Context, step *plan.Step) error {
	for _, r := range step.Results {
		if _, err := a.Files.Heal(ctx, r.Node); err != nil && !errors.Is(err, cas.ErrNotFound) {
			return fmt.Errorf("look for damage of %s: %w", r.Path, err)
		}
	}
	return nil
}

// restore puts known results in place.
func (a *apply) restore(ctx context.Context, step *plan.Step, before *lock.Stage) error {
	for i, res := range step.Results {
		if err := a.checkout(ctx, step, before, step.Stage.Job.Outputs[i], res.Node); err != nil {
			return err
		}
	}
	return nil
}

// checkout makes an output be node. What lies there and flow did not put there
// is moved to the trash first.
func (a *apply) checkout(ctx context.Context, step *plan.Step, before *lock.Stage, o stage.Output, node digest.Node) error {
	filter := worktree.Filter{Include: o.Include, Ignore: o.Ignore}
	there, err := a.World.Hash(ctx, o)
	if err == nil && there == node {
		return a.Files.Hold(ctx, node)
	}
	if err == nil {
		if err := a.setAside(ctx, step, before, o, there); err != nil {
			return err
		}
	}
	_, err = a.Files.Checkout(ctx, o.Path, filter, node)
	return err
}

// setAside moves what lies at an output to the trash, unless the cache has it
// or it is what flow put there: nothing of a user's is overwritten without a
// way back. keep_outputs wants more: nothing is overwritten.
func (a *apply) setAside(ctx context.Context, step *plan.Step, before *lock.Stage, o stage.Output, there digest.Node) error {
	if step.Stage.Lifecycle.KeepOutputs {
		kept, err := a.Files.SetAside(o.Path, a.Record.ID())
		if err != nil {
			return fmt.Errorf("keep the earlier %s: %w", o.Path, err)
		}
		a.warn(step.Addr, "the earlier %s is kept as %s", o.Path, kept)
		return nil
	}
	if before != nil {
		if old, ok := before.Result(o.Name); ok && old.Path == o.Path && old.Node == there {
			return nil
		}
	}
	if missing, err := a.World.Missing(ctx, there, false); err != nil || missing == 0 {
		return err
	}
	kept, err := a.Files.SetAside(o.Path, a.Record.ID())
	if err != nil {
		return fmt.Errorf("keep the edited %s: %w", o.Path, err)
	}
	a.warn(step.Addr, "%s held something that flow did not write; it is kept as %s", o.Path, kept)
	return nil
}

// produce makes a stage's results: the user's files are stored, a job runs.
func (a *apply) produce(ctx context.Context, r *result, before *lock.Stage) error {
	if r.step.Given() {
		return a.storeGiven(ctx, r.step)
	}
	took, usage, err := a.runJob(ctx, r.step, r.node.loan, before)
	r.usage = usage
	if err != nil {
		return err
	}
	// While this result gets to the disk, another stage runs.
	r.vacated()
	return a.record(ctx, r.step, took)
}

func (a *apply) storeGiven(ctx context.Context, step *plan.Step) error {
	for i, res := range step.Results {
		o := step.Stage.Job.Outputs[i]
		filter := worktree.Filter{Include: o.Include, Ignore: o.Ignore}
		store := a.Files.Store
		if o.NoStore {
			store = a.Files.StoreTrees
		}
		err := store(ctx, o.Path, filter, res.Node)
		var changed *worktree.ChangedError
		if errors.As(err, &changed) {
			changed.Path = filepath.Join(o.Path, changed.Path)
			return changed
		}
		if err != nil {
			return fmt.Errorf("store %s: %w", o.Path, err)
		}
	}
	return nil
}

// record writes the result to the state database.
func (a *apply) record(ctx context.Context, step *plan.Step, took time.Duration) error {
	metrics, err := json.Marshal(step.Metrics)
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	outputs := make(map[string]digest.Node, len(step.Results))
	for _, r := range step.Results {
		outputs[r.Name] = r.Node
	}
	res := state.Result{Outputs: outputs, Metrics: metrics, Duration: took, Finished: a.Clock().UTC(), Run: a.Record.ID()}
	// What is finished is kept, also when the run is interrupted just now.
	return a.State.Record(context.WithoutCancel(ctx), step.Addr, state.Key(step.Key), res)
}

// numbers are the metrics that are numbers, by path, for progress and curves.
func numbers(m stage.Metrics) map[string]float64 {
	doc, err := json.Marshal(m)
	if err != nil || len(m) == 0 {
		return nil
	}
	leaves, err := key.Flatten(doc)
	if err != nil {
		return nil
	}
	out := map[string]float64{}
	for _, l := range leaves {
		var f float64
		if json.Unmarshal([]byte(l.Value), &f) == nil && l.Value != "null" {
			out[l.Path] = f
		}
	}
	return out
}
