// Package plan decides what is to be done with each stage, and why.
//
// One function, Decide, does it for plan and apply alike: `flow plan` calls it
// for every stage with what is known now, `flow apply` calls it again for each
// stage once the stages it needs have results. It reads the project through a
// World and changes nothing. The package runs nothing, prints nothing and knows
// no stage type by name.
package plan

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/key"
	"github.com/flow-pipelines/flow/engine/lock"
	"github.com/flow-pipelines/flow/engine/stage"
)

// Action is what is to be done with a stage.
type Action string

// The actions.
const (
	// Keep: the result is recorded and its files are in place.
	Keep Action = "keep"
	// Restore: the result is known; its files are taken from the cache.
	Restore Action = "restore"
	// Run: the stage runs, or, for the user's own files, the new content is
	// recorded.
	Run Action = "run"
	// Defer: a stage that it needs runs first; it may turn out unchanged.
	Defer Action = "defer"
	// Blocked: a gate is closed, a condition of the stage does not hold, or a
	// stage that it needs is blocked.
	Blocked Action = "blocked"
)

// ReasonKind tells reasons apart, for programs that read a plan as JSON.
type ReasonKind string

// The kinds of reasons.
const (
	FirstTime     ReasonKind = "first_time"
	Changed       ReasonKind = "changed"        // a fact of the manifest; see Reason.Change
	TypeVersion   ReasonKind = "type_version"   // the stage type computes differently now
	DataChanged   ReasonKind = "data_changed"   // the user's own files
	MissingOutput ReasonKind = "missing_output" // an output is not in place
	EditedOutput  ReasonKind = "edited_output"  // an output is not what the stage wrote
	NotCached     ReasonKind = "not_cached"     // it would be restored, but the cache lacks it
	Damaged       ReasonKind = "damaged"        // it would be restored, but the cached copy is damaged
	Forced        ReasonKind = "forced"         // --rerun
	AlwaysRun     ReasonKind = "always_run"     // lifecycle says so
	Upstream      ReasonKind = "upstream"       // a stage that it needs runs first
	Gate          ReasonKind = "gate"           // `when` is false, or not known yet
	Drift         ReasonKind = "drift"          // the effect is not in place any more
	RolledBack    ReasonKind = "rolled_back"    // the effect is an earlier one, as somebody wanted; of a stage that is kept
	SecretChanged ReasonKind = "secret_changed" // a sensitive value differs
	KnownResult   ReasonKind = "known_result"   // the cache has it from an earlier run
	Moved         ReasonKind = "moved"          // same result, other place
	Continues     ReasonKind = "continues"      // it begins where an earlier run ended; not a reason to run
	InTheWay      ReasonKind = "in_the_way"     // something of the user's lies where an output goes
	Precondition  ReasonKind = "precondition"   // a precondition does not hold, or is not known yet
	Postcondition ReasonKind = "postcondition"  // the known result does not meet a postcondition
	Refused       ReasonKind = "refused"        // the results that a stage, or a block's instances, are made from are no good
)

// Reason is one reason for an action. Its JSON is that of all documents of flow.
type Reason struct {
	Kind ReasonKind `json:"kind"`
	// Text is the reason for a person: "argument epochs: 10 → 20".
	Text string `json:"text"`
	// Change is the fact that differs, for Changed.
	Change *key.Change `json:"change,omitempty"`
	// Files are the first few files that differ, for data; More counts the rest.
	Files []FileChange `json:"files,omitempty"`
	More  int          `json:"more_files,omitempty"`
	// Lines is set if one text file differs.
	Lines *Lines `json:"lines,omitempty"`
	// Stages are the stages that are waited for, for Upstream; if the stage is
	// blocked, the one that is to blame, however far up it is.
	Stages []addr.Address `json:"stages,omitempty"`
}

// FileChange is one file that differs. A zero node: it is not there.
type FileChange struct {
	Path string      `json:"path"`
	Old  digest.Node `json:"old,omitzero"`
	New  digest.Node `json:"new,omitzero"`
	// Lines is nil where they cannot be counted.
	Lines *Lines `json:"lines,omitempty"`
}

// Lines counts the lines by which two texts differ.
type Lines struct {
	Added   int `json:"added"`
	Removed int `json:"removed"`
}

func (l Lines) String() string { return fmt.Sprintf("+%d −%d lines", l.Added, l.Removed) }

// Step is the decision for one stage.
type Step struct {
	Addr   addr.Address
	Action Action
	// Reasons is empty for Keep, but for RolledBack.
	Reasons []Reason
	Stage   *config.Stage
	// Key is zero while an input or argument is not known.
	Key      key.Key
	Manifest key.Manifest
	Inputs   []Content
	// Results and Metrics are what the stage will come to, if known: for
	// Keep, Restore, the user's own files, and a result that was lost and is
	// made again.
	Results []lock.Result
	Metrics stage.Metrics
	// Known says that Results and Metrics are.
	Known bool
	// Failing says which conditions of the stage do not hold; then it is
	// blocked, and apply counts it as failed.
	Failing hcl.Diagnostics
	// Usual is how long it took in earlier runs; zero: unknown.
	Usual time.Duration
	// From is how far an earlier run went that this one goes on from; nil: it
	// begins from nothing. See stage.Job.ResumeOver.
	From *key.Point
	// RestoreBytes is what a restore will link or copy.
	RestoreBytes int64

	blame Blame // of a stage that others block
	// doubtful says that it may turn out to be blocked: a gate or a precondition is
	// not known yet, its own or that of a stage that it needs.
	doubtful bool
}

// Content is an input with what it holds.
type Content struct {
	stage.Input
	// Name is the fact's name in the manifest.
	Name string
	// At is where it lies in the project, and which files there count.
	At   stage.Output
	Node digest.Node
}

// Given reports whether the stage stands for the user's own files.
func (s *Step) Given() bool { return s.Stage.Job.Given }

// Result returns the named output.
func (s *Step) Result(name string) (lock.Result, bool) {
	for _, r := range s.Results {
		if r.Name == name {
			return r, true
		}
	}
	return lock.Result{}, false
}

// Plan is the decisions for all stages.
type Plan struct {
	// Steps are in the order of the graph: a stage comes after those it needs.
	Steps []*Step
	// Pipeline is what was planned, with all instances that are known.
	Pipeline *config.Pipeline
	// Deferred are the blocks whose instances are known after apply, sorted.
	Deferred []Deferred
	// Removed are the stages that flow.lock has and the pipeline has not.
	Removed []addr.Address
	// Checks are the pipeline's check blocks, as far as known.
	Checks []config.Check
	// Moved are the stages that flow.lock has under another name.
	Moved []Move
	// Orphans are what stages have written and no stage writes now.
	Orphans []Orphan
	// Unmanaged is what no stage is in charge of any more, and stays.
	Unmanaged []Unmanaged
	// Outputs are the values of the pipeline's output blocks, as far as known.
	Outputs []config.Output
	// Targeted says that only a part of the pipeline was planned.
	Targeted bool
	Forecast Forecast
}

// Deferred is a block whose instances depend on what stages come to that have
// not run yet, and what is known of it. Apply expands it as soon as they have.
type Deferred struct {
	config.Deferred
	// Reason says what it waits for.
	Reason Reason
	// Blocked: what it needs is, so it will not be expanded.
	Blocked bool

	waits []addr.Address // stages of Needs
}

// Forecast is what a plan expects.
type Forecast struct {
	// Total is the sum over the stages that will, or may, run; CriticalPath
	// the longest chain of them. Unknown counts those without a usual time, and
	// the deferred blocks.
	Total, CriticalPath time.Duration
	// Elapsed is the time with Jobs stages at once at most, started as apply
	// starts them. Both are zero if nobody has asked for that.
	Elapsed      time.Duration
	Jobs         int
	Unknown      int
	RestoreBytes int64
	// GPU is the time that GPUs are busy: of a stage, its usual time for each of
	// those that it asks for. GPUUnknown counts the stages that ask for some and
	// have never run.
	GPU        time.Duration
	GPUUnknown int
}

// forecastJSON is a Forecast in all documents of flow, in seconds and bytes.
type forecastJSON struct {
	Total        float64 `json:"total_seconds"`
	CriticalPath float64 `json:"critical_path_seconds"`
	Elapsed      float64 `json:"elapsed_seconds"`
	Jobs         int     `json:"jobs"`
	Unknown      int     `json:"unknown_stages"`
	RestoreBytes int64   `json:"restore_bytes"`
	GPU          float64 `json:"gpu_seconds"`
	GPUUnknown   int     `json:"gpu_unknown_stages"`
}

// MarshalJSON writes times as seconds.
func (f Forecast) MarshalJSON() ([]byte, error) {
	return json.Marshal(forecastJSON{
		f.Total.Seconds(), f.CriticalPath.Seconds(), f.Elapsed.Seconds(), f.Jobs, f.Unknown, f.RestoreBytes, f.GPU.Seconds(), f.GPUUnknown,
	})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (f *Forecast) UnmarshalJSON(b []byte) error {
	var j forecastJSON
	err := json.Unmarshal(b, &j)
	seconds := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
	*f = Forecast{
		Total: seconds(j.Total), CriticalPath: seconds(j.CriticalPath), Elapsed: seconds(j.Elapsed), Jobs: j.Jobs,
		Unknown: j.Unknown, RestoreBytes: j.RestoreBytes, GPU: seconds(j.GPU), GPUUnknown: j.GPUUnknown,
	}
	return err
}

// Count returns how many steps have the action.
func (p *Plan) Count(a Action) int {
	n := 0
	for _, s := range p.Steps {
		if s.Action == a {
			n++
		}
	}
	return n
}

// Failing returns how many steps are blocked by conditions of their own.
func (p *Plan) Failing() int {
	n := 0
	for _, s := range p.Steps {
		if len(s.Failing) > 0 {
			n++
		}
	}
	return n
}

// Empty reports whether there is nothing to do. A stage behind a closed gate
// is nothing to do; one whose condition does not hold is a failure to come.
func (p *Plan) Empty() bool {
	return p.Count(Keep)+p.Count(Blocked) == len(p.Steps) && len(p.Removed)+len(p.Moved) == 0 && p.Failing() == 0 && p.Later() == 0 && p.Refused() == 0
}

// Later returns how many blocks will be expanded during apply.
func (p *Plan) Later() int {
	n := 0
	for _, d := range p.Deferred {
		if !d.Blocked && len(d.Mistakes) == 0 {
			n++
		}
	}
	return n
}

// Refused returns how many blocks cannot be expanded with the results as they
// are: a failure to come.
func (p *Plan) Refused() int {
	n := 0
	for _, d := range p.Deferred {
		if len(d.Mistakes) > 0 {
			n++
		}
	}
	return n
}

// Spares reports whether a mistake in an output is not to be told: it may come
// from a result that a stage or a block is blocked for, which is told of that, or
// that was left out.
func (p *Plan) Spares() bool {
	return p.Targeted || slices.ContainsFunc(p.Steps, func(s *Step) bool { return len(s.Stage.Mistakes) > 0 }) ||
		slices.ContainsFunc(p.Pipeline.Deferred(), func(d config.Deferred) bool { return len(d.Mistakes) > 0 })
}

// Unfit returns what results have shown to be wrong with outputs. It is to be told
// with the plan, and stands in the way of nothing.
func (p *Plan) Unfit() hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, o := range p.Outputs {
		diags = append(diags, o.Mistakes...)
	}
	return diags
}

// Step returns the step of a stage, nil if there is none.
func (p *Plan) Step(a addr.Address) *Step {
	for _, s := range p.Steps {
		if s.Addr == a {
			return s
		}
	}
	return nil
}

// LaterEffects returns the deferred blocks whose instances will, or may, act
// outside of the project.
func (p *Plan) LaterEffects() []addr.Address {
	var all []addr.Address
	for _, d := range p.Deferred {
		if !d.Blocked && len(d.Mistakes) == 0 {
			all = append(all, d.Effects...)
		}
	}
	return all
}

// Effects returns the steps that will, or may, act outside of the project.
func (p *Plan) Effects() []*Step {
	var es []*Step
	for _, s := range p.Steps {
		if s.Stage.Schema.Effect && (s.Action == Run || s.Action == Defer) {
			es = append(es, s)
		}
	}
	return es
}

// Mistakes is an error that carries what is wrong with the user's pipeline.
type Mistakes struct {
	Diags hcl.Diagnostics
	// Files are the parsed files, for snippets.
	Files map[string]*hcl.File
}

func (m *Mistakes) Error() string { return m.Diags.Error() }
