package local

import (
	"runtime"
	"sync"

	"github.com/flow-pipelines/flow/engine/executor"
)

// maxIdleCells bounds the cells, each a thread and a few open directories, that
// wait for a task which fits them. More tasks at once only cost more.
const maxIdleCells = 64

// cell is a thread that is confined for ever and forks tasks with the same
// confinement, one at a time.
//
// To make the rules of a task takes longer than to start it: three system calls
// for each neighbour on the way to the project, and hundreds of them are common
// (a crowded home directory). A cell pays that once. It fits a later task that is
// to have the same directories, *by identity and not by name*, so whoever wants
// cheap tasks gives a directory of an earlier task, emptied and perhaps renamed,
// to the next. It does not fit any more when something was added or removed
// beside the way to the project.
type cell struct {
	rules *rules
	lives chan func()
}

// newCell makes the rules and starts the thread.
func newCell(c *executor.Confinement, dir string) (*cell, error) {
	r, err := newRules(c, dir)
	if err != nil {
		return nil, err
	}
	l := &cell{rules: r, lives: make(chan func())}
	ready := make(chan error)
	go l.thread(ready)
	if err := <-ready; err != nil {
		r.close()
		return nil, err
	}
	return l, nil
}

// thread confines its thread and serves until close. The goroutine ends locked
// to it, so that the Go runtime ends the thread too instead of using it for
// something else.
//
// New threads that the runtime needs meanwhile are not cloned from this one,
// and so not confined by accident: while a goroutine is locked, the runtime
// makes them from a template thread (newm in runtime/proc.go).
func (l *cell) thread(ready chan<- error) {
	runtime.LockOSThread()
	if onMainThread() {
		// The main thread never ends, and stands for the whole process in
		// /proc. While this goroutine holds it, another one is elsewhere.
		elsewhere := make(chan error)
		go l.thread(elsewhere)
		err := <-elsewhere
		runtime.UnlockOSThread()
		ready <- err
		return
	}
	err := l.rules.restrictThread()
	ready <- err
	if err != nil {
		return
	}
	for live := range l.lives {
		live()
	}
}

// close ends the thread, in which no task lives.
func (l *cell) close() {
	close(l.lives)
	l.rules.close()
}

// cells are those without a task, that of the latest task last.
type cells struct {
	mu   sync.Mutex
	idle []*cell
}

// take returns a cell for a task that works in dir.
func (s *cells) take(c *executor.Confinement, dir string) (*cell, error) {
	if l := s.fitting(c, dir); l != nil {
		return l, nil
	}
	return newCell(c, dir)
}

// fitting takes an idle cell out that is for the task, if there is one.
func (s *cells) fitting(c *executor.Confinement, dir string) *cell {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.idle) - 1; i >= 0; i-- {
		l := s.idle[i]
		fit := l.rules.fit(c, dir)
		if fit == other {
			continue
		}
		s.idle = append(s.idle[:i], s.idle[i+1:]...)
		if fit == same {
			return l
		}
		l.close()
	}
	return nil
}

// give takes a cell back.
func (s *cells) give(l *cell) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.idle) == maxIdleCells {
		s.idle[0].close()
		s.idle = s.idle[1:]
	}
	s.idle = append(s.idle, l)
}

// close ends all cells; no task may be running.
func (s *cells) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.idle {
		l.close()
	}
	s.idle = nil
}

// fit says whether rules are those that a task needs.
type fit int

const (
	other fit = iota // they are for other directories
	stale            // for these, but what lies beside the project has changed
	same
)
