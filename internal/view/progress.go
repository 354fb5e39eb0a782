package view

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/flow-pipelines/flow/engine/event"
	"github.com/flow-pipelines/flow/engine/plan"
)

// Progress shows an apply while it goes on. Its methods may be called
// concurrently.
type Progress interface {
	// Plan tells what was planned, before the first event of a stage.
	Plan(*plan.Plan)
	Event(event.Event)
	// Interrupting tells that the user asked to stop.
	Interrupting()
	// Close ends the display. What is left on the screen stays.
	Close()
}

// Dying is a Progress that has a last word when a second interrupt ends the
// process. Nothing is shown after it.
type Dying interface {
	Killed()
}

// The ways to show progress, for --progress and FLOW_PROGRESS.
const (
	ProgressAuto  = "auto"
	ProgressTTY   = "tty"
	ProgressPlain = "plain"
	ProgressJSON  = "json"
	ProgressQuiet = "quiet"
	// ProgressGitHub is for GitHub Actions.
	ProgressGitHub = "github"
)

// ProgressKinds are the names that NewProgress takes.
func ProgressKinds() []string {
	return []string{ProgressAuto, ProgressTTY, ProgressPlain, ProgressJSON, ProgressQuiet, ProgressGitHub}
}

// ProgressOptions say how to show progress.
type ProgressOptions struct {
	// Kind is one of ProgressKinds.
	Kind    string
	Streams *Streams
	Environ []string
	Clock   func() time.Time
	// Files are for the snippets of diagnostics.
	Files map[string]*hcl.File
	// Dir is the project, for the annotations of GitHub.
	Dir string
	// Version is flow's own, for the JSON stream.
	Version string
	// JSON is where the JSON stream goes; nil is Streams.Err.
	JSON io.Writer
}

// NewProgress returns the display that the options ask for. auto is tty if
// standard error is a terminal that can move its cursor and no CI is running,
// and github in a GitHub workflow.
func NewProgress(o ProgressOptions) (Progress, error) {
	kind := o.Kind
	if kind == "" {
		kind = ProgressAuto
	}
	if kind == ProgressAuto {
		kind = ProgressPlain
		if OnGitHub(o.Environ) {
			kind = ProgressGitHub
		}
		if o.Streams.ErrTTY && Getenv(o.Environ, "CI") == "" && Getenv(o.Environ, "TERM") != "dumb" {
			kind = ProgressTTY
		}
	}
	switch kind {
	case ProgressTTY:
		return newTTY(o), nil
	case ProgressGitHub:
		return newGitHub(o), nil
	case ProgressPlain:
		return newPlain(o, false), nil
	case ProgressQuiet:
		return newPlain(o, true), nil
	case ProgressJSON:
		w := o.JSON
		if w == nil {
			w = o.Streams.Err
		}
		return newStream(w, o), nil
	}
	return nil, fmt.Errorf("unknown kind of progress %q: there is %s", o.Kind, And(ProgressKinds(), len(ProgressKinds())))
}

// failure writes a stage that failed: what its program said last, how it ended,
// and what can be done.
func (p *Printer) failure(e event.Event, files map[string]*hcl.File) {
	p.Printf("\n")
	defer p.Printf("\n")
	head := fmt.Sprintf("%s failed", e.Addr)
	if e.Elapsed > 0 {
		head += " after " + Duration(seconds(e.Elapsed))
	}
	if len(e.Diags) > 0 {
		p.Printf("%s %s\n", p.paint(red, "✗"), p.paint(bold, head))
		p.Diagnostics(e.Diags, files)
	} else {
		p.wrapped(p.paint(red, "✗")+" ", "  ", p.paint(bold, head)+": "+e.Text)
	}
	switch {
	case len(e.LogTail) > 0:
		if e.LogPath != "" {
			p.Printf("  the end of its log, %s:\n", e.LogPath)
		}
		for _, l := range e.LogTail {
			p.Printf("  %s %s\n", p.paint(dim, "│"), clean(l))
		}
	case len(e.Diags) > 0 && e.LogPath != "":
		p.Printf("  log: %s\n", e.LogPath)
	case e.LogPath != "":
		p.Printf("  it printed nothing\n")
	}
	for _, h := range e.Hints {
		p.hint("  ", h)
	}
	// What did not start for a reason that a hint tells would end the same way, and so
	// would what fails for a mistake with a remedy of its own.
	if e.Action != event.Expand && (e.LogPath != "" && len(e.Diags) == 0 || len(e.Hints) == 0) {
		p.hint("  ", "run it again: flow apply --target "+ShellQuote(e.Addr.String()))
	}
}

// Hint writes a next step.
func (p *Printer) Hint(s string) { p.hint("", s) }

func (p *Printer) hint(indent, s string) {
	lines := strings.Split(s, "\n")
	rest := indent + "      "
	p.wrapped(indent+p.paint(cyan, "hint:")+" ", rest, lines[0])
	for _, l := range lines[1:] {
		p.Printf("%s%s\n", rest, l)
	}
}

// Error writes what went wrong, and perhaps a next step.
func (p *Printer) Error(text, hint string) {
	p.wrapped(p.paint(bold+";"+red, "error:")+" ", "  ", text)
	if hint != "" {
		p.Hint(hint)
	}
}

// Warning writes what the user should know.
func (p *Printer) Warning(text string) {
	p.wrapped(p.paint(bold+";"+yellow, "warning:")+" ", "  ", text)
}

// warning writes a warning event, with its place if it has one.
func (p *Printer) warning(e event.Event, files map[string]*hcl.File) {
	if len(e.Diags) > 0 {
		p.Diagnostics(e.Diags, files)
		return
	}
	text := e.Text
	if !e.Addr.IsZero() {
		text = e.Addr.String() + ": " + text
	}
	p.Warning(text)
}

// ShellQuote writes a word for a shell.
func ShellQuote(s string) string {
	if !strings.ContainsAny(s, " \t\n\"'[]*?$\\`!(){}<>|&;#~") && s != "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// shellLine writes a command so that it can be pasted.
func shellLine(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = ShellQuote(w)
	}
	return strings.Join(quoted, " ")
}

// endMark is the mark and style of how a stage ended.
func endMark(action string) (mark, style string) {
	switch action {
	case "restored":
		return signRestore.mark, cyan
	case "unchanged":
		return signKept.mark, dim
	}
	return "✓", green
}

// doneText says how a stage ended.
func doneText(e event.Event) string {
	word := e.Action
	switch e.Action {
	case "", "ran":
		word = "done"
	case "kept":
		return "kept: what it needs came out unchanged"
	}
	s := word + " in " + Duration(seconds(e.Elapsed))
	if m := numbersLine(e.Metrics, 4); m != "" {
		s += ": " + m
	}
	return s
}

// stepText writes how far a stage is: "epoch 12/60, loss 0.12".
func stepText(e event.Event) string {
	var parts []string
	if e.Step > 0 {
		s := strings.TrimSpace(fmt.Sprintf("%s %d", e.Unit, e.Step))
		if e.Total > 0 {
			s += fmt.Sprintf("/%d", e.Total)
		}
		parts = append(parts, s)
	}
	if m := numbersLine(e.Metrics, 3); m != "" {
		parts = append(parts, m)
	}
	return strings.Join(parts, ", ")
}
