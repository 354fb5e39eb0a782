package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/apply"
	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/event"
	"github.com/flow-pipelines/flow/engine/executor"
	"github.com/flow-pipelines/flow/engine/executor/local"
	"github.com/flow-pipelines/flow/engine/plan"
	"github.com/flow-pipelines/flow/engine/runs"
	"github.com/flow-pipelines/flow/engine/state"
	"github.com/flow-pipelines/flow/engine/worktree"
)

const (
	// keepRuns is how many run records are kept.
	keepRuns = 200
	// recordedLines is how many lines of a stage's log become events of the
	// record as well, so that `flow logs` can show all stages interleaved.
	recordedLines = 1000
)

// Apply plans, asks Confirm, and carries the plan out.
func (p *Project) Apply(ctx context.Context, o ApplyOptions) (*Report, error) {
	sink := o.Sink
	if sink == nil {
		sink = func(event.Event) {}
	}
	var sinking sync.Mutex // events come one at a time, from whoever
	raw := sink
	sink = func(e event.Event) {
		sinking.Lock()
		defer sinking.Unlock()
		raw(e)
	}
	p.warnWith(func(text string) {
		sink(event.Event{Time: p.opts.Clock(), Kind: event.Warning, Text: text})
	})
	defer p.warnWith(p.opts.Warn)
	release, err := p.holdTelling(ctx, func(e event.Event) {
		p.opts.Looked = nil // what was looked at is going to be other things
		sink(e)
	})
	if err != nil {
		return nil, err
	}
	defer release()
	// The one we waited for may have written it.
	if err := p.readLock(); err != nil {
		return nil, err
	}
	if o.Pinned != nil {
		o.Selection = o.Pinned.Selection
	}
	c := choose(o.Selection)
	pl, err := p.plan(ctx, c)
	if err != nil {
		return nil, p.notFitting(o.Pinned, err)
	}
	if err := p.fits(o.Pinned, pl); err != nil {
		return nil, err
	}
	pool, err := p.gpuPool(pl)
	if err != nil {
		return nil, err
	}
	if diags := p.gpuShortage(pl, pool); diags.HasErrors() {
		return nil, &plan.Mistakes{Diags: diags, Files: p.Files()}
	}
	p.Forecast(pl, o.Jobs)
	rep := &Report{Plan: pl, Counts: map[string]int{apply.Kept: pl.Count(plan.Keep), apply.Blocked: pl.Count(plan.Blocked)}}
	if o.Confirm != nil {
		ok, err := o.Confirm(pl)
		if err != nil || !ok {
			rep.Declined = true
			return rep, err
		}
	}
	p.applied, p.spares = true, pl.Spares()
	if pl.Empty() {
		for _, s := range pl.Steps {
			if s.Action == plan.Blocked {
				p.blocked = append(p.blocked, s.Addr)
			}
		}
		for _, c := range pl.Checks {
			for _, d := range c.Warnings() {
				e := apply.CheckWarning(d)
				e.Time = p.opts.Clock()
				sink(e)
			}
		}
		if now := p.lock.Read(); !now.IsZero() && !p.placed().Has(now) {
			if err := p.placed().Note(p.root, digest.Digest{}); err != nil {
				return rep, err
			}
		}
		if err := p.ignore(ctx); err != nil {
			return rep, err
		}
		p.rememberOutside(ctx)
		return rep, nil
	}
	start := p.opts.Clock()
	err = p.carryOut(ctx, o, c, pl, rep, sink)
	rep.Elapsed = p.opts.Clock().Sub(start)
	return rep, err
}

func (p *Project) carryOut(ctx context.Context, o ApplyOptions, c plan.Choose, pl *plan.Plan, rep *Report, sink event.Sink) error {
	// Nobody else is at work: whatever lies here belongs to runs that died,
	// or failed and were looked at.
	scratch := p.path("exec")
	if err := worktree.RemoveAll(scratch); err != nil {
		return err
	}
	if err := os.MkdirAll(scratch, 0o755); err != nil {
		return err
	}
	p.files.RemoveOldTemps()
	rec := runs.Record{Command: o.Command, Flow: p.opts.Version, Data: dataOf(pl)}
	rec.Host, _ = os.Hostname()
	rec.Commit, rec.Dirty = p.gitHead(ctx)
	record, err := runs.Create(p.RunsDir(), rec, p.opts.Clock)
	if err != nil {
		return err
	}
	rep.Run = record.ID()
	printed := map[addr.Address]int{}
	emit := func(e event.Event) {
		if e.Kind == event.Log {
			printed[e.Addr]++
		}
		// What a stage prints is in its log; of a stage that prints a lot the
		// events have the beginning. A full disk shows where results are
		// written.
		if e.Kind != event.Log || printed[e.Addr] <= recordedLines {
			_ = record.Event(e)
		}
		sink(e)
	}
	if err := p.moveTimes(ctx, pl.Moved); err != nil {
		return err
	}
	exe, closeExe, err := p.executor(record.ID())
	if err != nil {
		return err
	}
	before := p.lock.Read()
	start := p.opts.Clock()
	emit(event.Event{Time: start, Kind: event.RunStarted, Run: rep.Run, Total: int64(len(pl.Steps) - pl.Count(plan.Keep))})
	cfg := p.applyConfig(o, record, exe)
	cfg.Choose = c
	if o.Pinned != nil {
		cfg.Check = o.Pinned.Checker()
	}
	cfg.Emit = emit
	out, err := apply.Run(ctx, cfg, pl)
	closeExe()
	rep.Counts, rep.Failed, rep.Interrupted = out.Counts, out.Failed, out.Interrupted
	p.lock, p.blocked = cfg.Lock, out.Blocked

	status := runs.Succeeded
	switch {
	case out.Interrupted:
		status = runs.Cancelled
	case err != nil || len(out.Failed) > 0:
		status = runs.Failed
	}
	now := p.opts.Clock()
	emit(event.Event{Time: now, Kind: event.RunFinished, Run: rep.Run, Text: string(status), Elapsed: now.Sub(start).Seconds(), Counts: rep.Counts})
	_, pruneErr := runs.Prune(p.RunsDir(), keepRuns)
	return errors.Join(err, record.Finish(status, rep.Counts), pruneErr, p.placed().Note(p.root, before), p.ignore(context.WithoutCancel(ctx)))
}

// dataOf is what a plan has of the user's own files.
func dataOf(pl *plan.Plan) map[string]digest.Node {
	data := map[string]digest.Node{}
	for _, s := range pl.Steps {
		for _, r := range s.Results {
			if r.Given && !r.Node.IsZero() {
				data[r.Path] = r.Node
			}
		}
	}
	return data
}

// moveTimes lets stages that were moved keep what is known of how long they take.
func (p *Project) moveTimes(ctx context.Context, moved []plan.Move) error {
	if len(moved) == 0 {
		return nil
	}
	return p.db.Update(ctx, func(tx *state.Tx) error {
		for _, m := range moved {
			if err := tx.MoveDurations(m.From, m.To); err != nil {
				return err
			}
		}
		return nil
	})
}

func (p *Project) applyConfig(o ApplyOptions, record *runs.Run, exe executor.Executor) apply.Config {
	// Stages are decided by the lock as it was; the copy changes meanwhile.
	r, _ := p.renamed()
	was := r.Lock
	l := was.Clone()
	w := p.world(was)
	w.missed = p.missed // the project is held since it was planned
	cpus, memory := capacity()
	return apply.Config{
		Root: p.root, Scratch: p.path("exec"), Checkpoints: p.path("checkpoints"), Saved: p.saved(), World: w, Files: p.files, State: p.db,
		Lock: l, Record: record, Executor: exe, Self: p.opts.Self, Environ: p.opts.Environ,
		Jobs: jobsOr(o.Jobs), CPUs: cpus, Memory: memory, KeepGoing: o.KeepGoing,
		Licenses: p.pipeline.Settings().Capacity, GPUs: p.gpus,
		Secrets: executor.NewSecrets(p.pipeline.Secrets()), Clock: p.opts.Clock,
	}
}

func (p *Project) executor(run string) (executor.Executor, func(), error) {
	if p.opts.Executor != nil {
		return p.opts.Executor, func() {}, nil
	}
	l, err := local.New(local.Options{Run: run, Guard: append(append([]string{}, p.opts.Self...), "guard")})
	if err != nil {
		return nil, nil, err
	}
	return l, func() { _ = l.Close() }, nil
}

// gitHead returns the commit of the project, "" outside of git.
func (p *Project) gitHead(ctx context.Context) (commit string, dirty bool) {
	head, err := p.git(ctx, "rev-parse", "--verify", "-q", "HEAD")
	if err != nil {
		return "", false
	}
	changed, err := p.git(ctx, "status", "--porcelain", "--untracked-files=no", "--", ".")
	return head, err == nil && changed != ""
}

func (p *Project) git(ctx context.Context, args ...string) (string, error) {
	c := exec.CommandContext(ctx, "git", append([]string{"-C", p.root}, args...)...)
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w", args[0], err)
	}
	return strings.TrimSpace(string(out)), nil
}
