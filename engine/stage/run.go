package stage

import (
	"encoding/json"
	"fmt"
	"io"
)

// SpecVersion is the version of Spec and of the files beside it.
const SpecVersion = 1

// Spec is what `flow stage-run SPEC` reads. The file lies in the job's private
// directory; the process starts in the job's work directory. It answers with
// files beside the spec: ResultFile with the metrics when all went well,
// ProblemFile with a Problem when the user is to blame, and an exit status.
// Progress goes, one JSON object a line, to the file that EventsEnv names.
type Spec struct {
	Version int    `json:"version"`
	Type    string `json:"type"`
	Address string `json:"address"`
	// Project is the absolute path of the project, for types with an effect.
	Project string            `json:"project"`
	Args    json.RawMessage   `json:"args"`
	Outputs map[string]string `json:"outputs"` // name → path relative to the work directory
	// Inputs are the digests of what the job reads, by role, as flow.lock has them.
	Inputs map[string]string `json:"inputs,omitempty"`
	CPUs   int               `json:"cpus"`
	// Checkpoint is Job.Checkpoint.
	Checkpoint string `json:"checkpoint,omitempty"`
	// Plugin is the program that does the job, nil if it is flow itself.
	Plugin *Plugin `json:"plugin,omitempty"`
}

// The names of the files beside a Spec, and the variable that tells any
// program, also one of the user's, where its progress may be written.
const (
	SpecFile    = "spec.json"
	ResultFile  = "metrics.json"
	ProblemFile = "problem.json"
	EventsFile  = "events.jsonl"
	EventsEnv   = "FLOW_EVENTS"
)

// Run is one run of a Runner. The current directory is the job's: relative
// paths in the arguments and outputs lead where they should.
type Run struct {
	Spec
	// Log takes lines for people; it ends up in the stage's log.
	Log io.Writer
	// Events takes Progress as JSON lines; may be nil.
	Events io.Writer
}

// ExitError is the error of work that another program did, and failed at. The job
// ends as that program did: with its exit status, or, as in a shell, with 128 and
// the number of the signal that ended it.
type ExitError struct {
	Status int
	Err    error
}

func (e *ExitError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *ExitError) Unwrap() error { return e.Err }

// Output returns the path at which the named output is to be written. Its
// parent directory exists. It panics if Job declared no such output.
func (r *Run) Output(name string) string {
	p, ok := r.Outputs[name]
	if !ok {
		panic(fmt.Sprintf("BUG: stage type %s: output %q was not declared by Job", r.Type, name))
	}
	return p
}

// Progress tells how far a job is. All fields are optional.
type Progress struct {
	Step  int64  `json:"step,omitempty"`
	Total int64  `json:"total,omitempty"`
	Unit  string `json:"unit,omitempty"` // "epoch", "row"
	// Metrics are values at this step, for curves.
	Metrics map[string]float64 `json:"metrics,omitempty"`
	Message string             `json:"message,omitempty"`
}

// Progress reports p to whoever watches. Errors are dropped: a job does not
// fail because nobody listens.
func (r *Run) Progress(p Progress) {
	if r.Events == nil {
		return
	}
	if b, err := json.Marshal(p); err == nil {
		_, _ = r.Events.Write(append(b, '\n'))
	}
}
