package plan

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/stage"
)

// inspector holds what is known of the heads of tables while a plan is made:
// those in place can be read, those of stages that have not run follow from
// what they will be made from.
type inspector struct {
	project string
	steps   map[addr.Address]*Step // that are decided
	heads   map[addr.Address]stage.Heads
	// attendants have something running.
	attendants map[stage.Attendant]bool
}

func newInspector(w World, steps map[addr.Address]*Step) *inspector {
	return &inspector{
		project: w.Project(), steps: steps, heads: map[addr.Address]stage.Heads{}, attendants: map[stage.Attendant]bool{},
	}
}

// close ends what inspections have left running.
func (in *inspector) close() {
	for a := range in.attendants {
		a.Dismiss()
	}
}

// inspect has the type of a stage that will, or may, run judge its arguments by
// the heads of its inputs. Stages that are kept cost nothing.
func (in *inspector) inspect(s *Step) error {
	t, ok := s.Stage.Type.(stage.Inspector)
	if !ok || s.Action == Keep || s.Action == Blocked || len(s.Stage.Unknown) > 0 {
		return nil
	}
	look := &stage.Inspection{Args: s.Stage.Args, Inputs: make(map[string]stage.InspectedInput, len(s.Stage.Job.Inputs))}
	for _, i := range s.Stage.Job.Inputs {
		look.Inputs[i.Role] = stage.InspectedInput{Path: i.Path, Head: in.head(i)}
	}
	if a, ok := t.(stage.Attendant); ok {
		in.attendants[a] = true
	}
	heads, err := t.Inspect(look)
	if s.Known || s.doubtful {
		// The result is there, so the arguments were right; or it may never run, for
		// a gate that may well be about the very columns.
		err = nil
	}
	in.heads[s.Addr] = heads
	return err
}

func (in *inspector) head(i stage.Input) stage.Head {
	file := filepath.Join(in.project, filepath.FromSlash(i.Path))
	if i.From == nil {
		if isGlob(i.Path) {
			return stage.Head{}
		}
		return stage.Head{File: file}
	}
	a, err := addr.Parse(i.From.Address)
	up := in.steps[a]
	if err != nil || up == nil {
		return stage.Head{}
	}
	if i.From.Path != "" {
		// One file of a directory, if there is one of this name.
		info, err := os.Stat(file)
		if err == nil && info.Mode().IsRegular() && up.Action == Keep {
			return stage.Head{File: file}
		}
		return stage.Head{}
	}
	for _, o := range up.Stage.Job.Outputs {
		if o.Name == i.From.Output && len(o.Include)+len(o.Ignore) > 0 {
			return stage.Head{} // which of the files count is not seen here
		}
	}
	if up.Action == Keep || up.Given() && up.Action == Run {
		return stage.Head{File: file}
	}
	return stage.Head{Columns: in.heads[a][i.From.Output]}
}

// seen tells one mistake in many instances of a block from many mistakes.
type seen map[string]bool

func (s seen) first(at, summary string) bool {
	k := strings.Join([]string{at, summary}, "\x00")
	again := s[k]
	s[k] = true
	return !again
}
