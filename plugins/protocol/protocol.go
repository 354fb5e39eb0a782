// Package protocol is what flow and a plugin say to each other.
//
// A plugin is an executable called flow-plugin-NAME. It is started with one
// word, reads JSON from standard input or nothing, and answers on standard
// output:
//
//	describe   nothing          → a Description
//	run        a Spec           → Events, one a line, until the job is done
//	check      Checks, one a line → to each a Verdict, a line, at once
//
// A process that checks answers as many questions as there are, until its
// standard input ends: what starts slowly, as an interpreter does, starts once
// for a plan of a thousand stages.
//
// Standard error is for people: in a run it is the stage's log. The exit status
// of describe and check is 0; that of a run says how it ended, see ExitDone.
//
// The package holds the messages and the rules for them, for both sides: what
// starts a plugin is plugins/host, what a plugin in Go answers with is
// plugins/sdk. It runs nothing. docs/plugins.md describes the same for people,
// and testdata holds an example of each message.
package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/flow-pipelines/flow/engine/stage"
)

// Version is the version of the protocol. A plugin and flow must have the same.
const Version = 1

// Prefix begins the names of plugins' programs: flow-plugin-duckdb.
const Prefix = "flow-plugin-"

// The words a plugin is started with.
const (
	Describe = "describe"
	RunJob   = "run"
	CheckJob = "check"
)

// The exit statuses of a plugin.
const (
	// ExitDone: every output is written.
	ExitDone = 0
	// ExitProblem: the arguments or the inputs are wrong; Problem events say how.
	ExitProblem = 2
	// ExitUsage: started with a word or a protocol that it does not know.
	ExitUsage = 64
)

// The limits of what a plugin says. What is longer is a fault of the plugin.
const (
	MostDescription = 4 << 20  // bytes
	MostVerdict     = 4 << 20  // bytes
	MostLine        = 1 << 20  // bytes of one event
	MostEvents      = 64 << 20 // bytes of all events of a run
)

// Description is what a plugin is.
type Description struct {
	Protocol int    `json:"protocol"`
	Name     string `json:"name"`
	// Version is a number such as 1.2.0, by which pipelines ask for it.
	Version string `json:"version"`
	Summary string `json:"summary"`
	// Versions are those of the engines that it computes with, which count in
	// the key of each stage: {"torch": "2.6.0"}.
	Versions map[string]string `json:"versions,omitempty"`
	// Files are the paths of further files that the plugin is made of: absolute,
	// or relative to its program. With the program they are its digest. Of a
	// directory it is all that lies in it.
	Files []string `json:"files,omitempty"`
	// Starter says that the program only starts what Files hold, and does not
	// count: such as what pip puts into a bin directory, which differs from
	// machine to machine.
	Starter bool `json:"starter,omitempty"`
	// Watch are absolute paths of files that are not part of the plugin, but
	// a change of which changes the description: an engine's list of files. Of
	// a directory it is which names are in it.
	Watch []string `json:"watch,omitempty"`
	// Reads are absolute paths of files and directories that jobs must be able
	// to read, where they may lie in the project: an environment of Python.
	Reads []string `json:"reads,omitempty"`
	// Check says that the plugin answers the word check.
	Check bool   `json:"check,omitempty"`
	Types []Type `json:"types"`
}

// Type is a stage type.
type Type struct {
	Name string `json:"name"`
	// Version is raised when the same arguments and inputs give other results.
	Version int    `json:"version"`
	Summary string `json:"summary"`
	// Doc is Markdown, Example HCL, and Metrics says what is measured.
	Doc     string `json:"doc,omitempty"`
	Example string `json:"example,omitempty"`
	Metrics string `json:"metrics,omitempty"`
	// Effect says that a run changes something outside of its outputs: flow asks
	// first, and never takes the result from the cache.
	Effect bool `json:"effect,omitempty"`
	// Checkpoint asks for a directory in which a run that is ended leaves what the
	// next one goes on from.
	Checkpoint bool `json:"checkpoint,omitempty"`
	// ResumeOver are arguments with numbers, such as epochs, of which more means that
	// a run goes on as it did with less, and comes to what it would have come to
	// from nothing. A block then has the argument resume_over, by which a user has
	// kept what a run left in the checkpoint when it succeeded, for a run with more.
	ResumeOver []string `json:"resume_over,omitempty"`
	Body       Body     `json:"body"`
	Outputs    []Output `json:"outputs"`
	// Trials are runs that show that the type does what it should:
	// flow plugin test does them.
	Trials []Trial `json:"trials,omitempty"`
}

// Body is what may stand between the braces of a block.
type Body struct {
	Arguments []Argument `json:"arguments,omitempty"`
	Blocks    []Block    `json:"blocks,omitempty"`
}

// Argument is an argument, name = value.
type Argument struct {
	Name string `json:"name"`
	// Type is string, number, bool, any, artifact (a file: a stage, an output or
	// a path; a run gets its path), stage (a run gets address, outputs and
	// metrics), expression, or list(…), set(…) or map(…) of one.
	Type     string          `json:"type"`
	Required bool            `json:"required,omitempty"`
	Default  json.RawMessage `json:"default,omitempty"`
	OneOf    []string        `json:"one_of,omitempty"`
	Doc      string          `json:"doc"`
}

// Block is a nested block.
type Block struct {
	Name string `json:"name"`
	// Kind is single (at most one; in the arguments an object), repeated (a list
	// of objects), choice (at most one, the label picks a variant: {"LABEL": {…}})
	// or steps (blocks whose types are the variants, in order: [{"TYPE": {…}}, …]).
	Kind     string `json:"kind"`
	Required bool   `json:"required,omitempty"`
	// Label is the name under which the label is in the object.
	Label    string  `json:"label,omitempty"`
	Doc      string  `json:"doc"`
	Body     Body    `json:"body,omitzero"`
	Variants []Block `json:"variants,omitempty"`
}

// Output is a file or directory that a stage writes, or, with Each, one for each
// of several.
type Output struct {
	// Name is the output's; with Each it is for documentation alone.
	Name string `json:"name"`
	// Path is where it goes, relative to the stage's place. {ARGUMENT} stands for
	// the value of an argument that is a string, and {key} for the key of Each.
	Path string `json:"path"`
	Dir  bool   `json:"dir,omitempty"`
	Doc  string `json:"doc"`
	// Each names an argument that is a map, or a repeated block with a label: an
	// output for each key or label, with that name. {ARGUMENT} is then looked
	// for in the block first.
	Each string `json:"each,omitempty"`
	// If names an argument or block without which the stage has no such output.
	If string `json:"if,omitempty"`
}

// Trial is a run in an empty directory.
type Trial struct {
	Name string `json:"name"`
	// Args are the arguments as a Spec has them; paths lead to Files.
	Args  json.RawMessage   `json:"args"`
	Files map[string]string `json:"files,omitempty"`
	// Outputs are names and paths as a Spec has them.
	Outputs map[string]string `json:"outputs,omitempty"`
	// Problem is the path of the argument about which the run must complain;
	// nil: it must succeed.
	Problem *string `json:"problem,omitempty"`
}

// Spec is a job. The process starts in the job's directory, in which the inputs
// lie and the directories of the outputs are. Of GPUs it sees those that were lent
// to the stage: the variables CUDA_VISIBLE_DEVICES and ROCR_VISIBLE_DEVICES name
// them, and none where it asked for none.
type Spec struct {
	Protocol int    `json:"protocol"`
	Type     string `json:"type"`
	// Address is the stage's, for messages: sql.daily.
	Address string `json:"address"`
	// Args are the arguments with their defaults, shaped by the type's body.
	// Files are paths relative to the directory.
	Args json.RawMessage `json:"args"`
	// Outputs are paths by name, relative to the directory.
	Outputs map[string]string `json:"outputs"`
	CPUs    int               `json:"cpus"`
	// Checkpoint is the directory for what is saved on the way, "" if the type
	// asked for none. What an earlier run left is in it. A file gets its name when
	// it is complete.
	Checkpoint string `json:"checkpoint,omitempty"`
}

// The types of events.
const (
	Progress = "progress"
	Metrics  = "metrics"
	Log      = "log"
	Problem  = "problem"
)

// Event is one line that a run prints.
type Event struct {
	Type string `json:"type"`
	// Step, Total, Unit, Message and Metrics tell, in a progress event, how far
	// the job is.
	stage.Progress
	// Values are the stage's metrics; a later event adds to an earlier one.
	Values stage.Metrics `json:"values,omitempty"`
	// Text is a line for the stage's log.
	Text string `json:"text,omitempty"`
	// Path, Summary and Detail are a mistake of the user's; see stage.Problem.
	Path    string `json:"path,omitempty"`
	Summary string `json:"summary,omitempty"`
	Detail  string `json:"detail,omitempty"`
}

// Check asks a plugin to judge arguments before anything runs.
type Check struct {
	Protocol int `json:"protocol"`
	// ID is a number that the answer repeats: by it an answer is not taken for
	// that to another question.
	ID   int             `json:"id"`
	Type string          `json:"type"`
	Args json.RawMessage `json:"args"`
	// Inputs are the files that the arguments name, by the path of the argument.
	Inputs map[string]CheckInput `json:"inputs"`
}

// CheckInput is what is known of an input before anything runs.
type CheckInput struct {
	// Path is as in the arguments.
	Path string `json:"path"`
	// File is where it lies, an absolute path, if it is there.
	File string `json:"file,omitempty"`
	// Columns are those that it will have, if it is not there and they are known.
	Columns []string `json:"columns,omitempty"`
}

// Verdict is the answer to a Check.
type Verdict struct {
	// ID is the Check's.
	ID       int       `json:"id"`
	Problems []Mistake `json:"problems,omitempty"`
	// Columns are those of the outputs that are tables, as far as they are known.
	Columns map[string][]string `json:"columns,omitempty"`
}

// Mistake is one that the user made; see stage.Problem.
type Mistake struct {
	Path    string `json:"path,omitempty"`
	Summary string `json:"summary"`
	Detail  string `json:"detail,omitempty"`
}

// ErrVersion says that the other side speaks another version of the protocol.
var ErrVersion = errors.New("another version of the protocol")

// ParseDescription reads a description and checks it.
func ParseDescription(b []byte) (*Description, error) {
	var d Description
	if err := one(b, &d); err != nil {
		return nil, err
	}
	if d.Protocol != Version {
		return nil, fmt.Errorf("%w: it speaks %d, this flow %d", ErrVersion, d.Protocol, Version)
	}
	return &d, d.validate()
}

// ParseVerdict reads the answer to a Check.
func ParseVerdict(b []byte) (*Verdict, error) {
	var v Verdict
	if err := one(b, &v); err != nil {
		return nil, err
	}
	for _, p := range v.Problems {
		if p.Summary == "" {
			return nil, errors.New("a problem without a summary")
		}
	}
	return &v, nil
}

// ParseEvent reads a line that a run printed.
func ParseEvent(line []byte) (*Event, error) {
	var e Event
	if err := one(line, &e); err != nil {
		return nil, err
	}
	switch e.Type {
	case Progress, Metrics, Log:
	case Problem:
		if e.Summary == "" {
			return nil, errors.New("a problem without a summary")
		}
	default:
		return nil, fmt.Errorf("an event of the unknown type %q", e.Type)
	}
	return &e, nil
}

// one reads a single JSON document. Fields that are not known are passed over:
// a later minor version may have more.
func one(b []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(to); err != nil {
		if errors.Is(err, io.EOF) {
			return errors.New("nothing")
		}
		return fmt.Errorf("not JSON of the expected form: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something behind the JSON document")
	}
	return nil
}
