package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flow-pipelines/flow/engine/executor"
	"github.com/flow-pipelines/flow/engine/executor/local/guard"
)

// process is one task from its start to its end.
type process struct {
	task  executor.Task
	path  string
	marks []string // the variables by which its processes are found
	guard *guard.Guard
	cell  *cell // nil: the task is not confined
	log   *pump

	cpus *cpus
	set  cpuSet // those of them that the task may use

	started chan struct{}

	mu       sync.Mutex
	pid      int
	deadline time.Time // of a task that was asked to end
	ended    bool      // from then on pid is not ours to signal
}

// run starts the program and follows it.
func (p *process) run(ctx context.Context) (executor.Result, error) {
	p.started = make(chan struct{})
	done := make(chan outcome, 1)
	go p.thread(done)
	return p.follow(ctx, done)
}

// follow waits for the end of the task, and ends it if it must be ended.
func (p *process) follow(ctx context.Context, done <-chan outcome) (executor.Result, error) {
	select {
	case o := <-done: // not started, or over before this goroutine came here
		return o.res, o.err
	case <-p.started:
	}
	over, ended, watching := make(chan int64, 1), make(chan struct{}), make(chan int64, 1)
	go func() { watching <- watchMemory(p.pid, p.task.Memory, ended, over) }()
	var used int64
	timeout, grace := newTimer(p.task.Timeout), newTimer(0)
	defer timeout.Stop()
	defer func() { grace.Stop() }()
	var timedOut, killed bool
	cancel := ctx.Done()
	end := func() {
		cancel, timeout.C = nil, nil
		if p.task.Grace <= 0 {
			killed = true
			p.signal(syscall.SIGKILL)
			return
		}
		p.terminate()
		grace = newTimer(p.task.Grace)
	}
	for {
		select {
		case o := <-done:
			close(ended)
			peak := <-watching
			o.res.TimedOut, o.res.Killed, o.res.OverMemory = timedOut, killed, used
			o.res.PeakMemory = max(o.res.PeakMemory, peak)
			return o.res, o.err
		case used = <-over:
			p.signal(syscall.SIGKILL)
		case <-cancel:
			end()
		case <-timeout.C:
			timedOut = true
			end()
		case <-grace.C:
			killed = true
			p.signal(syscall.SIGKILL)
		}
	}
}

// newTimer returns a timer that fires after d, or never if d is 0.
func newTimer(d time.Duration) *time.Timer {
	if d > 0 {
		return time.NewTimer(d)
	}
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

// signal sends sig to the task's process group.
func (p *process) signal(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		_ = syscall.Kill(-p.pid, sig)
	}
}

// terminate asks the task to end.
func (p *process) terminate() {
	p.mu.Lock()
	p.deadline = time.Now().Add(p.task.Grace)
	p.mu.Unlock()
	p.signal(syscall.SIGTERM)
	p.signal(syscall.SIGCONT) // a stopped process could not heed it
}

// outcome is what the thread of a process reports.
type outcome struct {
	res executor.Result
	err error
}

// thread runs the task on an operating system thread of its own, from the fork
// to the end. It must be one thread and live as long as the task: the kernel
// sends PR_SET_PDEATHSIG when the *thread* that forked ends. And a confined
// task inherits the confinement of that thread.
func (p *process) thread(done chan<- outcome) {
	if p.cell != nil {
		p.cell.lives <- func() { done <- p.live() }
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	done <- p.live()
}

// live is the task's life, on its thread.
func (p *process) live() outcome {
	started := time.Now()
	pid, err := p.start()
	p.log.started()
	if err != nil {
		return outcome{err: err}
	}
	floor := maxRSS(syscall.RUSAGE_SELF)
	p.mu.Lock()
	p.pid = pid
	p.mu.Unlock()
	var guardErr error
	if p.guard != nil {
		guardErr = p.guard.Started(pid)
	}
	close(p.started)

	var status syscall.WaitStatus
	var usage syscall.Rusage
	var ended time.Time
	if err := await(pid, &status, &usage, func() { ended = p.clear() }); err != nil {
		return outcome{err: fmt.Errorf("task %s: wait: %w", p.task.ID, err)}
	}
	res := executor.Result{
		Exit: status.ExitStatus(), Started: started, Ended: ended,
		UserCPU: time.Duration(usage.Utime.Nano()), SystemCPU: time.Duration(usage.Stime.Nano()),
		ReadBytes: usage.Inblock * blockUnit, WrittenBytes: usage.Oublock * blockUnit,
	}
	if status.Signaled() {
		res.Signal = signalName(status.Signal())
	}
	// Between fork and exec a child has flow's memory, and the kernel counts
	// that as the child's. A value up to flow's own peak tells nothing.
	if rss := usage.Maxrss * rssUnit; rss > floor {
		res.PeakMemory = rss
	}
	if guardErr != nil {
		return outcome{res, fmt.Errorf("task %s: %w", p.task.ID, guardErr)}
	}
	return outcome{res: res}
}

func maxRSS(who int) int64 {
	var u syscall.Rusage
	if syscall.Getrusage(who, &u) != nil {
		return 0
	}
	return u.Maxrss * rssUnit
}

// start forks and executes.
func (p *process) start() (pid int, err error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, fmt.Errorf("task %s: %w", p.task.ID, err)
	}
	defer null.Close()
	w := p.log.w.Fd()
	attr := &syscall.ProcAttr{
		Dir:   p.task.Dir,
		Env:   environment(p.task.Env, p.marks),
		Files: []uintptr{null.Fd(), w, w},
		Sys:   sysProcAttr(),
	}
	// The child inherits the thread's CPUs.
	leave, err := p.cpus.enter(p.set)
	if err != nil {
		return 0, fmt.Errorf("task %s: choose CPUs: %w", p.task.ID, err)
	}
	defer leave()
	for pause := time.Millisecond; ; pause *= 2 {
		pid, err = syscall.ForkExec(p.path, p.task.Command, attr)
		// A program that flow has just copied is "text file busy" while a
		// child that another thread forked during the copy has not yet
		// executed: https://go.dev/issue/22315.
		if !errors.Is(err, syscall.ETXTBSY) || pause > 100*time.Millisecond {
			break
		}
		time.Sleep(pause)
	}
	if err != nil {
		return 0, p.startError(err)
	}
	return pid, nil
}

// startError says whose mistake it is that the program was not started.
func (p *process) startError(err error) error {
	for _, known := range []error{syscall.ENOEXEC, syscall.ENOENT, syscall.EACCES, syscall.ELOOP, syscall.E2BIG} {
		if !errors.Is(err, known) {
			continue
		}
		startErr := executor.StartError(p.task.Command[0], p.path, err)
		var program *executor.ProgramError
		if errors.As(startErr, &program) && program.Reason == executor.NotExecutable && p.cell != nil && p.cell.rules.denies(p.path) {
			program.Reason = executor.Denied
		}
		return startErr
	}
	return fmt.Errorf("task %s: start %s: %w", p.task.ID, p.path, err)
}

// clear ends all that is left of a task whose first process has ended but is
// not reaped, so that its number, which is also the group's, belongs to nobody
// else. It returns the time at which the task had ended.
func (p *process) clear() time.Time {
	p.linger()
	ended := time.Now()
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	_ = syscall.Kill(-p.pid, syscall.SIGKILL)
	if guard.KillMarked(p.pid, p.marks...) {
		ended = time.Now()
	}
	if p.guard != nil {
		_ = p.guard.Ended(p.pid) // a dead guardian is replaced with the next task
	}
	return ended
}

// linger gives a task that was asked to end its grace as a whole: a shell dies
// of SIGTERM at once, the trainer that it started first writes a checkpoint.
func (p *process) linger() {
	for {
		p.mu.Lock()
		deadline := p.deadline
		p.mu.Unlock()
		if !time.Now().Before(deadline) || !guard.Marked(p.pid, p.marks...) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func signalName(s syscall.Signal) string {
	if name := unix.SignalName(s); name != "" {
		return name
	}
	return fmt.Sprintf("signal %d", int(s))
}
