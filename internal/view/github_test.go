package view

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/flow-pipelines/flow/engine"
	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/event"
)

func TestGitHubSummary(t *testing.T) {
	var b bytes.Buffer
	g := newGitHub(options(&b, ProgressGitHub))
	g.Plan(storyPlan(t))
	for _, e := range story(t) {
		g.Event(e)
	}
	g.Close()
	outs := []config.Output{
		{Name: "f1", Value: cty.NumberFloatVal(0.97)},
		{Name: "pipe", Value: cty.StringVal("a|b`c")},
		{Name: "token", Value: cty.StringVal("hush"), Sensitive: true},
	}
	failed := &engine.Report{Run: "r", Plan: storyPlan(t), Failed: []addr.Address{at(t, "exec.bad")}, Counts: map[string]int{"ran": 1, "failed": 1, "kept": 3}, Elapsed: 11 * time.Second}
	well := &engine.Report{Run: "r", Plan: storyPlan(t), Counts: map[string]int{"ran": 2}, Elapsed: 11 * time.Second}
	golden(t, "github-summary.md", []byte(g.Summary(failed, outs)+"\n---\n\n"+g.Summary(well, outs)+"\n---\n\n"+PlanMarkdown(everyAction(t))))
}

func TestGitHubGroupsWhatAStagePrints(t *testing.T) {
	var b bytes.Buffer
	g := newGitHub(options(&b, ProgressGitHub))
	a, other := at(t, "exec.a"), at(t, "exec.b")
	for _, e := range []event.Event{
		{Kind: event.Started, Addr: a, Action: "run"},
		{Kind: event.Started, Addr: other, Action: "run"},
		{Kind: event.Log, Addr: a, Text: "::error::not a command"},
		{Kind: event.Log, Addr: other, Text: "of another"},
		{Kind: event.Log, Addr: a, Text: "nor ##[error]this"},
		{Kind: event.Warning, Text: "::add-mask::x"},
		{Kind: event.Done, Addr: a, Action: "ran", Elapsed: 1},
		{Kind: event.Done, Addr: other, Action: "ran", Elapsed: 2},
	} {
		g.Event(e)
	}
	g.Close()
	want := `exec.a> started
exec.b> started
warning: ::add-mask::x
::warning title=flow::::add-mask::x
::group::exec.a> done in 1s
│ ::error::not a command
│ nor ## [error]this
::endgroup::
::group::exec.b> done in 2s
│ of another
::endgroup::
`
	if got := strings.ReplaceAll(b.String(), "1.0s", "1s"); strings.ReplaceAll(got, "2.0s", "2s") != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestGroupsOfEndlessLogsAreCut(t *testing.T) {
	var b bytes.Buffer
	g := newGitHub(options(&b, ProgressGitHub))
	a := at(t, "exec.a")
	for i := range 3*longestFold + 7 {
		g.Event(event.Event{Kind: event.Log, Addr: a, Text: itoa(i)})
	}
	g.Event(event.Event{Kind: event.Done, Addr: a, Action: "ran"})
	g.Close()
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != longestFold+3 || lines[1] != "… "+itoa(2*longestFold+7)+" lines before" || lines[2] != "│ "+itoa(2*longestFold+7) {
		t.Errorf("got %d lines: %q", len(lines), lines[:3])
	}
}

func TestMuzzleBreaksCommands(t *testing.T) {
	for in, want := range map[string]string{
		"plain\n":                 "plain\n",
		"::set-env::x\n":          ": :set-env::x\n",
		"a\n  ::stop\nb::c\n":     "a\n  : :stop\nb::c\n",
		"x ##[add-mask]y ##[z]\n": "x ## [add-mask]y ## [z]\n",
	} {
		var b bytes.Buffer
		if _, err := (muzzle{&b}).Write([]byte(in)); err != nil || b.String() != want {
			t.Errorf("%q: got %q, want %q", in, b.String(), want)
		}
	}
}

func TestAnnotationsNameThePlaceInTheRepository(t *testing.T) {
	where := &hcl.Range{Filename: "train.hcl", Start: hcl.Pos{Line: 3, Column: 2}, End: hcl.Pos{Line: 4, Column: 1}}
	environ := []string{"GITHUB_WORKSPACE=/home/ci/repo"}
	for _, tt := range []struct {
		dir  string
		at   *hcl.Range
		want string
	}{
		{"/home/ci/repo/ml, 1", where, "::error file=ml%2C 1/train.hcl,line=3,endLine=4,col=2,title=a%3A b::50%25%0Anext\n"},
		{"/home/ci/repo", where, "::error file=train.hcl,line=3,endLine=4,col=2,title=a%3A b::50%25%0Anext\n"},
		{"/elsewhere", where, "::error file=train.hcl,line=3,endLine=4,col=2,title=a%3A b::50%25%0Anext\n"},
		{"/home/ci/repo", nil, "::error title=a%3A b::50%25%0Anext\n"},
		{"/home/ci/repo", &hcl.Range{Filename: "<--var x>"}, "::error title=a%3A b::50%25%0Anext\n"},
	} {
		if got := newPlaces(environ, tt.dir).annotation("error", "a: b", "50%\nnext", tt.at); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.dir, got, tt.want)
		}
	}
}

func TestSummaryKeepsToItsLimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "summary.md")
	long := strings.Repeat("| a row of a table |\n", mostSummary/21-10)
	for range 3 {
		if err := AppendSummary(path, long); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) > mostSummary || len(got) < mostSummary-100 || !strings.HasSuffix(string(got), "cut: the summary is as long as it may be.\n") {
		t.Errorf("got %d bytes that end in %q", len(got), got[len(got)-60:])
	}
}
