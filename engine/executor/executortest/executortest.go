// Package executortest is the suite that every executor must pass.
//
// It runs small sh scripts, so the place where tasks run needs a POSIX shell
// and the usual programs beside it. An executor whose tasks run on another
// machine must share the file system with the test.
package executortest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/flow-pipelines/flow/engine/executor"
)

// Run runs the suite on executors that open makes. open cleans up by itself.
func Run(t *testing.T, open func(t *testing.T) executor.Executor) {
	tests := []struct {
		name string
		test func(*testing.T, *bench)
	}{
		{"exit status", testExit},
		{"signal", testSignal},
		{"working directory", testDir},
		{"environment is exact", testEnv},
		{"standard input is empty", testInput},
		{"both streams in order", testStreams},
		{"streams by name", testStreamsByName},
		{"log is appended to", testAppend},
		{"large log", testLargeLog},
		{"no secrets in the log", testSecrets},
		{"times", testTimes},
		{"timeout", testTimeout},
		{"cancel", testCancel},
		{"cancelled before the start", testCancelled},
		{"ignores SIGTERM", testIgnoresTerm},
		{"grace is for the whole group", testGraceOfGroup},
		{"leaves a background process", testBackground},
		{"timeout ends grandchildren", testGrandchildren},
		{"missing program", testMissing},
		{"misspelled program", testMisspelled},
		{"program without permission", testNotExecutable},
		{"program is a directory", testDirectory},
		{"missing interpreter", testNoInterpreter},
		{"script without #!", testBadFormat},
		{"script of the directory", testRelative},
		{"many at once", testMany},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := &bench{Executor: open(t), dir: t.TempDir()}
			b.log = filepath.Join(t.TempDir(), "task.log")
			tt.test(t, b)
		})
	}
}

// bench is what one test works with.
type bench struct {
	executor.Executor
	dir, log string
}

func (b *bench) task(command ...string) executor.Task {
	return executor.Task{
		ID: "exec.test", Dir: b.dir, Command: command, Log: b.log,
		Env: []string{"PATH=/usr/local/bin:/usr/bin:/bin"}, Grace: 5 * time.Second,
	}
}

func (b *bench) sh(script string) executor.Task { return b.task("sh", "-c", script) }

// run runs a task that our infrastructure must not fail.
func (b *bench) run(t *testing.T, task executor.Task) executor.Result {
	t.Helper()
	res, err := b.Run(t.Context(), task)
	if err != nil {
		t.Fatalf("Run(%q): %v", task.Command, err)
	}
	return res
}

func (b *bench) read(t *testing.T, name string) string {
	t.Helper()
	if !filepath.IsAbs(name) {
		name = filepath.Join(b.dir, name)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func (b *bench) write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// A program may write a secret in pieces, at its end, or to either stream.
func testSecrets(t *testing.T, b *bench) {
	task := b.sh(`printf 'one hush-'; sleep 0.1; printf 'hush two\n'; echo hush-hush >&2; echo "$TOKEN"; printf 'hush-hus'`)
	task.Env = append(task.Env, "TOKEN=hush-hush")
	task.Secrets = executor.NewSecrets([]string{"hush-hush"})
	b.run(t, task)
	want := "one (sensitive) two\n(sensitive)\n(sensitive)\nhush-hus"
	if got := b.read(t, b.log); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func testExit(t *testing.T, b *bench) {
	for _, want := range []int{0, 1, 75, 255} {
		res := b.run(t, b.sh("exit "+strconv.Itoa(want)))
		if res.Exit != want || res.Signal != "" || res.OK() != (want == 0) {
			t.Errorf("exit %d: got %+v", want, res)
		}
	}
}

func testSignal(t *testing.T, b *bench) {
	res := b.run(t, b.sh("kill -SEGV $$"))
	if res.Signal != "SIGSEGV" || res.Exit != -1 || res.OK() || res.Killed || res.TimedOut {
		t.Errorf("got %+v", res)
	}
}

func testDir(t *testing.T, b *bench) {
	b.run(t, b.sh("pwd -P > where"))
	want, err := filepath.EvalSymlinks(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(b.read(t, "where")); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func testEnv(t *testing.T, b *bench) {
	t.Setenv("FLOW_TEST_LEAK", "must not be seen")
	task := b.task("env")
	task.Env = append(task.Env, "A=1", "B=two words", "A=2", executor.TaskEnv+"=other")
	b.run(t, task)
	got := map[string]string{}
	for _, line := range strings.Split(strings.TrimSpace(b.read(t, b.log)), "\n") {
		name, value, _ := strings.Cut(line, "=")
		if _, twice := got[name]; twice {
			t.Errorf("%s is there twice", name)
		}
		got[name] = value
	}
	if got[executor.RunEnv] == "" {
		t.Errorf("%s is not set", executor.RunEnv)
	}
	delete(got, executor.RunEnv)
	want := map[string]string{"PATH": "/usr/local/bin:/usr/bin:/bin", "A": "2", "B": "two words", executor.TaskEnv: "exec.test"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func testInput(t *testing.T, b *bench) {
	if res := b.run(t, b.sh("wc -c")); !res.OK() {
		t.Errorf("got %+v", res)
	}
	if got := strings.TrimSpace(b.read(t, b.log)); got != "0" {
		t.Errorf("read %s bytes", got)
	}
}

func testStreams(t *testing.T, b *bench) {
	b.run(t, b.sh("for i in 1 2 3; do echo out $i; echo err $i >&2; done"))
	want := "out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n"
	if got := b.read(t, b.log); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A log that is a plain file would be truncated here.
func testStreamsByName(t *testing.T, b *bench) {
	b.run(t, b.sh("echo one; echo two > /dev/stderr; echo three > /dev/stdout; echo four"))
	if got, want := b.read(t, b.log), "one\ntwo\nthree\nfour\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func testAppend(t *testing.T, b *bench) {
	b.run(t, b.sh("echo first"))
	b.run(t, b.sh("printf second"))
	if got, want := b.read(t, b.log), "first\nsecond"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func testLargeLog(t *testing.T, b *bench) {
	const lines = 400_000
	b.run(t, b.sh(fmt.Sprintf("awk 'BEGIN { for (i = 1; i <= %d; i++) print \"line\", i }'", lines)))
	got := b.read(t, b.log)
	if n := strings.Count(got, "\n"); n != lines {
		t.Errorf("got %d lines, want %d", n, lines)
	}
	if want := fmt.Sprintf("line %d\n", lines); !strings.HasSuffix(got, want) {
		t.Errorf("the last line is not %q", want)
	}
}

func testTimes(t *testing.T, b *bench) {
	before := time.Now()
	res := b.run(t, b.sh("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; sleep 0.1"))
	if res.Started.Before(before.Add(-time.Second)) || res.Ended.After(time.Now().Add(time.Second)) {
		t.Errorf("ran from %v to %v, but was called at %v", res.Started, res.Ended, before)
	}
	if d := res.Ended.Sub(res.Started); d < 100*time.Millisecond {
		t.Errorf("took %v, want at least 100ms", d)
	}
	if res.UserCPU+res.SystemCPU <= 0 {
		t.Error("no processor time")
	}
}

func testTimeout(t *testing.T, b *bench) {
	task := b.sh("sleep 60")
	task.Timeout = 200 * time.Millisecond
	res := b.run(t, task)
	if !res.TimedOut || res.Killed || res.OK() || res.Signal != "SIGTERM" {
		t.Errorf("got %+v", res)
	}
	if d := res.Ended.Sub(res.Started); d > 4*time.Second {
		t.Errorf("took %v", d)
	}
}

// background runs the task in the background until it has made the file "ready".
func (b *bench) background(ctx context.Context, t *testing.T, task executor.Task) <-chan executor.Result {
	t.Helper()
	done := make(chan executor.Result, 1)
	go func() {
		res, err := b.Run(ctx, task)
		if err != nil {
			t.Errorf("Run: %v", err)
		}
		done <- res
	}()
	b.wait(t, "ready")
	return done
}

// wait waits until the task has written to the file.
func (b *bench) wait(t *testing.T, name string) string {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if data, err := os.ReadFile(filepath.Join(b.dir, name)); err == nil && strings.HasSuffix(string(data), "\n") {
			return strings.TrimSpace(string(data))
		}
	}
	t.Fatalf("the task never wrote %s", name)
	return ""
}

func testCancel(t *testing.T, b *bench) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := b.background(ctx, t, b.sh("trap 'echo bye; exit 7' TERM; echo > ready; while :; do sleep 0.05; done"))
	cancel()
	res := <-done
	if res.Exit != 7 || res.TimedOut || res.Killed {
		t.Errorf("got %+v", res)
	}
	if got := b.read(t, b.log); !strings.HasSuffix(got, "bye\n") {
		t.Errorf("log: got %q", got)
	}
}

func testCancelled(t *testing.T, b *bench) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Run(ctx, b.sh("echo > ran")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if _, err := os.Stat(filepath.Join(b.dir, "ran")); err == nil {
		t.Error("it ran")
	}
}

func testIgnoresTerm(t *testing.T, b *bench) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	task := b.sh("trap '' TERM; echo > ready; while :; do sleep 0.05; done")
	task.Grace = 200 * time.Millisecond
	done := b.background(ctx, t, task)
	cancel()
	res := <-done
	if !res.Killed || res.Signal != "SIGKILL" || res.TimedOut {
		t.Errorf("got %+v", res)
	}
}

// The shell dies of SIGTERM at once; what it waits for needs its time.
func testGraceOfGroup(t *testing.T, b *bench) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b.write(t, "trainer.sh", "trap 'sleep 0.3; echo saved > checkpoint; exit 0' TERM\necho > ready\nwhile :; do sleep 0.05; done\n", 0o644)
	done := b.background(ctx, t, b.sh("sh trainer.sh; true"))
	cancel()
	<-done
	if got := b.read(t, "checkpoint"); got != "saved\n" {
		t.Errorf("got %q", got)
	}
}

func testBackground(t *testing.T, b *bench) {
	res := b.run(t, b.sh("sleep 60 & echo $! > pid; exit 3"))
	if res.Exit != 3 {
		t.Errorf("got %+v", res)
	}
	if d := res.Ended.Sub(res.Started); d > 10*time.Second {
		t.Errorf("took %v: it waited for the background process", d)
	}
	MustBeGone(t, b.wait(t, "pid"))
}

func testGrandchildren(t *testing.T, b *bench) {
	task := b.sh("sh -c 'trap \"\" TERM; echo $$ > pid; while :; do sleep 0.05; done'; true")
	task.Timeout, task.Grace = 300*time.Millisecond, 200*time.Millisecond
	res := b.run(t, task)
	if !res.TimedOut {
		t.Errorf("got %+v", res)
	}
	MustBeGone(t, b.wait(t, "pid"))
}

// MustBeGone fails the test if the process of this id goes on running. One that
// the kernel is still clearing away, or that nobody has reaped, is gone.
func MustBeGone(t *testing.T, pid string) {
	t.Helper()
	var stat []byte
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		var err error
		if stat, err = os.ReadFile("/proc/" + pid + "/stat"); err != nil {
			return
		}
		if _, state, _ := strings.Cut(string(stat), ") "); strings.HasPrefix(state, "Z") || strings.HasPrefix(state, "X") {
			return
		}
	}
	t.Errorf("process %s is still there: %s", pid, stat)
}

func testMany(t *testing.T, b *bench) {
	const n = 24
	errs := make(chan error, n)
	for i := range n {
		go func() {
			task := b.sh("echo $FLOW_TASK; exit " + strconv.Itoa(i))
			task.ID = "exec.many[" + strconv.Itoa(i) + "]"
			task.Log = fmt.Sprintf("%s.%d", b.log, i)
			res, err := b.Run(t.Context(), task)
			if err == nil && res.Exit != i {
				err = fmt.Errorf("%s: exit %d", task.ID, res.Exit)
			}
			if got, _ := os.ReadFile(task.Log); err == nil && string(got) != task.ID+"\n" {
				err = fmt.Errorf("%s: log %q", task.ID, got)
			}
			errs <- err
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
