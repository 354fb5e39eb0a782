package executor

// Failure is what is known about a task that failed.
type Failure struct {
	// Log is the end of the task's log; a few KiB are enough.
	Log  []byte
	Argv []string
	Exit int
	// Project and Dir are the absolute paths of the project and of the
	// task's directory, which looks like the project.
	Project, Dir string
	// Inputs are the paths and globs, relative to the project, that the
	// stage declared; Outputs are the paths that it writes.
	Inputs, Outputs []string
	// Exists reports whether the project has a file or directory at the
	// slash-separated relative path.
	Exists func(rel string) bool
}

// Hint is a file of the project that a failed program seems to have wanted.
type Hint struct {
	// Path is relative to the project, slash-separated.
	Path string
	// Line is the line of the log that tells, or "" if it is an argument.
	Line string
}

// Hints finds the files of the project that the program wanted and that are
// not inputs of its stage, most certain first. It is pure but for Exists.
func Hints(f Failure) []Hint { return nil }
