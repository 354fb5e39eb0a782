package plan

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/lock"
	"github.com/flow-pipelines/flow/engine/stage"
)

// Move is a stage that has another name than in flow.lock.
type Move struct {
	From addr.Address `json:"from"`
	To   addr.Address `json:"to"`
}

// Fate is what apply does with an orphan.
type Fate string

// The fates.
const (
	// SetAside: it is what flow wrote; it is moved to .flow/trash, with whatever
	// else has come to lie in it. Nothing is deleted: who knows all that reads
	// it, by links and from outside of the pipeline?
	SetAside Fate = "set_aside"
	// Relocate: it is moved to where the stage's output lies now.
	Relocate Fate = "relocate"
	// Leave: somebody has changed it, git tracks it, a stage reads it as a file
	// of the user's, or a removed block says that it stays.
	Leave Fate = "leave"
)

// Orphan is a file or directory that flow wrote, and that is no output of any
// stage now.
type Orphan struct {
	Addr addr.Address // the stage that wrote it
	lock.Result
	Fate Fate
	// Why it is left, as the end of a sentence: "exec.x reads it".
	Why string
}

// Renamed is flow.lock as moved blocks want it.
type Renamed struct {
	Lock *lock.Lock
	// Moved is what has another name there.
	Moved []Move
	// Unmoved says of what stays behind why it does.
	Unmoved []string
}

// Rename returns the lock with its stages under the names that moves give them.
// A result that is recorded under the new name already is not replaced. l itself
// does not change.
func Rename(l *lock.Lock, moves []config.Move, exists func(addr.Address) bool) Renamed {
	if len(moves) == 0 {
		return Renamed{Lock: l}
	}
	r := Renamed{Lock: l.Clone()}
	for _, s := range l.Stages() {
		to := s.Addr
		for range moves { // a chain is at most this long
			if exists(to) {
				break
			}
			for _, m := range moves {
				if next, ok := m.Apply(to); ok {
					to = next
					break
				}
			}
		}
		switch {
		case to == s.Addr:
			continue
		case !exists(to):
			r.Unmoved = append(r.Unmoved, fmt.Sprintf("%s is not moved to %s: the pipeline has no such stage", s.Addr, to))
			continue
		case r.Lock.Get(to) != nil:
			r.Unmoved = append(r.Unmoved, fmt.Sprintf("%s is not moved to %s, of which %s has a result already", s.Addr, to, lock.FileName))
			continue
		}
		moved := *s
		moved.Addr = to
		r.Lock.Delete(s.Addr)
		r.Lock.Put(&moved)
		r.Moved = append(r.Moved, Move{s.Addr, to})
	}
	return r
}

// Rename notes what was renamed before the plan was made.
func (p *Plan) Rename(moved []Move) {
	p.Moved = moved
	from := make(map[addr.Address]addr.Address, len(moved))
	for _, m := range moved {
		from[m.To] = m.From
	}
	for _, s := range p.Steps {
		if old, ok := from[s.Addr]; ok && s.Action != Keep {
			s.Reasons = append(s.Reasons, Reason{Kind: Moved, Text: "moved from " + old.String()})
		}
	}
}

// leftovers finds the stages that flow.lock has and the pipeline has not, and
// what they have written. What may yet be an instance of a deferred block is not
// among them. If only is given, it is about those stages.
func (p *Plan) leftovers(ctx context.Context, w World, locked *lock.Lock, pipeline *config.Pipeline, only func(addr.Address) bool) error {
	have := make(map[addr.Address]bool, len(p.Steps))
	for _, s := range p.Steps {
		have[s.Addr] = true
	}
	for s := range locked.All() {
		if !have[s.Addr] && !p.mayBe(s.Addr) && (only == nil || only(s.Addr)) {
			p.Removed = append(p.Removed, s.Addr)
		}
	}
	slices.SortFunc(p.Removed, addr.Compare)
	return p.orphans(ctx, w, locked, pipeline, only)
}

// Leftovers are what is left of blocks that were deferred when a plan was made,
// once its apply has expanded them: the stages that are not among their
// instances, and the outputs that no stage writes. steps are those of all stages
// now, deferred what is still not expanded.
func (p *Plan) Leftovers(ctx context.Context, w World, locked *lock.Lock, pipeline *config.Pipeline, steps []*Step, deferred []Deferred) (removed []addr.Address, orphans []Orphan, err error) {
	rest := &Plan{Steps: steps, Deferred: deferred}
	err = rest.leftovers(ctx, w, locked, pipeline, p.mayBe)
	return rest.Removed, rest.Orphans, err
}

// mayBe reports whether a could be an instance of a deferred block.
func (p *Plan) mayBe(a addr.Address) bool {
	return slices.ContainsFunc(p.Deferred, func(d Deferred) bool { return d.Covers(a) })
}

// orphans finds what the stages in the lock have written and no stage writes
// now. Of a stage that is not going to be made anew nothing is an orphan.
func (p *Plan) orphans(ctx context.Context, w World, locked *lock.Lock, pipeline *config.Pipeline, only func(addr.Address) bool) error {
	if p.Count(Keep) == len(p.Steps) && len(p.Removed) == 0 {
		return nil
	}
	steps := make(map[addr.Address]*Step, len(p.Steps))
	outputs := places{}
	for _, s := range p.Steps {
		steps[s.Addr] = s
		for _, o := range s.Stage.Job.Outputs {
			outputs[o.Path] = s.Addr.String()
		}
	}
	var written *index // made when needed, and with it
	var read *readers
	for _, l := range locked.Stages() {
		s := steps[l.Addr]
		if s != nil && (s.Action == Keep || s.Action == Blocked) || s == nil && p.mayBe(l.Addr) || only != nil && !only(l.Addr) {
			continue
		}
		for _, r := range l.Results {
			if _, ok := outputs[r.Path]; ok || r.Given {
				continue
			}
			if written == nil {
				stages := make([]*config.Stage, len(p.Steps))
				for i, s := range p.Steps {
					stages[i] = s.Stage
				}
				written, read = outputs.index(), readersOf(pipeline, stages)
			}
			if written.overlap(r.Path) != "" {
				continue
			}
			o := Orphan{Addr: l.Addr, Result: r}
			there, err := o.decide(ctx, w, pipeline.Removals(), read.of(r.Path))
			if err != nil {
				return err
			}
			switch {
			case !there:
				continue
			case o.Fate == SetAside && s != nil && s.Action == Restore && s.Key == l.Key:
				o.Fate = Relocate
			}
			p.Orphans = append(p.Orphans, o)
		}
	}
	return nil
}

// Strays are the orphans among what flow has put into the tree before git brought
// another flow.lock: what that one, and the pipeline beside it, have no use for.
func Strays(ctx context.Context, w World, before []Orphan, locked *lock.Lock, pipeline *config.Pipeline, stages []*config.Stage) ([]Orphan, error) {
	recorded := places{}
	for _, s := range locked.Stages() {
		for _, r := range s.Results {
			recorded[r.Path] = s.Addr.String()
		}
	}
	has, read := recorded.index(), readersOf(pipeline, stages)
	before = slices.Clone(before)
	slices.SortStableFunc(before, func(a, b Orphan) int { return strings.Compare(a.Path, b.Path) })
	var strays []Orphan
	for _, o := range before {
		if has.overlap(o.Path) != "" {
			continue
		}
		there, err := o.decide(ctx, w, pipeline.Removals(), read.of(o.Path))
		if err != nil {
			return nil, err
		}
		n := len(strays)
		switch {
		case !there:
		case n == 0 || strays[n-1].Path != o.Path:
			strays = append(strays, o)
		case o.Fate == SetAside: // it has been several things, and is this one
			strays[n-1] = o
		}
	}
	return strays, nil
}

// holder returns what is known of a path, or else of the nearest directory around it.
func holder[T any](known map[string]T, name string) (what T, ok bool) {
	for at := name; at != "."; at = path.Dir(at) {
		if what, ok = known[at]; ok {
			return what, true
		}
	}
	return what, false
}

// places are paths, and what is there.
type places map[string]string

// index finds places in and around a path.
type index struct {
	places places
	sorted []string
}

func (p places) index() *index { return &index{p, slices.Sorted(maps.Keys(p))} }

// overlap returns what lies at, in or around the path, "" if nothing does.
func (x *index) overlap(p string) string {
	if what, ok := holder(x.places, p); ok {
		return what
	}
	if i, _ := slices.BinarySearch(x.sorted, p+"/"); i < len(x.sorted) && strings.HasPrefix(x.sorted[i], p+"/") {
		return x.places[x.sorted[i]]
	}
	return ""
}

// decide settles the fate of an orphan; false: it is not there.
func (o *Orphan) decide(ctx context.Context, w World, removals []config.Removal, reader string) (there bool, err error) {
	n, err := w.Hash(ctx, stage.Output{Path: o.Path})
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	switch {
	case slices.ContainsFunc(removals, func(r config.Removal) bool { return r.Covers(o.Addr) }):
		o.Why = "its removed block says so"
	case reader != "":
		o.Why = reader + " reads it"
	case n != o.Node:
		o.Why = "it is not what the stage wrote"
	case w.Tracked(ctx, o.Path):
		o.Why = "git tracks it"
	}
	o.Fate = SetAside
	if o.Why != "" {
		o.Fate = Leave
	}
	return true, nil
}

// atOldPlace reports whether an output lies, as it should be, where flow.lock
// has it, which is not where it belongs now. Then apply moves it.
func (d *decision) atOldPlace(ctx context.Context, r lock.Result) (bool, error) {
	if !d.opts.Relocate || d.locked == nil || d.locked.Key != d.step.Key {
		return false, nil
	}
	old, ok := d.locked.Result(r.Name)
	if !ok || old.Path == r.Path || r.Node.IsZero() {
		return false, nil
	}
	n, err := d.w.Hash(ctx, stage.Output{Path: old.Path})
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && n == r.Node, err
}

// relocated reports whether flow.lock has other paths than the stage now.
func (d *decision) relocated() bool {
	return slices.ContainsFunc(d.step.Results, func(r lock.Result) bool {
		old, ok := d.locked.Result(r.Name)
		return ok && old.Path != r.Path
	})
}
