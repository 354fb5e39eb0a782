package local

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flow-pipelines/flow/engine/executor"
)

// drain is how long a pump waits for the end of a pipe whose task has ended.
// The pipe is then empty but for what a process wrote that escaped.
const drain = 200 * time.Millisecond

// pipeSize is the most that a pipe holds, as a rule: what is read beyond that
// after the time for more was not there when the task ended.
const pipeSize = 1 << 20

// pump copies what a task writes into its log, through a pipe. Giving the task
// the file itself would be simpler, but a script that says
//
//	echo message >/dev/stderr
//
// would then open that file anew, truncate it, and write at its beginning; and
// confined to its own directory it could not open it at all. A pipe is opened
// by that name without harm.
type pump struct {
	r, w *os.File
	file *os.File
	to   *executor.Redactor // writes to the file
	done chan error
}

func newPump(log string, secrets *executor.Secrets) (*pump, error) {
	file, err := os.OpenFile(log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("open log: %w", err)
	}
	p := &pump{r: r, w: w, file: file, to: executor.NewRedactor(file, secrets), done: make(chan error, 1)}
	go func() { p.done <- p.copy() }()
	return p, nil
}

var buffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// copy reads to the end, also when the log cannot be written any more: a task
// must not hang because the disk is full.
func (p *pump) copy() error {
	buf := buffers.Get().(*[32 << 10]byte)
	defer buffers.Put(buf)
	var failed error
	for late := 0; ; {
		n, err := p.r.Read(buf[:])
		if errors.Is(err, os.ErrDeadlineExceeded) && late < pipeSize {
			// On a busy machine this may be the first that is seen of the pipe.
			n = p.waiting(buf[:])
			late += n
		}
		if n > 0 && failed == nil {
			_, failed = p.to.Write(buf[:n])
		}
		if err != nil && n <= 0 {
			return errors.Join(failed, p.to.Close())
		}
	}
}

// waiting reads what is in the pipe by now, after the deadline for more.
func (p *pump) waiting(buf []byte) (n int) {
	c, err := p.r.SyscallConn()
	if err != nil {
		return 0
	}
	_ = p.r.SetReadDeadline(time.Time{}) // else nothing is read at all
	_ = c.Read(func(fd uintptr) (done bool) {
		n, _ = unix.Read(int(fd), buf)
		return true
	})
	_ = p.r.SetReadDeadline(time.Now())
	return n
}

// started closes this process's writing end, so that the pipe ends when the
// task's processes do.
func (p *pump) started() { p.w.Close() }

// close waits until everything is in the log.
func (p *pump) close() error {
	p.w.Close() // again, if the task never started
	_ = p.r.SetReadDeadline(time.Now().Add(drain))
	err := <-p.done
	if err = errors.Join(err, p.file.Close(), p.r.Close()); err != nil {
		return fmt.Errorf("write log: %w", err)
	}
	return nil
}
