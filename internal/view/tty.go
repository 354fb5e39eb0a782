package view

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/flow-pipelines/flow/engine/event"
	"github.com/flow-pipelines/flow/engine/plan"
)

// redraw is how often the display of a terminal is drawn anew.
const redraw = 100 * time.Millisecond

// tty keeps a few live lines at the bottom of the terminal; what has ended
// scrolls away above them:
//
//	✓ train.mlp["small"]  done in 11s: f1 0.97
//	4 kept · 1 running · 3 done / 9 · 00:12 · eta 00:40
//	⠹ train.mlp["wide"]  00:12 of 00:14  epoch 12/60, loss 0.12  │ saved checkpoint
//
// It draws by itself, in forty lines, and not with bubbletea: importing
// bubbletea v1 asks the terminal for its background colour while the process
// starts (tea_init.go), and waits for up to five seconds for an answer, which
// every command, and not only apply, would pay for.
type tty struct {
	w     io.Writer
	size  func() (columns, lines int)
	color bool
	files map[string]*hcl.File
	clock func() time.Time

	mu       sync.Mutex
	board    *board
	pending  bytes.Buffer // lines to scroll away, not written yet
	live     []string     // the lines that are drawn
	frame    int
	stopping bool
	killed   bool
	eta      string
	etaAt    time.Time

	stop, stopped chan struct{}
}

var (
	_ Progress = (*tty)(nil)
	_ Dying    = (*tty)(nil)
)

func newTTY(o ProgressOptions) *tty {
	v := &tty{
		w: o.Streams.Err, size: o.Streams.Size, color: o.Streams.ErrColor, files: o.Files, clock: o.Clock,
		board: newBoard(), stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	if v.size == nil {
		v.size = func() (int, int) { return proseWidth, 0 }
	}
	go v.animate()
	return v
}

// animate draws until it is stopped.
func (v *tty) animate() {
	defer close(v.stopped)
	t := time.NewTicker(redraw)
	defer t.Stop()
	for {
		select {
		case <-v.stop:
			v.mu.Lock()
			v.board.began = time.Time{} // nothing live is left
			v.draw()
			v.mu.Unlock()
			return
		case <-t.C:
			v.mu.Lock()
			v.draw()
			v.mu.Unlock()
		}
	}
}

// The control sequences in use; see ECMA-48 and, for the cursor, DEC's VT510.
const (
	eraseBelow = "\x1b[J"
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
)

// draw replaces the live lines. It is one write, so that it does not flicker.
func (v *tty) draw() {
	if v.killed {
		return
	}
	columns, lines := v.size()
	if columns <= 0 {
		columns = proseWidth
	}
	var live []string
	if !v.board.began.IsZero() {
		live = v.lines(v.clock(), columns, lines)
	}
	if v.pending.Len() == 0 && len(live) == 0 && len(v.live) == 0 {
		return
	}
	var b strings.Builder
	if len(live) > 0 && !v.stopping {
		b.WriteString(hideCursor)
	}
	b.WriteString("\r")
	// A terminal that became narrower has wrapped what was drawn.
	up := 0
	for _, l := range v.live {
		up += max(1, (textWidth(l)+columns-1)/columns)
	}
	if up > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", up)
	}
	b.WriteString(eraseBelow)
	b.Write(v.pending.Bytes())
	v.pending.Reset()
	for _, l := range live {
		b.WriteString(l + "\n")
	}
	if len(live) == 0 {
		b.WriteString(showCursor)
	}
	v.live = live
	_, _ = io.WriteString(v.w, b.String())
}

// printer writes to what will scroll away.
func (v *tty) printer() *Printer {
	columns, _ := v.size()
	return NewPrinter(&v.pending, v.color, columns)
}

// spinner's frames are one column wide everywhere.
const spinner = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"

// lines returns what is live: the header, and a line for each running stage,
// as many as the terminal holds.
func (v *tty) lines(now time.Time, columns, lines int) []string {
	p := NewPrinter(nil, v.color, columns)
	frames := []rune(spinner)
	v.frame = (v.frame + 1) % len(frames)
	out := []string{cut(v.header(p, now), columns-1)}
	column := 0
	for _, r := range v.board.running {
		column = max(column, min(textWidth(r.addr.String()), columns/2))
	}
	for i, r := range v.board.running {
		if lines > 0 && len(out) >= lines-2 {
			out = append(out, p.paint(dim, fmt.Sprintf("  and %d more", len(v.board.running)-i)))
			break
		}
		s := p.paint(cyan, string(frames[v.frame])) + " " + pad(middle(r.addr.String(), max(column, 12)), column) + "  " + clock(now.Sub(r.began))
		if r.usual > 0 {
			s += p.paint(dim, " of "+clock(r.usual))
		}
		if r.attempt > 1 {
			s += "  attempt " + itoa(r.attempt)
		}
		if r.progress != "" {
			s += "  " + r.progress
		}
		if r.line != "" {
			s += p.paint(dim, "  │ "+r.line)
		}
		out = append(out, cut(s, columns-1))
	}
	return out
}

func (v *tty) header(p *Printer, now time.Time) string {
	b := v.board
	var parts []string
	add := func(n int, what, style string) {
		if n > 0 {
			parts = append(parts, p.paint(style, fmt.Sprintf("%d %s", n, what)))
		}
	}
	add(b.count["kept"], "kept", "")
	add(len(b.running), "running", cyan)
	add(b.count["failed"], "failed", red)
	add(b.count["skipped"], "not run", yellow)
	parts = append(parts, p.paint(green, fmt.Sprintf("%d done", b.done()))+fmt.Sprintf(" / %d", b.total))
	parts = append(parts, clock(now.Sub(b.began)))
	if now.Sub(v.etaAt) >= time.Second {
		v.etaAt, v.eta = now, ""
		if left, known := b.eta(now); known && left > 0 {
			v.eta = "eta " + clock(left)
		}
	}
	if v.eta != "" {
		parts = append(parts, v.eta)
	}
	s := strings.Join(parts, " · ")
	if v.stopping {
		s = p.paint(yellow, "stopping, Ctrl-C again kills") + " · " + s
	}
	return s
}

// Plan implements Progress.
func (v *tty) Plan(pl *plan.Plan) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.board.plan(pl)
}

// Event implements Progress.
func (v *tty) Event(e event.Event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	was := v.board.find(e.Addr) != nil
	v.board.event(e)
	p := v.printer()
	switch e.Kind {
	case event.Done:
		if e.Action == "kept" {
			return // what it needs came out unchanged; the header counts it
		}
		mark, style := endMark(e.Action)
		text := doneText(e)
		name := middle(e.Addr.String(), max(p.width-textWidth(text)-4, p.width/2))
		p.row(p.paint(style, mark) + " " + p.paint(bold, name) + "  " + text)
	case event.Failed:
		p.failure(e, v.files)
	case event.Skipped:
		if v.board.mute(was) {
			return
		}
		p.wrapped(p.paint(magenta, signBlocked.mark)+" "+p.paint(bold, e.Addr.String())+"  ", "    ", skippedText(e, was))
	case event.Expanded:
		p.row(p.paint(signLater.style, signLater.mark) + " " + p.paint(bold, e.Addr.String()) + "  " + expandedText(e))
	case event.Retrying:
		p.wrapped(p.paint(yellow, "~")+" "+p.paint(bold, e.Addr.String())+"  ", "    ", retryText(e))
	case event.Warning:
		p.warning(e, v.files)
	case event.Waiting:
		p.wrapped("", "  ", e.Text)
	case event.RunFinished:
		if n := v.board.muted(); n > 0 {
			p.wrapped(p.paint(magenta, signBlocked.mark)+" ", "    ", mutedText(n))
		}
	case event.RunStarted, event.Started, event.Progress, event.Log:
	}
}

// Interrupting implements Progress. The cursor is shown again, since a second
// interrupt ends the process without another drawing.
func (v *tty) Interrupting() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.stopping = true
	_, _ = io.WriteString(v.w, showCursor)
}

// Killed implements Dying.
func (v *tty) Killed() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.board.began = time.Time{} // nothing live is left
	v.printer().Printf("%s\n", killedText)
	v.draw()
	v.killed = true
}

// Close implements Progress.
func (v *tty) Close() {
	close(v.stop)
	<-v.stopped
}
