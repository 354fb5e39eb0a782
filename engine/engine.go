// Package engine is the whole of flow without a command line: it opens a
// project, plans, applies and checks out. It wires the rooms below it together
// and decides nothing itself; it never prints, exits or reads flags.
//
// What goes wrong comes back as an error. A *plan.Mistakes carries HCL
// diagnostics: the user's pipeline is wrong, nothing was changed. A failing
// stage is not an error but part of the Report.
package engine

import (
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/event"
	"github.com/flow-pipelines/flow/engine/executor"
	"github.com/flow-pipelines/flow/engine/pinned"
	"github.com/flow-pipelines/flow/engine/plan"
	"github.com/flow-pipelines/flow/engine/stage"
)

// Dir is the folder in which flow keeps what is not for git.
const Dir = ".flow"

// Options say how to open a project.
type Options struct {
	// Dir is the project directory.
	Dir string
	// Types are the stage types a pipeline may use.
	Types []stage.Type
	// Plugins finds those that the pipeline declares; nil: there are none.
	Plugins config.Plugins
	// Vars, VarFiles and Environ set variables: --var, --var-file, and the
	// environment, in which FLOW_VAR_name counts. Environ is also what the
	// programs of stages see.
	Vars     map[string]string
	VarFiles []string
	Environ  []string
	// Records says that only what is recorded is of interest: mistakes in the
	// HCL and variables without values are passed over.
	Records bool
	// Unset says that variables without a value are no mistake: what depends on
	// them is not known.
	Unset bool
	// Values are values of variables that win over all these: a saved plan's.
	Values map[string]cty.Value
	// Self starts this program: the jobs of built-in stage types run as
	// `Self stage-run SPEC`.
	Self []string
	// Executor runs the jobs; nil is this machine.
	Executor executor.Executor
	// Version is flow's own, for run records.
	Version string
	// Warn is told of what went wrong and was survived, such as a damaged
	// cache; may be nil. During an apply, events tell it instead.
	Warn func(text string)
	// Looked, if not nil, has what UpToDate or Applied looked at in vain be used
	// by the first plan of the project that is opened with the same options: of a
	// million files, a second look costs as much as all else.
	Looked *Looked
	// Clock is time.Now if nil.
	Clock func() time.Time
}

// ApplyOptions say how to apply.
type ApplyOptions struct {
	Selection
	// Pinned is a saved plan to carry out: exactly that, or, if the world has
	// changed since, nothing, with a *pinned.StaleError. Its selection takes
	// the place of Selection.
	Pinned *pinned.Document
	// Jobs bounds the stages that run at once; 0 is the number of CPUs.
	Jobs int
	// KeepGoing starts further independent work after a failure.
	KeepGoing bool
	// Sink takes the events; may be nil.
	Sink event.Sink
	// Confirm is asked, with the plan, before anything is done. False ends
	// the apply without a change. Nil is yes.
	Confirm func(*plan.Plan) (bool, error)
	// Command is what the user typed, for the run record.
	Command []string
}

// Report says what an apply did.
type Report struct {
	// Run is the id of the run; "" if there was nothing to do.
	Run string
	// Plan is what was planned beforehand.
	Plan *plan.Plan
	// Counts are the stages by how they ended: kept, restored, ran,
	// recorded (the user's files), unchanged (ran, with the same result as before), failed, skipped, blocked.
	Counts map[string]int
	// Failed are the stages that failed, in the order they did.
	Failed []addr.Address
	// Declined says that Confirm said no; Interrupted, that the context was
	// cancelled.
	Declined, Interrupted bool
	// Elapsed is the time since the answer to Confirm.
	Elapsed time.Duration
}
