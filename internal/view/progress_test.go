package view

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/hashicorp/hcl/v2"

	"github.com/flow-pipelines/flow/engine/event"
	"github.com/flow-pipelines/flow/engine/plan"
)

func stripped(s string) string { return ansi.Strip(s) }

var began = time.Date(2026, 11, 24, 16, 0, 0, 0, time.UTC)

// story is an apply in which a stage is retried, one fails and one is skipped.
func story(t testing.TB) []event.Event {
	after := func(seconds float64, e event.Event) event.Event {
		e.Time = began.Add(time.Duration(seconds * float64(time.Second)))
		return e
	}
	prep, mlp, bad, next := at(t, "exec.prep"), at(t, `train.mlp["wide"]`), at(t, "exec.bad"), at(t, "exec.next")
	return []event.Event{
		after(0, event.Event{Kind: event.RunStarted, Run: "20261124-160000-abcd", Total: 4}),
		after(0, event.Event{Kind: event.Started, Addr: prep, Action: "restore"}),
		after(0.1, event.Event{Kind: event.Done, Addr: prep, Action: "restored", Elapsed: 0.1}),
		after(0.1, event.Event{Kind: event.Started, Addr: mlp, Action: "run", Usual: 12}),
		after(0.1, event.Event{Kind: event.Started, Addr: bad, Action: "run"}),
		after(1, event.Event{Kind: event.Progress, Addr: mlp, Step: 3, Total: 60, Unit: "epoch", Metrics: map[string]float64{"loss": 0.34567, "validation.f1": 0.9}}),
		after(1.5, event.Event{Kind: event.Log, Addr: bad, Text: "reading\r50%\r\x1b[31mhalf\x1b[0m\tway"}),
		after(2, event.Event{Kind: event.Retrying, Addr: bad, Attempt: 2, Text: "exit status 75", Elapsed: 1.9}),
		after(2.5, event.Event{Kind: event.Warning, Addr: mlp, Text: "the cache is damaged"}),
		after(3, event.Event{
			Kind: event.Failed, Addr: bad, Elapsed: 2.9, Text: "exit status 3", Exit: 3, LogTail: []string{"one", "\x1b[1mtwo"},
			LogPath: ".flow/runs/20261124-160000-abcd/logs/exec.bad.log",
			Hints:   []string{"data/x.csv is in the project, but not declared. Add to its block:\n  inputs = [\"data/x.csv\"]"},
		}),
		after(3, event.Event{Kind: event.Skipped, Addr: next, Text: "exec.bad failed"}),
		after(11, event.Event{Kind: event.Done, Addr: mlp, Action: "ran", Elapsed: 10.9, Metrics: map[string]float64{"f1": 0.971, "loss": 0.1}}),
		after(11, event.Event{Kind: event.RunFinished, Text: "failed", Elapsed: 11, Counts: map[string]int{"ran": 1, "restored": 1, "failed": 1, "skipped": 1, "kept": 3}}),
	}
}

func storyPlan(t testing.TB) *plan.Plan {
	mlp := step(t, `train.mlp["wide"]`, plan.Run, []string{"exec.prep"}, plan.Reason{Kind: plan.FirstTime, Text: "first time"})
	mlp.Usual = 12 * time.Second
	return &plan.Plan{Steps: []*plan.Step{
		step(t, "exec.prep", plan.Restore, nil, plan.Reason{Kind: plan.MissingOutput, Text: "out/prep is missing"}), mlp,
		step(t, "exec.kept", plan.Keep, nil),
	}}
}

func options(b *bytes.Buffer, kind string) ProgressOptions {
	return ProgressOptions{
		Kind: kind, Streams: &Streams{Out: b, Err: b, Columns: 80}, Clock: func() time.Time { return began.Add(4 * time.Second) }, Version: "0.1.0",
	}
}

func TestProgressTellsTheStory(t *testing.T) {
	for _, kind := range []string{ProgressPlain, ProgressQuiet, ProgressJSON, ProgressGitHub} {
		t.Run(kind, func(t *testing.T) {
			var b bytes.Buffer
			p, err := NewProgress(options(&b, kind))
			if err != nil {
				t.Fatal(err)
			}
			p.Plan(storyPlan(t))
			for _, e := range story(t) {
				p.Event(e)
			}
			p.Close()
			golden(t, "progress-"+kind+".txt", b.Bytes())
		})
	}
}

func TestProgressOnATerminal(t *testing.T) {
	var b bytes.Buffer
	o := options(&b, ProgressTTY)
	o.Streams.Size = func() (int, int) { return 60, 24 }
	v := newTTY(o)
	v.Plan(storyPlan(t))
	var frames strings.Builder
	frame := func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.frame = 0
		frames.WriteString(v.pending.String() + strings.Join(v.lines(began.Add(4*time.Second), 60, 24), "\n") + "\n\n")
	}
	events := story(t)
	for _, e := range events[:8] {
		v.Event(e)
	}
	frame()
	v.Interrupting()
	frame()
	for _, e := range events[8:] {
		v.Event(e)
	}
	v.Close()
	golden(t, "progress-tty.txt", []byte(frames.String()))
	all := b.String()
	if !strings.HasSuffix(all, showCursor) {
		t.Errorf("the cursor is not shown at the end: %q", all[max(0, len(all)-40):])
	}
	if i := strings.LastIndex(all, "done in 11s: f1 0.971"); i < 0 || strings.Contains(all[i:], "running") {
		t.Errorf("something live is left at the end: %q", all)
	}
}

func TestLiveLinesFitTheTerminal(t *testing.T) {
	var b bytes.Buffer
	v := newTTY(options(&b, ProgressTTY))
	defer v.Close()
	v.Event(event.Event{Kind: event.RunStarted, Time: began})
	for i := range 50 {
		a := at(t, "exec.shard["+itoa(i)+"]")
		v.Event(event.Event{Kind: event.Started, Time: began, Addr: a})
		v.Event(event.Event{Kind: event.Log, Time: began, Addr: a, Text: strings.Repeat("長い ", 60)})
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, size := range [][2]int{{80, 24}, {40, 10}, {20, 5}, {200, 0}} {
		lines := v.lines(began, size[0], size[1])
		if size[1] > 0 && len(lines) >= size[1] {
			t.Errorf("got %d lines in a terminal of %d", len(lines), size[1])
		}
		for _, l := range lines {
			if w := textWidth(l); w >= size[0] {
				t.Errorf("got a line of %d columns in a terminal of %d: %s", w, size[0], l)
			}
		}
	}
}

func TestPlainProgressSaysThatAStageStillRuns(t *testing.T) {
	var b bytes.Buffer
	v := newPlain(options(&b, ProgressPlain), false)
	for _, e := range story(t)[:6] {
		v.Event(e)
	}
	b.Reset()
	v.mu.Lock()
	v.stillRunning(began.Add(20 * time.Second))
	v.stillRunning(began.Add(40 * time.Second))
	v.stillRunning(began.Add(50 * time.Second))
	v.mu.Unlock()
	v.Close()
	want := "train.mlp[\"wide\"]> still running, 40s of usually 12s, epoch 3/60, validation.f1 0.9, loss 0.34567\nexec.bad> still running, 40s\n"
	if b.String() != want {
		t.Errorf("got %s, want %s", b.String(), want)
	}
}

func TestProgressKindFollowsTheTerminal(t *testing.T) {
	for _, c := range []struct {
		tty     bool
		environ []string
		want    string
	}{
		{true, nil, "*view.tty"},
		{true, []string{"CI=true"}, "*view.plain"},
		{true, []string{"TERM=dumb"}, "*view.plain"},
		{false, nil, "*view.plain"},
		{false, []string{"CI=true", "GITHUB_ACTIONS=true"}, "*view.github"},
	} {
		var b bytes.Buffer
		o := options(&b, "")
		o.Streams.ErrTTY, o.Environ = c.tty, c.environ
		p, err := NewProgress(o)
		if err != nil {
			t.Fatal(err)
		}
		p.Close()
		if got := typeString(p); got != c.want {
			t.Errorf("terminal %v, %v: got %s, want %s", c.tty, c.environ, got, c.want)
		}
	}
	if _, err := NewProgress(options(nil, "fancy")); err == nil {
		t.Error("an unknown kind is accepted")
	}
}

func typeString(p Progress) string {
	switch p.(type) {
	case *tty:
		return "*view.tty"
	case *github:
		return "*view.github"
	case *plain:
		return "*view.plain"
	}
	return "*view.stream"
}

func TestDiagnosticsShowPlaceSourceCauseAndStep(t *testing.T) {
	src := "train \"mlp\" {\n\tepoch = 20\n  model {\n  }\n}\n"
	files := map[string]*hcl.File{"pipeline.hcl": {Bytes: []byte(src)}}
	diags := hcl.Diagnostics{
		{
			Severity: hcl.DiagError, Summary: "Unsupported argument", Detail: `train has no argument epoch. Did you mean "epochs"?`,
			Subject: &hcl.Range{Filename: "pipeline.hcl", Start: hcl.Pos{Line: 2, Column: 2, Byte: 15}, End: hcl.Pos{Line: 2, Column: 7, Byte: 20}},
		},
		{
			Severity: hcl.DiagWarning, Summary: "Two lines", Detail: "First paragraph, which is long enough to be broken somewhere before its end, surely.\n\n  command = [\"sh\"]\n\nLast.",
			Subject: &hcl.Range{Filename: "pipeline.hcl", Start: hcl.Pos{Line: 3, Column: 3}, End: hcl.Pos{Line: 4, Column: 4}},
		},
		{Severity: hcl.DiagError, Summary: "Nowhere"},
	}
	golden(t, "diagnostics.txt", print(60, func(p *Printer) { p.Diagnostics(diags, files) }))
	var b bytes.Buffer
	if err := DiagnosticsJSON(&b, diags, files); err != nil {
		t.Fatal(err)
	}
	golden(t, "diagnostics.json", b.Bytes())
}

func TestAnInterruptedStageWasRunning(t *testing.T) {
	running, waiting := at(t, "exec.running"), at(t, "exec.waiting")
	for _, kind := range []string{ProgressPlain, ProgressTTY} {
		var b bytes.Buffer
		p, err := NewProgress(options(&b, kind))
		if err != nil {
			t.Fatal(err)
		}
		p.Event(event.Event{Kind: event.RunStarted, Time: began})
		p.Event(event.Event{Kind: event.Started, Time: began, Addr: running})
		p.Event(event.Event{Kind: event.Skipped, Time: began, Addr: running, Text: "interrupted"})
		p.Event(event.Event{Kind: event.Skipped, Time: began, Addr: waiting, Text: "interrupted"})
		p.Close()
		got := strings.ReplaceAll(stripped(b.String()), "exec.running>", "exec.running ")
		if !strings.Contains(got, "exec.running  interrupted\n") || !strings.Contains(got, "not run: interrupted") {
			t.Errorf("%s: got %q", kind, got)
		}
	}
}

func TestTheSecondInterruptLeavesNoLiveRows(t *testing.T) {
	var b bytes.Buffer
	v := newTTY(options(&b, ProgressTTY))
	v.Event(event.Event{Kind: event.RunStarted, Time: began})
	v.Event(event.Event{Kind: event.Started, Time: began, Addr: at(t, "exec.slow")})
	v.mu.Lock()
	v.draw()
	v.mu.Unlock()
	v.Interrupting()
	b.Reset()
	v.Killed()
	got := b.String()
	if i := strings.Index(got, eraseBelow); i < 0 || !strings.HasSuffix(got, killedText+"\n"+showCursor) || strings.Contains(got[i:], "exec.slow") {
		t.Errorf("got %q, want the rows gone and %q", got, killedText)
	}
	b.Reset()
	v.Event(event.Event{Kind: event.Log, Time: began, Addr: at(t, "exec.slow"), Text: "late"})
	v.Close()
	if b.Len() > 0 {
		t.Errorf("after the last word: got %q", b.String())
	}
}

// A failure at the beginning of a large pipeline does not scroll away, and names
// are told apart on a narrow terminal.
func TestProgressOfALargePipeline(t *testing.T) {
	for _, kind := range []string{ProgressPlain, ProgressTTY} {
		var b bytes.Buffer
		o := options(&b, kind)
		o.Streams.Size = func() (int, int) { return 40, 10 }
		o.Streams.ErrTTY = true
		p, err := NewProgress(o)
		if err != nil {
			t.Fatal(err)
		}
		p.Event(event.Event{Time: began, Kind: event.RunStarted})
		first := at(t, "exec.a_stage_with_a_rather_long_name_0001")
		p.Event(event.Event{Time: began, Kind: event.Started, Addr: first})
		p.Event(event.Event{Time: began, Kind: event.Done, Addr: first, Action: "ran", Elapsed: 0.0112})
		for i := range 1000 {
			p.Event(event.Event{Time: began, Kind: event.Skipped, Addr: at(t, "exec.shard["+itoa(i)+"]"), Text: "exec.bad failed"})
		}
		p.Event(event.Event{Time: began, Kind: event.RunFinished})
		p.Close()
		out := strings.NewReplacer(eraseBelow, "", hideCursor, "", showCursor, "", "\r", "").Replace(b.String())
		golden(t, "progress-large-"+kind+".txt", []byte(out))
	}
}
