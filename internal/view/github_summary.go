package view

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/flow-pipelines/flow/engine"
	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/event"
	"github.com/flow-pipelines/flow/engine/plan"
)

// Summarizer is a Progress that can sum up in Markdown what it has shown.
type Summarizer interface {
	Progress
	Summary(*engine.Report, []config.Output) string
}

// mostSummary is how large a summary may become together with what other
// programs have written into it. GitHub refuses the whole of it over 1 MiB.
const mostSummary = 1000 << 10

// mostRows of a table are shown; what fails comes first.
const mostRows = 500

// AppendSummary appends Markdown to the file that $GITHUB_STEP_SUMMARY names, as
// far as there is room.
func AppendSummary(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("write the summary: %w", err)
	}
	info, err := f.Stat()
	if err == nil {
		_, err = f.WriteString(fit(text, mostSummary-int(info.Size())))
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("write the summary: %w", err)
	}
	return nil
}

// fit cuts text between two lines so that it takes no more than so many bytes.
func fit(text string, most int) string {
	const rest = "\n… cut: the summary is as long as it may be.\n"
	if len(text) <= most {
		return text
	}
	if most < len(rest) {
		return ""
	}
	text = text[:most-len(rest)]
	return text[:strings.LastIndexByte(text, '\n')+1] + rest
}

// PlanMarkdown writes a plan as a section of a summary.
func PlanMarkdown(pl *plan.Plan) string {
	var b strings.Builder
	NewPrinter(&b, false, 0).Plan(pl, false)
	return "### flow plan\n\n" + fence(strings.TrimRight(b.String(), "\n")) + "\n"
}

// Summary implements Summarizer.
func (g *github) Summary(rep *engine.Report, outs []config.Output) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	word := "✅ applied"
	switch {
	case rep.Declined:
		word = "nothing was done"
	case rep.Interrupted:
		word = "⚠️ interrupted"
	case len(rep.Failed) > 0:
		word = "❌ failed"
	case rep.Run == "":
		word = "✅ nothing to do"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "### flow apply: %s\n\n", word)
	if c := countsText(rep.Counts); c != "" {
		b.WriteString(markdown(c))
		if rep.Run != "" {
			b.WriteString(" in " + Duration(rep.Elapsed))
		}
		b.WriteString(".\n\n")
	}
	if len(rep.Failed) == 0 && !rep.Interrupted && len(outs) > 0 {
		b.WriteString("| output | value |\n|---|---|\n")
		for _, o := range outs {
			fmt.Fprintf(&b, "| %s | %s |\n", code(o.Name), code(plan.Shorten(oneLine(outputText(o)))))
		}
		b.WriteString("\n")
	}
	ended := slices.SortedFunc(slices.Values(g.ended), firstFailed)
	writeFailures(&b, ended)
	writeTable(&b, ended)
	return b.String()
}

// firstFailed orders the ends of stages: failures before the rest, and both by
// address, so that two runs can be compared.
func firstFailed(a, b event.Event) int {
	if fa, fb := a.Kind == event.Failed, b.Kind == event.Failed; fa != fb {
		if fa {
			return -1
		}
		return 1
	}
	return addr.Compare(a.Addr, b.Addr)
}

// writeFailures writes the end of the log of each stage that failed.
func writeFailures(b *strings.Builder, ended []event.Event) {
	for _, e := range ended {
		if e.Kind != event.Failed {
			continue
		}
		text := e.Text
		if len(e.Diags) > 0 {
			text = ""
		}
		for _, d := range e.Diags {
			text += d.Summary + ". " + d.Detail + " "
		}
		fmt.Fprintf(b, "**%s failed**: %s\n\n", markdown(e.Addr.String()), markdown(oneLine(text)))
		if tail := lastOf(e.LogTail, len(e.LogTail)); len(tail) > 0 {
			fmt.Fprintf(b, "<details><summary>the end of its log</summary>\n\n%s\n</details>\n\n", fence(strings.Join(tail, "\n")))
		}
		for _, h := range e.Hints {
			fmt.Fprintf(b, "%s\n", fence("hint: "+h))
		}
	}
}

// writeTable has a row for each stage that was not kept from the beginning.
func writeTable(b *strings.Builder, ended []event.Event) {
	if len(ended) == 0 {
		return
	}
	b.WriteString("| stage | | time | metrics |\n|---|---|---:|---|\n")
	for i, e := range ended {
		if i == mostRows {
			fmt.Fprintf(b, "\n… and %s.\n", Plural(len(ended)-i, "more stage"))
			break
		}
		word, took := e.Action, Duration(seconds(e.Elapsed))
		switch e.Kind {
		case event.Failed:
			word = "❌ failed"
		case event.Skipped:
			word, took = "not run: "+e.Text, ""
		default:
			if word == "kept" {
				took = ""
			}
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", code(e.Addr.String()), markdown(word), took, markdown(numbersLine(e.Metrics, 4)))
	}
	b.WriteString("\n")
}

// oneLine joins the lines of a text.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// markdown escapes what Markdown would take for markup, also in a table.
func markdown(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune("\\`*_{}[]<>#|~", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// code writes an inline code span for a table.
func code(s string) string {
	ticks := "`"
	for strings.Contains(s, ticks) {
		ticks += "`"
	}
	pad := ""
	if len(ticks) > 1 {
		pad = " "
	}
	return ticks + pad + strings.ReplaceAll(s, "|", "\\|") + pad + ticks
}

// fence writes a block of code whatever is in it.
func fence(s string) string {
	ticks := "```"
	for strings.Contains(s, ticks) {
		ticks += "`"
	}
	return ticks + "text\n" + s + "\n" + ticks + "\n"
}
