package view

import (
	"slices"
	"time"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/event"
	"github.com/flow-pipelines/flow/engine/plan"
)

// board is where an apply stands, as far as its events tell. It is a plain
// value that events change; displays draw it.
type board struct {
	began   time.Time // zero before the run
	total   int       // stages in the plan
	count   map[string]int
	running []*running
	ended   map[addr.Address]bool
	steps   []*plan.Step
	notRun  int // stages that were skipped before they started
	later   int // blocks that the plan did not know the instances of
}

// running is a stage at work.
type running struct {
	addr  addr.Address
	began time.Time
	usual time.Duration
	// progress and line are what it told last.
	progress, line string
	attempt        int
	// heard is when a line about it was last written.
	heard time.Time
}

func newBoard() *board {
	return &board{count: map[string]int{}, ended: map[addr.Address]bool{}}
}

func (b *board) plan(pl *plan.Plan) {
	b.steps, b.total, b.later = pl.Steps, len(pl.Steps), pl.Later()
	b.count["kept"] = pl.Count(plan.Keep)
}

// mostSkipped stages that are not run have a line of their own: a failure at
// the beginning of a large pipeline is not to scroll away.
const mostSkipped = 5

// mute counts a stage that was skipped, running or not, and reports whether it
// is one too many to be told of.
func (b *board) mute(running bool) bool {
	if running {
		return false
	}
	b.notRun++
	return b.notRun > mostSkipped
}

// muted is how many stages were not told of.
func (b *board) muted() int { return max(0, b.notRun-mostSkipped) }

func mutedText(n int) string { return "and " + Plural(n, "more stage") + " not run" }

func (b *board) find(a addr.Address) *running {
	i := slices.IndexFunc(b.running, func(r *running) bool { return r.addr == a })
	if i < 0 {
		return nil
	}
	return b.running[i]
}

// event takes in what happened.
func (b *board) event(e event.Event) {
	switch e.Kind {
	case event.RunStarted:
		b.began = e.Time
	case event.Expanded:
		b.total += int(e.Total)
	case event.Started:
		b.running = append(b.running, &running{addr: e.Addr, began: e.Time, usual: seconds(e.Usual), heard: e.Time})
	case event.Progress:
		if r := b.find(e.Addr); r != nil {
			if s := stepText(e); s != "" {
				r.progress = s
			}
			if e.Text != "" {
				r.line = clean(e.Text)
			}
		}
	case event.Log:
		if r := b.find(e.Addr); r != nil {
			if s := clean(e.Text); s != "" {
				r.line = s
			}
		}
	case event.Retrying:
		if r := b.find(e.Addr); r != nil {
			r.attempt, r.began, r.progress, r.line = e.Attempt, e.Time, "", ""
		}
	case event.Done:
		b.end(e.Addr, e.Action)
	case event.Failed:
		b.end(e.Addr, "failed")
	case event.Skipped:
		b.end(e.Addr, "skipped")
	case event.Waiting, event.Warning, event.RunFinished:
	}
}

func (b *board) end(a addr.Address, how string) {
	b.running = slices.DeleteFunc(b.running, func(r *running) bool { return r.addr == a })
	b.ended[a] = true
	b.count[how]++
}

// done counts the stages that came to a result in this run.
func (b *board) done() int {
	return b.count["ran"] + b.count["recorded"] + b.count["unchanged"] + b.count["restored"]
}

// eta is how long the rest usually takes: the longest chain of what is left. It
// is not known if one of its stages has never run, or was not planned.
func (b *board) eta(now time.Time) (left time.Duration, known bool) {
	if b.later > 0 {
		return 0, false
	}
	longest := make(map[addr.Address]time.Duration, len(b.steps))
	for _, s := range b.steps {
		var before time.Duration
		for _, d := range s.Stage.Deps {
			before = max(before, longest[d])
		}
		own := time.Duration(0)
		works := (s.Action == plan.Run || s.Action == plan.Defer) && !s.Given() && !b.ended[s.Addr]
		if works {
			if s.Usual == 0 {
				return 0, false
			}
			own = s.Usual
			if r := b.find(s.Addr); r != nil {
				own = max(0, own-now.Sub(r.began))
			}
		}
		longest[s.Addr] = before + own
		left = max(left, before+own)
	}
	return left, len(b.steps) > 0
}
