package command

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/spf13/cobra"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/internal/view"
)

func testShell(t *testing.T) (*Shell, *bytes.Buffer, *bytes.Buffer) {
	var out, errs bytes.Buffer
	return &Shell{
		Streams: &view.Streams{In: strings.NewReader(""), Out: &out, Err: &errs},
		Dir:     t.TempDir(), Types: func() []stage.Type { return nil },
		Clock: func() time.Time { return time.Date(2026, 11, 24, 16, 0, 0, 0, time.UTC) },
	}, &out, &errs
}

// parse runs a command of its own with arguments.
func parse(t *testing.T, cmd *cobra.Command, args ...string) error {
	t.Helper()
	cmd.SetArgs(args)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetFlagErrorFunc(flagError)
	return cmd.ExecuteContext(context.Background())
}

func TestApplyReadsItsArguments(t *testing.T) {
	sh, _, _ := testShell(t)
	var got *ApplyOptions
	cmd := newApply(sh, func(_ context.Context, o *ApplyOptions) error { got = o; return nil })
	err := parse(t, cmd, "--var", "a=1", "--var=password=hush,hush", "--var-file", "x.hclvars", "--target", "train.mlp", "--rerun", `train.mlp["a"]`, "-j", "3", "-k", "-y", "--progress", "plain")
	if err != nil {
		t.Fatal(err)
	}
	want := &ApplyOptions{
		Variables:      Variables{Vars: []string{"a=1", "password=hush,hush"}, VarFiles: []string{"x.hclvars"}},
		SelectionFlags: SelectionFlags{Targets: []string{"train.mlp"}, Rerun: []string{`train.mlp["a"]`}},
		Jobs:           3, KeepGoing: true, Yes: true, Progress: "plain",
	}
	if diff := cmp.Diff(got, want, cmpopts.IgnoreFields(ApplyOptions{}, "Shell", "Command")); diff != "" {
		t.Error(diff)
	}
	if words := strings.Join(got.Command, " "); strings.Contains(words, "hush") || !strings.Contains(words, `--jobs=3 --keep-going --yes`) && !strings.Contains(words, `--rerun=train.mlp["a"]`) {
		t.Errorf("the record of the command is %q; want the flags without values of variables", words)
	}
}

func TestPlanReadsItsArguments(t *testing.T) {
	sh, _, _ := testShell(t)
	var got *PlanOptions
	cmd := newPlan(sh, func(_ context.Context, o *PlanOptions) error { got = o; return nil })
	if err := parse(t, cmd, "-v", "--json", "--detailed-exitcode", "--target", "a.b", "--target", "c.d"); err != nil {
		t.Fatal(err)
	}
	want := &PlanOptions{SelectionFlags: SelectionFlags{Targets: []string{"a.b", "c.d"}}, JSON: true, Verbose: true, DetailedExit: true}
	if diff := cmp.Diff(got, want, cmpopts.IgnoreFields(PlanOptions{}, "Shell")); diff != "" {
		t.Error(diff)
	}
}

func TestDiffReadsRevisions(t *testing.T) {
	for _, c := range []struct {
		args     []string
		from, to string
	}{
		{nil, "HEAD", ""},
		{[]string{"v1"}, "v1", ""},
		{[]string{"v1", "v2"}, "v1", "v2"},
		{[]string{"v1..v2"}, "v1", "v2"},
		{[]string{"v1.."}, "v1", "HEAD"},
		{[]string{"..v2"}, "HEAD", "v2"},
	} {
		from, to := revisions(c.args)
		if from != c.from || to != c.to {
			t.Errorf("%v: got %q and %q, want %q and %q", c.args, from, to, c.from, c.to)
		}
	}
}

func TestOnlyYesIsYes(t *testing.T) {
	for answer, want := range map[string]bool{"y\n": true, "YES\n": true, " yes ": true, "n\n": false, "\n": false, "": false, "yesterday\n": false} {
		sh, _, errs := testShell(t)
		sh.Streams.In = strings.NewReader(answer)
		got, err := sh.ask(context.Background(), "Go on?")
		if err != nil || got != want {
			t.Errorf("%q: got %v, %v; want %v", answer, got, err, want)
		}
		if errs.String() != "Go on? [y/N] " {
			t.Errorf("got the question %q", errs.String())
		}
	}
}

func TestAnInterruptEndsAQuestion(t *testing.T) {
	sh, _, _ := testShell(t)
	sh.Streams.In = silent{}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := sh.ask(ctx, "Go on?"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

// silent is a terminal at which nobody types.
type silent struct{}

func (silent) Read([]byte) (int, error) { select {} }

func TestEveryCommandHasHelpThatFits(t *testing.T) {
	sh, _, _ := testShell(t)
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Name() == "completion" || c.Name() == "help" || c.Hidden {
			return
		}
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: the short help %q is empty or ends in a full stop", c.CommandPath(), c.Short)
		}
		for _, line := range strings.Split(c.Example, "\n") {
			if line != "" && !strings.HasPrefix(line, "  ") {
				t.Errorf("%s: the example %q is not indented", c.CommandPath(), line)
			}
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(newRoot(sh))
}
