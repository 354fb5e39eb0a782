package command

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/flow-pipelines/flow/engine"
	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/event"
	"github.com/flow-pipelines/flow/engine/lock"
	"github.com/flow-pipelines/flow/engine/plan"
	"github.com/flow-pipelines/flow/engine/runs"
	"github.com/flow-pipelines/flow/internal/view"
)

// Commands that look at what is recorded read flow.lock and the records of runs
// themselves: they answer also when the pipeline has a mistake in it.

// checkProject refuses a directory in which flow has nothing.
func (sh *Shell) checkProject() error {
	dir := sh.dir()
	if config.Present(dir) {
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

// live finds the applies that are going on. It is a courtesy: what cannot be
// read is left out, since what was asked for can be answered without.
func (sh *Shell) live() view.Live {
	live := view.Live{Stages: map[addr.Address]bool{}}
	all, err := runs.List(sh.runsDir())
	if err != nil {
		return live
	}
	for _, r := range all {
		if r.Status != runs.Running {
			continue
		}
		live.Runs = append(live.Runs, r)
		_ = recordedEvents(r, func(e event.Event) {
			switch e.Kind {
			case event.Started:
				live.Stages[e.Addr] = true
			case event.Done, event.Failed, event.Skipped:
				delete(live.Stages, e.Addr)
			default:
			}
		})
	}
	return live
}

// mostRuns are looked through for failures.
const mostRuns = 10

// failures finds the stages that are to run and failed when they last did.
func (sh *Shell) failures(pl *plan.Plan) map[addr.Address]event.Event {
	wanted := map[addr.Address]bool{}
	for _, s := range pl.Steps {
		if s.Action != plan.Keep && s.Action != plan.Blocked { // what blocks is told anyhow
			wanted[s.Addr] = true
		}
	}
	failed := map[addr.Address]event.Event{}
	all, _ := runs.List(sh.runsDir()) // a courtesy, as in live
	for _, r := range all[:min(len(all), mostRuns)] {
		if len(wanted) == 0 {
			break
		}
		ended := map[addr.Address]event.Event{}
		_ = recordedEvents(r, func(e event.Event) {
			if e.Kind == event.Done || e.Kind == event.Failed {
				ended[e.Addr] = e
			}
		})
		for a, e := range ended {
			if wanted[a] && e.Kind == event.Failed {
				failed[a] = e
			}
			delete(wanted, a)
		}
	}
	return failed
}

// recordedEvents reads the events of a run, as far as they are there.
func recordedEvents(r *runs.Past, do func(event.Event)) error {
	f, err := os.Open(r.Events())
	if err != nil {
		return err
	}
	return errors.Join(eachEvent(f, do), f.Close())
}

// longestEvent bounds a line of a run's events: a failure carries forty lines
// of a log, each of any length.
const longestEvent = 16 << 20

// eachEvent reads the events of a run. Lines that are not an event, such as a
// last one that is only half written, are left out.
func eachEvent(r io.Reader, do func(event.Event)) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, longestEvent)
	for sc.Scan() {
		var e event.Event
		if json.Unmarshal(sc.Bytes(), &e) == nil {
			do(e)
		}
	}
	return sc.Err()
}
