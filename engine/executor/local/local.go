// Package local runs tasks on this machine.
package local

import (
	"context"

	"github.com/flow-pipelines/flow/engine/executor"
)

// Options configure an Executor.
type Options struct {
	// Run is the id of the run; it is executor.RunEnv for every task.
	Run string
	// Guard is the command that calls guard.Main with its standard input:
	// {"/path/of/flow", "guard"}. If it is empty, no guardian is started and
	// tasks may survive a kill -9 of flow.
	Guard []string
}

// Executor runs tasks on this machine. Close it after the last task.
type Executor struct{ opts Options }

// New starts the guardian.
func New(opts Options) (*Executor, error) { return &Executor{opts: opts}, nil }

// Run implements executor.Executor.
func (e *Executor) Run(ctx context.Context, t executor.Task) (executor.Result, error) {
	panic("BUG: not yet")
}

// Unconfined implements executor.Confiner.
func (e *Executor) Unconfined() string { return "" }

// Close ends the guardian. No task may be running.
func (e *Executor) Close() error { return nil }

var _ executor.Confiner = (*Executor)(nil)
