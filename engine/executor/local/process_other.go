//go:build !linux

package local

import (
	"errors"
	"syscall"
)

// rssUnit is the unit of Rusage.Maxrss, in bytes.
const rssUnit = 1

// blockUnit is 0: what Rusage.Inblock counts differs.
const blockUnit = 0

func sysProcAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func onMainThread() bool { return false }

// await waits until the process has ended, reaps it, and calls after. Here the
// number of the group can, in theory, already be somebody else's.
func await(pid int, status *syscall.WaitStatus, usage *syscall.Rusage, after func()) error {
	for {
		_, err := syscall.Wait4(pid, status, 0, usage)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		after()
		return err
	}
}
