package executor

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"

	"github.com/agext/levenshtein"
)

// Reason says why a program cannot be started.
type Reason int

// The reasons. ProgramError.Hint says what can be done about each.
const (
	// Unstartable: what the operating system says, in ProgramError.Err.
	Unstartable Reason = iota
	// NotFound: no such file, or nothing of this name in PATH.
	NotFound
	// NotExecutable: the file has no execute permission.
	NotExecutable
	// IsDirectory: the path is a directory.
	IsDirectory
	// NoInterpreter: the program after #! is not there.
	NoInterpreter
	// BadFormat: neither a program for this machine nor a script with #!.
	BadFormat
	// Denied: the file exists and may be executed, but not by this task:
	// it lies in the project and was not declared.
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
		return fmt.Sprintf("program %q is a file of the project that was not declared", e.Program)
	case Unstartable:
	}
	return fmt.Sprintf("program %q cannot be started: %v", e.Program, e.Err)
}

func (e *ProgramError) Unwrap() error { return e.Err }

// Hint is the next step, in whole sentences; "" if there is none to give.
func (e *ProgramError) Hint() string {
	switch e.Reason {
	case NotFound:
		switch {
		case len(e.Similar) > 0:
			return fmt.Sprintf("Did you mean %s?", quoteList(e.Similar))
		case strings.Contains(e.Program, "/"):
			return "A file of the project is there for a stage only if it is one of its inputs: add it to inputs."
		}
		return "Install it, or write ./" + e.Program + " if it is a file of the project, and add it to inputs."
	case NotExecutable:
		return "Run chmod +x on it, or put its interpreter in front: [\"sh\", \"" + e.Program + "\"]."
	case IsDirectory:
		return "Name the program that is to run in it."
	case NoInterpreter:
		if strings.HasSuffix(e.Interpreter, "\r") {
			return "The script has Windows line ends: convert it with sed -i 's/\\r$//'."
		}
		return "Correct the first line of the script, or install the interpreter."
	case BadFormat:
		return "Start a script with a line such as #!/bin/sh; a binary must be built for this operating system and processor."
	case Denied:
		return "Add it to inputs and name it by its path relative to the project."
	case Unstartable:
	}
	return ""
}

func quoteList(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = fmt.Sprintf("%q", n)
	}
	return strings.Join(quoted, " or ")
}

// FindProgram returns the absolute path of the program that a task with this
// directory and environment means: with a slash it is relative to dir, without
// one it is looked up in the environment's PATH. The error is a *ProgramError.
func FindProgram(name, dir string, env []string) (string, error) {
	if name == "" {
		return "", &ProgramError{Program: name, Reason: NotFound, Err: fs.ErrNotExist}
	}
	if strings.Contains(name, "/") {
		return findFile(name, dir)
	}
	dirs := searchPath(dir, env)
	var denied error
	for _, d := range dirs {
		p := filepath.Join(d, name)
		switch reason, err := executable(p); {
		case err == nil:
			return p, nil
		case reason == NotExecutable && denied == nil:
			denied = &ProgramError{Program: name, Reason: reason, Path: p, Err: err}
		}
	}
	if denied != nil {
		return "", denied
	}
	return "", &ProgramError{Program: name, Reason: NotFound, Similar: similar(name, dirs), Err: fs.ErrNotExist}
}

func findFile(name, dir string) (string, error) {
	p := name
	if !filepath.IsAbs(p) {
		p = filepath.Join(dir, p)
	}
	reason, err := executable(p)
	if err == nil {
		return p, nil
	}
	e := &ProgramError{Program: name, Reason: reason, Err: err}
	if reason == NotFound {
		for _, s := range similar(filepath.Base(p), []string{filepath.Dir(p)}) {
			parent, _ := filepath.Split(name)
			e.Similar = append(e.Similar, parent+s)
		}
	} else {
		e.Path = p
	}
	return "", e
}

// executable says why the file cannot be executed; a nil error, that it can.
func executable(p string) (Reason, error) {
	info, err := os.Stat(p)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return NotFound, err
	case err != nil:
		return Unstartable, err
	case info.IsDir():
		return IsDirectory, syscall.EISDIR
	case info.Mode()&0o111 == 0:
		return NotExecutable, fs.ErrPermission
	}
	return 0, nil
}

// searchPath returns the absolute directories of env's PATH.
func searchPath(dir string, env []string) []string {
	var value string
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, "PATH="); ok {
			value = v
		}
	}
	var dirs []string
	for _, d := range filepath.SplitList(value) {
		if d == "" {
			d = "."
		}
		if !filepath.IsAbs(d) {
			d = filepath.Join(dir, d)
		}
		dirs = append(dirs, d)
	}
	return dirs
}

// similar returns up to two executables in dirs whose names look like name.
func similar(name string, dirs []string) []string {
	limit := 1 + len(name)/5
	if len(name) < 3 {
		return nil // any two-letter program looks like any other
	}
	distance := map[string]int{}
	for _, d := range dirs {
		entries, _ := os.ReadDir(d)
		for _, e := range entries {
			n := e.Name()
			if len(n) < len(name)-limit || len(n) > len(name)+limit {
				continue
			}
			if _, seen := distance[n]; seen {
				continue
			}
			if k := levenshtein.Distance(name, n, nil); k <= limit {
				if _, err := executable(filepath.Join(d, n)); err == nil {
					distance[n] = k
				}
			}
		}
	}
	names := make([]string, 0, len(distance))
	for n := range distance {
		names = append(names, n)
	}
	sort.Slice(names, func(i, j int) bool {
		if distance[names[i]] != distance[names[j]] {
			return distance[names[i]] < distance[names[j]]
		}
		return names[i] < names[j]
	})
	return names[:min(len(names), 2)]
}

// StartError explains why the operating system would not start the program at
// path, which FindProgram found: the result is a *ProgramError.
func StartError(name, path string, err error) error {
	e := &ProgramError{Program: name, Path: path, Err: err}
	switch {
	case errors.Is(err, syscall.ENOEXEC):
		e.Reason = BadFormat
	case errors.Is(err, fs.ErrNotExist):
		// The file is there, so it is what must load it that is not.
		e.Reason, e.Interpreter = NoInterpreter, interpreter(path)
	case errors.Is(err, fs.ErrPermission):
		e.Reason = NotExecutable
	}
	return e
}

// interpreter returns the program after #!; of a binary it is not known.
func interpreter(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	head, _ := io.ReadAll(io.LimitReader(f, 256))
	line, _, _ := bytes.Cut(head, []byte("\n"))
	rest, ok := bytes.CutPrefix(line, []byte("#!"))
	if !ok {
		return "ld.so"
	}
	rest = bytes.TrimLeft(rest, " \t")
	if i := bytes.IndexAny(rest, " \t"); i >= 0 {
		rest = rest[:i]
	}
	return string(rest)
}
