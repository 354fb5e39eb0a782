package executor

import (
	"fmt"
	"strings"
)

// Reason says why a program cannot be started.
type Reason int

// The reasons, with what can be done about them in ProgramError.Hint.
const (
	// NotFound: no such file, or nothing of this name in PATH.
	NotFound Reason = iota
	// NotExecutable: the file has no execute permission.
	NotExecutable
	// IsDirectory: the path is a directory.
	IsDirectory
	// NoInterpreter: the program after #! is not there.
	NoInterpreter
	// BadFormat: neither a program for this machine nor a script with #!.
	BadFormat
	// Denied: the file is in the project and the task may not read it.
	Denied
)

// ProgramError says that a task's program cannot be started. Nothing ran.
type ProgramError struct {
	Program string
	Reason  Reason
	// Path is the file that was found, "" if there was none.
	Path string
	// Interpreter is what stands after #!, for NoInterpreter.
	Interpreter string
	// Similar are names that were perhaps meant, best first.
	Similar []string
	// Err is what the operating system said; may be nil.
	Err error
}

// Error is one line; Hint has the next step.
func (e *ProgramError) Error() string {
	switch e.Reason {
	case NotFound:
		if strings.Contains(e.Program, "/") {
			return fmt.Sprintf("program %q is not there", e.Program)
		}
		return fmt.Sprintf("program %q is not in PATH", e.Program)
	case NotExecutable:
		return fmt.Sprintf("program %q is not executable", e.Program)
	case IsDirectory:
		return fmt.Sprintf("program %q is a directory", e.Program)
	case NoInterpreter:
		return fmt.Sprintf("program %q needs the interpreter %q, which is not there", e.Program, e.Interpreter)
	case BadFormat:
		return fmt.Sprintf("program %q is neither a program for this machine nor a script that starts with #!", e.Program)
	case Denied:
		return fmt.Sprintf("program %q is a file of the project that is not an input", e.Program)
	}
	return fmt.Sprintf("program %q: %v", e.Program, e.Err)
}

func (e *ProgramError) Unwrap() error { return e.Err }

// Hint is the next step, in whole sentences.
func (e *ProgramError) Hint() string { return "" }
