package host_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/plugins/host"
)

// judge is the stage type of the plugin judging, and what counts its starts.
func judge(t *testing.T, patience time.Duration) (check func(how string) (stage.Heads, error), dismiss func(), starts func() int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "starts")
	h := &host.Host{Environ: append(environ(t), "FLOW_TEST_STARTS="+file), Patience: patience}
	_, types, err := h.Find("judging")
	if err != nil {
		t.Fatal(err)
	}
	a := types[0].(stage.Attendant)
	t.Cleanup(func() {
		a.Dismiss()
		endDaemon(t, file+".daemon")
	})
	check = func(how string) (stage.Heads, error) {
		args, err := json.Marshal(map[string]string{"how": how})
		if err != nil {
			t.Fatal(err)
		}
		return a.Inspect(&stage.Inspection{Args: args})
	}
	return check, a.Dismiss, func() int {
		b, _ := os.ReadFile(file)
		return strings.Count(string(b), "check\n")
	}
}

func TestOneProcessChecksAllStages(t *testing.T) {
	t.Parallel()
	check, dismiss, starts := judge(t, 0)
	for range 20 {
		heads, err := check("right")
		if err != nil || len(heads["out"]) != 1 {
			t.Fatalf("got %v, %v", heads, err)
		}
		_, err = check("problem")
		if ps := stage.ProblemsIn(err); len(ps) != 1 || ps[0].Path != "how" {
			t.Fatalf("got %v, want a problem at how", err)
		}
	}
	if starts() != 1 {
		t.Errorf("started %d times for 40 checks", starts())
	}
	dismiss()
	if _, err := check("right"); err != nil || starts() != 2 {
		t.Errorf("after a plan: got %v, and %d starts", err, starts())
	}
}

// A plugin that checks in a wrong way is one problem of the whole block that it
// was asked about, and of no other.
func TestACheckThatGoesWrong(t *testing.T) {
	for how, want := range map[string]string{
		"garbage": `check answered "Checking... fine": not JSON`,
		"other":   `answered "{\"id\":77}" to the question with the id 2`,
		"twice":   `to the question with the id 3`,
		"leave":   "ended before it had answered; it goes on until its input ends",
		"once":    "ended before it had answered",
		"crash":   `check failed with exit status 3; it said "no idea"`,
		"flood":   "says too much: an answer of more than 4 MiB",
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			check, _, starts := judge(t, 0)
			if _, err := check("right"); err != nil {
				t.Fatal(err)
			}
			_, err := check(how)
			if err == nil { // it shows when it is asked again
				_, err = check("right")
			}
			ps := stage.ProblemsIn(err)
			if len(ps) != 1 || ps[0].Path != "" || !strings.Contains(ps[0].Error(), want) || !strings.Contains(ps[0].Error(), "Plugin judging cannot check this stage") {
				t.Fatalf("got %v, want one problem with %q", err, want)
			}
			if _, err := check("right"); err != nil || starts() != 2 {
				t.Errorf("the next stage: got %v, and %d starts", err, starts())
			}
		})
	}
}

// A process that a plugin left behind keeps no plan from its end.
func TestACheckEndsThoughADaemonHoldsItsOutput(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("setsid"); err != nil {
		t.Skip(err)
	}
	check, dismiss, starts := judge(t, 0)
	if _, err := check("daemon"); err != nil {
		t.Fatal(err)
	}
	dismiss()
	if _, err := check("right"); err != nil || starts() != 2 {
		t.Errorf("the next plan: got %v, and %d starts", err, starts())
	}
}

// Columns of an output that the stage does not have are a fault, for those of the
// output that is meant would be missed.
func TestColumnsAreOfOutputsThatThereAre(t *testing.T) {
	t.Parallel()
	check, _, starts := judge(t, 0)
	_, err := check("misname")
	ps := stage.ProblemsIn(err)
	if len(ps) != 1 || ps[0].Path != "" || !strings.Contains(ps[0].Error(), `Plugin judging tells the columns of an output that there is not: It tells those of "more"; the outputs of this stage: out. This is a fault of the plugin`) {
		t.Errorf("got %v", err)
	}
	if _, err := check("right"); err != nil || starts() != 1 {
		t.Errorf("the next stage: got %v, and %d starts", err, starts())
	}
}

// What hangs is not waited for again, until the next plan.
func TestACheckThatHangsIsWaitedForOnce(t *testing.T) {
	for _, how := range []string{"hang", "collect", "hang" + strings.Repeat(" ", 1<<20)} {
		t.Run(how[:4], func(t *testing.T) {
			t.Parallel()
			check, dismiss, starts := judge(t, 500*time.Millisecond)
			for range 50 {
				_, err := check(how)
				if ps := stage.ProblemsIn(err); len(ps) != 1 || !strings.Contains(ps[0].Error(), "check took longer than 500ms and was ended. It is to answer each line as it comes") {
					t.Fatalf("got %v", err)
				}
			}
			if starts() > 1 {
				t.Errorf("started %d times", starts())
			}
			dismiss()
		})
	}
}
