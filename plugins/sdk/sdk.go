// Package sdk is what a plugin in Go is made with:
//
//	type Greeting struct {
//		Who string `json:"who" flow:"required" doc:"Whom to greet."`
//	}
//
//	func main() {
//		sdk.Main("hello", "0.1.0", sdk.Type[Greeting]{
//			Name: "greet", Summary: "A greeting in a file",
//			Outputs: []sdk.Output{{Name: "text", Path: "greeting.txt", Doc: "The greeting."}},
//			Run: func(ctx context.Context, g Greeting, run *sdk.Run) (sdk.Metrics, error) {
//				return nil, os.WriteFile(run.Output("text"), []byte("Hello, "+g.Who+"\n"), 0o644)
//			},
//		})
//	}
//
// The tags of the struct are those of flow's own stage types (see
// engine/stage.BodyOf): json, doc, default, oneof, and flow:"required", "label",
// "choice" and "steps". A field of the type Artifact takes a file.
//
// A mistake of the user's is a *Problem, made by Problemf, with the path of the
// argument; flow then points at the line of HCL. The package speaks
// plugins/protocol and does nothing else; who wants more of the protocol than it
// offers can answer it by hand.
package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/plugins/protocol"
)

// What a plugin sees of flow.
type (
	// Artifact is an argument that names a file; in a run it is its path.
	Artifact = stage.Artifact
	// Reference is an argument that names a stage, with its metrics.
	Reference = stage.Reference
	// Run is one job: Output says where to write, Progress tells how far it is.
	Run = stage.Run
	// Metrics are a stage's results that are values.
	Metrics = stage.Metrics
	// Progress tells how far a job is.
	Progress = stage.Progress
	// Problem is a mistake of the user's.
	Problem = stage.Problem
	// Problems are several.
	Problems = stage.Problems
	// Output is a file that a stage writes.
	Output = protocol.Output
	// Trial is a run that flow plugin test does.
	Trial = protocol.Trial
	// Input is what is known of an input before anything runs.
	Input = protocol.CheckInput
)

// Problemf returns a Problem at the path of an argument; the detail is formatted.
func Problemf(path, summary, detail string, args ...any) *Problem {
	return stage.Problemf(path, summary, detail, args...)
}

// Type is a stage type whose arguments decode into C.
type Type[C any] struct {
	Name string
	// Version is raised when the same arguments and inputs give other results;
	// 0 is 1.
	Version               int
	Summary, Doc, Example string
	Outputs               []Output
	// Metrics documents them.
	Metrics string
	// Effect says that a run changes something outside of its outputs.
	Effect bool
	// Checkpoint asks for a directory, Run.Checkpoint, in which a run that is ended
	// leaves what the next one goes on from.
	Checkpoint bool
	// ResumeOver are arguments with numbers, such as epochs, of which more means that a
	// run goes on as it did with less: see protocol.Type.
	ResumeOver []string
	Trials     []Trial
	// Run does the work. The same arguments and inputs must give the same bytes.
	Run func(ctx context.Context, args C, run *Run) (Metrics, error)
	// Check judges arguments before anything runs, by the heads of the inputs,
	// and may tell the columns of the outputs; nil: it does not.
	Check func(args C, inputs map[string]Input) (columns map[string][]string, err error)
}

// StageType is a Type, whatever its arguments.
type StageType interface {
	describe() (protocol.Type, error)
	run(ctx context.Context, run *Run) (Metrics, error)
	check(q *protocol.Check) (map[string][]string, error)
	checks() bool
}

func (t Type[C]) describe() (protocol.Type, error) {
	body, err := protocol.BodyOf(stage.BodyOf[C]())
	return protocol.Type{
		Name: t.Name, Version: max(1, t.Version), Summary: t.Summary, Doc: t.Doc, Example: t.Example, Metrics: t.Metrics,
		Effect: t.Effect, Checkpoint: t.Checkpoint, ResumeOver: t.ResumeOver, Body: body, Outputs: t.Outputs, Trials: t.Trials,
	}, err
}

func (t Type[C]) run(ctx context.Context, run *Run) (Metrics, error) {
	args, err := stage.Decode[C](run.Args)
	if err != nil {
		return nil, err
	}
	return t.Run(ctx, args, run)
}

func (t Type[C]) check(q *protocol.Check) (map[string][]string, error) {
	args, err := stage.Decode[C](q.Args)
	if err != nil || t.Check == nil {
		return nil, err
	}
	return t.Check(args, q.Inputs)
}

func (t Type[C]) checks() bool { return t.Check != nil }

// Plugin is a plugin with more to say of itself than Main takes.
type Plugin struct {
	Name, Version, Summary string
	// Versions are those of the engines that it computes with.
	Versions map[string]string
	Types    []StageType
}

// Main is the main function of a plugin.
func Main(name, version string, types ...StageType) {
	Plugin{Name: name, Version: version, Types: types}.Exit()
}

// Exit answers what the process was started with, and ends it. What is printed
// goes to standard error, for standard output is flow's.
func (p Plugin) Exit() {
	out := os.Stdout
	os.Stdout = os.Stderr
	os.Exit(p.Main(os.Args[1:], os.Stdin, out, os.Stderr)) //nolint:forbidigo // it is the plugin's main
}

// Main answers one word and returns the exit status.
func (p Plugin) Main(args []string, in io.Reader, out, errs io.Writer) int {
	word := strings.Join(args, " ")
	var err error
	status := protocol.ExitUsage
	switch word {
	case protocol.Describe:
		err, status = p.describe(out), 1
	case protocol.CheckJob:
		status, err = p.check(in, out, errs)
	case protocol.RunJob:
		status, err = p.run(in, out, errs)
	default:
		err = fmt.Errorf("%s%s is a plugin of flow; it is started by flow with describe, run or check", protocol.Prefix, p.Name)
	}
	if err == nil {
		return protocol.ExitDone
	}
	// Problems were told by events, and whoever started this shows them.
	if status != protocol.ExitProblem {
		_, _ = fmt.Fprintf(errs, "error: %v\n", err)
	}
	return status
}

func (p Plugin) describe(out io.Writer) error {
	d := protocol.Description{Protocol: protocol.Version, Name: p.Name, Version: p.Version, Summary: p.Summary, Versions: p.Versions}
	for _, t := range p.Types {
		pt, err := t.describe()
		if err != nil {
			return err
		}
		d.Types = append(d.Types, pt)
		d.Check = d.Check || t.checks()
		if d.Summary == "" {
			d.Summary = pt.Summary
		}
	}
	return json.NewEncoder(out).Encode(d)
}

var errProtocol = errors.New("another version of the protocol")

// about finds the stage type that a message is about.
func (p Plugin) about(version int, name string) (StageType, error) {
	if version != protocol.Version {
		return nil, fmt.Errorf("%w: flow speaks %d, this plugin %d", errProtocol, version, protocol.Version)
	}
	for _, t := range p.Types {
		if pt, err := t.describe(); err == nil && pt.Name == name {
			return t, nil
		}
	}
	return nil, fmt.Errorf("this plugin has no stage type %q", name)
}

// safely calls a function of the plugin's. A panic is a failure like another: the
// status that Go ends with then means something else to flow.
func safely(errs io.Writer, call func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			_, _ = errs.Write(debug.Stack())
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return call()
}

// check answers questions until there are no more.
func (p Plugin) check(in io.Reader, out, errs io.Writer) (int, error) {
	questions, answers := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var q protocol.Check
		if err := questions.Decode(&q); errors.Is(err, io.EOF) {
			return protocol.ExitDone, nil
		} else if err != nil {
			return protocol.ExitUsage, fmt.Errorf("read standard input: %w", err)
		}
		t, err := p.about(q.Protocol, q.Type)
		if err != nil {
			return protocol.ExitUsage, err
		}
		v := protocol.Verdict{ID: q.ID}
		err = safely(errs, func() (err error) {
			v.Columns, err = t.check(&q)
			return err
		})
		ps := stage.ProblemsIn(err)
		if err != nil && len(ps) == 0 {
			return 1, err
		}
		for _, m := range ps {
			v.Problems = append(v.Problems, protocol.Mistake{Path: m.Path, Summary: m.Summary, Detail: m.Detail})
		}
		if err := answers.Encode(v); err != nil {
			return 1, err
		}
	}
}

func (p Plugin) run(in io.Reader, out, errs io.Writer) (int, error) {
	var spec protocol.Spec
	if err := json.NewDecoder(in).Decode(&spec); err != nil {
		return protocol.ExitUsage, fmt.Errorf("read standard input: %w", err)
	}
	t, err := p.about(spec.Protocol, spec.Type)
	if err != nil {
		return protocol.ExitUsage, err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	runtime.GOMAXPROCS(max(1, spec.CPUs))
	e := &events{out: out}
	run := &Run{Log: errs, Events: e}
	run.Spec = stage.Spec{Type: spec.Type, Address: spec.Address, Args: spec.Args, Outputs: spec.Outputs, CPUs: spec.CPUs, Checkpoint: spec.Checkpoint}
	var m Metrics
	err = safely(errs, func() (err error) {
		m, err = t.run(ctx, run)
		return err
	})
	ps := stage.ProblemsIn(err)
	for _, m := range ps {
		e.say(protocol.Event{Type: protocol.Problem, Path: m.Path, Summary: m.Summary, Detail: m.Detail})
	}
	switch {
	case len(ps) > 0:
		return protocol.ExitProblem, err
	case err != nil:
		return 1, err
	}
	// A metric an event, in order: what cannot be written names itself.
	for _, name := range slices.Sorted(maps.Keys(m)) {
		e.say(protocol.Event{Type: protocol.Metrics, Values: Metrics{name: m[name]}})
	}
	return 1, e.err
}

// events writes events, one at a time, from whichever goroutine.
type events struct {
	mu  sync.Mutex
	out io.Writer
	err error
}

func (e *events) say(ev protocol.Event) {
	b, err := json.Marshal(ev)
	e.mu.Lock()
	defer e.mu.Unlock()
	if err == nil {
		_, err = e.out.Write(append(b, '\n'))
	}
	e.err = errors.Join(e.err, err)
}

// Write takes what Run.Progress writes.
func (e *events) Write(b []byte) (int, error) {
	var p Progress
	if err := json.Unmarshal(b, &p); err != nil {
		return 0, err
	}
	e.say(protocol.Event{Type: protocol.Progress, Progress: p})
	return len(b), nil
}
