// Package schedule says in which order ready stages start, and how long a plan
// takes with that order. engine/apply starts stages by it; a forecast is made by
// playing the same through without running anything, so the two cannot differ
// in more than what the times of stages do.
//
// It knows plans, and runs nothing.
package schedule

import (
	"cmp"
	"container/heap"
	"maps"
	"slices"
	"time"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/plan"
)

// Capacity is what is free of the machine.
type Capacity struct {
	Jobs   int
	CPUs   float64
	Memory int64 // bytes
	// GPUs counts them; a part of one counts as one.
	GPUs int
	// Licenses are by name. Take and Give change the map.
	Licenses map[string]int
}

// Take claims what a stage asks for, and reports whether there was enough. A
// stage that asks for more than the whole machine has runs alone: better slow
// than never.
func (c *Capacity) Take(r config.Resources, alone bool) bool {
	if c.Jobs < 1 {
		return false
	}
	if !alone && (r.CPUs > c.CPUs || r.Memory > c.Memory || r.GPUs > c.GPUs) {
		return false
	}
	for name, n := range r.Licenses {
		if n > c.Licenses[name] {
			return false
		}
	}
	c.Jobs--
	c.CPUs -= r.CPUs
	c.Memory -= r.Memory
	c.GPUs -= r.GPUs
	for name, n := range r.Licenses {
		c.Licenses[name] -= n
	}
	return true
}

// Give returns what Take claimed.
func (c *Capacity) Give(r config.Resources) {
	c.Jobs++
	c.CPUs += r.CPUs
	c.Memory += r.Memory
	c.GPUs += r.GPUs
	for name, n := range r.Licenses {
		c.Licenses[name] += n
	}
}

// Remaining returns for each step the time of the longest path from it to an
// end, by which ready stages are started. An unknown time counts as a second, so
// that among unknown ones the longest chain counts.
func Remaining(steps []*plan.Step) []time.Duration {
	at := positions(steps)
	remaining := make([]time.Duration, len(steps))
	for i := len(steps) - 1; i >= 0; i-- {
		s := steps[i]
		switch {
		case s.Action == plan.Keep:
		case s.Usual == 0:
			remaining[i] += time.Second
		default:
			remaining[i] += s.Usual
		}
		for _, d := range s.Stage.Deps {
			if j, ok := at[d]; ok {
				remaining[j] = max(remaining[j], remaining[i])
			}
		}
	}
	return remaining
}

// Before compares two ready stages: the one with the longest way to go starts
// first, then the one that the plan has first.
func Before(remaining1, remaining2 time.Duration, order1, order2 int) int {
	return cmp.Or(cmp.Compare(remaining2, remaining1), cmp.Compare(order1, order2))
}

func positions(steps []*plan.Step) map[addr.Address]int {
	at := make(map[addr.Address]int, len(steps))
	for i, s := range steps {
		at[s.Addr] = i
	}
	return at
}

// Elapsed returns how long the stages that will, or may, run take together, by
// their usual times. What has no usual time takes none: it is counted apart.
func Elapsed(steps []*plan.Step, free Capacity) time.Duration {
	if !slices.ContainsFunc(steps, busy) {
		return 0
	}
	free.Licenses = maps.Clone(free.Licenses)
	s := newSimulation(steps, free)
	var first []int
	for i := range steps {
		if s.needs[i] == 0 {
			first = append(first, i)
		}
	}
	for _, i := range first {
		s.release(i)
	}
	for {
		s.start()
		if s.running.Len() == 0 {
			return s.now
		}
		done := heap.Pop(&s.running).(entry)
		s.now = done.when
		s.free.Give(s.steps[done.i].Stage.Resources)
		s.finish(done.i)
	}
}

// simulation plays a plan through.
type simulation struct {
	steps      []*plan.Step
	free       Capacity
	needs      []int
	dependents [][]int
	remaining  []time.Duration
	now        time.Duration
	ready      queue // by remaining
	running    queue // by when they end
}

func newSimulation(steps []*plan.Step, free Capacity) *simulation {
	s := &simulation{
		steps: steps, free: free, needs: make([]int, len(steps)), dependents: make([][]int, len(steps)), remaining: Remaining(steps),
		ready:   queue{before: func(a, b entry) int { return Before(a.when, b.when, a.i, b.i) }},
		running: queue{before: func(a, b entry) int { return cmp.Or(cmp.Compare(a.when, b.when), cmp.Compare(a.i, b.i)) }},
	}
	at := positions(steps)
	for i, step := range steps {
		for _, d := range step.Stage.Deps {
			if j, ok := at[d]; ok {
				s.needs[i]++
				s.dependents[j] = append(s.dependents[j], i)
			}
		}
	}
	return s
}

// busy reports whether a stage takes time.
func busy(s *plan.Step) bool {
	return (s.Action == plan.Run || s.Action == plan.Defer) && s.Usual > 0
}

// release makes a stage ready. One that takes no time is over at once.
func (s *simulation) release(i int) {
	if busy(s.steps[i]) {
		heap.Push(&s.ready, entry{i, s.remaining[i]})
		return
	}
	s.finish(i)
}

func (s *simulation) finish(i int) {
	for _, d := range s.dependents[i] {
		if s.needs[d]--; s.needs[d] == 0 {
			s.release(d)
		}
	}
}

// start starts what is ready while there is room, as apply does.
func (s *simulation) start() {
	var put []entry
	for s.ready.Len() > 0 {
		e := heap.Pop(&s.ready).(entry)
		if s.free.Take(s.steps[e.i].Stage.Resources, s.running.Len() == 0) {
			heap.Push(&s.running, entry{e.i, s.now + s.steps[e.i].Usual})
			continue
		}
		put = append(put, e)
		if s.free.Jobs == 0 {
			break
		}
	}
	for _, e := range put {
		heap.Push(&s.ready, e)
	}
}

// entry is a step in a queue.
type entry struct {
	i    int
	when time.Duration
}

type queue struct {
	entries []entry
	before  func(a, b entry) int
}

func (q *queue) Len() int           { return len(q.entries) }
func (q *queue) Less(i, j int) bool { return q.before(q.entries[i], q.entries[j]) < 0 }
func (q *queue) Swap(i, j int)      { q.entries[i], q.entries[j] = q.entries[j], q.entries[i] }

// Push implements heap.Interface.
func (q *queue) Push(x any) { q.entries = append(q.entries, x.(entry)) }

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	last := q.entries[len(q.entries)-1]
	q.entries = q.entries[:len(q.entries)-1]
	return last
}
