// Package local runs tasks as processes of this machine.
//
// Each task is a process group. However it ends, all its processes end with
// it: what is left of the group is killed, and what left the group is found by
// its environment. If flow itself dies, the kernel kills each task's first
// process (PR_SET_PDEATHSIG), and a guardian process (package guard) the rest.
//
// On Linux a task that asked for fewer CPUs than there are has so many, and one
// that takes more memory than it asked for is killed.
//
// On Linux a task is confined by Landlock; see Confinement in package executor
// and landlock_linux.go for what that can and cannot do.
//
// The package refuses to queue: whoever calls Run decides how much runs at
// once. engine/apply calls it.
package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/flow-pipelines/flow/engine/executor"
	"github.com/flow-pipelines/flow/engine/executor/local/guard"
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
type Executor struct {
	opts  Options
	cells cells
	cpus  cpus

	mu    sync.Mutex
	guard *guard.Guard // started with the first task: a run without tasks starts no process
}

var _ executor.Confiner = (*Executor)(nil)

// New returns an executor for one run.
func New(opts Options) (*Executor, error) {
	if opts.Run == "" || strings.ContainsAny(opts.Run, "\n\x00") {
		return nil, fmt.Errorf("local executor: run id %q", opts.Run)
	}
	return &Executor{opts: opts}, nil
}

// Run implements executor.Executor.
func (e *Executor) Run(ctx context.Context, t executor.Task) (executor.Result, error) {
	if err := ctx.Err(); err != nil {
		return executor.Result{}, err
	}
	if err := check(t); err != nil {
		return executor.Result{}, fmt.Errorf("task %s: %w", t.ID, err)
	}
	path, err := executor.FindProgram(t.Command[0], t.Dir, t.Env)
	if err != nil {
		return executor.Result{}, err
	}
	p := &process{task: t, path: path, marks: []string{executor.RunEnv + "=" + e.opts.Run, executor.TaskEnv + "=" + t.ID}}
	p.cpus, p.set = &e.cpus, e.cpus.take(t.CPUs)
	defer e.cpus.give(p.set)
	if p.guard, err = e.guardian(); err != nil {
		return executor.Result{}, err
	}
	if t.Confine != nil {
		prepareHome(t.Env, t.Confine.Project)
		if p.cell, err = e.cells.take(t.Confine, t.Dir); err != nil {
			return executor.Result{}, fmt.Errorf("task %s: confine: %w", t.ID, err)
		}
		defer e.cells.give(p.cell)
	}
	if p.log, err = newPump(t.Log, t.Secrets); err != nil {
		return executor.Result{}, fmt.Errorf("task %s: %w", t.ID, err)
	}
	res, err := p.run(ctx)
	if p.cell != nil {
		res.Unconfined = p.cell.rules.missing
	}
	// Whatever happened to the task, its log is to be complete when it has
	// ended.
	if logErr := p.log.close(); err == nil && logErr != nil {
		return res, fmt.Errorf("task %s: %w", t.ID, logErr)
	}
	return res, err
}

func check(t executor.Task) error {
	if t.ID == "" || strings.Contains(t.ID, "\x00") {
		return errors.New("no ID")
	}
	if len(t.Command) == 0 {
		return errors.New("no command")
	}
	if !filepath.IsAbs(t.Dir) {
		return fmt.Errorf("directory %q is not absolute", t.Dir)
	}
	info, err := os.Stat(t.Dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory", t.Dir)
	}
	return nil
}

// prepareHome makes ~/.cache if the project lies below the home directory. A
// confined task can make nothing directly in a directory above the project, and
// on a fresh machine the first thing that many programs do (pip, matplotlib,
// Hugging Face's libraries) is to make that one. That it fails is no matter.
func prepareHome(env []string, project string) {
	for _, entry := range env {
		home, ok := strings.CutPrefix(entry, "HOME=")
		if !ok || !filepath.IsAbs(home) {
			continue
		}
		if rel, err := filepath.Rel(home, project); err == nil && filepath.IsLocal(rel) && rel != "." {
			_ = os.Mkdir(filepath.Join(home, ".cache"), 0o700)
		}
	}
}

// guardian returns the run's guardian; nil if there is to be none.
func (e *Executor) guardian() (*guard.Guard, error) {
	if len(e.opts.Guard) == 0 {
		return nil, nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.guard == nil {
		g, err := guard.Start(e.opts.Guard, executor.RunEnv+"="+e.opts.Run)
		if err != nil {
			return nil, err
		}
		e.guard = g
	}
	return e.guard, nil
}

// Unconfined implements executor.Confiner.
func (e *Executor) Unconfined() string { return unconfined() }

// Close ends the guardian and the threads. No task may be running.
func (e *Executor) Close() error {
	e.cells.close()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.guard == nil {
		return nil
	}
	return e.guard.Close()
}

// environment is the task's, in which each variable has one value, the last.
func environment(env, marks []string) []string {
	all := append(append([]string{}, env...), marks...)
	last := make(map[string]int, len(all))
	for i, entry := range all {
		name, _, _ := strings.Cut(entry, "=")
		last[name] = i
	}
	kept := make([]string, 0, len(last))
	for i, entry := range all {
		name, _, _ := strings.Cut(entry, "=")
		if last[name] == i {
			kept = append(kept, entry)
		}
	}
	return kept
}
