package local

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// rssUnit is the unit of Rusage.Maxrss, in bytes.
const rssUnit = 1024

// blockUnit is the unit of Rusage.Inblock and Oublock, in bytes.
const blockUnit = 512

func sysProcAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

func onMainThread() bool { return unix.Gettid() == unix.Getpid() }

// await waits until the process has ended, calls before, and reaps it.
func await(pid int, status *syscall.WaitStatus, usage *syscall.Rusage, before func()) error {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
	before()
	for {
		_, err := syscall.Wait4(pid, status, 0, usage)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
