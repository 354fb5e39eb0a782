package view

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/event"
	"github.com/flow-pipelines/flow/engine/plan"
)

// github is plain progress for GitHub Actions: what a stage prints is a folded
// group, written when the stage ends, since groups of stages that run side by
// side cannot overlap. Failures and warnings are annotations at the stage's
// block. In the end there is a summary in Markdown.
//
// The commands are those of
// https://docs.github.com/actions/reference/workflow-commands-for-github-actions.
type github struct {
	raw   io.Writer // for commands; the plain view writes through a muzzle
	plain *plain
	at    places

	mu    sync.Mutex
	logs  map[addr.Address]*foldedLog
	steps map[addr.Address]*plan.Step
	ended []event.Event // how stages ended, in order
}

var _ Summarizer = (*github)(nil)

// foldedLog is what a stage has printed.
type foldedLog struct {
	lines []string
	more  int // lines that were left out
}

// longestFold is how many of the last lines of a stage a group shows. All are
// in its log.
const longestFold = 2000

func newGitHub(o ProgressOptions) *github {
	g := &github{
		raw: o.Streams.Err, at: newPlaces(o.Environ, o.Dir),
		logs: map[addr.Address]*foldedLog{}, steps: map[addr.Address]*plan.Step{},
	}
	streams := *o.Streams
	streams.Err = muzzle{o.Streams.Err}
	o.Streams = &streams
	g.plain = newPlain(o, false)
	return g
}

// OnGitHub reports whether this is a step of a GitHub workflow.
func OnGitHub(environ []string) bool { return Getenv(environ, "GITHUB_ACTIONS") == "true" }

// Plan implements Progress.
func (g *github) Plan(pl *plan.Plan) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range pl.Steps {
		g.steps[s.Addr] = s
	}
	g.plain.Plan(pl)
}

// Event implements Progress.
func (g *github) Event(e event.Event) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch e.Kind {
	case event.Log:
		g.keep(e.Addr, e.Text)
		return
	case event.Progress:
		if e.Text != "" {
			g.keep(e.Addr, e.Text)
			e.Text = ""
		}
	case event.Retrying:
		g.keep(e.Addr, retryText(e))
	case event.Done:
		g.ended = append(g.ended, e)
		if g.fold(e.Addr, doneText(e)) {
			g.plain.take(e)
			return
		}
	case event.Failed:
		g.ended = append(g.ended, e)
		g.fold(e.Addr, "what it printed")
		g.plain.Event(e)
		g.failed(e)
		return
	case event.Skipped:
		g.ended = append(g.ended, e)
	case event.Warning:
		g.plain.Event(e)
		title := "flow"
		if !e.Addr.IsZero() {
			title = e.Addr.String()
		}
		g.annotate("warning", title, e.Text, nil)
		return
	case event.RunStarted, event.Waiting, event.Started, event.RunFinished, event.Expanded:
	}
	g.plain.Event(e)
}

// keep keeps a line until its stage ends.
func (g *github) keep(a addr.Address, line string) {
	l := g.logs[a]
	if l == nil {
		l = &foldedLog{}
		g.logs[a] = l
	}
	if l.lines = append(l.lines, clean(line)); len(l.lines) > 2*longestFold {
		l.more += len(l.lines) - longestFold
		l.lines = append([]string(nil), l.lines[len(l.lines)-longestFold:]...)
	}
}

// fold writes what a stage has printed as a group, and reports whether that was
// anything.
func (g *github) fold(a addr.Address, title string) bool {
	l := g.logs[a]
	if l == nil {
		return false
	}
	delete(g.logs, a)
	fmt.Fprintf(g.raw, "::group::%s\n", commandText(a.String()+"> "+title))
	if extra := len(l.lines) - longestFold; extra > 0 {
		l.more, l.lines = l.more+extra, l.lines[extra:]
	}
	if l.more > 0 {
		g.plain.p.Printf("… %s before\n", Plural(l.more, "line"))
	}
	for _, line := range l.lines {
		g.plain.p.Printf("│ %s\n", line)
	}
	fmt.Fprint(g.raw, "::endgroup::\n")
	return true
}

// failed annotates the block of a stage that failed, or the arguments that are
// to blame.
func (g *github) failed(e event.Event) {
	title := e.Addr.String() + " failed"
	if len(e.Diags) > 0 {
		for _, d := range e.Diags {
			g.annotate(severity(d), title, strings.TrimSpace(d.Summary+"\n"+d.Detail), d.Subject)
		}
		return
	}
	text := e.Text
	if tail := lastOf(e.LogTail, 5); len(tail) > 0 {
		text += "\n\n" + strings.Join(tail, "\n")
	}
	for _, h := range e.Hints {
		text += "\n\nhint: " + h
	}
	var where *hcl.Range
	if s := g.steps[e.Addr]; s != nil {
		where = &s.Stage.Range
	}
	g.annotate("error", title, text, where)
}

func lastOf(lines []string, n int) []string {
	out := make([]string, 0, n)
	for _, l := range lines[max(0, len(lines)-n):] {
		out = append(out, clean(l))
	}
	return out
}

func (g *github) annotate(kind, title, text string, where *hcl.Range) {
	fmt.Fprint(g.raw, g.at.annotation(kind, title, text, where))
}

// Interrupting implements Progress.
func (g *github) Interrupting() { g.plain.Interrupting() }

// Killed implements Dying.
func (g *github) Killed() { g.plain.Killed() }

// Close implements Progress.
func (g *github) Close() {
	g.mu.Lock()
	for _, r := range append([]*running(nil), g.plain.board.running...) {
		g.fold(r.addr, "what it printed until then")
	}
	g.mu.Unlock()
	g.plain.Close()
}

// Annotations writes diagnostics as annotations of a GitHub workflow.
func Annotations(w io.Writer, environ []string, dir string, diags hcl.Diagnostics) {
	at := newPlaces(environ, dir)
	for _, d := range diags {
		fmt.Fprint(w, at.annotation(severity(d), d.Summary, d.Detail, d.Subject))
	}
}

// places knows where the project lies in the repository: annotations name files
// from the top of that.
type places struct{ prefix string }

func newPlaces(environ []string, dir string) places {
	workspace := Getenv(environ, "GITHUB_WORKSPACE")
	if workspace == "" || dir == "" {
		return places{}
	}
	rel, err := filepath.Rel(workspace, dir)
	if err != nil || !filepath.IsLocal(rel) {
		return places{}
	}
	return places{filepath.ToSlash(rel)}
}

// annotation is a workflow command that marks a place.
func (p places) annotation(kind, title, text string, where *hcl.Range) string {
	var props []string
	if where != nil && where.Filename != "" && !strings.HasPrefix(where.Filename, "<") {
		name := where.Filename
		if p.prefix != "" && p.prefix != "." {
			name = p.prefix + "/" + name
		}
		props = append(props, "file="+commandProperty(name), "line="+strconv.Itoa(where.Start.Line))
		if where.End.Line > where.Start.Line {
			props = append(props, "endLine="+strconv.Itoa(where.End.Line))
		}
		props = append(props, "col="+strconv.Itoa(where.Start.Column))
	}
	props = append(props, "title="+commandProperty(title))
	if text == "" {
		text = title
	}
	return fmt.Sprintf("::%s %s::%s\n", kind, strings.Join(props, ","), commandText(text))
}

// commandText and commandProperty escape as GitHub's own toolkit does.
func commandText(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(s)
}

func commandProperty(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C").Replace(s)
}

// muzzle keeps what stages print from being a command: the runner obeys lines
// that begin with :: and, in its older form, ##[ anywhere.
type muzzle struct{ to io.Writer }

// Write implements io.Writer. What is written at once is whole lines.
func (m muzzle) Write(b []byte) (int, error) {
	if !bytes.Contains(b, []byte("::")) && !bytes.Contains(b, []byte("##[")) {
		return m.to.Write(b)
	}
	lines := strings.Split(string(b), "\n")
	for i, l := range lines {
		if t := strings.TrimLeft(l, " \t"); strings.HasPrefix(t, "::") {
			l = l[:len(l)-len(t)] + ": :" + t[2:]
		}
		lines[i] = strings.ReplaceAll(l, "##[", "## [")
	}
	_, err := io.WriteString(m.to, strings.Join(lines, "\n"))
	return len(b), err
}
