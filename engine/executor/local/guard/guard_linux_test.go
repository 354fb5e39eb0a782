package guard

import (
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestGuardianUnderstands(t *testing.T) {
	tests := map[string]int{
		"":                                  2,
		"hello\n":                           2,
		"flow-guard 2 FLOW_RUN=x\nbye\n":    2,
		greeting + "no mark\nbye\n":         2,
		greeting + "FLOW_RUN=none-1\nbye\n": 0,
		greeting + "FLOW_RUN=none-2\n":      1,
		greeting + "FLOW_RUN=none-3\n+\n+1\n+0\n+-1\n+x\n?\n": 1, // must not kill everybody
	}
	for text, want := range tests {
		if got := Main(strings.NewReader(text)); got != want {
			t.Errorf("%q: got %d, want %d", text, got, want)
		}
	}
}

func TestGroupsLeftBehindAreKilled(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	go func() {
		_, _ = io.WriteString(w, greeting+"FLOW_RUN=none\n+"+strconv.Itoa(cmd.Process.Pid)+"\n")
		w.Close()
	}()
	if got := Main(r); got != 1 {
		t.Errorf("got %d", got)
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.Success() {
		t.Errorf("got %v", err)
	}
}

func TestMarksAreWholeEntries(t *testing.T) {
	env := []byte("\x00A=1\x00FLOW_TASK=exec.a\x00XFLOW_TASK=exec.b\x00")
	for entry, want := range map[string]bool{
		"A=1": true, "FLOW_TASK=exec.a": true, "FLOW_TASK=exec": false, "FLOW_TASK=exec.b": false, "B=1": false,
	} {
		if got := hasEntry(env, []byte(entry)); got != want {
			t.Errorf("%s: got %v", entry, got)
		}
	}
}

func TestCandidatesHoldTheYoung(t *testing.T) {
	for _, since := range []int{0, 1, os.Getpid(), os.Getpid() + 1<<20} {
		cmd := exec.Command("sleep", "60")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		found := false
		for _, pid := range candidates(since) {
			found = found || pid == cmd.Process.Pid
		}
		if !found {
			t.Errorf("since %d: %d is not among them", since, cmd.Process.Pid)
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

// BenchmarkKillMarked is what looking for strays adds to each task.
func BenchmarkKillMarked(b *testing.B) {
	since := map[string]func() int{
		"three-processes": func() int { return max(lastPID()-3, 1) },
		"all-of-proc":     func() int { return 0 },
	}
	for name, since := range since {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if KillMarked(since(), "FLOW_RUN=none") {
					b.Fatal("found something")
				}
			}
		})
	}
}

func TestNothingToKillIsQuick(t *testing.T) {
	begin := time.Now()
	KillMarked(0, "FLOW_RUN=none", "FLOW_TASK=none")
	if d := time.Since(begin); d > patience {
		t.Errorf("took %v", d)
	}
}
