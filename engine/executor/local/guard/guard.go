// Package guard makes sure that no process of a run outlives flow, even when
// flow is killed with kill -9 and cannot clean up itself.
//
// One guardian process serves a whole run, however many tasks it has: it is
// told through a pipe which process groups start and end. When the pipe closes
// without a farewell, flow has died, and the guardian kills the groups that are
// left and every process whose environment carries the run's mark. The latter
// finds those that left their group with setsid.
//
// The package refuses to be clever about processes that both leave their group
// and clear their environment: nothing short of a cgroup finds them.
//
// engine/executor/local starts a Guard; the hidden command `flow guard` calls
// Main.
package guard

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
)

// The lines of the pipe: a greeting with the mark that the run's processes
// carry in their environment, then one line an event.
//
//	flow-guard 1 FLOW_RUN=20261124-160041-k3f9
//	+4711
//	-4711
//	bye
const (
	greeting = "flow-guard 1 "
	farewell = "bye"
)

// Guard is flow's end of the pipe. Its methods may be called concurrently.
type Guard struct {
	argv []string
	mark string

	mu     sync.Mutex
	proc   *os.Process
	pipe   *os.File
	groups map[int]struct{}
	closed bool
}

// Start starts the guardian with the command argv, which must call Main with
// its standard input. mark is a variable, "NAME=value", that all processes of
// the run carry and no others.
func Start(argv []string, mark string) (*Guard, error) {
	if len(argv) == 0 || strings.ContainsAny(mark, "\n\x00") || !strings.Contains(mark, "=") {
		return nil, fmt.Errorf("start guardian: command %q, mark %q", argv, mark)
	}
	g := &Guard{argv: argv, mark: mark, groups: map[int]struct{}{}}
	if err := g.start(); err != nil {
		return nil, err
	}
	return g, nil
}

// start starts a guardian and tells it all groups. g.mu is held, or g is new.
func (g *Guard) start() error {
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start guardian: %w", err)
	}
	defer r.Close()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		w.Close()
		return fmt.Errorf("start guardian: %w", err)
	}
	defer null.Close()
	g.proc, err = os.StartProcess(g.argv[0], g.argv, &os.ProcAttr{
		Dir:   "/", // it must not keep a file system busy
		Env:   unmarked(os.Environ(), g.mark),
		Files: []*os.File{r, null, null},
		// A session of its own: neither Ctrl-C nor a kill of flow's process
		// group reaches it.
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		w.Close()
		return fmt.Errorf("start guardian: %w", err)
	}
	g.pipe = w
	var hello strings.Builder
	hello.WriteString(greeting + g.mark + "\n")
	for pgid := range g.groups {
		fmt.Fprintf(&hello, "+%d\n", pgid)
	}
	if _, err := w.WriteString(hello.String()); err != nil {
		return errors.Join(fmt.Errorf("start guardian: %w", err), g.stop())
	}
	return nil
}

// unmarked drops any value of the mark's variable. When flow itself runs as a
// stage of another flow, its guardian must not die as one of that run's.
func unmarked(env []string, mark string) []string {
	name, _, _ := strings.Cut(mark, "=")
	kept := make([]string, 0, len(env))
	for _, e := range env {
		if !strings.HasPrefix(e, name+"=") {
			kept = append(kept, e)
		}
	}
	return kept
}

// Started tells the guardian of a process group.
func (g *Guard) Started(pgid int) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.groups[pgid] = struct{}{}
	return g.tell(fmt.Sprintf("+%d\n", pgid))
}

// Ended tells the guardian that a process group has no processes any more. It
// must be called before the group's leader is reaped: after that the number
// may belong to somebody else.
func (g *Guard) Ended(pgid int) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.groups, pgid)
	return g.tell(fmt.Sprintf("-%d\n", pgid))
}

// tell writes a line; if the guardian has died, for instance because memory
// was short, another takes its place.
func (g *Guard) tell(line string) error {
	if g.closed {
		return errors.New("guardian: closed")
	}
	if g.pipe != nil {
		if _, err := g.pipe.WriteString(line); err == nil {
			return nil
		}
		_ = g.stop()
	}
	return g.start()
}

// stop closes the pipe and waits for the guardian.
func (g *Guard) stop() error {
	if g.pipe == nil {
		return nil
	}
	g.pipe.Close()
	_, err := g.proc.Wait()
	g.pipe, g.proc = nil, nil
	return err
}

// Close sends the guardian away. No group may be left.
func (g *Guard) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil
	}
	g.closed = true
	if g.pipe != nil && len(g.groups) == 0 {
		_, _ = g.pipe.WriteString(farewell + "\n")
	}
	if err := g.stop(); err != nil {
		return fmt.Errorf("end guardian: %w", err)
	}
	return nil
}
