package config

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
)

// habits are what people write who come from other languages, and what HCL has
// for it. Each is looked for in a line that does not parse, where the parser
// stopped.
var habits = []struct {
	stopped         *regexp.Regexp // from there on; nil: anything
	before          *regexp.Regexp // what stands before it in the line; nil: anything
	summary, detail string
}{
	{
		regexp.MustCompile(`^\s*\}\}`), regexp.MustCompile(`\$\{\{[^{}]*$`),
		"Two braces around a value", `A value is put into a text by one pair of braces: "${var.name}".`,
	},
	{
		regexp.MustCompile(`^if\b`), nil,
		"if within an expression", `A choice is written CONDITION ? A : B. Within for, if comes last: [for x in list : x if x > 1].`,
	},
	{
		nil, regexp.MustCompile(`=\s*if\s+$`),
		"if within an expression", `A choice is written CONDITION ? A : B.`,
	},
	{
		regexp.MustCompile(`^(and|or|not)\b`), nil,
		"and, or, not are written in signs", "Write && for and, || for or, ! for not.",
	},
	{
		regexp.MustCompile(`^["']`), regexp.MustCompile(`(^|[\s\[(,{=])[fFrRbBuU]$`),
		"A letter before a text", `A text has no prefix: "…" alone. Values are put into it by ${…}: "data/${var.name}.csv".`,
	},
	{
		regexp.MustCompile("^`"), nil,
		"Texts are in double quotes", `Write "…" instead of backquotes; a text of several lines stands between <<-END and END.`,
	},
	{
		regexp.MustCompile(`^(:=|:|=>|==)`), regexp.MustCompile(`^\s*(\w+\s*("[^"]*"\s*)?\{)?\s*[\w-]+\s*$`),
		"An argument is written with =", "Write NAME = VALUE.",
	},
	{
		regexp.MustCompile(`^[\w-]+\s*(:=|:|=>)`), regexp.MustCompile(`^\s*(\w+\s*("[^"]*"\s*)?\{)?\s*$`),
		"An argument is written with =", "Write NAME = VALUE.",
	},
	{
		regexp.MustCompile(`^=`), regexp.MustCompile(`^\s*\w+(\s+"[^"]*")+\s*$`),
		"A block has no equals sign", `Write it without: TYPE "NAME" { … }.`,
	},
}

// habit rewords a diagnostic about such a habit, and reports whether it is one.
func habit(src []byte, d *hcl.Diagnostic) bool {
	at := d.Subject.Start.Byte
	start := strings.LastIndexByte(string(src[:at]), '\n') + 1
	rest, _, _ := strings.Cut(string(src[at:]), "\n")
	if curly.MatchString(lineAt(src, at)) {
		d.Summary, d.Detail = "Curly quotes", `Texts and names are in straight double quotes: "…". A word processor or a chat may have changed them.`
		return true
	}
	for _, h := range habits {
		if (h.stopped == nil || h.stopped.MatchString(rest)) && (h.before == nil || h.before.Match(src[start:at])) {
			d.Summary, d.Detail = h.summary, h.detail
			return true
		}
	}
	return false
}

// ofTheShell finds what a shell does with a variable, which is no expression:
// ${f%.txt}, ${f:-x}, ${f##*/}, ${#f}, ${f[@]}.
var ofTheShell = regexp.MustCompile(`(?:^|[^$])(\$\{(?:#|\w+(?:#|%%|%[^\w\s(]|:[-=?+]|\[@\]))[^}]*\}?)`)

// shell rewords a diagnostic about such a thing, and reports whether it is one. All
// after a # is a comment to HCL, so that it complains about the line below.
func shell(src []byte, d *hcl.Diagnostic) bool {
	at := d.Subject.Start
	start := bytes.LastIndexByte(src[:at.Byte], '\n') + 1
	found := ofTheShell.FindStringSubmatchIndex(lineAt(src, at.Byte))
	if found == nil && start > 0 {
		above := bytes.LastIndexByte(src[:start-1], '\n') + 1
		found = ofTheShell.FindStringSubmatchIndex(lineAt(src, above))
		if found == nil || !bytes.Contains(src[above+found[2]:above+found[3]], []byte("#")) {
			return false
		}
		start, at.Line = above, at.Line-1
	}
	if found == nil {
		return false
	}
	text := src[start+found[2] : start+found[3]]
	from := hcl.Pos{Line: at.Line, Column: utf8.RuneCount(src[start:start+found[2]]) + 1, Byte: start + found[2]}
	to := hcl.Pos{Line: at.Line, Column: from.Column + utf8.RuneCount(text), Byte: start + found[3]}
	d.Subject, d.Context = &hcl.Range{Filename: d.Subject.Filename, Start: from, End: to}, nil
	d.Summary = fmt.Sprintf("%s is the shell's", text)
	d.Detail = fmt.Sprintf("${…} in a text is a value of the pipeline. For the shell's own write two dollar signs: $%s.", text)
	return true
}

// unended points at a text of several lines that goes on to the end of the file,
// which is where HCL misses its end.
func unended(src []byte, d *hcl.Diagnostic) {
	if d.Summary != "Unterminated template string" || d.Subject == nil {
		return
	}
	for _, at := range heredoc.FindAllSubmatchIndex(src, -1) {
		marker := string(src[at[2]:at[3]])
		if regexp.MustCompile(`(?m)^\s*` + regexp.QuoteMeta(marker) + `\s*$`).Match(src[at[1]:]) {
			continue
		}
		before := src[:at[0]]
		line := bytes.LastIndexByte(before, '\n') + 1
		start := hcl.Pos{Line: bytes.Count(before, []byte("\n")) + 1, Column: utf8.RuneCount(src[line:at[0]]) + 1, Byte: at[0]}
		end := hcl.Pos{Line: start.Line, Column: start.Column + at[3] - at[0], Byte: at[3]}
		d.Subject, d.Context = &hcl.Range{Filename: d.Subject.Filename, Start: start, End: end}, nil
		d.Summary = fmt.Sprintf("%s has no end", src[at[0]:at[3]])
		d.Detail = fmt.Sprintf("The text ends with a line in which %s stands alone.", marker)
		return
	}
}

var heredoc = regexp.MustCompile(`<<-?([\w-]+)[ \t]*\r?\n`)

// escape says how what HCL takes for its own in a text is written as it stands.
func escape(src []byte, d *hcl.Diagnostic) bool {
	text := string(d.Subject.SliceBytes(src))
	switch {
	case d.Summary == "Invalid escape sequence" && len(text) > 1 && !strings.HasPrefix(text, `\u`) && !strings.HasPrefix(text, `\U`):
		d.Detail = fmt.Sprintf(`A backslash begins a sign that is written otherwise, such as \n or \". To be one itself it is written twice: \%s.`, text)
	case d.Summary == "Invalid template control keyword":
		d.Summary = fmt.Sprintf("%%{%s} is no template", text)
		d.Detail = fmt.Sprintf("%%{…} in a text is an if or a for of a template. To stand as it is, it is written with two percent signs: %%%%{%s}.", text)
	default:
		return false
	}
	return true
}

// curly finds quotes that are none to HCL, outside of straight ones.
var curly = regexp.MustCompile(`^[^"]*("[^"]*"[^"]*)*[“”„‟]`)

func lineAt(src []byte, at int) string {
	start := strings.LastIndexByte(string(src[:at]), '\n') + 1
	line, _, _ := strings.Cut(string(src[start:]), "\n")
	return line
}

// unclosed says where a bracket was opened, if a line begins with an argument in
// the middle of a list.
func unclosed(src []byte, d *hcl.Diagnostic) bool {
	if d.Summary != "Missing item separator" && d.Summary != "Missing attribute separator" {
		return false
	}
	at := d.Subject.Start.Byte
	start := strings.LastIndexByte(string(src[:at]), '\n') + 1
	rest, _, _ := strings.Cut(string(src[at:]), "\n")
	if strings.TrimSpace(string(src[start:at])) != "" || !beginsArgument.MatchString(rest) {
		return false
	}
	line, depth := d.Subject.Start.Line, 0
	for i := at - 1; i >= 0; i-- {
		switch src[i] {
		case '\n':
			line--
		case ']', '}', ')':
			depth++
		case '[', '{', '(':
			if depth--; depth < 0 {
				d.Summary = fmt.Sprintf("%c is not closed", src[i])
				d.Detail = fmt.Sprintf("The %c in line %d is open here, where the next argument begins. Close it at the end of its value.", src[i], line)
				return true
			}
		}
	}
	return false
}

var beginsArgument = regexp.MustCompile(`^\w[\w-]*\s*=[^=>]`)
