package view

import (
	"fmt"
	"io"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// Printer writes for people: in a width, with colours or without.
type Printer struct {
	w     io.Writer
	color bool
	width int
}

const (
	// narrowest is the width below which lines are not wrapped any further.
	narrowest = 20
	// unlimited is the width of what goes to no terminal.
	unlimited = 1 << 20
	// proseWidth is how wide long texts are at most, wherever they go.
	proseWidth = 80
)

// NewPrinter returns a Printer to w. width 0 is for a file or a pipe: lines are
// as long as they are, so that they can be searched.
func NewPrinter(w io.Writer, color bool, width int) *Printer {
	if width <= 0 {
		width = unlimited
	}
	return &Printer{w: w, color: color, width: max(width, narrowest)}
}

// prose returns p for long texts, which nobody reads in very long lines.
func (p *Printer) prose() *Printer {
	return &Printer{w: p.w, color: p.color, width: min(p.width, proseWidth)}
}

// Printf writes as it is. A failing stream shows when it is flushed or closed,
// or ends the process by a signal; no renderer could do more.
func (p *Printer) Printf(format string, args ...any) { fmt.Fprintf(p.w, format, args...) }

// The styles, by the numbers of ECMA-48.
const (
	bold    = "1"
	dim     = "2"
	red     = "31"
	green   = "32"
	yellow  = "33"
	blue    = "34"
	magenta = "35"
	cyan    = "36"
)

// paint writes s in a style.
func (p *Printer) paint(style, s string) string {
	if !p.color || s == "" || style == "" {
		return s
	}
	return "\x1b[" + style + "m" + s + "\x1b[0m"
}

// noBreak is a space at which wrapped breaks no line.
const noBreak = "\u00a0"

// wrapped writes a text whose first line begins with first and the others with
// rest, broken at spaces so that it fits.
func (p *Printer) wrapped(first, rest, s string) {
	// What first is wider than rest stands in the first line, so it is wrapped
	// with a stand-in of that width.
	standIn := strings.Repeat("x", max(0, textWidth(first)-textWidth(rest)))
	for i, l := range wrap(standIn+s, p.width-textWidth(rest)) {
		l = strings.ReplaceAll(l, noBreak, " ")
		if i == 0 {
			p.Printf("%s%s\n", first, strings.TrimPrefix(l, standIn))
		} else {
			p.Printf("%s%s\n", rest, l)
		}
	}
}

// textWidth is how many columns s takes.
func textWidth(s string) int { return ansi.StringWidth(s) }

// cut shortens s to so many columns.
func cut(s string, columns int) string { return ansi.Truncate(s, max(columns, 1), "…") }

// middle shortens a name to so many columns in its middle: names that belong
// together differ at the end.
func middle(s string, columns int) string {
	width := textWidth(s)
	if width <= columns {
		return s
	}
	head := max(0, columns-1) / 3
	tail := max(0, columns-1-head)
	return ansi.Truncate(s, head, "") + "…" + ansi.TruncateLeft(s, width-tail, "")
}

// row writes one line of a table.
func (p *Printer) row(s string) {
	p.Printf("%s\n", strings.TrimRight(cut(s, p.width), " "))
}

// pad fills s up to so many columns.
func pad(s string, columns int) string {
	if n := columns - textWidth(s); n > 0 {
		return s + strings.Repeat(" ", n)
	}
	return s
}

// wrap breaks s into lines at spaces. A word that is longer than a line stays
// whole: it is most often a path or a value that somebody wants to copy.
func wrap(s string, columns int) []string {
	// Wordwrap breaks behind hyphens too, which would tear a flag apart.
	const hyphen, stiff = "-", "\u2011"
	s = ansi.Wordwrap(strings.ReplaceAll(s, hyphen, stiff), max(columns, narrowest), "")
	return strings.Split(strings.ReplaceAll(s, stiff, hyphen), "\n")
}

// clean makes a line of a program's output harmless in a display: no control
// sequences, and of a line that was overwritten with carriage returns (progress
// bars) what stood there last.
func clean(line string) string {
	line = ansi.Strip(line)
	line = strings.TrimRight(line, "\r")
	if i := strings.LastIndexByte(line, '\r'); i >= 0 {
		line = line[i+1:]
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case r < ' ' || r == 0x7f:
			return -1
		}
		return r
	}, line)
}
