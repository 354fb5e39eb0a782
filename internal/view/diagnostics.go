package view

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// Diagnostics writes what is wrong with a pipeline: the place, the source, the
// cause and the next step.
//
//	error: Unsupported argument
//	  pipeline.hcl:12
//	   12 │   epoch = 20
//	      │   ^^^^^
//	  train has no argument epoch. Did you mean "epochs"?
func (p *Printer) Diagnostics(diags hcl.Diagnostics, files map[string]*hcl.File) {
	for i, d := range diags {
		if i > 0 {
			p.Printf("\n")
		}
		p.diagnostic(d, files)
	}
}

func (p *Printer) diagnostic(d *hcl.Diagnostic, files map[string]*hcl.File) {
	word, style := severity(d), red
	if word == "warning" {
		style = yellow
	}
	p.wrapped(p.paint(bold+";"+style, word+":")+" ", "  ", d.Summary)
	if d.Subject != nil {
		p.Printf("  %s\n", p.paint(dim, fmt.Sprintf("%s:%d", d.Subject.Filename, d.Subject.Start.Line)))
		p.snippet(d, files)
	}
	p.detail(d.Detail)
}

// detail keeps lines that are indented, such as an example or a path of
// stages, as they are, and wraps the others.
func (p *Printer) detail(s string) {
	if s == "" {
		return
	}
	for _, line := range strings.Split(strings.TrimSpace(s), "\n") {
		if strings.HasPrefix(line, " ") || line == "" {
			p.Printf("%s\n", strings.TrimRight("  "+line, " "))
			continue
		}
		p.wrapped("  ", "  ", line)
	}
}

// mostSnippet is how many lines of source a diagnostic shows.
const mostSnippet = 6

func (p *Printer) snippet(d *hcl.Diagnostic, files map[string]*hcl.File) {
	f := files[d.Subject.Filename]
	if f == nil || len(f.Bytes) == 0 {
		return
	}
	first, last := d.Subject.Start.Line, min(d.Subject.End.Line, d.Subject.Start.Line+mostSnippet-1)
	sc := bufio.NewScanner(bytes.NewReader(f.Bytes))
	sc.Buffer(nil, len(f.Bytes)+1)
	for n := 1; sc.Scan() && n <= last; n++ {
		if n < first {
			continue
		}
		at := *d.Subject
		if first != last {
			at.Start.Column = 1
		}
		line, left := around(strings.ReplaceAll(sc.Text(), "\t", " "), at.Start.Column-1)
		p.row(p.paint(dim, fmt.Sprintf("%5d │ ", n)) + line)
		if first == last {
			at.Start.Column -= left
			at.End.Column -= left
			p.row(p.paint(dim, "      │ ") + p.paint(red, underline(line, at)))
		}
	}
}

// A line of source that is longer than mostLine is shown from leadIn characters
// before the place that a diagnostic is about.
const (
	mostLine = 100
	leadIn   = 30
)

// around cuts a line to what is around a place of it, and returns how many
// characters less there are before that place.
func around(line string, at int) (part string, left int) {
	runes := []rune(line)
	if len(runes) <= mostLine {
		return line, 0
	}
	from := max(min(at-leadIn, len(runes)-mostLine), 0)
	shown := runes[from:min(from+mostLine, len(runes))]
	part = string(shown)
	if from > 0 {
		part = "…" + string(shown[1:])
	}
	if from+len(shown) < len(runes) {
		part = string([]rune(part)[:len(shown)-1]) + "…"
	}
	return part, from
}

// underline marks the columns of a range in its one line.
func underline(line string, r hcl.Range) string {
	start := min(max(r.Start.Column-1, 0), len([]rune(line)))
	end := min(max(r.End.Column-1, start+1), len([]rune(line)))
	runes := []rune(line)
	before := textWidth(string(runes[:start]))
	width := 1
	if end > start {
		width = max(textWidth(string(runes[start:end])), 1)
	}
	return strings.Repeat(" ", before) + strings.Repeat("^", width)
}

func severity(d *hcl.Diagnostic) string {
	if d.Severity == hcl.DiagWarning {
		return "warning"
	}
	return "error"
}

// diagnosticJSON has Terraform's shape.
type diagnosticJSON struct {
	Severity string     `json:"severity"`
	Summary  string     `json:"summary"`
	Detail   string     `json:"detail"`
	Address  string     `json:"address,omitempty"`
	Range    *rangeJSON `json:"range,omitempty"`
	Snippet  string     `json:"snippet,omitempty"`
}

type rangeJSON struct {
	Filename string  `json:"filename"`
	Start    posJSON `json:"start"`
	End      posJSON `json:"end"`
}

type posJSON struct {
	Line   int `json:"line"`
	Column int `json:"column"`
	Byte   int `json:"byte"`
}

func diagnosticToJSON(d *hcl.Diagnostic, files map[string]*hcl.File) diagnosticJSON {
	j := diagnosticJSON{Severity: severity(d), Summary: d.Summary, Detail: d.Detail}
	if d.Subject == nil {
		return j
	}
	r := d.Subject
	j.Range = &rangeJSON{r.Filename, posJSON(r.Start), posJSON(r.End)}
	if f := files[r.Filename]; f != nil {
		lines := strings.SplitN(string(f.Bytes), "\n", r.Start.Line+1)
		if r.Start.Line >= 1 && len(lines) >= r.Start.Line {
			j.Snippet = strings.TrimRight(lines[r.Start.Line-1], "\r")
		}
	}
	return j
}

func diagnosticsToJSON(diags hcl.Diagnostics, files map[string]*hcl.File) []diagnosticJSON {
	out := make([]diagnosticJSON, 0, len(diags))
	for _, d := range diags {
		out = append(out, diagnosticToJSON(d, files))
	}
	return out
}

// diagnosticsJSON is the document of `flow validate --json`.
type diagnosticsJSON struct {
	FormatVersion string           `json:"format_version"`
	Valid         bool             `json:"valid"`
	Errors        int              `json:"error_count"`
	Warnings      int              `json:"warning_count"`
	Diagnostics   []diagnosticJSON `json:"diagnostics"`
}

// DiagnosticsJSON writes diagnostics as one document, as `flow validate --json`
// does, and any other command whose document cannot be made because of them.
func DiagnosticsJSON(w io.Writer, diags hcl.Diagnostics, files map[string]*hcl.File) error {
	doc := diagnosticsJSON{FormatVersion: FormatVersion, Valid: !diags.HasErrors(), Diagnostics: diagnosticsToJSON(diags, files)}
	for _, d := range diags {
		if d.Severity == hcl.DiagWarning {
			doc.Warnings++
		} else {
			doc.Errors++
		}
	}
	return writeJSON(w, doc)
}
