package view

import (
	"sync"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/event"
	"github.com/flow-pipelines/flow/engine/plan"
)

// heartbeat is how long a running stage may say nothing before plain progress
// says that it is still there.
const heartbeat = 30 * time.Second

// plain writes lines, for logs of a CI and for people who like to see all:
//
//	train.mlp> started, usually 12s
//	train.mlp> epoch 1: loss 0.31
//	train.mlp> done in 11s: f1 0.97
//
// quiet leaves out everything but failures and warnings.
type plain struct {
	p     *Printer
	files map[string]*hcl.File
	clock func() time.Time
	quiet bool

	mu    sync.Mutex
	board *board

	pulse *pulse
}

var (
	_ Progress = (*plain)(nil)
	_ Dying    = (*plain)(nil)
)

func newPlain(o ProgressOptions, quiet bool) *plain {
	pl := &plain{
		p: o.Streams.ErrPrinter(), files: o.Files, clock: o.Clock, quiet: quiet,
		board: newBoard(),
	}
	pl.pulse = newPulse(pl.beat)
	return pl
}

// beat writes signs of life.
func (v *plain) beat() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.stillRunning(v.clock())
}

func (v *plain) stillRunning(now time.Time) {
	for _, r := range v.board.running {
		if v.quiet || now.Sub(r.heard) < heartbeat {
			continue
		}
		r.heard = now
		v.line(r.addr, r.still(now))
	}
}

// still says that a stage is running, for how long, and how far it is.
func (r *running) still(now time.Time) string {
	s := "still running, " + Duration(now.Sub(r.began))
	if r.usual > 0 {
		s += " of usually " + Duration(r.usual)
	}
	if r.progress != "" {
		s += ", " + r.progress
	}
	return s
}

// line writes one line about a stage.
func (v *plain) line(a addr.Address, s string) {
	v.p.Printf("%s %s\n", v.p.paint(cyan, a.String()+">"), s)
}

// Plan implements Progress.
func (v *plain) Plan(pl *plan.Plan) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.board.plan(pl)
}

// Event implements Progress.
func (v *plain) Event(e event.Event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	was := v.board.find(e.Addr) != nil
	v.board.event(e)
	switch e.Kind {
	case event.Failed:
		v.p.failure(e, v.files)
		return
	case event.Warning:
		v.p.warning(e, v.files)
		return
	case event.Waiting:
		v.p.wrapped("", "  ", e.Text)
		return
	case event.RunFinished:
		if n := v.board.muted(); n > 0 && !v.quiet {
			v.p.Printf("%s\n", mutedText(n))
		}
		return
	case event.RunStarted:
		return
	case event.Started, event.Progress, event.Log, event.Retrying, event.Done, event.Skipped, event.Expanded:
	}
	if v.quiet {
		return
	}
	v.stageEvent(e, was)
}

// take takes in an event without writing it.
func (v *plain) take(e event.Event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.board.event(e)
}

// stageEvent writes what happened to a stage, which was running or not.
func (v *plain) stageEvent(e event.Event, was bool) {
	switch e.Kind {
	case event.Started:
		v.line(e.Addr, startText(e))
	case event.Progress:
		if e.Text == "" {
			return // a line for each step would drown the rest; heartbeats tell
		}
		v.line(e.Addr, v.log(e.Text))
	case event.Log:
		v.line(e.Addr, v.log(e.Text))
	case event.Retrying:
		v.line(e.Addr, retryText(e))
	case event.Done:
		v.line(e.Addr, doneText(e))
	case event.Expanded:
		v.line(e.Addr, expandedText(e))
	case event.Skipped:
		if v.board.mute(was) {
			return
		}
		v.line(e.Addr, skippedText(e, was))
	default:
		return
	}
	if r := v.board.find(e.Addr); r != nil {
		r.heard = e.Time
	}
}

func (v *plain) log(s string) string { return clean(s) }

// Interrupting implements Progress.
func (v *plain) Interrupting() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.p.wrapped("", "  ", interruptText)
}

// Killed implements Dying.
func (v *plain) Killed() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.p.Printf("%s\n", killedText)
}

// Close implements Progress.
func (v *plain) Close() {
	v.pulse.end()
}

const interruptText = "Stopping: running stages are told to end. Interrupt again to kill them."

const killedText = "Killed. What had finished is recorded; flow apply goes on from there."

// skippedText says that a stage came to no result: it was interrupted while it
// ran, or was not run at all.
func skippedText(e event.Event, ran bool) string {
	if ran {
		return e.Text
	}
	return "not run: " + e.Text
}

func startText(e event.Event) string {
	switch {
	case e.Action == "restore":
		return "restoring"
	case e.Action == "record":
		return "recording"
	case e.Usual > 0:
		return "started, usually " + Duration(seconds(e.Usual))
	}
	return "started"
}

// expandedText says how many instances a block has turned out to have.
func expandedText(e event.Event) string {
	return "known now: " + Plural(int(e.Total), "stage")
}

func retryText(e event.Event) string {
	return "attempt " + itoa(e.Attempt) + " begins: " + e.Text
}
