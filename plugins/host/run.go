package host

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/plugins/protocol"
)

// grace is how long a plugin that was asked to end may take, less than what flow
// gives the job.
const grace = 8 * time.Second

// moment is how long what a plugin left behind may hold its output.
const moment = time.Second

// Run does a job of a plugin's: it is what `flow stage-run` does with a spec
// that names one. What the plugin says is passed on; what it does wrong, by its
// own fault, is a *stage.Problem of the whole block.
func Run(ctx context.Context, run *stage.Run) (stage.Metrics, error) {
	return RunIn(ctx, ".", run)
}

// RunIn is Run in a directory.
func RunIn(ctx context.Context, dir string, run *stage.Run) (stage.Metrics, error) {
	j := &job{dir: dir, run: run, log: &shared{w: run.Log}, plugin: run.Plugin, metrics: stage.Metrics{}}
	spec, err := json.Marshal(protocol.Spec{
		Protocol: protocol.Version, Type: run.Type, Address: run.Address, Args: run.Args, Outputs: run.Outputs, CPUs: run.CPUs, Checkpoint: run.Checkpoint,
	})
	if err != nil {
		return nil, err
	}
	state, err := j.execute(ctx, spec)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, ended{fmt.Errorf("plugin %s was asked to end before it was done: %s", run.Plugin.Name, state), err}
	}
	return j.judge(state)
}

// ended is the error of a job that was called off; why is that of the context,
// which tells nothing that the reader of a log does not know.
type ended struct {
	error
	why error
}

func (e ended) Unwrap() error { return e.why }

type job struct {
	dir      string
	run      *stage.Run
	log      io.Writer
	plugin   *stage.Plugin
	metrics  stage.Metrics
	problems stage.Problems
}

// shared is a writer for two: what the plugin writes on standard error, and the
// log lines among its events.
type shared struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(p)
}

// fault is a mistake of the plugin's author.
func (j *job) fault(summary, detail string, args ...any) *stage.Problem {
	return stage.Problemf("", fmt.Sprintf("Plugin %s %s", j.plugin.Name, summary), "%s This is a fault of the plugin (%s, version %s), not of the pipeline.", fmt.Sprintf(detail, args...), j.plugin.Program, j.plugin.Version)
}

// execute starts the plugin, feeds it the spec and listens to it until it ends.
func (j *job) execute(ctx context.Context, spec []byte) (*os.ProcessState, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	out, say, err := newOutput()
	if err != nil {
		return nil, err
	}
	defer out.close()
	log, tell, err := newOutput()
	if err != nil {
		_ = say.Close()
		return nil, err
	}
	defer log.close()
	var c *exec.Cmd
	signal := func(sig syscall.Signal) error { return syscall.Kill(-c.Process.Pid, sig) }
	err = start(func() *exec.Cmd {
		c = exec.CommandContext(ctx, j.plugin.Program, protocol.RunJob)
		c.Dir, c.Stdin, c.Stdout, c.Stderr = j.dir, bytes.NewReader(spec), say, tell
		// A group of its own, so that its children end with it.
		c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		c.Cancel = func() error { return signal(syscall.SIGTERM) }
		c.WaitDelay = grace
		return c
	})
	_, _ = say.Close(), tell.Close()
	if err != nil {
		return nil, stage.Problemf("", fmt.Sprintf("Plugin %s cannot be started", j.plugin.Name), "%s: %v.", j.plugin.Program, cause(err))
	}
	heard, logged := make(chan error, 1), make(chan struct{})
	go func() {
		j.passOn(log)
		close(logged)
	}()
	go func() {
		err := j.listen(out)
		if err != nil {
			_ = signal(syscall.SIGKILL) // it makes no sense; nothing more is to be learnt
		}
		heard <- err
	}()
	err = c.Wait()
	_ = signal(syscall.SIGKILL) // children that it left behind, which may hold the pipe open
	late := time.AfterFunc(moment, func() {
		out.cut()
		log.cut()
	})
	wrong := <-heard
	<-logged
	late.Stop()
	if out.held || log.held {
		_, _ = fmt.Fprintf(j.log, "warning: plugin %s has ended, and a process in a session of its own, which it left behind, still holds its output; what that writes is lost\n", j.plugin.Name)
	}
	var exit *exec.ExitError
	switch {
	case wrong != nil:
		return nil, wrong
	case err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) && !errors.Is(err, syscall.EPIPE) && ctx.Err() == nil:
		return nil, fmt.Errorf("plugin %s: %w", j.plugin.Name, err)
	}
	return c.ProcessState, nil
}

// passOn copies what the plugin writes for people to the log, whole lines at a
// time, so that log events do not come between.
func (j *job) passOn(r io.Reader) {
	in := bufio.NewReaderSize(r, 64<<10)
	for {
		part, err := in.ReadSlice('\n')
		_, _ = j.log.Write(part)
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

// listen reads events until the plugin has no more to say.
func (j *job) listen(r io.Reader) error {
	in := bufio.NewReaderSize(r, 64<<10)
	total := 0
	for n := 1; ; n++ {
		line, err := readLine(in, protocol.MostLine)
		if errors.Is(err, errLong) {
			return j.fault("says too much", "A line on its standard output is longer than %d MiB.", protocol.MostLine>>20)
		}
		if total += len(line); total > protocol.MostEvents {
			return j.fault("says too much", "It wrote more than %d MiB of events.", protocol.MostEvents>>20)
		}
		if len(bytes.TrimSpace(line)) > 0 {
			e, perr := protocol.ParseEvent(line)
			if perr != nil {
				return j.fault("speaks no sense", "Line %d on its standard output is no event: %v: %s. What is for people belongs on standard error.", n, perr, excerpt(line))
			}
			j.take(e)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

var errLong = errors.New("line too long")

// readLine reads up to a newline, and no more than a line may have.
func readLine(in *bufio.Reader, most int) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		if len(line)+len(part) > most {
			return nil, errLong
		}
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// mostProblems is how many mistakes of a run are kept: nobody reads more.
const mostProblems = 100

func (j *job) take(e *protocol.Event) {
	switch e.Type {
	case protocol.Progress:
		j.run.Progress(e.Progress)
	case protocol.Metrics:
		maps.Copy(j.metrics, e.Values)
	case protocol.Log:
		_, _ = fmt.Fprintln(j.log, e.Text)
	case protocol.Problem:
		if len(j.problems) < mostProblems {
			j.problems = append(j.problems, &stage.Problem{Path: e.Path, Summary: e.Summary, Detail: e.Detail})
		}
	}
}

// judge compares what the plugin says with what can be seen.
func (j *job) judge(state *os.ProcessState) (stage.Metrics, error) {
	switch code := state.ExitCode(); {
	case code == protocol.ExitProblem && len(j.problems) > 0:
		return nil, j.problems
	case code == protocol.ExitProblem:
		return nil, j.fault("failed", "It says, by exit status %d, that something is wrong with the stage, and not what. A panic of a program in Go ends so too, and is in the log.", code)
	case code == protocol.ExitUsage:
		return nil, j.fault("does not know this job", "It ended with exit status %d, which says that it does not know the word %s, the stage type %s or version %d of the protocol; its log may say which.", code, protocol.RunJob, j.run.Type, protocol.Version)
	case code != protocol.ExitDone:
		err := fmt.Errorf("plugin %s %s failed: %s", j.plugin.Name, j.plugin.Version, state)
		if w, ok := state.Sys().(syscall.WaitStatus); ok && w.Signaled() {
			code = 128 + int(w.Signal())
		}
		return nil, &stage.ExitError{Status: code, Err: err}
	case len(j.problems) > 0:
		return nil, j.fault("contradicts itself", "It reports %q, and by exit status 0 that all is well.", j.problems[0].Summary)
	}
	for _, name := range slices.Sorted(maps.Keys(j.run.Outputs)) {
		if _, err := os.Lstat(filepath.Join(j.dir, filepath.FromSlash(j.run.Outputs[name]))); err != nil {
			return nil, j.fault("did not do what it says", "It says, by exit status 0, that all is done, and its output %q, %s, is not there.", name, j.run.Outputs[name])
		}
	}
	return j.metrics, nil
}
