package local

import (
	"context"
	"testing"

	"github.com/flow-pipelines/flow/engine/executor"
)

// On a busy machine a short program has ended before the goroutine that waits
// for its start runs again: it finds both the start and the end.
func TestAProgramThatEndsAtOnceKeepsItsExitCode(t *testing.T) {
	for range 100 { // select takes either at random
		p := &process{started: make(chan struct{})}
		done := make(chan outcome, 1)
		close(p.started)
		done <- outcome{res: executor.Result{Exit: 3}}
		res, err := p.follow(context.Background(), done)
		if err != nil || res.Exit != 3 {
			t.Fatalf("got exit code %d, %v; want 3", res.Exit, err)
		}
	}
}
