package config

import (
	"encoding/json"
	"math"
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/stage"
)

// Stage is one instance of a block, resolved as far as its upstream is known.
// It is shared: do not change it.
type Stage struct {
	Addr   addr.Address
	Type   stage.Type
	Schema *stage.Schema
	// Range is that of the block's header.
	Range hcl.Range
	// Job is nil only if the block has errors.
	Job *stage.Job
	// Args are the arguments as Type.Job got them: defaults filled in,
	// artifacts as paths. Canonical JSON.
	Args json.RawMessage
	// Hashed are the arguments for the key. Canonical JSON, in which
	// arguments that are null or have their default value are left out, and
	// no path of a stage's output occurs: {"input": ROLE} stands for an
	// artifact, {"output": NAME} for one of the stage's own outputs, and
	// {"template": [TEXT, {"input": ROLE}, …]} for a string with them in it.
	Hashed json.RawMessage
	// Unknown are the top-level arguments and blocks that are not known
	// before an upstream stage has run, sorted.
	Unknown []string
	// Sensitive are the paths of the arguments, of entries in them and of blocks
	// that are made from sensitive values, sorted: env.TOKEN, command[2].
	Sensitive []string
	// Deps are the instances that this one depends on, by the values of its
	// arguments, its condition and depends_on; sorted. An instance that
	// could matter before metrics were known stays among them afterwards.
	Deps []addr.Address
	// Awaits are the blocks and modules that this one depends on and whose
	// instances are not known yet; see Deferred. Sorted.
	Awaits []addr.Address
	When   Condition
	// Preconditions are those of the block, in the order of the text.
	Preconditions []Assertion
	// Mistakes say why it cannot be evaluated with the results as they are, of a
	// stage that reads them. All else but When and Deps is as if they were not
	// known.
	Mistakes hcl.Diagnostics
	RunOptions
}

// Open reports whether something that decides about the stage is not known
// before another has run.
func (s *Stage) Open() bool {
	return len(s.Unknown) > 0 || s.When.Value == Unknown || slices.ContainsFunc(s.Preconditions, Assertion.Open)
}

// Truth is the value of a condition.
type Truth int

// The values of a condition.
const (
	True Truth = iota
	False
	Unknown
)

func (t Truth) String() string { return [...]string{"true", "false", "unknown"}[t] }

// Condition is a stage's `when`.
type Condition struct {
	Value Truth // True if there is no condition
	Text  string
	Range hcl.Range
}

// RunOptions say how a stage runs. They are not part of its key.
type RunOptions struct {
	Description string
	Timeout     time.Duration // 0: none
	Retry       Retry
	Resources   Resources
	Lifecycle   Lifecycle
}

// Lifecycle says how a stage differs from others in being made and replaced.
type Lifecycle struct {
	// AlwaysRun: it runs on each apply, though its result is known.
	AlwaysRun bool
	// KeepOutputs: what it wrote is set aside before it is replaced.
	KeepOutputs bool
}

// Retry says when a failed stage is tried again.
type Retry struct {
	// Attempts counts all tries, the first included; 0 and 1 mean no retry.
	Attempts int
	// On lists the failures that count: "timeout", "out_of_memory", "exit:75".
	// Empty: any.
	On []string
	// Delay is the time between the first two tries; each further one is
	// Backoff times as long, at most MaxDelay. Backoff is 1 or more.
	Delay, MaxDelay time.Duration
	Backoff         float64
}

// Wait returns how long to wait after that many failed tries.
func (r Retry) Wait(failed int) time.Duration {
	longest := r.MaxDelay
	if longest == 0 {
		longest = math.MaxInt64
	}
	wait := float64(min(r.Delay, longest))
	for range failed - 1 {
		if wait *= r.Backoff; wait >= float64(longest) {
			return longest
		}
	}
	return time.Duration(wait)
}

// Resources are what a stage needs. Zero: not said.
type Resources struct {
	CPUs      float64
	Memory    int64 // bytes
	GPUs      int
	GPUMemory int64 // bytes, of each; 0 is whole GPUs
	// Licenses are named things of which the pipeline block says how many
	// there are.
	Licenses map[string]int
}
