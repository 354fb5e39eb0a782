package local_test

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"go.uber.org/goleak"

	"github.com/flow-pipelines/flow/engine/executor"
	"github.com/flow-pipelines/flow/engine/executor/executortest"
	"github.com/flow-pipelines/flow/engine/executor/local"
	"github.com/flow-pipelines/flow/engine/executor/local/guard"
)

// TestMain lets the test binary be the guardian, as flow's is, and the victim
// of a kill -9.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "guard":
			os.Exit(guard.Main(os.Stdin))
		case "victim":
			os.Exit(victim(os.Args[2], os.Args[3]))
		case "storm":
			os.Exit(storm(os.Args[2], os.Args[3]))
		}
	}
	// A guardian built with the race detector would sleep a second at its end.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	goleak.VerifyTestMain(m)
}

// victim is a flow that runs one task, to be killed.
func victim(dir, script string) int {
	self, err := os.Executable()
	if err != nil {
		return 2
	}
	e, err := local.New(local.Options{Run: "victim-of-" + filepath.Base(filepath.Dir(dir)), Guard: []string{self, "guard"}})
	if err != nil {
		return 2
	}
	_, err = e.Run(context.Background(), executor.Task{
		ID: "exec.victim", Dir: dir, Command: []string{"sh", "-c", script}, Env: os.Environ(), Log: filepath.Join(dir, "log"),
	})
	if err != nil {
		return 2
	}
	return 0
}

// storm is a flow that runs tasks without end, which all leave something behind.
func storm(run, dir string) int {
	self, err := os.Executable()
	if err != nil {
		return 2
	}
	e, err := local.New(local.Options{Run: run, Guard: []string{self, "guard"}})
	if err != nil {
		return 2
	}
	failed := make(chan error)
	for i := range 3 {
		go func() {
			for {
				_, err := e.Run(context.Background(), executor.Task{
					ID: "exec.storm[" + strconv.Itoa(i) + "]", Dir: dir, Env: os.Environ(), Log: filepath.Join(dir, "log"),
					Command: []string{"sh", "-c", "sleep 30 & setsid sleep 30 & echo > ready; sleep 0.02"},
				})
				if err != nil {
					failed <- err
				}
			}
		}()
	}
	<-failed
	return 2
}

func guardCommand(t testing.TB) []string {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return []string{self, "guard"}
}

func open(t testing.TB) *local.Executor {
	e, err := local.New(local.Options{Run: "run-of-" + t.Name(), Guard: guardCommand(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func TestConformance(t *testing.T) {
	executortest.Run(t, func(t *testing.T) executor.Executor { return open(t) })
}

func TestConformanceWithoutGuardian(t *testing.T) {
	executortest.Run(t, func(t *testing.T) executor.Executor {
		e, err := local.New(local.Options{Run: "run-of-" + t.Name()})
		if err != nil {
			t.Fatal(err)
		}
		return e
	})
}

func TestRunIDIsRequired(t *testing.T) {
	for _, id := range []string{"", "a\nb"} {
		if _, err := local.New(local.Options{Run: id}); err == nil {
			t.Errorf("New with run %q: no error", id)
		}
	}
}
