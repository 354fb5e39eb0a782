package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/flow-pipelines/flow/plugins/protocol"
)

// answer asks a plugin what it is. The process and its children are killed when
// it has said too much or the context ends.
func answer(ctx context.Context, program string, env []string, patience time.Duration) ([]byte, error) {
	const word = protocol.Describe
	out := &bounded{most: protocol.MostDescription}
	errs := &tail{most: 4 << 10}
	var c *exec.Cmd
	kill := func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	out.full = func() { _ = kill() }
	err := start(func() *exec.Cmd {
		c = exec.CommandContext(ctx, program, word)
		c.Env, c.Dir = env, filepath.Dir(program)
		c.Stdout, c.Stderr = out, errs
		// A group of its own, so that its children end with it.
		c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		c.Cancel = kill
		c.WaitDelay = time.Second
		return c
	})
	if err != nil {
		return nil, fmt.Errorf("%s cannot be started: %w", program, cause(err))
	}
	err = c.Wait()
	_ = kill() // what it left behind
	var exit *exec.ExitError
	switch {
	case out.overflowed:
		return nil, fmt.Errorf("%s %s says too much: more than %d MiB, where a few kB are usual", program, word, protocol.MostDescription>>20)
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%s %s took longer than %s and was ended%s", program, word, patience, errs.said())
	case errors.As(err, &exit):
		return nil, fmt.Errorf("%s %s failed with %s%s", program, word, exit.ProcessState, errs.said())
	case err != nil && !errors.Is(err, exec.ErrWaitDelay) && !errors.Is(err, syscall.EPIPE):
		return nil, fmt.Errorf("%s %s: %w", program, word, err)
	}
	return out.b.Bytes(), nil
}

// start starts a command. A program that was written a moment ago may still be
// open for writing in a process that is just being forked; that passes.
func start(make func() *exec.Cmd) error {
	for wait := time.Millisecond; ; wait *= 2 {
		err := make().Start()
		if !errors.Is(err, syscall.ETXTBSY) || wait > 200*time.Millisecond {
			return err
		}
		time.Sleep(wait)
	}
}

// cause explains why a program does not start.
func cause(err error) error {
	switch {
	case errors.Is(err, syscall.ENOEXEC):
		return errors.New("it is neither a program for this machine nor a script with #! at its beginning")
	case errors.Is(err, syscall.ENOENT):
		return errors.New("what stands behind its #! is not there")
	}
	return err
}

// output is what a process writes into a pipe. It ends when all that hold the pipe
// have closed it, or when it is cut.
type output struct {
	file *os.File
	late int  // what was read after the cut
	held bool // it was cut, and somebody still held it
}

// mostLate is the most that a pipe holds, as a rule.
const mostLate = 1 << 20

// newOutput returns an output, and the end of it to write to.
func newOutput() (*output, *os.File, error) {
	r, w, err := os.Pipe()
	return &output{file: r}, w, err
}

// cut says that the process has ended: what it wrote is in the pipe by now.
func (o *output) cut() { _ = o.file.SetReadDeadline(time.Now()) }

func (o *output) close() { _ = o.file.Close() }

// Read implements io.Reader.
func (o *output) Read(b []byte) (int, error) {
	n, err := o.file.Read(b)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return n, err
	}
	// On a busy machine this may be the first that is seen of the pipe.
	if o.late < mostLate {
		n = o.waiting(b)
		o.late += max(n, 0)
	}
	if n <= 0 {
		o.held = n < 0 || o.late >= mostLate
		return 0, io.EOF
	}
	return n, nil
}

// waiting reads what is in the pipe; it returns 0 at its end, and less if there
// is nothing, and no end.
func (o *output) waiting(b []byte) int {
	c, err := o.file.SyscallConn()
	if err != nil {
		return -1
	}
	n := -1
	_ = o.file.SetReadDeadline(time.Time{}) // else nothing is read at all
	_ = c.Read(func(fd uintptr) (done bool) {
		n, _ = syscall.Read(int(fd), b)
		return true
	})
	o.cut()
	return n
}

// bounded keeps what is written to it, up to a limit. Past that it calls full.
type bounded struct {
	b          bytes.Buffer
	most       int
	overflowed bool
	full       func()
}

func (w *bounded) Write(p []byte) (int, error) {
	if w.b.Len()+len(p) > w.most {
		if !w.overflowed {
			w.overflowed = true
			w.full()
		}
		return 0, io.ErrShortWrite
	}
	return w.b.Write(p)
}

// tail keeps the end of what is written to it.
type tail struct {
	b    []byte
	most int
}

func (w *tail) Write(p []byte) (int, error) {
	w.b = append(w.b, p...)
	if over := len(w.b) - w.most; over > 0 {
		w.b = append(w.b[:0], w.b[over:]...)
	}
	return len(p), nil
}

// said is the last line that was written, as the end of a sentence.
func (w *tail) said() string {
	text := strings.TrimSpace(string(w.b))
	if i := strings.LastIndexByte(text, '\n'); i >= 0 {
		text = text[i+1:]
	}
	if text == "" {
		return ""
	}
	return "; it said " + excerpt([]byte(text))
}

// excerpt quotes the beginning of what a program printed.
func excerpt(b []byte) string {
	const most = 120
	b = bytes.TrimSpace(b)
	if len(b) == 0 {
		return "nothing"
	}
	if len(b) > most {
		cut := most
		for cut > 0 && !utf8.RuneStart(b[cut]) {
			cut--
		}
		return strconv.Quote(string(b[:cut])) + "…"
	}
	return strconv.Quote(string(b))
}
