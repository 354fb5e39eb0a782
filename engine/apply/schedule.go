package apply

import (
	"container/heap"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/event"
	"github.com/flow-pipelines/flow/engine/gpu"
	"github.com/flow-pipelines/flow/engine/lock"
	"github.com/flow-pipelines/flow/engine/plan"
	"github.com/flow-pipelines/flow/engine/schedule"
)

// status is where a stage stands.
type status int

const (
	waiting  status = iota // for stages that it needs
	ready                  // for a free place
	running                // a worker has it
	finished               // there is a result
	failed                 // it failed
	skipped                // it will not run
)

// node is a stage with what the scheduler knows of it.
type node struct {
	step       *plan.Step
	order      int // position in the plan; breaks ties
	status     status
	placed     bool // it takes up a place on the machine
	loan       *gpu.Loan
	waited     bool // for GPUs, and said so
	needs      int  // unfinished stages and blocks it depends on
	dependents []*node
	fans       []*fan // blocks whose instances it tells
	// untouched says that all it needs was kept, so the plan's decision holds.
	untouched bool
	remaining time.Duration // usual time of the longest path from here to an end
	outcome   plan.Outcome
	count     string     // the name it is counted under
	done      *plan.Step // the decision that was carried out, if it was
}

// failed reports whether the stage has ended without a result, and not since it
// is blocked.
func (n *node) failed() bool {
	return n.status == failed || n.status == skipped && n.outcome.State != plan.Closed
}

// result is what a worker reports.
type result struct {
	node    *node
	vacated func()     // tells the scheduler that the stage's place is free
	step    *plan.Step // the decision that was carried out
	locked  *lock.Stage
	count   string
	usage   *event.Usage
	why     string // for skipped and blocked
	err     error  // our own machinery failed
}

type scheduler struct {
	*apply
	nodes  []*node
	byAddr map[addr.Address]*node
	fans   []*fan
	ready  readyQueue
	free   schedule.Capacity
	active int // workers
	placed int // those of them that take up a place
	loans  int // stages that have GPUs
	// starved says that a stage would run if there were GPUs: others of this
	// user's flows have them.
	starved bool
	failed  []addr.Address
	// stopping says that nothing new is started.
	stopping, interrupted bool
	writeLock             time.Time // not before
}

func newScheduler(a *apply, pl *plan.Plan) *scheduler {
	s := &scheduler{apply: a, byAddr: make(map[addr.Address]*node, len(pl.Steps))}
	s.free = schedule.Capacity{Jobs: a.Jobs, CPUs: a.CPUs, Memory: a.Memory, GPUs: math.MaxInt, Licenses: maps.Clone(a.Licenses)}
	for _, d := range pl.Deferred {
		s.fan(d.Addr).Deferred = d.Deferred
	}
	for i, step := range pl.Steps {
		n := &node{step: step, order: i, untouched: len(step.Stage.Awaits) == 0}
		s.nodes = append(s.nodes, n)
		s.byAddr[step.Addr] = n
		s.link(n, step.Stage.Deps, step.Stage.Awaits)
	}
	for _, f := range s.fans {
		s.watch(f)
	}
	for i, remaining := range schedule.Remaining(pl.Steps) {
		s.nodes[i].remaining = remaining
	}
	return s
}

func (s *scheduler) run(ctx context.Context) error {
	results := make(chan result)
	vacated := make(chan *node)
	var broken error
	for _, n := range s.nodes {
		if n.needs == 0 {
			s.set(n, ready)
		}
	}
	done := ctx.Done()
	for {
		for f := s.next(ctx); f != nil; f = s.next(ctx) {
			if err := s.expand(ctx, f); err != nil && broken == nil {
				broken, s.stopping = err, true
			}
		}
		if err := s.start(ctx, results, vacated); err != nil && broken == nil {
			broken, s.stopping = err, true
		}
		if s.next(ctx) != nil {
			continue // by stages that were kept
		}
		if s.active == 0 && !s.starved {
			break
		}
		var again <-chan time.Time
		if s.starved {
			again = time.After(askAgain)
		}
		select {
		case <-again:
		case n := <-vacated:
			s.vacate(n)
		case r := <-results:
			s.active--
			s.vacate(r.node)
			if r.err != nil && broken == nil {
				broken, s.stopping = fmt.Errorf("%s: %w", r.node.step.Addr, r.err), true
			}
			if err := s.settle(r); err != nil && broken == nil {
				broken, s.stopping = err, true
			}
		case <-done:
			s.stopping, s.interrupted = true, true
			done = nil
		}
	}
	if ctx.Err() != nil {
		s.interrupted = true
	}
	for _, n := range s.nodes {
		if n.status == waiting || n.status == ready {
			n.count = Skipped
		}
	}
	for _, f := range s.fans {
		if !f.over {
			f.count = Skipped
		}
	}
	return broken
}

// vacate gives back what a stage took of the machine.
func (s *scheduler) vacate(n *node) {
	if n.placed {
		n.placed = false
		s.placed--
		if n.loan != nil {
			s.loans--
			n.loan.Return()
		}
		s.free.Give(n.step.Stage.Resources)
	}
}

// start hands ready stages to workers while there is room.
func (s *scheduler) start(ctx context.Context, results chan<- result, vacated chan<- *node) error {
	s.starved = false
	var put []*node // ready, but too large for what is free
	defer func() {
		for _, n := range put {
			heap.Push(&s.ready, n)
		}
	}()
	for !s.stopping && s.ready.Len() > 0 && ctx.Err() == nil {
		n := heap.Pop(&s.ready).(*node)
		if n.untouched && n.step.Action == plan.Keep {
			if err := s.settle(result{node: n, step: n.step, count: Kept}); err != nil {
				return err
			}
			continue
		}
		if !s.free.Take(n.step.Stage.Resources, s.placed == 0) {
			put = append(put, n)
			if s.free.Jobs == 0 {
				return nil
			}
			continue
		}
		if ok, err := s.borrow(n); err != nil || !ok {
			s.free.Give(n.step.Stage.Resources)
			put = append(put, n)
			if err != nil {
				return err
			}
			continue
		}
		s.set(n, running)
		n.placed = true
		s.placed++
		s.active++
		// What the worker is told about other stages is copied here, since
		// their nodes belong to this goroutine.
		outcomes := make(map[addr.Address]plan.Outcome, len(n.step.Stage.Deps))
		for _, d := range n.step.Stage.Deps {
			if up := s.byAddr[d]; up != nil {
				outcomes[d] = up.outcome
			}
		}
		before := s.Lock.Get(n.step.Addr)
		early := func() { vacated <- n }
		if s.Jobs == 1 {
			early = func() {} // one after the other, in every respect
		}
		go func() { results <- s.work(ctx, n, before, outcomes, early) }()
	}
	return nil
}

// askAgain is how often GPUs are asked for that another flow has.
const askAgain = 500 * time.Millisecond

// borrow gets the GPUs of a stage. One that is restored needs none; should it
// have to run after all, it fails and says why.
func (s *scheduler) borrow(n *node) (ok bool, err error) {
	r := n.step.Stage.Resources
	n.loan = nil
	if r.GPUs == 0 || n.step.Action == plan.Restore || s.GPUs.Shortage(r.GPUs, r.GPUMemory) != "" {
		return true, nil
	}
	n.loan, ok, err = s.GPUs.Borrow(r.GPUs, r.GPUMemory)
	switch {
	case ok:
		s.loans++
	case err == nil:
		n.loan = nil
		s.starved = true
		if s.loans == 0 && !n.waited {
			n.waited = true
			s.warn(n.step.Addr, "waits for GPUs, which other flows have")
		}
	}
	return ok, err
}

// settle takes in what a worker reports.
func (s *scheduler) settle(r result) error {
	n := r.node
	s.asPlanned(&r)
	n.count, n.done = r.count, r.step
	switch r.count {
	case Failed:
		s.failed = append(s.failed, n.step.Addr)
		s.set(n, failed)
		s.skip(n, n.step.Addr.String()+" failed")
		if !s.KeepGoing {
			s.stopping = true
		}
		if r.locked != nil {
			s.Lock.Put(r.locked)
		}
		return nil
	case Blocked:
		s.set(n, skipped)
		s.emit(event.Event{Kind: event.Skipped, Addr: n.step.Addr, Text: r.why})
		n.outcome = plan.OutcomeOf(r.step)
		s.release(n, false)
		return nil
	case Skipped:
		s.set(n, skipped)
		s.skip(n, n.step.Addr.String()+" did not finish")
		return nil
	case "":
		return nil // broken; the caller has the error
	}
	s.set(n, finished)
	n.outcome = plan.Outcome{State: plan.Ready, Results: r.step.Results, Outputs: r.step.Stage.Job.Outputs}
	s.mu.Lock()
	s.known.Finish(r.step)
	s.mu.Unlock()
	s.release(n, r.count == Kept)
	if r.locked == nil {
		return nil
	}
	s.Lock.Put(r.locked)
	// Writing the whole lock after each of ten thousand stages would be
	// quadratic; what a crash loses here the state database still has.
	now := s.Clock()
	if now.Before(s.writeLock) {
		return nil
	}
	err := lock.WriteFile(s.Root, s.Lock)
	took := s.Clock().Sub(now)
	s.writeLock = now.Add(max(time.Second, lockShare*took))
	return err
}

// lockShare is how many times as long as it takes to write the lock passes
// before it is written again.
const lockShare = 50

// release lets the stages that waited for n go on.
func (s *scheduler) release(n *node, untouched bool) {
	for _, d := range n.dependents {
		d.untouched = d.untouched && untouched
		s.arrive(d)
	}
	for _, f := range n.fans {
		f.needs--
	}
}

// arrive tells n that one of those it needs is settled.
func (s *scheduler) arrive(n *node) {
	if n.needs--; n.needs == 0 && n.status == waiting {
		s.set(n, ready)
	}
}

// asPlanned makes a failure of a result that is another than the one that told
// the instances of a block when the plan was made: a damaged cache has made a
// stage run that was to be restored, and it does not come to the same each time.
func (s *scheduler) asPlanned(r *result) {
	switch r.count {
	case Restored, Ran, Recorded, Unchanged:
	default:
		return
	}
	if planned := r.node.step; planned.Known && s.pipeline().Settled(planned.Addr) && !slices.Equal(planned.Results, r.step.Results) {
		r.count = Failed
		s.emit(event.Event{
			Kind: event.Failed, Addr: planned.Addr, Text: "it came to another result than the one that the instances depending on it were planned with",
			Hints: []string{"the new result is recorded: run flow apply again"},
		})
	}
}

// skip settles everything that depends on n.
func (s *scheduler) skip(n *node, why string) {
	for _, d := range n.dependents {
		s.pass(d, why)
	}
	for _, f := range n.fans {
		if !f.over {
			s.emit(event.Event{Kind: event.Skipped, Addr: f.Addr, Text: why})
			s.drop(f, why)
		}
	}
}

// pass settles n without having done anything, and all that depends on it.
func (s *scheduler) pass(n *node, why string) {
	if n.status == waiting {
		n.count = Skipped
		s.set(n, skipped)
		s.emit(event.Event{Kind: event.Skipped, Addr: n.step.Addr, Text: why})
		s.skip(n, why)
	}
}

// set is the one place where a stage changes its status.
func (s *scheduler) set(n *node, to status) {
	if n.status > to {
		panic(fmt.Sprintf("BUG: %s goes from status %d back to %d", n.step.Addr, n.status, to))
	}
	n.status = to
	if to == ready {
		heap.Push(&s.ready, n)
	}
}

func (s *scheduler) report() *Report {
	r := &Report{Counts: map[string]int{}, Failed: s.failed, Interrupted: s.interrupted}
	for _, n := range s.nodes {
		r.Counts[n.count]++
		if n.count == Blocked {
			r.Blocked = append(r.Blocked, n.step.Addr)
		}
	}
	for _, f := range s.fans {
		if f.count != "" {
			r.Counts[f.count]++
		}
	}
	return r
}

// readyQueue gives the stage with the longest way to go first.
type readyQueue []*node

func (q readyQueue) Len() int { return len(q) }
func (q readyQueue) Less(i, j int) bool {
	return schedule.Before(q[i].remaining, q[j].remaining, q[i].order, q[j].order) < 0
}
func (q readyQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push implements heap.Interface.
func (q *readyQueue) Push(x any) { *q = append(*q, x.(*node)) }

// Pop implements heap.Interface.
func (q *readyQueue) Pop() any {
	old := *q
	n := old[len(old)-1]
	*q = old[:len(old)-1]
	return n
}
