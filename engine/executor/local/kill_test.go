//go:build linux

package local_test

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flow-pipelines/flow/engine/executor"
	"github.com/flow-pipelines/flow/engine/executor/executortest"
	"github.com/flow-pipelines/flow/engine/executor/local/guard"
)

func waitFor(t *testing.T, path string) string {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if data, err := os.ReadFile(path); err == nil && strings.HasSuffix(string(data), "\n") {
			return strings.TrimSpace(string(data))
		}
	}
	t.Fatalf("%s was never written", path)
	return ""
}

func TestNothingOutlivesAKilledFlow(t *testing.T) {
	scripts := map[string]string{
		"child":                      "echo $$ > a; echo > b; exec sleep 60",
		"grandchild":                 "sleep 60 & echo $! > a; echo > b; wait",
		"orphan":                     "(sleep 60 & echo $! > a); echo $$ > b; sleep 60",
		"session of its own":         "setsid sh -c 'echo $$ > a; sleep 60' & echo $! > b; wait",
		"ignores all signals it can": "trap '' TERM HUP INT; sh -c 'echo $$ > a; sleep 60; sleep 60' & echo $! > b; wait",
	}
	for name, script := range scripts {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			cmd := exec.Command(guardCommand(t)[0], "victim", dir, script)
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			pid := waitFor(t, filepath.Join(dir, "a"))
			other := waitFor(t, filepath.Join(dir, "b"))
			// The whole group, as an impatient person or a batch system does.
			if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			executortest.MustBeGone(t, pid)
			if other != "" {
				executortest.MustBeGone(t, other)
			}
		})
	}
}

func TestKillAtRandomMoments(t *testing.T) {
	for i := range 10 {
		dir, run := t.TempDir(), "storm-"+itoa(os.Getpid())+"-"+itoa(i)
		cmd := exec.Command(guardCommand(t)[0], "storm", run, dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		waitFor(t, filepath.Join(dir, "ready"))
		time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		mark := executor.RunEnv + "=" + run
		for end := time.Now().Add(5 * time.Second); guard.Marked(0, mark); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				guard.KillMarked(0, mark)
				t.Fatal("processes of the run are still there")
			}
		}
	}
}

func TestSessionOfItsOwnEndsWithTheTask(t *testing.T) {
	e := open(t)
	dir := t.TempDir()
	res, err := e.Run(t.Context(), executor.Task{
		ID: "exec.daemon", Dir: dir, Env: os.Environ(), Log: filepath.Join(dir, "log"),
		Command: []string{"sh", "-c", "setsid sh -c 'echo $$ > pid; sleep 60' & while [ ! -s pid ]; do sleep 0.01; done"},
	})
	if err != nil || !res.OK() {
		t.Fatalf("got %+v, %v", res, err)
	}
	executortest.MustBeGone(t, waitFor(t, filepath.Join(dir, "pid")))
}

// A task must not end what another task of the same run started.
func TestTasksDoNotEndEachOther(t *testing.T) {
	e := open(t)
	dir := t.TempDir()
	task := func(id, script string) executor.Task {
		return executor.Task{ID: id, Dir: dir, Env: os.Environ(), Log: filepath.Join(dir, id), Command: []string{"sh", "-c", script}}
	}
	long := make(chan executor.Result, 1)
	go func() {
		res, err := e.Run(t.Context(), task("exec.long", "echo > ready; setsid sleep 0.5; exit 5"))
		if err != nil {
			t.Error(err)
		}
		long <- res
	}()
	waitFor(t, filepath.Join(dir, "ready"))
	if _, err := e.Run(t.Context(), task("exec.lon", "true")); err != nil {
		t.Fatal(err)
	}
	if res := <-long; res.Exit != 5 {
		t.Errorf("got %+v", res)
	}
}

func TestDeadGuardianIsReplaced(t *testing.T) {
	e := open(t)
	dir := t.TempDir()
	run := func() {
		t.Helper()
		res, err := e.Run(t.Context(), executor.Task{ID: "exec.x", Dir: dir, Env: os.Environ(), Log: filepath.Join(dir, "log"), Command: []string{"true"}})
		if err != nil || !res.OK() {
			t.Fatalf("got %+v, %v", res, err)
		}
	}
	run()
	first := guardians(t)
	if len(first) != 1 {
		t.Fatalf("%d guardians", len(first))
	}
	if err := syscall.Kill(first[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	run()
	second := guardians(t)
	if len(second) != 1 || second[0] == first[0] {
		t.Errorf("guardians: got %v after %v", second, first)
	}
}

func TestNoTaskNoGuardian(t *testing.T) {
	open(t)
	if g := guardians(t); len(g) != 0 {
		t.Errorf("%d guardians", len(g))
	}
}

// guardians returns the living guardians that this process has started.
func guardians(t *testing.T) []int {
	t.Helper()
	var pids []int
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		data, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		_, after, _ := strings.Cut(string(data), ") ")
		fields := strings.Fields(after)
		if len(fields) < 2 || fields[0] == "Z" || fields[1] != itoa(os.Getpid()) {
			continue
		}
		cmdline, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
		if strings.HasSuffix(string(cmdline), "\x00guard\x00") {
			pids = append(pids, atoi(filepath.Base(filepath.Dir(path))))
		}
	}
	return pids
}

func itoa(n int) string { return strconv.Itoa(n) }

func atoi(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}
