package plan

import (
	"slices"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/lock"
	"github.com/flow-pipelines/flow/engine/stage"
)

// Known is the results that are known so far; it answers config's questions. It
// is not safe for concurrent use.
type Known struct {
	world  World
	stages map[addr.Address]found
}

var _ config.Results = (*Known)(nil)

// found is what a stage has come to.
type found struct {
	metrics stage.Metrics
	outputs []stage.Output
	results []lock.Result
	lost    bool // what it has written is nowhere, and will be written again
}

// NewKnown returns one in which nothing is known. What stages have written is
// read through w.
func NewKnown(w World) *Known { return &Known{world: w, stages: map[addr.Address]found{}} }

// Add takes in the results of a step, if they are known, and forgets what was
// known of the stage before.
func (k *Known) Add(s *Step) {
	delete(k.stages, s.Addr)
	if s.Known {
		k.stages[s.Addr] = found{s.Metrics, s.Stage.Job.Outputs, s.Results, s.Action == Run && !s.Given()}
	}
}

// Finish takes in what a stage has come to that has run.
func (k *Known) Finish(s *Step) {
	k.stages[s.Addr] = found{s.Metrics, s.Stage.Job.Outputs, s.Results, false}
}

// Record takes in what flow.lock has of a stage.
func (k *Known) Record(s *lock.Stage) {
	f := found{metrics: s.Metrics, results: s.Results}
	for _, r := range s.Results {
		f.outputs = append(f.outputs, stage.Output{Name: r.Name, Path: r.Path})
	}
	k.stages[s.Addr] = f
}

// Metrics implements config.Results.
func (k *Known) Metrics(a addr.Address) (stage.Metrics, bool) {
	f, ok := k.stages[a]
	return f.metrics, ok
}

// Content implements config.Results.
func (k *Known) Content(a addr.Address, output string) config.Content {
	f, ok := k.stages[a]
	if !ok || f.lost {
		return nil
	}
	r := slices.IndexFunc(f.results, func(r lock.Result) bool { return r.Name == output })
	o := slices.IndexFunc(f.outputs, func(o stage.Output) bool { return o.Name == output })
	if r < 0 || o < 0 {
		return nil
	}
	return k.world.Content(f.outputs[o], f.results[r].Node)
}
