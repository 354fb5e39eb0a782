package plan

import (
	"slices"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/stage"
)

// Unmanaged is what a stage has done outside of the project, such as a model in
// service, and no stage is in charge of any more: the stage is gone, or does it
// elsewhere now. Nothing takes it down but the user, whom the plan tells how.
type Unmanaged struct {
	Addr     addr.Address `json:"stage"`
	What     string       `json:"what"`
	TakeDown string       `json:"take_down"`
}

// Text says it to a person.
func (u Unmanaged) Text() string {
	return u.What + ", no longer managed; to take it down: " + u.TakeDown
}

// UnmanagedOf finds what stages have done that are gone, and what those leave
// behind that run and do it elsewhere now. steps are those of all stages.
func UnmanagedOf(w World, pipeline *config.Pipeline, steps []*Step, removed []addr.Address) []Unmanaged {
	taken := map[string]bool{}
	candidates := slices.Clone(removed)
	for _, s := range steps {
		lasting, ok := s.Stage.Type.(stage.Lasting)
		if !ok {
			continue
		}
		if place := lasting.Place(w.Project(), s.Stage.Args); place != "" {
			taken[place] = true
			if s.Action == Run || s.Action == Defer {
				candidates = append(candidates, s.Addr)
			}
		}
	}
	var all []Unmanaged
	for _, a := range candidates {
		lasting, ok := pipeline.Type(a.Type).(stage.Lasting)
		before := w.Locked(a)
		if !ok || before == nil {
			continue
		}
		if r, there := lasting.Remains(w.Project(), before.Metrics); there && !taken[r.Place] {
			all = append(all, Unmanaged{a, r.What, r.TakeDown})
		}
	}
	return all
}
