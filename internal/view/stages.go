package view

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/flow-pipelines/flow/engine"
	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/event"
	"github.com/flow-pipelines/flow/engine/key"
	"github.com/flow-pipelines/flow/engine/lock"
	"github.com/flow-pipelines/flow/engine/plan"
	"github.com/flow-pipelines/flow/engine/runs"
	"github.com/flow-pipelines/flow/engine/stage"
)

// Live is the applies that are going on in other processes, and the stages that
// they have at work.
type Live struct {
	Runs   []*runs.Past
	Stages map[addr.Address]bool
	// Failed are the stages that failed when they last ran; Now says how long
	// ago that is.
	Failed map[addr.Address]event.Event
	Now    time.Time
}

// failure says of a group of stages that they failed, "" if none did.
func (l Live) failure(g group) string {
	var last event.Event
	n := 0
	for _, s := range g.steps {
		if e, ok := l.Failed[s.Addr]; ok {
			if n++; e.Time.After(last.Time) {
				last = e
			}
		}
	}
	if n == 0 {
		return ""
	}
	which := "failed"
	if len(g.steps) > 1 {
		which = fmt.Sprintf("%d failed, the last", n)
	}
	return fmt.Sprintf("%s %s ago: %s, flow logs %s", which, Duration(l.Now.Sub(last.Time)), strings.TrimSuffix(last.Text, "."), ShellQuote(last.Addr.String()))
}

// Status writes a line a stage: its state, and the metrics that flow.lock has.
// Many instances of a block in one state are one line, unless verbose.
func (p *Printer) Status(pl *plan.Plan, locked *lock.Lock, live Live, verbose bool) {
	p.live(live.Runs)
	var t table
	for _, g := range statusGroups(pl, live, verbose) {
		if g.later != nil {
			state := "not known"
			switch {
			case len(g.later.Mistakes) > 0:
				state = "failing"
			case g.later.Blocked:
				state = "blocked"
			}
			t.row(p.paint(g.sign.style, g.sign.mark)+" "+g.title(), p.paint(g.sign.style, state), g.later.Reason.Text)
			continue
		}
		s, state := g.steps[0], stateOf(g.steps[0], live)
		sg := g.sign
		text := ""
		if state == stateRunning {
			sg = sign{mark: "▸", style: cyan}
		} else if len(s.Reasons) > 0 {
			reasons := groupReasons(g)
			text = reasons[0].text
			if s.Action == plan.Restore && s.Reasons[0].Kind != plan.MissingOutput && len(reasons) > 1 {
				text += "; " + reasons[1].text // that it is known
			}
			if failed := live.failure(g); failed != "" {
				text = p.paint(red, failed) + "; " + text
			}
		} else if ls := locked.Get(s.Addr); ls != nil && len(g.steps) == 1 {
			text = metricsLine(ls.Metrics, 4)
		}
		t.row(p.paint(sg.style, sg.mark)+" "+g.title(), p.paint(sg.style, state), text)
	}
	var gone []instance
	for _, a := range pl.Removed {
		is := told{"gone", "no longer in the pipeline"}
		for _, u := range pl.Unmanaged {
			if u.Addr == a {
				is.kind, is.text = "unmanaged", is.text+"; "+u.Text()
			}
		}
		gone = append(gone, instance{a, []told{is}})
	}
	for _, l := range lines(signGone, gone, verbose) {
		t.row(p.paint(l.sign.style, l.sign.mark)+" "+l.title, p.paint(l.sign.style, "gone"), l.reasons[0].text)
	}
	t.print(p)
}

// statusGroups groups as a plan does, but for the stages that are running.
func statusGroups(pl *plan.Plan, live Live, verbose bool) []group {
	part := *pl
	part.Steps = nil
	var running []group
	for _, s := range pl.Steps {
		if live.Stages[s.Addr] {
			running = append(running, group{sign: signOf(s), steps: []*plan.Step{s}})
			continue
		}
		part.Steps = append(part.Steps, s)
	}
	return append(running, groupInstances(&part, true, verbose)...)
}

const stateRunning = "running"

func stateOf(s *plan.Step, live Live) string {
	if live.Stages[s.Addr] {
		return stateRunning
	}
	switch signOf(s) {
	case signKept:
		return "ok"
	case signRestore:
		if slices.ContainsFunc(s.Reasons, func(r plan.Reason) bool { return r.Kind == plan.MissingOutput }) {
			return "missing"
		}
		return "cached" // another result lies there, or none ever has
	case signMaybe:
		return "may change"
	case signBlocked:
		return "blocked"
	case signFails, signUnfit:
		return "failing"
	case signNew:
		return "new"
	}
	return "changed"
}

func (p *Printer) live(rs []*runs.Past) {
	for _, r := range rs {
		p.wrapped("", "  ", p.paint(bold, "An apply is running")+": "+r.ID+", process "+itoa(r.PID)+", since "+r.Started.Local().Format("15:04:05")+". Its lines: flow logs -f")
	}
	if len(rs) > 0 {
		p.Printf("\n")
	}
}

// failureJSON is how a stage failed.
type failureJSON struct {
	Time    time.Time `json:"time"`
	Reason  string    `json:"reason"`
	Exit    int       `json:"exit,omitempty"`
	LogPath string    `json:"log_path,omitempty"`
}

// statusJSON is the document of `flow status --json`.
type statusJSON struct {
	FormatVersion string            `json:"format_version"`
	Running       []string          `json:"running"`
	Stages        []statusStageJSON `json:"stages"`
	// Later are the blocks whose instances are known after apply.
	Later   []laterJSON    `json:"known_after_apply"`
	Removed []addr.Address `json:"removed"`
}

type statusStageJSON struct {
	Address addr.Address  `json:"address"`
	State   string        `json:"state"`
	Action  plan.Action   `json:"action"`
	Reasons []string      `json:"reasons"`
	Metrics stage.Metrics `json:"metrics,omitempty"`
	// Failure is how it ended when it last ran, if it failed.
	Failure *failureJSON `json:"failure,omitempty"`
}

// StatusJSON writes the same for programs.
func StatusJSON(w io.Writer, pl *plan.Plan, locked *lock.Lock, live Live) error {
	doc := statusJSON{FormatVersion, []string{}, []statusStageJSON{}, laterToJSON(pl.Deferred), list(pl.Removed)}
	for _, r := range live.Runs {
		doc.Running = append(doc.Running, r.ID)
	}
	for _, s := range pl.Steps {
		j := statusStageJSON{Address: s.Addr, State: stateOf(s, live), Action: s.Action, Reasons: []string{}}
		for _, r := range s.Reasons {
			j.Reasons = append(j.Reasons, r.Text)
		}
		if ls := locked.Get(s.Addr); ls != nil {
			j.Metrics = ls.Metrics
		}
		if e, ok := live.Failed[s.Addr]; ok {
			j.Failure = &failureJSON{e.Time, e.Text, e.Exit, e.LogPath}
		}
		doc.Stages = append(doc.Stages, j)
	}
	return writeJSON(w, doc)
}

// Recorded writes one line for each stage in flow.lock.
func (p *Printer) Recorded(stages []*lock.Stage) {
	var t table
	for _, s := range stages {
		var size int64
		for _, r := range s.Results {
			size += r.Node.Size
		}
		t.row(s.Addr.String(), p.paint(dim, s.Key.Short()), plan.Bytes(size), metricsLine(s.Metrics, 4))
	}
	t.print(p)
}

// RecordedStage writes all that flow.lock has of one stage.
func (p *Printer) RecordedStage(s *lock.Stage) {
	p.Printf("%s\n", p.paint(bold, s.Addr.String()))
	p.Printf("  key  %s\n", s.Key)
	p.facts("made from", s.Manifest, func(k key.Kind) bool { return k != key.Output && k != key.MetricsFile })
	if len(s.Results) > 0 {
		p.Printf("\n  outputs\n")
		t := table{indent: "    "}
		for _, r := range s.Results {
			t.row(r.Name, r.Path, nodeText(r.Node), p.paint(dim, r.Node.Digest.Short()))
		}
		t.print(p)
	}
	leaves, err := lock.Flatten(s.Metrics)
	if err != nil || len(leaves) == 0 {
		return
	}
	p.Printf("\n  metrics\n")
	t := table{indent: "    "}
	for _, l := range leaves {
		t.row(l.Path, leafText(l.Value))
	}
	t.print(p)
}

func (p *Printer) facts(title string, m key.Manifest, want func(key.Kind) bool) {
	t := table{indent: "    "}
	for _, f := range m {
		if !want(f.Kind) {
			continue
		}
		value := plan.Shorten(f.Value)
		switch f.Kind {
		case key.Input:
			n := inputNode(f.Value)
			value = nodeText(n) + "  " + p.paint(dim, n.Digest.Short())
		case key.TypeFact:
			value = "version " + value
		}
		t.row(f.Kind.String(), f.Name, value)
	}
	if len(t.rows) > 0 {
		p.Printf("\n  %s\n", title)
		t.print(p)
	}
}

type recordedJSON struct {
	Address  addr.Address  `json:"address"`
	Key      string        `json:"key"`
	Manifest []factJSON    `json:"manifest"`
	Results  []resultJSON  `json:"results"`
	Metrics  stage.Metrics `json:"metrics,omitempty"`
}

type factJSON struct {
	Kind  string `json:"kind"`
	Name  string `json:"name,omitempty"`
	Value string `json:"value"`
}

// showJSON is the document of `flow show --json`.
type showJSON struct {
	FormatVersion string         `json:"format_version"`
	Stages        []recordedJSON `json:"stages"`
}

// RecordedJSON writes stages as flow.lock has them.
func RecordedJSON(w io.Writer, stages []*lock.Stage) error {
	doc := showJSON{FormatVersion, []recordedJSON{}}
	for _, s := range stages {
		j := recordedJSON{Address: s.Addr, Key: s.Key.String(), Manifest: []factJSON{}, Results: resultsToJSON(s.Results), Metrics: s.Metrics}
		for _, f := range s.Manifest {
			j.Manifest = append(j.Manifest, factJSON{f.Kind.String(), f.Name, f.Value})
		}
		doc.Stages = append(doc.Stages, j)
	}
	return writeJSON(w, doc)
}

// Runs writes a line for each run, newest first.
func (p *Printer) Runs(rs []*runs.Past) {
	var t table
	for _, r := range rs {
		took := ""
		if !r.Ended.IsZero() {
			took = Duration(r.Ended.Sub(r.Started))
		}
		t.row(r.ID, r.Started.Local().Format("2006-01-02 15:04"), took, p.paint(statusStyle(r.Status), string(r.Status)), countsText(r.Counts))
	}
	t.print(p)
}

func statusStyle(s runs.Status) string {
	switch s {
	case runs.Succeeded:
		return green
	case runs.Failed, runs.Interrupted:
		return red
	case runs.Running:
		return cyan
	case runs.Cancelled:
	}
	return yellow
}

// Run writes all that is recorded of a run.
func (p *Printer) Run(r *runs.Past, dir string, jobs []event.Event, logs []string) {
	t := table{}
	t.row("run", p.paint(bold, r.ID))
	t.row("status", p.paint(statusStyle(r.Status), string(r.Status)))
	t.row("command", shellLine(r.Command))
	t.row("started", r.Started.Local().Format("2006-01-02 15:04:05"))
	if !r.Ended.IsZero() {
		t.row("took", Duration(r.Ended.Sub(r.Started)))
	}
	if r.Commit != "" {
		commit := r.Commit
		if r.Dirty {
			commit += ", with changes"
		}
		t.row("commit", commit)
	}
	t.row("machine", r.Host)
	t.row("flow", r.Flow)
	if c := countsText(r.Counts); c != "" {
		t.row("stages", c)
	}
	t.row("files", dir)
	t.print(p)
	p.jobs(jobs)
	if len(logs) > 0 {
		p.Printf("\nlogs\n")
		for _, l := range logs {
			p.Printf("  %s\n", l)
		}
	}
}

// runsJSON is the document of `flow runs list --json`.
type runsJSON struct {
	FormatVersion string        `json:"format_version"`
	Runs          []runs.Record `json:"runs"`
}

// RunsJSON writes the records of runs.
func RunsJSON(w io.Writer, rs []*runs.Past) error {
	doc := runsJSON{FormatVersion, []runs.Record{}}
	for _, r := range rs {
		doc.Runs = append(doc.Runs, r.Record)
	}
	return writeJSON(w, doc)
}

// RunJSON writes the record of one run. jobs are the events of their ends.
func RunJSON(w io.Writer, r *runs.Past, jobs []event.Event) error {
	type job struct {
		Stage   addr.Address `json:"stage"`
		Result  string       `json:"result"`
		Elapsed float64      `json:"elapsed"`
		*event.Usage
	}
	doc := struct {
		runs.Record
		Jobs []job `json:"jobs"`
	}{r.Record, []job{}}
	for _, e := range jobs {
		doc.Jobs = append(doc.Jobs, job{e.Addr, jobResult(e), e.Elapsed, e.Usage})
	}
	return writeJSON(w, doc)
}

// checkoutJSON is the document of `flow checkout --json`.
type checkoutJSON struct {
	FormatVersion string            `json:"format_version"`
	Restored      []string          `json:"restored"`
	Kept          int               `json:"kept"`
	Edited        []string          `json:"edited"`
	Missing       []string          `json:"missing"`
	Trashed       map[string]string `json:"trashed"`
	Strays        []engine.Stray    `json:"strays"`
}

// CheckoutJSON writes what a checkout did.
func CheckoutJSON(w io.Writer, rep *engine.CheckoutReport) error {
	return writeJSON(w, checkoutJSON{FormatVersion, list(rep.Restored), rep.Kept, list(rep.Edited), list(rep.Missing), rep.Trashed, list(rep.Strays)})
}
