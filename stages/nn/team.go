package nn

import (
	"sync"
	"sync/atomic"
)

// shareWork is the cost, in the unit of phase.cost, below which starting other
// goroutines takes longer than it saves.
const shareWork = 1 << 15

// team is the goroutines that share work: the caller's and some helpers, which
// are started for each piece of work and waited for. It is not safe for
// concurrent use. The zero value has no helpers.
type team struct {
	// helpers are functions made once, so that starting one allocates nothing.
	helpers []func()
	running sync.WaitGroup

	// The work at hand.
	run          func(from, to int)
	units, chunk int
	next         atomic.Int64
}

// newTeam returns a team of so many goroutines, at least the caller's.
func newTeam(threads int) *team {
	t := &team{}
	for len(t.helpers) < threads-1 {
		t.helpers = append(t.helpers, func() {
			t.work()
			t.running.Done()
		})
	}
	return t
}

// share calls run for ranges that together are [0, units), each unit once. The
// units may be done at the same time and in any order.
func (t *team) share(units, cost int, run func(from, to int)) {
	helpers := min(len(t.helpers), units-1)
	if helpers < 1 || cost < shareWork {
		if units > 0 {
			run(0, units)
		}
		return
	}
	t.run, t.units = run, units
	// Several chunks each, since another program may take a core away.
	t.chunk = max(1, units/(4*(helpers+1)))
	t.next.Store(0)
	t.running.Add(helpers)
	for _, help := range t.helpers[:helpers] {
		go help()
	}
	t.work()
	t.running.Wait()
}

func (t *team) work() {
	for {
		to := int(t.next.Add(int64(t.chunk)))
		from := to - t.chunk
		if from >= t.units {
			return
		}
		t.run(from, min(to, t.units))
	}
}
