package host

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/flow-pipelines/flow/plugins/protocol"
)

// checker asks a plugin to check the arguments of stages, all of them in one
// process, which is started with the first. Its methods may be called concurrently.
type checker struct {
	host    *Host
	program string

	mu   sync.Mutex
	talk *talk // nil: nothing runs
	last int   // the number of the last question
	// hung is why the plugin is not asked again: to wait for each of a thousand
	// stages as long as for the first would be too much.
	hung error
}

// ask asks one question. A fault of the plugin ends its process, and the next
// question starts another: who asked it is not to blame.
func (c *checker) ask(q protocol.Check) (*protocol.Verdict, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hung != nil {
		return nil, c.hung
	}
	if c.talk == nil {
		t, err := c.host.begin(c.program)
		if err != nil {
			return nil, err
		}
		c.talk = t
	}
	c.last++
	q.ID = c.last
	v, err := c.talk.ask(q)
	if err == nil {
		return v, nil
	}
	slow := errors.Is(err, os.ErrDeadlineExceeded)
	err = c.talk.blame(err)
	c.talk = nil
	if slow {
		c.hung = err
	}
	return nil, err
}

// dismiss lets the process end, and forgets that it hung.
func (c *checker) dismiss() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.talk != nil {
		c.talk.end()
	}
	c.talk, c.hung = nil, nil
}

// talk is one process that answers questions.
type talk struct {
	program  string
	patience time.Duration
	cmd      *exec.Cmd
	questions,
	answers *os.File
	in   *bufio.Reader // of answers
	errs *tail
}

// begin starts a plugin that is to answer questions.
func (h *Host) begin(program string) (_ *talk, err error) {
	t := &talk{program: program, patience: h.patience(), errs: &tail{most: 4 << 10}}
	hear, questions, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	answers, say, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, hear.Close(), questions.Close())
	}
	err = start(func() *exec.Cmd {
		t.cmd = exec.Command(program, protocol.CheckJob)
		t.cmd.Env, t.cmd.Dir = h.Environ, filepath.Dir(program)
		t.cmd.Stdin, t.cmd.Stdout, t.cmd.Stderr = hear, say, t.errs
		// A group of its own, so that its children end with it.
		t.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		t.cmd.WaitDelay = time.Second
		return t.cmd
	})
	_, _ = hear.Close(), say.Close()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s cannot be started: %w", program, cause(err)), questions.Close(), answers.Close())
	}
	t.questions, t.answers, t.in = questions, answers, bufio.NewReader(answers)
	return t, nil
}

// What a plugin that is asked may do wrong.
var (
	errMuch  = errors.New("it says too much")
	errEnded = errors.New("it has ended")
)

// ask asks one question, and reads the line that answers it.
func (t *talk) ask(q protocol.Check) (*protocol.Verdict, error) {
	question, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(t.patience)
	if err := errors.Join(t.questions.SetWriteDeadline(deadline), t.answers.SetReadDeadline(deadline)); err != nil {
		return nil, err
	}
	if _, err := t.questions.Write(append(question, '\n')); err != nil && !errors.Is(err, syscall.EPIPE) {
		return nil, err
	}
	line, err := readLine(t.in, protocol.MostVerdict)
	switch {
	case errors.Is(err, errLong):
		return nil, errMuch
	case errors.Is(err, io.EOF):
		return nil, errEnded
	case err != nil:
		return nil, err
	}
	v, err := protocol.ParseVerdict(line)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s check answered %s: %w; what is for people belongs on standard error", t.program, excerpt(line), err)
	case v.ID != q.ID:
		return nil, fmt.Errorf("%s check answered %s to the question with the id %d: the answer has the id of its question, and each question one answer", t.program, excerpt(line), q.ID)
	}
	return v, nil
}

// blame ends the process after a fault, and returns what it has done.
func (t *talk) blame(err error) error {
	if !errors.Is(err, errEnded) {
		t.kill()
	}
	status := t.end()
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%s check took longer than %s and was ended%s. It is to answer each line as it comes, and not to wait for the end of its input", t.program, t.patience, t.errs.said())
	case errors.Is(err, errMuch):
		return fmt.Errorf("%s check says too much: an answer of more than %d MiB, where a few kB are usual", t.program, protocol.MostVerdict>>20)
	case errors.Is(err, errEnded) && status.Success():
		return fmt.Errorf("%s check ended before it had answered; it goes on until its input ends, for there may be more questions%s", t.program, t.errs.said())
	case errors.Is(err, errEnded):
		return fmt.Errorf("%s check failed with %s%s", t.program, status, t.errs.said())
	}
	return err
}

// end closes the input of the process, at which it should end, and waits.
func (t *talk) end() *os.ProcessState {
	_ = t.questions.Close()
	late := time.AfterFunc(time.Second, t.kill)
	defer late.Stop()
	_ = t.answers.SetReadDeadline(time.Now().Add(2 * moment)) // a session of its own may hold it for ever
	_, _ = io.Copy(io.Discard, io.LimitReader(t.in, protocol.MostVerdict))
	_ = t.answers.Close()
	_ = t.cmd.Wait() // how it ended is in ProcessState
	t.kill()         // what it left behind
	return t.cmd.ProcessState
}

func (t *talk) kill() { _ = syscall.Kill(-t.cmd.Process.Pid, syscall.SIGKILL) }
