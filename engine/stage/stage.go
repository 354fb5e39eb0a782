// Package stage is the contract between the engine and the stage types.
//
// A stage type is what a block's type names: dataset, exec, train. It says
// what a block may contain (Schema), turns one block's resolved arguments into
// a job (Job), and, unless the job is a program of the user's, runs it (Run).
// The engine knows no stage type by name: it sees schemas, jobs and files.
//
// A new type is a Go value with two or three methods:
//
//	type Config struct {
//		Input stage.Artifact `json:"input" flow:"required" doc:"Text file whose lines are counted."`
//		Blank bool           `json:"blank" doc:"Count blank lines too." default:"true"`
//	}
//
//	type Type struct{}
//
//	func (Type) Schema() *stage.Schema {
//		return &stage.Schema{Name: "lines", Version: 1, Summary: "…", Body: stage.BodyOf[Config]()}
//	}
//
//	func (Type) Job(req *stage.Request) (*stage.Job, error) {
//		return req.Job(stage.Output{Name: "count", Path: "count.txt"}), nil
//	}
//
//	func (Type) Run(ctx context.Context, run *stage.Run) (stage.Metrics, error) {
//		cfg, err := stage.Decode[Config](run.Args)
//		…read string(cfg.Input), write run.Output("count")…
//		return stage.Metrics{"lines": n}, nil
//	}
//
// Everything that runs is a process with arguments and files, so a job runs on
// any executor: the engine starts a Runner as `flow stage-run SPEC` in the
// job's directory. See Spec for that protocol.
//
// A user's mistake is a *Problem, which carries the path of the argument that
// is wrong, so that the message can point at the line of HCL. Any other error
// means that something outside the user's pipeline failed.
package stage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"
)

// Type is one stage type. Its methods are called concurrently.
type Type interface {
	Schema() *Schema
	// Job says what one block with resolved arguments would run. It is pure
	// and quick: it is called for every stage of every plan. It reads no
	// files; a mistake that shows in the arguments alone is a *Problem, or
	// several in Problems.
	Job(req *Request) (*Job, error)
}

// Runner is a Type whose jobs flow runs itself.
type Runner interface {
	Type
	// Run does the work in the current directory. It writes every output
	// and returns the stage's metrics. The same arguments and inputs must
	// give the same bytes, on any machine, for the same Schema.Version.
	Run(ctx context.Context, run *Run) (Metrics, error)
}

// Observer is a Type with an effect outside its outputs that can be looked at,
// such as a deployment. Observe is called while planning; it is cheap and
// changes nothing. project is the absolute path of the project and metrics
// what the last run returned.
type Observer interface {
	Type
	Observe(project string, args json.RawMessage, metrics Metrics) (Observation, error)
}

// Observation is how the world differs from what a run left, each for a person:
// "serving/x/current points to version 3". It is empty if nothing differs.
type Observation struct {
	// Drift is to be put right: the stage runs again.
	Drift string
	// Meant was brought about by flow on somebody's word, such as a rollback: it
	// is told, and stays.
	Meant string
}

// Measurer is a Type whose jobs write their metrics to Job.MetricsFiles.
type Measurer interface {
	Type
	// Measure reads the files, relative to dir, in which a job has just run.
	// A file that is missing or cannot be read as metrics is a *Problem.
	Measure(dir string, files []string) (Metrics, error)
}

// Reverter is a Type with an effect that can be taken back to an earlier state.
// Rollback returns what it went back to; to is a version as the type prints
// them, "" the one before the current. Versions lists those there are.
type Reverter interface {
	Type
	Rollback(project string, args json.RawMessage, to string) (version string, err error)
	Versions(project string, args json.RawMessage) ([]string, error)
}

// Lasting is a Type with an effect that is there until somebody takes it away,
// such as a model in service. When the stage goes, or has its effect elsewhere
// from now on, flow leaves what is there as it is, and says so.
type Lasting interface {
	Type
	// Place is where a stage with the arguments has its effect: two stages with
	// one place have one effect. "": not known.
	Place(project string, args json.RawMessage) string
	// Remains finds what is still there of a run that returned the metrics.
	Remains(project string, metrics Metrics) (r Remains, ok bool)
}

// Remains is an effect that is still there.
type Remains struct {
	// Place is as Lasting.Place has it.
	Place string
	// What is the effect, for a person, as a sentence begins: "what it deployed
	// to serving/x stays in service".
	What string
	// TakeDown is a command, run in the project, that takes it away.
	TakeDown string
}

// Metrics are a stage's results that are values rather than files: numbers,
// strings, booleans, and nested maps and lists of them, as JSON has them.
// Expressions see them as TYPE.NAME.metrics.
type Metrics map[string]any

// Request is what a Type makes a job from.
type Request struct {
	// Address is the stage's, as it is written in HCL, for messages.
	Address string
	// Args holds the resolved arguments as a JSON object shaped by the
	// schema, defaults filled in. Decode reads it.
	Args json.RawMessage
	// Unknown names the top-level arguments and blocks that depend on the
	// metrics of a stage that has not run; they are absent from Args. The
	// outputs must not depend on them.
	Unknown []string
	// Dir is the slash-separated path, relative to the project, below which
	// the outputs lie unless the user names another place.
	Dir string
	// Inputs are the files that the arguments name, in the order of the
	// arguments: other stages' outputs, and files of the project.
	Inputs []Input
}

// IsUnknown reports whether the top-level argument or block is not known yet.
func (r *Request) IsUnknown(name string) bool {
	for _, u := range r.Unknown {
		if u == name {
			return true
		}
	}
	return false
}

// Job returns the job of a Runner: all inputs, and outputs whose relative
// paths are taken to lie in r.Dir.
func (r *Request) Job(outputs ...Output) *Job {
	for i, o := range outputs {
		outputs[i].Path = path.Join(r.Dir, o.Path)
	}
	return &Job{Inputs: r.Inputs, Outputs: outputs}
}

// Job is what runs, or, if Given, what is watched.
type Job struct {
	// Command is the program and its arguments. Empty: flow runs the type's
	// Runner.
	Command []string
	// Env is added to the environment, and part of the key.
	Env     map[string]string
	Inputs  []Input
	Outputs []Output
	// MetricsFiles are paths of files that the command writes and the type,
	// a Measurer, reads metrics from. A Runner returns its metrics instead.
	MetricsFiles []string
	Isolation    Isolation
	// Checkpoint, if not empty, is the path, relative to the working
	// directory, of a directory for what a job saves on its way. It is there
	// and empty for the first attempt; what a failed, interrupted or killed
	// attempt left in it is there for the next one with the same key, in this
	// apply or a later one. It is neither input nor output, and gone when the
	// job succeeds, but see ResumeOver. The job may be killed while it writes there: it gives a
	// file its name when the file is complete.
	Checkpoint string
	// ResumeOver are paths of arguments with numbers, such as epochs, of which
	// more means that the job goes on as it did with fewer: what it left in
	// Checkpoint when it succeeded with smaller numbers, and all else the same,
	// is there for it to go on from. It comes to what it would come to from
	// nothing. An environment variable is env.NAME.
	ResumeOver []string
	// Given says that the outputs are the user's own files: nothing runs,
	// their content is recorded.
	Given bool
}

// Isolation says where a command runs.
type Isolation string

const (
	// Strict is a directory that holds the declared inputs and nothing else.
	Strict Isolation = ""
	// None is the project itself.
	None Isolation = "none"
)

// Input is something a job reads.
type Input struct {
	// Role is the path of the argument that names the input: "data",
	// "inputs.scans", "command[2]". Unique in a job.
	Role string
	// Path is where the job finds it, relative to the project (and to the
	// job's directory, which looks like the project). For files of the
	// project it may be a glob.
	Path string
	// From is the stage whose output it is; nil for files of the project.
	From *Source
}

// Source names one output of a stage.
type Source struct {
	Address string
	Output  string
	// Path is the file of a directory that is meant, relative to it. If there
	// is no such file, or Path is "", it is the output as a whole.
	Path string
}

// Whole is the path of the output as a whole, of an input from a stage.
func (in Input) Whole() string { return strings.TrimSuffix(in.Path, "/"+in.From.Path) }

// Output is something a job writes.
type Output struct {
	// Name tells the outputs of a stage apart; it is an HCL identifier.
	Name string
	// Path is relative to the project, slash-separated.
	Path string
	// Dir says that it is a directory.
	Dir bool
	// Ignore are globs, relative to a directory, of files that do not count.
	// Include, if not empty, are globs of the only files that count.
	Ignore, Include []string
	// Kind is what it holds, as far as the type knows.
	Kind Kind
	// NoStore says that the content is hashed and watched but not kept in
	// the cache.
	NoStore bool
}

// Kind is what a file or directory holds, where a stage that reads it could do
// nothing with anything else. "" is anything.
type Kind string

// The kinds: rows in a file or a directory of files; a directory with a model.
const (
	Table Kind = "table"
	Model Kind = "model"
)

// Problem is a mistake in a pipeline.
type Problem struct {
	// Path leads to the argument: "target", "features.numeric[0].impute".
	// Empty: the block as a whole.
	Path string
	// Summary is one short sentence without the position: `No column "diagnoses"`.
	Summary string
	// Detail says the cause and the next step, in whole sentences.
	Detail string
}

// Problemf returns a Problem at the path; the detail is formatted.
func Problemf(path, summary, detail string, args ...any) *Problem {
	return &Problem{Path: path, Summary: summary, Detail: fmt.Sprintf(detail, args...)}
}

func (p *Problem) Error() string {
	var b strings.Builder
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Summary)
	if p.Detail != "" {
		b.WriteString(": " + p.Detail)
	}
	return b.String()
}

// Problems are several mistakes, to be shown at once.
type Problems []*Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// ProblemsIn returns the user's mistakes that an error is about, none if
// something else went wrong.
func ProblemsIn(err error) Problems {
	var ps Problems
	if one := (*Problem)(nil); errors.As(err, &one) {
		return Problems{one}
	}
	errors.As(err, &ps)
	return ps
}

// Err returns ps as an error, nil if there are none.
func (ps Problems) Err() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}
