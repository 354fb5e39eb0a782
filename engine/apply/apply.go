// Package apply carries out a plan: it runs ready stages side by side, longest
// remaining path first, and records what came out.
//
// One goroutine, the scheduler's, owns all states; workers do one stage each
// and report. Before a stage is done anything with, it is decided anew by
// plan.Decide with the real results of the stages it needs, so that a stage
// whose inputs turned out unchanged is kept (early cut-off). The plan made
// beforehand gives the order and the shortcut for what is kept.
//
// A block whose instances are known only from results is expanded by that
// goroutine as soon as it can be; its instances are nodes like the others then.
//
// Whenever the process dies, what is finished is finished: a result is in the
// state database before flow.lock says so, and the next apply finds it there.
//
// The package asks nobody anything, prints nothing and does not know stage
// types by name.
package apply

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/event"
	"github.com/flow-pipelines/flow/engine/executor"
	"github.com/flow-pipelines/flow/engine/gpu"
	"github.com/flow-pipelines/flow/engine/lock"
	"github.com/flow-pipelines/flow/engine/plan"
	"github.com/flow-pipelines/flow/engine/resume"
	"github.com/flow-pipelines/flow/engine/runs"
	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/engine/state"
	"github.com/flow-pipelines/flow/engine/worktree"
)

// Config is what an apply works with.
type Config struct {
	// Root is the project, an absolute path; Scratch the directory for
	// directories of jobs, on the same file system.
	Root, Scratch string
	// Checkpoints is the directory for what jobs save on their way.
	Checkpoints string
	// Saved keeps what successful jobs saved, for those that go further.
	Saved resume.Store
	World plan.World
	Files *worktree.Worktree
	State *state.DB
	// Lock is changed as stages finish, and written.
	Lock     *lock.Lock
	Record   *runs.Run
	Executor executor.Executor
	// Self starts this program, for `stage-run`; Environ is what programs see.
	Self    []string
	Environ []string
	// Secrets are seen in no log, event or metric.
	Secrets *executor.Secrets
	// Jobs, CPUs and Memory (bytes) bound what runs at once.
	Jobs   int
	CPUs   float64
	Memory int64
	// Licenses are how many there are of what stages name; GPUs lends devices,
	// nil if no stage asks for one.
	Licenses  map[string]int
	GPUs      *gpu.Pool
	KeepGoing bool
	// Choose is what the plan was made with.
	Choose plan.Choose
	// Check refuses a stage that is not as it was planned; may be nil. It is
	// called concurrently.
	Check func(*plan.Step) error
	// Emit takes events; it is called from one goroutine at a time.
	Emit  event.Sink
	Clock func() time.Time
}

// Report says how it went.
type Report struct {
	Counts      map[string]int
	Failed      []addr.Address
	Interrupted bool
	// Blocked are the stages that are behind a closed gate.
	Blocked []addr.Address
	// Checks are the pipeline's check blocks with what is known now.
	Checks []config.Check
}

// The names under which stages are counted.
const (
	Kept      = "kept"
	Restored  = "restored"
	Ran       = "ran"       // with a new result
	Recorded  = "recorded"  // the user's own files, with new content
	Unchanged = "unchanged" // ran, and came to what it was before
	Failed    = "failed"
	Skipped   = "skipped" // not reached: something it needs failed, or the run ended
	Blocked   = "blocked" // behind a closed gate
)

// Run carries out the plan. A cancelled context stops it gently: running
// stages are told to end, no other is started. An error is about our own
// machinery; failed stages are in the Report.
func Run(ctx context.Context, cfg Config, pl *plan.Plan) (*Report, error) {
	a := &apply{Config: cfg, known: plan.NewKnown(cfg.World), expanded: pl.Pipeline, envs: environments(cfg.Root)}
	a.options = plan.Options{Rerun: a.forced, Postconditions: func(at addr.Address, own stage.Metrics) ([]config.Assertion, hcl.Diagnostics) {
		return a.pipeline().Postconditions(at, a, own)
	}, Writer: a.writerOf}
	a.secrets.Store(cfg.Secrets)
	if cfg.Choose != nil {
		stages, _ := pl.Pipeline.Stages(config.NoResults{}) // planning has told what is wrong
		if _, _, err := a.choose(pl.Pipeline, stages); err != nil {
			return &Report{}, err
		}
	}
	before := cfg.Lock
	if len(pl.Deferred) > 0 {
		before = cfg.Lock.Clone()
	}
	a.wrote = plan.Writer(pl.Pipeline, before)
	stages := make([]*config.Stage, len(pl.Steps))
	for i, s := range pl.Steps {
		stages[i] = s.Stage
	}
	a.options.Gone = plan.GoneFrom(cfg.World, pl.Pipeline, stages, cfg.Lock.Clone())
	s := newScheduler(a, pl)
	err := a.relocate(ctx, pl)
	if err == nil {
		err = s.run(ctx)
	}
	if rerr := a.rooms.remove(); err == nil {
		err = rerr
	}
	if err == nil && ctx.Err() == nil {
		err = s.forget(ctx, pl, before)
	}
	if werr := lock.WriteFile(a.Root, a.Lock); err == nil {
		err = werr
	}
	if ferr := cfg.Files.Flush(context.WithoutCancel(ctx)); err == nil {
		err = ferr
	}
	r := s.report()
	if r.Checks = a.pipeline().Checks(a); !r.Interrupted {
		a.warnOf(r.Checks)
	}
	return r, err
}

// apply is what workers share.
type apply struct {
	Config
	envs  []string // directories of the project that hold tools, not inputs
	rooms rooms

	options plan.Options
	// wrote is plan.Writer of the pipeline as it was planned.
	wrote func(path string) (addr.Address, bool)
	// secrets grow when a block is expanded.
	secrets atomic.Pointer[executor.Secrets]

	mu       sync.Mutex // guards the following, and Emit
	known    *plan.Known
	expanded *config.Pipeline
	rerun    func(addr.Address) string
}

var _ config.Results = (*apply)(nil)

// writerOf is plan.Options.Writer. What an instance wrote that is gone lies there
// until the end, and is nobody's input either.
func (a *apply) writerOf(path string) (addr.Address, bool) {
	if at, ok := a.pipeline().Writer(path); ok {
		return at, true
	}
	return a.wrote(path)
}

func (a *apply) emit(e event.Event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	e.Time = a.Clock()
	a.redact(&e)
	a.Emit(e)
}

func (a *apply) warn(at addr.Address, format string, args ...any) {
	a.emit(event.Event{Kind: event.Warning, Addr: at, Text: fmt.Sprintf(format, args...)})
}

// Metrics implements config.Results for workers.
func (a *apply) Metrics(at addr.Address) (m stage.Metrics, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.known.Metrics(at)
}

// Content implements config.Results for workers.
func (a *apply) Content(at addr.Address, output string) config.Content {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.known.Content(at, output)
}

// forget takes what is no longer part of the pipeline out of the lock and out
// of the tree. The tree comes before the file flow.lock, so that a crash leaves
// nothing behind that nobody knows of. What was an instance of a block that has
// been expanded is known to be gone only now; before is flow.lock as it was.
func (s *scheduler) forget(ctx context.Context, pl *plan.Plan, before *lock.Lock) error {
	removed, orphans := pl.Removed, pl.Orphans
	steps := s.steps()
	if len(pl.Deferred) > 0 && !pl.Targeted {
		more, left, err := s.leftovers(ctx, pl, before, steps)
		if err != nil {
			return err
		}
		removed, orphans = slices.Concat(removed, more), slices.Concat(orphans, left)
	}
	for _, gone := range removed {
		s.Lock.Delete(gone)
		if err := s.forgetCheckpoints(gone); err != nil {
			return err
		}
	}
	for _, u := range plan.UnmanagedOf(s.World, s.pipeline(), steps, removed) {
		if now := s.Lock.Get(u.Addr); now == nil || now.Key != s.World.Locked(u.Addr).Key {
			s.warn(u.Addr, "%s", u.Text())
		}
	}
	return s.discard(ctx, orphans)
}

// steps are those of all stages, as they were decided last.
func (s *scheduler) steps() []*plan.Step {
	var steps []*plan.Step
	for _, n := range s.nodes {
		if n.done != nil {
			steps = append(steps, n.done)
		} else {
			steps = append(steps, n.step)
		}
	}
	return steps
}

func (s *scheduler) leftovers(ctx context.Context, pl *plan.Plan, before *lock.Lock, steps []*plan.Step) ([]addr.Address, []plan.Orphan, error) {
	var deferred []plan.Deferred
	for _, d := range s.pipeline().Deferred() {
		deferred = append(deferred, plan.Deferred{Deferred: d})
	}
	return pl.Leftovers(ctx, s.World, before, s.pipeline(), steps, deferred)
}
