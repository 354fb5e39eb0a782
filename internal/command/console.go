package command

import (
	"bufio"
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/flow-pipelines/flow/engine"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/lock"
	"github.com/flow-pipelines/flow/internal/view"
)

// ConsoleOptions are the arguments of console.
type ConsoleOptions struct {
	Shell *Shell
	Variables
}

func newConsole(sh *Shell, run func(context.Context, *ConsoleOptions) error) *cobra.Command {
	o := &ConsoleOptions{Shell: sh}
	cmd := &cobra.Command{
		Use:   "console",
		Short: "Try expressions on variables, paths and recorded metrics",
		Long: `Evaluate expressions as the pipeline would: with its variables and locals, the
paths of its stages and the metrics that flow.lock records. Nothing is changed.

On a terminal, lines can be edited; the arrow keys bring back earlier ones and the
tabulator completes names. Without one, each line of the input is an expression,
and the exit status is 1 if one of them is wrong.`,
		Example: `  flow console
  echo 'train.mlp["wide"].metrics.validation.f1 > 0.9' | flow console`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o) },
	}
	addVariables(cmd.Flags(), &o.Variables)
	return cmd
}

func runConsole(ctx context.Context, o *ConsoleOptions) error {
	p, err := o.Shell.open(o.Variables)
	if err != nil {
		return err
	}
	if o.Shell.Streams.InTTY && o.Shell.Streams.OutTTY && o.Shell.Streams.Raw != nil {
		return o.interactive(p)
	}
	wrong := false
	lines := bufio.NewScanner(o.Shell.Streams.In)
	lines.Buffer(nil, 1<<20)
	for n := 0; lines.Scan() && ctx.Err() == nil; n++ {
		// The empty lines before it make messages name the right one.
		wrong = !o.evaluate(p, strings.Repeat("\n", n)+lines.Text()) || wrong
	}
	if err := errors.Join(lines.Err(), ctx.Err()); err != nil {
		return err
	}
	if wrong {
		return exitError
	}
	return nil
}

// evaluate answers one expression and reports whether it was right.
func (o *ConsoleOptions) evaluate(p *engine.Project, text string) bool {
	if nothing(text) {
		return true
	}
	v, sensitive, diags, err := p.Evaluate(text)
	if err != nil {
		o.Shell.err().Error(err.Error(), "")
		return false
	}
	if len(diags) > 0 {
		files := maps.Clone(p.Files())
		files[config.ConsoleFile] = &hcl.File{Bytes: []byte(text)}
		o.Shell.err().Diagnostics(diags, files)
	}
	if diags.HasErrors() {
		return false
	}
	o.Shell.out().Value(v, sensitive)
	return true
}

// nothing reports whether a line has a comment at most.
func nothing(text string) bool {
	ts, _ := hclsyntax.LexExpression([]byte(text), config.ConsoleFile, hcl.InitialPos)
	for _, t := range ts {
		if t.Type != hclsyntax.TokenComment && t.Type != hclsyntax.TokenNewline && t.Type != hclsyntax.TokenEOF {
			return false
		}
	}
	return true
}

// open reports whether a bracket, a template or a heredoc is not closed yet, so that the
// expression goes on in the next line.
func open(text string) bool {
	ts, _ := hclsyntax.LexExpression([]byte(text), config.ConsoleFile, hcl.InitialPos)
	depth := 0
	for _, t := range ts {
		switch t.Type {
		case hclsyntax.TokenOHeredoc, hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			depth++
		case hclsyntax.TokenCHeredoc, hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd:
			depth--
		}
	}
	return depth > 0
}

const (
	prompt     = "> "
	promptMore = "… "
)

const consoleHelp = `Type an expression, such as 1 + 1, var.NAME, train.mlp.metrics or a function of
them; Tab completes names. exit, or Ctrl-D, ends.
`

// interactive reads expressions from a terminal.
func (o *ConsoleOptions) interactive(p *engine.Project) error {
	s := o.Shell.Streams
	t := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{s.In, s.Out}, prompt)
	t.History = newHistory(p)
	t.AutoCompleteCallback = completer(consoleNames(p), func(choices []string) {
		_, _ = io.WriteString(t, view.And(choices, mostChoices)+"\n")
	})
	var before string
	for {
		line, err := o.readLine(t)
		switch {
		case errors.Is(err, io.EOF):
			o.Shell.out().Printf("\n")
			return nil
		case err != nil && !errors.Is(err, term.ErrPasteIndicator):
			return err
		}
		switch strings.TrimSpace(line) {
		case "exit", "quit":
			return nil
		case "help":
			o.Shell.out().Printf("%s", consoleHelp)
			continue
		}
		text := before + line
		if line != "" && open(text) { // an empty line ends it in any case
			before = text + "\n"
			t.SetPrompt(promptMore)
			continue
		}
		before = ""
		t.SetPrompt(prompt)
		o.evaluate(p, text)
	}
}

// readLine reads one line with the terminal in raw mode, and answers with it as
// it was, so that what is printed wraps and scrolls as always.
func (o *ConsoleOptions) readLine(t *term.Terminal) (string, error) {
	restore, err := o.Shell.Streams.Raw()
	if err != nil {
		return "", err
	}
	defer restore()
	if w, h := o.Shell.Streams.Size(); w > 0 && h > 0 {
		_ = t.SetSize(w, h)
	}
	return t.ReadLine()
}

// consoleNames are what Tab completes: what expressions can begin with, and of
// each stage its outputs and the metrics that flow.lock has.
func consoleNames(p *engine.Project) []string {
	names := p.Pipeline().Names()
	stages, _ := p.Pipeline().Stages(config.NoResults{}) // of a wrong pipeline, what there is
	for _, s := range stages {
		if !s.Addr.Module.IsRoot() || s.Job == nil {
			continue
		}
		at := s.Addr.String()
		names = append(names, at, at+".metrics")
		for _, o := range s.Job.Outputs {
			names = append(names, at+"."+o.Name+".path")
		}
		if len(s.Job.Outputs) == 1 {
			names = append(names, at+".path")
		}
		if l := p.Lock().Get(s.Addr); l != nil {
			leaves, _ := lock.Flatten(l.Metrics) // what is no metric completes to nothing
			for _, leaf := range leaves {
				names = append(names, at+".metrics."+leaf.Path)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// mostChoices are shown when Tab cannot tell which name is meant.
const mostChoices = 30

// reference is what stands before the cursor of a name, with keys.
var reference = regexp.MustCompile(`[A-Za-z_][\w.-]*(?:\[(?:"[^"]*"?|\d+)\]?[\w.-]*)*$`)

// completer completes the name before the cursor as far as it is certain, and
// shows the choices where it is not.
func completer(names []string, show func(choices []string)) func(line string, pos int, key rune) (string, int, bool) {
	return func(line string, pos int, key rune) (string, int, bool) {
		if key != '\t' {
			return "", 0, false
		}
		begin := reference.FindString(line[:pos])
		var choices []string
		if begin != "" {
			first, _ := slices.BinarySearch(names, begin)
			for _, n := range names[first:] {
				if !strings.HasPrefix(n, begin) {
					break
				}
				choices = append(choices, n)
			}
		}
		if len(choices) == 0 {
			return line, pos, true
		}
		common := choices[0]
		for last := choices[len(choices)-1]; !strings.HasPrefix(last, common); { // sorted: the others have it too
			common = common[:len(common)-1]
		}
		if common == begin && len(choices) > 1 {
			show(choices)
		}
		start := pos - len(begin)
		return line[:start] + common + line[pos:], start + len(common), true
	}
}

// history is the lines of earlier sessions, the newest first. It is kept in a
// file below .flow that nobody else can read, once there is a .flow.
type history struct {
	file  string
	lines []string // the oldest first
}

// mostHistory is how many lines are kept.
const mostHistory = 500

func newHistory(p *engine.Project) *history {
	h := &history{file: p.HistoryFile()}
	if b, err := os.ReadFile(h.file); err == nil && len(b) > 0 {
		h.lines = strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	}
	return h
}

// Add implements term.History.
func (h *history) Add(line string) {
	line = strings.TrimSpace(strings.ReplaceAll(line, "\n", " "))
	if line == "" || len(h.lines) > 0 && h.lines[len(h.lines)-1] == line {
		return
	}
	h.lines = append(h.lines, line)
	h.lines = h.lines[max(0, len(h.lines)-mostHistory):]
	// A history that cannot be kept is no reason to stop.
	_ = os.WriteFile(h.file, []byte(strings.Join(h.lines, "\n")+"\n"), 0o600)
}

// Len implements term.History.
func (h *history) Len() int { return len(h.lines) }

// At implements term.History.
func (h *history) At(i int) string { return h.lines[len(h.lines)-1-i] }
