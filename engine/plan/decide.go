package plan

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/key"
	"github.com/flow-pipelines/flow/engine/lock"
	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/engine/state"
)

// World is what Decide looks at. All paths are relative to the project.
type World interface {
	// Hash returns what lies at the path of the output, fs.ErrNotExist if
	// nothing does.
	Hash(ctx context.Context, o stage.Output) (digest.Node, error)
	// Expand returns the files that a glob matches, sorted.
	Expand(ctx context.Context, glob string) ([]string, error)
	// Locked returns what flow.lock records of a stage, or nil.
	Locked(a addr.Address) *lock.Stage
	// Result returns what an earlier run with this key came to.
	Result(ctx context.Context, k key.Key) (state.Result, bool, error)
	// Missing returns how many objects of n the cache lacks. If shallow, it
	// looks at the object that names n alone.
	Missing(ctx context.Context, n digest.Node, shallow bool) (int, error)
	// Changes lists the first few files that differ between two directories, or
	// two files, of which the second lies at the path of the output, and how
	// many more do. It lists none if the cache does not hold what directory
	// there was before, and counts lines where it holds the text.
	Changes(ctx context.Context, o stage.Output, before, after digest.Node) (files []FileChange, more int, err error)
	// Saved returns where a run to p goes on from: how far an earlier one went
	// that saved its state; false: there is none.
	Saved(p key.Point) (from key.Point, ok bool)
	// Usual returns how long stages took in earlier runs, where that is known.
	Usual(ctx context.Context, stages []addr.Address) (map[addr.Address]time.Duration, error)
	// Tracked reports whether git tracks files at a path.
	Tracked(ctx context.Context, path string) bool
	// Content returns a reader of what lies at an output or, if that is
	// something else than n, in the cache.
	Content(o stage.Output, n digest.Node) config.Content
	// Part returns a file of the directory n, which lies at an output or is in
	// the cache; false: there is none, or it is no regular file.
	Part(o stage.Output, n digest.Node, path string) (digest.Node, bool)
	// Project is the absolute path of the project.
	Project() string
}

// Outcome is what is known of a stage that others need.
type Outcome struct {
	State   OutcomeState
	Results []lock.Result
	Outputs []stage.Output // in the same order
	// Blame says why it is closed.
	Blame Blame
	// Doubtful says of a stage that is Pending that it may turn out Closed.
	Doubtful bool
}

// Blame names the stage that closes the way to others, and why it does.
type Blame struct {
	Addr addr.Address
	Why  string
}

// OutcomeState tells outcomes apart.
type OutcomeState int

// The states: not run yet, will not run, there.
const (
	Pending OutcomeState = iota
	Closed
	Ready
)

// Options of Decide.
type Options struct {
	// Rerun returns what the user said if he wants a stage to run though it
	// need not, such as --rerun, and else "".
	Rerun func(addr.Address) string
	// Relocate says that outputs will be moved from where flow.lock has them.
	Relocate bool
	// Postconditions evaluates those of a stage, given its metrics; nil: none
	// has any. See the function of this name.
	Postconditions func(addr.Address, stage.Metrics) ([]config.Assertion, hcl.Diagnostics)
	// Writer returns the stage that writes, or has written, what lies at a path.
	// Globs take in nothing of that. Nil: no stage is known to write.
	Writer func(path string) (addr.Address, bool)
	// Gone is what stages have written that are gone; nor do globs take in any of
	// that. Nil: nothing is known of such.
	Gone *Gone
}

// Decide says what is to be done with one stage. outcome is asked about the
// stages it depends on. A mistake of the user's is a *stage.Problem.
func Decide(ctx context.Context, w World, st *config.Stage, outcome func(addr.Address) Outcome, opts Options) (*Step, error) {
	d := &decision{
		w: w, opts: opts, locked: w.Locked(st.Addr),
		step: &Step{Addr: st.Addr, Stage: st},
	}
	if d.gate(outcome) || d.unfit() {
		return d.step, nil
	}
	if err := d.decide(ctx, outcome); err != nil {
		return nil, err
	}
	d.judge()
	return d.step, nil
}

func (d *decision) decide(ctx context.Context, outcome func(addr.Address) Outcome) error {
	if d.step.Stage.Job.Given {
		if err := d.given(ctx); err != nil || !d.step.doubtful {
			return err
		}
		d.wait()
		return nil
	}
	if err := d.inputs(ctx, outcome); err != nil {
		return err
	}
	if err := d.manifest(); err != nil {
		return err
	}
	if d.waiting() {
		return d.pendingAction(ctx)
	}
	if err := d.action(ctx); err != nil {
		return err
	}
	d.continues()
	return nil
}

// continues finds what a stage that runs goes on from. One that the user wants to
// run though it need not begins from nothing.
func (d *decision) continues() {
	st := d.step.Stage
	wanted := func(r Reason) bool { return r.Kind == Forced || r.Kind == AlwaysRun }
	if d.step.Action != Run || st.Job.Checkpoint == "" || slices.ContainsFunc(d.step.Reasons, wanted) {
		return
	}
	p, ok := key.PointOf(d.step.Manifest, st.Args, st.Job.ResumeOver)
	if !ok {
		return
	}
	if from, ok := d.w.Saved(p); ok {
		d.step.From = &from
		d.because(Reason{Kind: Continues, Text: "continues from " + from.String()})
	}
}

type decision struct {
	w       World
	opts    Options
	locked  *lock.Stage
	step    *Step
	pending []addr.Address  // stages whose results are awaited
	unknown map[string]bool // names of the inputs that they give
}

func (d *decision) because(r ...Reason) { d.step.Reasons = append(d.step.Reasons, r...) }

// inputs finds the content of everything that the job reads.
func (d *decision) inputs(ctx context.Context, outcome func(addr.Address) Outcome) error {
	job := d.step.Stage.Job
	program := key.Subject{Job: job, Unknown: d.step.Stage.Unknown}.Program()
	d.unknown = map[string]bool{}
	seen := map[string]bool{}
	add := func(in stage.Input, at stage.Output, n digest.Node) {
		name := in.Role
		// A program finds its inputs by their paths, a job of flow's own by
		// their roles.
		if program {
			name = at.Path
		}
		if seen[name] {
			return
		}
		seen[name] = true
		in.Path = at.Path
		if n.IsZero() {
			d.unknown[name] = true
			return
		}
		d.step.Inputs = append(d.step.Inputs, Content{Input: in, Name: name, At: at, Node: n})
	}
	for _, in := range job.Inputs {
		if in.From != nil {
			if err := d.upstream(in, outcome, add); err != nil {
				return err
			}
			continue
		}
		if err := d.projectFiles(ctx, in, add); err != nil {
			return err
		}
	}
	return nil
}

// upstream finds the content of an input that a stage writes: all of an output,
// or one file of it.
func (d *decision) upstream(in stage.Input, outcome func(addr.Address) Outcome, add func(stage.Input, stage.Output, digest.Node)) error {
	a, err := addr.Parse(in.From.Address)
	if err != nil {
		return err
	}
	o := outcome(a)
	if o.State != Ready {
		add(in, stage.Output{Path: in.Path}, digest.Node{})
		d.unknown[in.Whole()] = true // if there is no such file
		return nil
	}
	i := slices.IndexFunc(o.Results, func(r lock.Result) bool { return r.Name == in.From.Output })
	if i < 0 {
		return fmt.Errorf("BUG: %s has no result %q", a, in.From.Output)
	}
	node := o.Results[i].Node
	if in.From.Path != "" {
		if file, ok := d.w.Part(o.Outputs[i], node, in.From.Path); ok {
			add(in, stage.Output{Path: in.Path}, file)
			return nil
		}
	}
	at := o.Outputs[i]
	at.Path = in.Whole()
	add(in, at, node)
	return nil
}

func (d *decision) projectFiles(ctx context.Context, in stage.Input, add func(stage.Input, stage.Output, digest.Node)) error {
	paths := []string{in.Path}
	if isGlob(in.Path) {
		var err error
		if paths, err = d.w.Expand(ctx, in.Path); err != nil {
			return stage.Problemf(in.Role, "Bad glob", "%q: %v.", in.Path, err)
		}
		var by addr.Address
		var kept []string // paths are those of all stages that name the glob
		for _, p := range paths {
			a, written := d.opts.writer(p)
			if written && by.IsZero() {
				by = a
			}
			if !written {
				if written, err = d.opts.Gone.has(ctx, p); err != nil {
					return err
				}
			}
			if !written {
				kept = append(kept, p)
			}
		}
		paths = kept
		if len(paths) == 0 && !by.IsZero() {
			return stage.Problemf(in.Role, fmt.Sprintf("All that %q matches is written by stages", in.Path),
				"A glob takes in files of yours alone. What a stage writes is named by the stage, here %s, so that flow knows the order.", by)
		}
		if len(paths) == 0 {
			return stage.Problemf(in.Role, fmt.Sprintf("No file matches %q", in.Path), "The glob is relative to the project directory; ** crosses directories. Correct it or create the file.")
		}
	}
	for _, p := range paths {
		n, err := d.w.Hash(ctx, stage.Output{Path: p})
		if errors.Is(err, fs.ErrNotExist) {
			return stage.Problemf(in.Role, fmt.Sprintf("No file or directory %q", p), "The path is relative to the project directory. If a stage writes this file, refer to that stage instead, so that flow knows the order.")
		}
		if err != nil {
			return err
		}
		add(in, stage.Output{Path: p}, n)
	}
	return nil
}

func (o Options) writer(p string) (addr.Address, bool) {
	if o.Writer == nil {
		return addr.Address{}, false
	}
	return o.Writer(p)
}

// Writer is Options.Writer of a pipeline: of what is not expanded yet it knows
// what flow.lock has.
func Writer(p *config.Pipeline, locked *lock.Lock) func(string) (addr.Address, bool) {
	deferred := p.Deferred()
	before := map[string]addr.Address{}
	if len(deferred) > 0 {
		for _, s := range locked.Stages() {
			if slices.ContainsFunc(deferred, func(d config.Deferred) bool { return d.Covers(s.Addr) }) {
				for _, r := range s.Results {
					before[r.Path] = s.Addr
				}
			}
		}
	}
	return func(name string) (addr.Address, bool) {
		if a, ok := p.Writer(name); ok || len(before) == 0 {
			return a, ok
		}
		return holder(before, name)
	}
}

func isGlob(p string) bool { return strings.ContainsAny(p, "*?[{") }

func (d *decision) manifest() error {
	st := d.step.Stage
	s := key.Subject{Schema: st.Schema, Args: st.Hashed, Sensitive: st.Sensitive, Unknown: st.Unknown, Job: st.Job}
	for _, in := range d.step.Inputs {
		s.Inputs = append(s.Inputs, key.Content{Name: in.Name, Path: in.Path, Node: in.Node})
	}
	var err error
	if d.step.Manifest, err = key.ManifestOf(s); err != nil {
		return fmt.Errorf("%s: %w", st.Addr, err)
	}
	if !d.waiting() {
		d.step.Key = d.step.Manifest.Key()
	}
	return nil
}

// waiting reports whether something that the key depends on is not known yet.
// A stage that merely has to come later (depends_on) is no reason to wait with
// the decision, but with the work: then its key is known. But if that stage may be
// blocked, so may this one.
func (d *decision) waiting() bool {
	st := d.step.Stage
	return len(d.unknown) > 0 || len(st.Unknown) > 0 || d.step.doubtful
}

// pendingAction decides about a stage that has to wait for others: it runs if
// something else has changed already and nothing can block it, else nobody knows yet.
func (d *decision) pendingAction(ctx context.Context) error {
	st := d.step.Stage
	switch {
	case d.forced():
	case d.locked == nil:
		d.because(Reason{Kind: FirstTime, Text: "first time"})
	default:
		cs := changes(st.Schema.Body, d.locked.Manifest, d.step.Manifest, func(f key.Fact) bool {
			return f.Kind == key.Input && d.mayStay(f.Name) ||
				f.Kind == key.Argument && slices.Contains(st.Unknown, topLevel(f.Name)) ||
				f.Kind == key.Command && slices.Contains(st.Unknown, "command") ||
				f.Kind == key.Environment && slices.Contains(st.Unknown, "env")
		})
		cs = append(cs, d.secrets()...)
		if err := d.explainData(ctx, cs); err != nil {
			return err
		}
		d.because(cs...)
	}
	if len(d.step.Reasons) > 0 && !d.step.doubtful {
		d.step.Action = Run
		return nil
	}
	d.wait()
	return nil
}

// wait leaves the decision to apply, and says what it waits for.
func (d *decision) wait() {
	st := d.step.Stage
	d.step.Action, d.step.Known = Defer, false
	if st.When.Value == config.Unknown {
		d.because(Reason{Kind: Gate, Text: "when: " + st.When.Text + " is known after apply"})
	}
	for _, a := range st.Preconditions {
		if a.Open() {
			d.because(Reason{Kind: Precondition, Text: a.Kind + ": " + a.Text + " is known after apply"})
		}
	}
	d.because(Reason{Kind: Upstream, Text: upstreamText(d.pending, st.Awaits), Stages: d.pending})
}

// secrets says which sensitive values differ, by their names.
func (d *decision) secrets() []Reason {
	var names []string
	for _, f := range key.SecretsChanged(d.locked.Manifest, d.locked.Key, d.step.Manifest) {
		names = append(names, strings.TrimSpace(f.Kind.String()+" "+f.Name))
	}
	if len(names) == 0 {
		return nil
	}
	return []Reason{{Kind: SecretChanged, Text: "a sensitive value changed: " + strings.Join(names, " or ")}}
}

// mayStay reports whether an input is, or may be, there without its content or
// even that being known: which files an unknown argument names is not.
func (d *decision) mayStay(name string) bool {
	st := d.step.Stage
	if d.unknown[name] || len(st.Unknown) == 0 {
		return d.unknown[name]
	}
	if _, there := d.step.Manifest.Get(key.Input, name); there {
		return false
	}
	program := key.Subject{Job: st.Job, Unknown: st.Unknown}.Program()
	return program || slices.Contains(st.Unknown, topLevel(name))
}

func topLevel(path string) string {
	if i := strings.IndexAny(path, ".[#"); i > 0 {
		return path[:i]
	}
	return path
}

// action decides about a stage whose key is known.
func (d *decision) action(ctx context.Context) error {
	if d.forced() {
		d.step.Action = Run
		return nil
	}
	if d.locked != nil && d.locked.Key == d.step.Key {
		return d.recorded(ctx)
	}
	if d.locked == nil {
		d.because(Reason{Kind: FirstTime, Text: "first time"})
	} else {
		cs := changes(d.step.Stage.Schema.Body, d.locked.Manifest, d.step.Manifest, nil)
		cs = append(cs, d.secrets()...)
		if len(cs) == 0 {
			cs = []Reason{{Kind: SecretChanged, Text: "a sensitive value changed"}}
		}
		if err := d.explainData(ctx, cs); err != nil {
			return err
		}
		d.because(cs...)
	}
	if err := d.fromCache(ctx); err != nil {
		return err
	}
	return d.inTheWay(ctx)
}

// inTheWay looks at what lies where outputs will go for the first time. What
// the cache has can be brought back; anything else is set aside, which the plan
// says, unless git tracks it: then the path is a mistake.
func (d *decision) inTheWay(ctx context.Context) error {
	for _, o := range d.step.Stage.Job.Outputs {
		if d.locked != nil {
			if old, ok := d.locked.Result(o.Name); ok && old.Path == o.Path {
				continue
			}
		}
		n, err := d.w.Hash(ctx, o)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if missing, err := d.w.Missing(ctx, n, false); err != nil {
			return err
		} else if missing == 0 {
			continue
		}
		if d.w.Tracked(ctx, o.Path) {
			return stage.Problemf("outputs."+o.Name, fmt.Sprintf("%s is tracked by git", o.Path), "An output belongs to its stage, which would replace what is there. Choose another path, or, if the stage is to write this from now on, take it out of git: git rm -r --cached %s", o.Path)
		}
		d.because(Reason{Kind: InTheWay, Text: o.Path + " is there and not flow's; it will be kept in .flow/trash"})
	}
	return nil
}

// recorded decides about a stage that flow.lock has with the same key: its
// outputs may still be missing or edited.
func (d *decision) recorded(ctx context.Context) error {
	d.setResults(func(name string) digest.Node {
		r, _ := d.locked.Result(name)
		return r.Node
	}, d.locked.Metrics)
	inPlace, err := d.inPlace(ctx)
	if err != nil {
		return err
	}
	seen, err := d.observe()
	if err != nil {
		return err
	}
	if seen.Drift != "" {
		d.step.Action, d.step.Known = Run, false
		d.because(Reason{Kind: Drift, Text: seen.Drift})
		return nil
	}
	if inPlace && d.relocated() {
		// Nothing is to be restored but the record.
		d.step.Action = Restore
		d.because(Reason{Kind: Moved, Text: "its outputs lie elsewhere than " + lock.FileName + " says"})
		return nil
	}
	if inPlace && d.exposed() {
		d.step.Action = Restore
		d.because(Reason{Kind: SecretChanged, Text: "a value is sensitive now, and " + lock.FileName + " has it in clear"})
		return nil
	}
	if inPlace {
		d.step.Action = Keep
		if seen.Meant != "" {
			d.because(Reason{Kind: RolledBack, Text: seen.Meant})
		}
		return nil
	}
	return d.restoreOrRun(ctx)
}

// exposed reports whether flow.lock has a value in clear that is sensitive now.
func (d *decision) exposed() bool {
	for _, f := range d.step.Manifest {
		if !f.Sensitive {
			continue
		}
		if v, ok := d.locked.Manifest.Get(f.Kind, f.Name); ok && v != key.Hidden {
			return true
		}
	}
	return false
}

// fromCache decides about a stage with another key than flow.lock has: an
// earlier run, on another branch perhaps, may have had it.
func (d *decision) fromCache(ctx context.Context) error {
	if d.step.Stage.Schema.Effect {
		d.step.Action = Run
		return nil
	}
	res, ok, err := d.w.Result(ctx, d.step.Key)
	if err != nil {
		return err
	}
	if !ok {
		d.step.Action = Run
		return nil
	}
	metrics, err := DecodeMetrics(res.Metrics)
	if err != nil {
		return err
	}
	d.setResults(func(name string) digest.Node { return res.Outputs[name] }, metrics)
	d.because(Reason{Kind: KnownResult, Text: "the result is known from " + res.Finished.Local().Format("2006-01-02 15:04")})
	return d.restoreOrRun(ctx)
}

func (d *decision) setResults(node func(name string) digest.Node, m stage.Metrics) {
	d.step.Known, d.step.Metrics = true, m
	for _, o := range d.step.Stage.Job.Outputs {
		d.step.Results = append(d.step.Results, lock.Result{Name: o.Name, Path: o.Path, Node: node(o.Name)})
	}
}

// inPlace compares the outputs in the project with what they should be.
func (d *decision) inPlace(ctx context.Context) (bool, error) {
	ok := true
	for i, o := range d.step.Stage.Job.Outputs {
		want := d.step.Results[i].Node
		got, err := d.w.Hash(ctx, o)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			ok = false
			kind, text := MissingOutput, o.Path+" is missing"
			if old, _ := d.locked.Result(o.Name); old.Path != o.Path {
				kind, text = Moved, fmt.Sprintf("output moved: %s → %s", old.Path, o.Path)
			}
			d.because(Reason{Kind: kind, Text: text})
		case err != nil:
			return false, err
		case got != want:
			ok = false
			r, err := dataReason(ctx, d.w, EditedOutput, o, want, got)
			if err != nil {
				return false, err
			}
			r.Text = o.Path + " is not what the stage wrote"
			d.because(r)
		}
	}
	return ok, nil
}

func (d *decision) observe() (stage.Observation, error) {
	ob, ok := d.step.Stage.Type.(stage.Observer)
	if !ok {
		return stage.Observation{}, nil
	}
	return ob.Observe(d.w.Project(), d.step.Stage.Args, d.locked.Metrics)
}

func (d *decision) restoreOrRun(ctx context.Context) error {
	for _, r := range d.step.Results {
		missing := 1
		if moves, err := d.atOldPlace(ctx, r); err != nil {
			return err
		} else if moves {
			continue
		}
		if !r.Node.IsZero() {
			var err error
			if missing, err = d.w.Missing(ctx, r.Node, false); err != nil {
				return err
			}
		}
		if missing > 0 {
			d.runAgain(r.Path)
			return nil
		}
		d.step.RestoreBytes += r.Node.Size
	}
	d.step.Action = Restore
	if d.step.Stage.Schema.Effect {
		d.step.Action, d.step.Known = Run, false
	}
	return nil
}

// runAgain settles a stage whose result is known but lost. It will come to the
// same, so what depends on it is decided as if it were there; should it not,
// apply decides again.
func (d *decision) runAgain(lost string) {
	d.step.Action, d.step.RestoreBytes = Run, 0
	gone := 0
	d.step.Reasons = slices.DeleteFunc(d.step.Reasons, func(r Reason) bool {
		if r.Kind == MissingOutput {
			gone++
		}
		return r.Kind == KnownResult
	})
	if gone > 0 && gone == len(d.step.Reasons) && gone == len(d.step.Results) {
		// A fresh clone: nothing was lost that had been here.
		d.step.Reasons = []Reason{{Kind: NotCached, Text: "its results are not on this machine"}}
		return
	}
	d.because(Reason{Kind: NotCached, Text: "the cache does not hold " + lost})
}

// DecodeMetrics reads metrics with their numbers as they were written.
func DecodeMetrics(b []byte) (stage.Metrics, error) {
	if len(b) == 0 {
		return nil, nil
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var m stage.Metrics
	if err := dec.Decode(&m); err != nil {
		return nil, fmt.Errorf("decode metrics: %w", err)
	}
	return m, nil
}
