// Package executor is the contract between the engine and the places where
// jobs run: this machine, a container, Slurm, Kubernetes.
//
// A Task is a program with arguments, an environment, a directory and a log;
// an Executor runs it to its end and says how it ended. An executor decides
// nothing: it does not know stages, keys or caches, does not choose what runs
// next, does not stage inputs or collect outputs, and never retries. The
// scheduler in engine/apply calls it and does all that.
//
// A program that fails is a Result. An error is either a *ProgramError, the
// program cannot be started and the user's pipeline is to blame, or means that
// our own infrastructure failed.
//
// Every implementation must pass the suite in executortest.
package executor

import (
	"context"
	"time"
)

// The variables that an executor adds to the environment of each task. They
// also let it find processes that escaped from their process group.
const (
	RunEnv  = "FLOW_RUN"
	TaskEnv = "FLOW_TASK"
)

// Executor runs tasks. It may be called concurrently.
type Executor interface {
	// Run blocks until the task and every process that it left behind have
	// ended. When ctx is cancelled, the task gets SIGTERM and, after its
	// Grace, SIGKILL; Run still returns the Result and no error. Only if ctx
	// is cancelled before the program starts is the error ctx.Err().
	Run(ctx context.Context, t Task) (Result, error)
}

// Confiner is an Executor that can honour Task.Confine.
type Confiner interface {
	Executor
	// Unconfined says, a sentence for a person, what Task.Confine asks for
	// and this machine cannot enforce. It is "" if all is enforced.
	Unconfined() string
}

// Task is one program to run.
type Task struct {
	// ID is unique in the run. It is used in messages, and is TaskEnv in the
	// program's environment.
	ID string
	// Dir is the absolute working directory.
	Dir string
	// Command is the program and its arguments. A program with a slash is
	// relative to Dir; one without is looked up in the PATH of Env.
	Command []string
	// Env is the complete environment, "NAME=value"; RunEnv and TaskEnv are
	// added. Of two values of one name, the later counts.
	Env []string
	// Log is the file that both streams are appended to, in the order in
	// which the program writes. It is made if it is not there; its directory
	// is not. Standard input is empty.
	Log string
	// Secrets are replaced by Hidden in the log, also where the program writes
	// them in pieces; nil is none.
	Secrets *Secrets
	// Timeout ends the task as a cancelled context does; 0 is none.
	Timeout time.Duration
	// Grace is the time between SIGTERM and SIGKILL; 0 kills at once.
	Grace time.Duration
	// CPUs and Memory (bytes) are what the task asked for and is not to exceed;
	// 0 is not said. A task that takes more Memory is killed. One that asked
	// for fewer CPUs than there are runs on so many, rounded up; which, the
	// executor chooses.
	CPUs   float64
	Memory int64
	// Confine limits what the task may read and write; nil is no limit.
	Confine *Confinement
}

// Confinement keeps a task from files that it did not declare: all of the
// project is out of its reach, except for Task.Dir, in which it may do
// anything, Allow and Writable. What lies outside the project is not limited,
// but for directories named .git and, as a consequence of how Landlock works,
// for the directories that lead down to the project: they cannot be listed,
// and nothing new can be made directly in them. So if the project lies below
// /tmp or the home directory, a task needs a TMPDIR elsewhere, in Task.Dir or
// Writable, and writes to ~/.cache/x but not to a new ~/x.
type Confinement struct {
	// Project is the absolute path of the tree that must not be read.
	Project string
	// Allow are absolute paths that may be read and executed, with all that
	// is below them: a virtual environment, an interpreter in the project.
	Allow []string
	// Writable are absolute paths in which anything may be done.
	Writable []string
}

// Result says how a task ended.
type Result struct {
	// Exit is the program's exit status, -1 if a signal ended it.
	Exit int
	// Signal is the name of the signal that ended it: "SIGSEGV"; else "".
	Signal string
	// TimedOut says that Timeout passed before the task ended.
	TimedOut bool
	// Killed says that the task did not heed SIGTERM and got SIGKILL.
	Killed bool

	Started, Ended time.Time
	// UserCPU and SystemCPU are the times of the program and all the
	// descendants that it waited for.
	UserCPU, SystemCPU time.Duration
	// PeakMemory is the most memory, in bytes, that the task's processes were
	// seen to use together, or the largest of them by itself if nobody looked at
	// the right moment; 0 if it is not known.
	PeakMemory int64
	// OverMemory is how much they used when the task was killed since that was
	// more than its Memory; else 0.
	OverMemory int64
	// ReadBytes and WrittenBytes went from and to storage.
	ReadBytes, WrittenBytes int64
	// Unconfined says, a sentence for a person, what Task.Confine asked for
	// and was not enforced.
	Unconfined string
}

// OK reports whether the program ended by itself and with success. A program
// that catches SIGTERM and exits with 0 after a timeout is not OK.
func (r Result) OK() bool { return r.Exit == 0 && r.Signal == "" && !r.TimedOut && !r.Killed }
