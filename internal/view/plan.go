package view

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/plan"
)

// sign is how a plan marks what is to be done with a stage.
type sign struct{ mark, style, meaning string }

// The signs, in the order of the legend.
var (
	signNew     = sign{"+", green, "new"}
	signChanged = sign{"~", yellow, "runs again"}
	signRestore = sign{"↺", cyan, "from the cache"}
	signMaybe   = sign{"?", yellow, "may run"}
	signLater   = sign{"…", yellow, "known after apply"}
	signBlocked = sign{"!", magenta, "blocked"}
	signFails   = sign{"×", red, "fails a condition"}
	signUnfit   = sign{"×", red, "cannot be evaluated"}
	signRefused = sign{"×", red, "cannot be expanded"}
	signGone    = sign{"-", red, "gone"}
	signMoved   = sign{"→", cyan, "moved"}
	signKept    = sign{"=", dim, "kept"}
)

func signs() []sign {
	return []sign{signNew, signChanged, signRestore, signMaybe, signLater, signBlocked, signFails, signUnfit, signRefused, signMoved, signGone, signKept}
}

func signOf(s *plan.Step) sign {
	switch s.Action {
	case plan.Keep:
		return signKept
	case plan.Restore:
		return signRestore
	case plan.Defer:
		return signMaybe
	case plan.Blocked:
		switch {
		case len(s.Failing) == 0:
		case s.Reasons[0].Kind == plan.Refused:
			return signUnfit
		default:
			return signFails
		}
		return signBlocked
	case plan.Run:
	}
	if len(s.Reasons) > 0 && s.Reasons[0].Kind == plan.FirstTime {
		return signNew
	}
	return signChanged
}

// Plan writes every stage that is not kept, with its reasons, and what it comes
// to. If verbose, kept stages too, and each instance of a block by itself.
func (p *Printer) Plan(pl *plan.Plan, verbose bool) {
	if pl.Empty() && !verbose {
		p.NothingToDo(pl)
		return
	}
	groups := groupSteps(pl, verbose)
	p.legend(groups, pl)
	column := 0
	for _, g := range groups {
		column = max(column, min(textWidth(g.title()), widestCell*2/3))
	}
	left := goneLines(pl, verbose)
	for _, l := range left {
		column = max(column, min(textWidth(l.title), widestCell*2/3))
	}
	for _, g := range groups {
		p.entry(g.sign, pad(p.paint(bold, g.title()), column), g.expectation(), groupReasons(g))
	}
	for _, l := range append(movedLines(pl, verbose), left...) {
		p.entry(l.sign, pad(p.paint(bold, l.title), column), "", l.reasons)
	}
	p.Printf("\n")
	if pl.Empty() {
		p.upToDate(pl)
		return
	}
	p.PlanSummary(pl)
}

// NothingToDo says so, and names what is blocked, or is kept otherwise than it was
// made.
func (p *Printer) NothingToDo(pl *plan.Plan) {
	p.upToDate(pl)
	for _, g := range groupSteps(pl, false) {
		p.entry(g.sign, p.paint(bold, g.title()), "", groupReasons(g))
	}
}

// upToDate says in one line that there is nothing to do.
func (p *Printer) upToDate(pl *plan.Plan) {
	n := pl.Count(plan.Keep)
	s := "Nothing to do: "
	switch {
	case len(pl.Steps) == 0 && pl.Targeted:
		s += "no stage is left of those asked for."
	case len(pl.Steps) == 0:
		s += "the pipeline has no stages."
	case pl.Count(plan.Blocked) > 0:
		s += fmt.Sprintf("%s up to date, %d blocked.", Plural(n, "stage"), pl.Count(plan.Blocked))
	case pl.Targeted && n > 1:
		s += fmt.Sprintf("the %d stages asked for are up to date.", n)
	default:
		p.UpToDate(n)
		return
	}
	p.wrapped("", "", s)
}

// UpToDate says that there is nothing to do for so many stages, which are all.
func (p *Printer) UpToDate(stages int) {
	s := "the stage is up to date."
	if stages > 1 {
		s = fmt.Sprintf("all %d stages are up to date.", stages)
	}
	p.wrapped("", "", "Nothing to do: "+s)
}

// PlanSummary writes what a plan comes to: counts, time, bytes.
func (p *Printer) PlanSummary(pl *plan.Plan) {
	counts := []struct {
		n    int
		what string
	}{
		{pl.Count(plan.Run), "to run"},
		{pl.Count(plan.Defer), "may run"},
		{pl.Later(), "known after apply"},
		{pl.Count(plan.Restore), "to restore"},
		{pl.Failing() + pl.Refused(), "will fail"},
		{pl.Count(plan.Blocked) - pl.Failing(), "blocked"},
		{len(pl.Moved), "moved"},
		{len(pl.Removed), "to forget"},
		{len(pl.Unmanaged), "left in service"},
		{pl.Count(plan.Keep), "kept"},
	}
	var parts []string
	for _, c := range counts {
		if c.n == 0 {
			continue
		}
		part := fmt.Sprintf("%d %s", c.n, c.what)
		if c.what == "to restore" && pl.Forecast.RestoreBytes > 0 {
			part += " (" + plan.Bytes(pl.Forecast.RestoreBytes) + ")"
		}
		parts = append(parts, strings.ReplaceAll(part, " ", noBreak))
	}
	p.wrapped(p.paint(bold, "Plan:")+" ", "      ", strings.Join(parts, ", ")+".")
	if t := forecastText(pl); t != "" {
		p.wrapped(p.paint(bold, "Time:")+" ", "      ", t)
	}
	if t := gpuText(pl.Forecast); t != "" {
		p.wrapped(p.paint(bold, "GPUs:")+" ", "      ", t)
	}
}

// gpuText says how long GPUs are busy, "" if no stage asks for one.
func gpuText(f plan.Forecast) string {
	switch {
	case f.GPU == 0 && f.GPUUnknown == 0:
		return ""
	case f.GPU == 0:
		return "unknown: nothing that asks for one has run before."
	case f.GPUUnknown == 0:
		return "usually " + Duration(f.GPU) + " of GPU time."
	}
	return fmt.Sprintf("usually %s of GPU time; unknown for %s more.", Duration(f.GPU), Plural(f.GPUUnknown, "stage"))
}

func forecastText(pl *plan.Plan) string {
	f := pl.Forecast
	switch {
	case f.Total == 0 && f.Unknown == 0:
		return ""
	case f.Total == 0:
		return "unknown: nothing of this has run before."
	}
	s := "usually " + Duration(f.Elapsed)
	switch total, path, elapsed := Duration(f.Total), Duration(f.CriticalPath), Duration(f.Elapsed); {
	case total == elapsed:
	case path == elapsed:
		s += fmt.Sprintf(" with %d at once, which is the critical path; %s of work", f.Jobs, total)
	default:
		s += fmt.Sprintf(" with %d at once; %s of work, %s along the critical path", f.Jobs, total, path)
	}
	if n := f.Unknown - pl.Later(); n > 0 {
		s += fmt.Sprintf("; unknown for %s more", Plural(n, "stage"))
	}
	if n := pl.Later(); n > 0 {
		s += fmt.Sprintf("; unknown for the instances of %s", Plural(n, "block"))
	}
	return s + "."
}

func (p *Printer) legend(groups []group, pl *plan.Plan) {
	if p.signLegend(func(s sign) bool {
		return len(pl.Removed) > 0 && s == signGone || len(kept(pl)) > 0 && s == signMoved || slices.ContainsFunc(groups, func(g group) bool { return g.sign == s })
	}) {
		p.Printf("\n")
	}
}

// signLegend explains the signs that are used, if any is.
func (p *Printer) signLegend(used func(sign) bool) bool {
	var parts []string
	for _, s := range signs() {
		if used(s) {
			parts = append(parts, p.paint(s.style, s.mark)+" "+s.meaning)
		}
	}
	if len(parts) > 0 {
		p.wrapped("", "", strings.Join(parts, "   "))
	}
	return len(parts) > 0
}

// group is one stage, several instances of one block with the same sign, or a
// block whose instances are not known yet.
type group struct {
	sign  sign
	steps []*plan.Step
	later *plan.Deferred
}

// mostInstances of one block are shown one by one.
const mostInstances = 4

func groupSteps(pl *plan.Plan, verbose bool) []group { return groupInstances(pl, verbose, verbose) }

// groupInstances groups the instances of a block, unless each is wanted, and
// leaves out what is kept, unless that is, or there is something to tell of it.
func groupInstances(pl *plan.Plan, kept, each bool) []group {
	type id struct {
		block addr.Address
		mark  string
		told  bool // kept, with a reason
	}
	var groups []group
	at := map[id]int{}
	for _, s := range pl.Steps {
		sg := signOf(s)
		told := sg == signKept && len(s.Reasons) > 0
		if sg == signKept && !kept && !told {
			continue
		}
		k := id{s.Addr.Block(), sg.mark, told}
		if i, ok := at[k]; ok {
			groups[i].steps = append(groups[i].steps, s)
			continue
		}
		at[k] = len(groups)
		groups = append(groups, group{sign: sg, steps: []*plan.Step{s}})
	}
	var out []group
	for _, g := range groups {
		if !each && len(g.steps) > mostInstances {
			out = append(out, g)
			continue
		}
		for _, s := range g.steps {
			out = append(out, group{sign: g.sign, steps: []*plan.Step{s}})
		}
	}
	return withDeferred(out, pl.Deferred)
}

// withDeferred puts each deferred block before the first stage that waits for
// it.
func withDeferred(groups []group, deferred []plan.Deferred) []group {
	for i := range deferred {
		d := &deferred[i]
		g := group{sign: signLater, later: d}
		switch {
		case len(d.Mistakes) > 0:
			g.sign = signRefused
		case d.Blocked:
			g.sign = signBlocked
		}
		at := slices.IndexFunc(groups, func(g group) bool {
			return g.later != nil && slices.Contains(g.later.Awaits, d.Addr) ||
				slices.ContainsFunc(g.steps, func(s *plan.Step) bool { return slices.Contains(s.Stage.Awaits, d.Addr) })
		})
		if at < 0 {
			at = len(groups)
		}
		groups = slices.Insert(groups, at, g)
	}
	return groups
}

func (g group) title() string {
	if g.later != nil {
		return g.later.String()
	}
	if len(g.steps) == 1 {
		return g.steps[0].Addr.String()
	}
	return fmt.Sprintf("%s (%d instances)", g.steps[0].Addr.Block(), len(g.steps))
}

// expectation says what the group costs.
func (g group) expectation() string {
	var usual time.Duration
	var bytes int64
	unknown, runs := 0, 0
	for _, s := range g.steps {
		bytes += s.RestoreBytes
		if s.Given() || s.Action != plan.Run && s.Action != plan.Defer {
			continue
		}
		runs++
		usual += s.Usual
		if s.Usual == 0 {
			unknown++
		}
	}
	switch {
	case bytes > 0:
		return plan.Bytes(bytes)
	case runs == 0:
		return ""
	case unknown == runs:
		return "time unknown"
	case unknown > 0:
		return fmt.Sprintf("usually %s, %d unknown", Duration(usual), unknown)
	}
	return "usually " + Duration(usual)
}

// entry writes what is done with a stage or a group. A single short reason
// stands beside the address.
func (p *Printer) entry(s sign, title, expect string, reasons []reason) {
	head := "  " + p.paint(s.style, s.mark) + " " + title
	if len(reasons) == 1 && len(reasons[0].files) == 0 {
		line := head + "  " + reasons[0].text
		if expect != "" {
			line += p.paint(dim, ", "+expect)
		}
		if textWidth(line) <= p.width {
			p.Printf("%s\n", line)
			return
		}
	}
	switch {
	case textWidth(head+note(expect)) <= p.width:
		p.row(head + p.paint(dim, note(expect)))
	case textWidth(strings.TrimRight(title, " "))+4 <= p.width:
		p.row(head)
		if expect != "" {
			p.wrapped("      ", "        ", p.paint(dim, expect))
		}
	default:
		p.row("  " + p.paint(s.style, s.mark) + " " + p.paint(bold, middle(ansi.Strip(strings.TrimRight(title, " ")), p.width-4)))
		if expect != "" {
			p.wrapped("      ", "        ", p.paint(dim, expect))
		}
	}
	for _, r := range reasons {
		p.wrapped("      ", "        ", r.text)
		for _, f := range r.files {
			p.row("        " + f)
		}
	}
}

func note(s string) string {
	if s == "" {
		return ""
	}
	return "  " + s
}

// reason is a plan.Reason as lines.
type reason struct {
	text  string
	files []string
}

// mostReasons of a group are shown.
const mostReasons = 3

// groupReasons returns a stage's reasons, or the commonest of a group's.
func groupReasons(g group) []reason {
	if g.later != nil {
		return []reason{{text: laterText(*g.later)}}
	}
	if len(g.steps) == 1 {
		var rs []reason
		for _, r := range g.steps[0].Reasons {
			rs = append(rs, reason{r.Text, fileLines(r)})
		}
		return rs
	}
	each := make([][]told, len(g.steps))
	for i, s := range g.steps {
		for _, r := range s.Reasons {
			each[i] = append(each[i], told{alike(r), r.Text})
		}
	}
	return commonest(each)
}

// told is what is said of one instance. What is said of others is alike if it has
// the same kind.
type told struct{ kind, text string }

// commonest returns what is said of most instances, in a few lines.
func commonest(each [][]told) []reason {
	type same struct {
		text  string // of the first
		count int
		mixed bool // the texts differ
	}
	by := map[string]*same{}
	var all []*same
	for _, one := range each {
		for _, t := range one {
			if by[t.kind] == nil {
				by[t.kind] = &same{text: t.text}
				all = append(all, by[t.kind])
			}
			by[t.kind].count++
			by[t.kind].mixed = by[t.kind].mixed || by[t.kind].text != t.text
		}
	}
	slices.SortStableFunc(all, func(a, b *same) int { return b.count - a.count })
	var rs []reason
	for i, a := range all {
		if i == mostReasons {
			rs = append(rs, reason{text: fmt.Sprintf("and %s; flow plan -v shows each instance", Plural(len(all)-i, "other reason"))})
			break
		}
		text := a.text
		switch {
		case a.mixed:
			text += fmt.Sprintf(", and %d alike", a.count-1)
		case a.count < len(each):
			text += fmt.Sprintf(" (%d of them)", a.count)
		}
		rs = append(rs, reason{text: text})
	}
	return rs
}

// laterText says why the instances of a block are not known.
func laterText(d plan.Deferred) string {
	if d.Blocked || len(d.Mistakes) > 0 {
		return d.Reason.Text
	}
	return "known after apply: " + d.Reason.Text
}

// alike is the same for reasons that say of several instances that the same
// thing changed, though to other values.
func alike(r plan.Reason) string {
	if r.Change == nil {
		return string(r.Kind) + " " + r.Text
	}
	what, _, _ := strings.Cut(r.Text, ": ")
	return fmt.Sprintf("%s %d %s %s", r.Kind, r.Change.Kind, r.Change.Name, what)
}

func fileLines(r plan.Reason) []string {
	var lines []string
	for _, f := range r.Files {
		switch {
		case f.Old.IsZero():
			lines = append(lines, fmt.Sprintf("+ %s  %s", f.Path, plan.Bytes(f.New.Size)))
		case f.New.IsZero():
			lines = append(lines, fmt.Sprintf("- %s  %s", f.Path, plan.Bytes(f.Old.Size)))
		case f.Lines != nil:
			lines = append(lines, fmt.Sprintf("~ %s  %s", f.Path, f.Lines))
		default:
			lines = append(lines, fmt.Sprintf("~ %s  %s", f.Path, sizes(f.Old.Size, f.New.Size)))
		}
	}
	if r.More > 0 {
		lines = append(lines, fmt.Sprintf("and %s", Plural(r.More, "more file")))
	}
	return lines
}

func sizes(before, after int64) string {
	if before == after {
		return "still " + plan.Bytes(after)
	}
	return plan.Bytes(before) + " → " + plan.Bytes(after)
}
