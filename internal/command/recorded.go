package command

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/flow-pipelines/flow/engine"
	"github.com/flow-pipelines/flow/engine/lock"
	"github.com/flow-pipelines/flow/engine/runs"
)

// Commands that look at what is recorded read flow.lock and the records of runs
// themselves: they answer also when the pipeline has a mistake in it.

// checkProject refuses a directory in which flow has nothing.
func (sh *Shell) checkProject() error {
	dir := sh.dir()
	if found, err := filepath.Glob(filepath.Join(dir, "*.hcl")); err == nil && len(found) > 0 {
		return nil
	}
	for _, name := range []string{lock.FileName, engine.Dir} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return nil
		}
	}
	return &engine.NoPipelineError{Dir: dir}
}

// locked reads flow.lock.
func (sh *Shell) locked() (*lock.Lock, error) {
	if err := sh.checkProject(); err != nil {
		return nil, err
	}
	l, err := lock.ReadFile(sh.dir())
	return l, lockError(err)
}

// lockError adds what to do about a flow.lock that cannot be read.
func lockError(err error) error {
	var pe *lock.ParseError
	if !errors.As(err, &pe) {
		return err
	}
	switch {
	case pe.Conflict:
		return &hinted{err, "take either side (git checkout --ours " + lock.FileName + ") and run flow apply, which brings it up to date"}
	case pe.Future:
		return &hinted{err, "a newer flow wrote it: update flow"}
	}
	return &hinted{err, "flow wrote this file and expects it as it was: take it back from git (git checkout -- " + lock.FileName + ")"}
}

func (sh *Shell) runsDir() string { return filepath.Join(sh.dir(), engine.Dir, "runs") }

// run finds a run by what a user typed, "" for the newest.
func (sh *Shell) run(ref string) (*runs.Past, error) {
	if err := sh.checkProject(); err != nil {
		return nil, err
	}
	if ref == "" {
		ref = runs.Latest
	}
	r, err := runs.Open(sh.runsDir(), ref)
	var missing *runs.NotFoundError
	if errors.As(err, &missing) {
		hint := "flow runs list shows the runs there are"
		if ref == runs.Latest {
			hint = "flow apply makes one"
		}
		return nil, &hinted{fmt.Errorf("%w", err), hint}
	}
	return r, err
}

// running returns the runs that are going on.
func (sh *Shell) running() []*runs.Past {
	all, err := runs.List(sh.runsDir())
	if err != nil {
		return nil // a courtesy; what was asked for can be answered without
	}
	var live []*runs.Past
	for _, r := range all {
		if r.Status == runs.Running {
			live = append(live, r)
		}
	}
	return live
}
