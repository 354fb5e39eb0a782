package plan

import (
	"context"
	"sync"

	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/lock"
)

// readers are those that read files of the project as the user's: stages and
// functions that name them. A glob that merely might match what stages write, as
// **/*.csv might, reads nothing of it, while they do and when they are gone.
type readers struct {
	named *index
	globs map[string]string // by glob, the first stage that has it
}

func readersOf(pipeline *config.Pipeline, stages []*config.Stage) *readers {
	named := places{}
	r := &readers{globs: map[string]string{}}
	for _, f := range pipeline.Reads() {
		named[f] = "the pipeline"
	}
	for _, s := range stages {
		if s.Job == nil {
			continue
		}
		for _, in := range s.Job.Inputs {
			switch {
			case in.From != nil:
			case !isGlob(in.Path):
				named[in.Path] = s.Addr.String()
			case r.globs[in.Path] == "":
				r.globs[in.Path] = s.Addr.String()
			}
		}
	}
	r.named = named.index()
	return r
}

// of returns who reads what stages have written at a path, "" if nobody does.
func (r *readers) of(p string) string {
	if by := r.named.overlap(p); by != "" {
		return by
	}
	first := ""
	for glob, by := range r.globs {
		if config.Names(glob, p) && (first == "" || by < first) {
			first = by
		}
	}
	return first
}

// Gone is what stages have written that no stage writes now, and that goes with
// the next apply. Globs take in nothing of it: else stages would run for files
// that are gone right after. It is safe for concurrent use.
type Gone struct {
	w        World
	removals []config.Removal
	readers  func() *readers
	recorded func() map[string]Orphan // by path

	mu    sync.Mutex
	going map[string]bool // of those that were asked about
}

// GoneFrom finds it among what flow.lock records, when it is asked.
func GoneFrom(w World, p *config.Pipeline, stages []*config.Stage, locked *lock.Lock) *Gone {
	before := locked.Stages
	return &Gone{
		w: w, removals: p.Removals(), going: map[string]bool{},
		readers: sync.OnceValue(func() *readers { return readersOf(p, stages) }),
		recorded: sync.OnceValue(func() map[string]Orphan {
			all := map[string]Orphan{}
			for _, s := range before() {
				for _, r := range s.Results {
					if _, written := p.Writer(r.Path); !written && !r.Given {
						all[r.Path] = Orphan{Addr: s.Addr, Result: r}
					}
				}
			}
			return all
		}),
	}
}

// has reports whether what lies at a path goes.
func (g *Gone) has(ctx context.Context, name string) (bool, error) {
	if g == nil || len(g.recorded()) == 0 {
		return false, nil
	}
	if o, ok := holder(g.recorded(), name); ok {
		return g.goes(ctx, o)
	}
	return false, nil
}

func (g *Gone) goes(ctx context.Context, o Orphan) (bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if goes, known := g.going[o.Path]; known {
		return goes, nil
	}
	there, err := o.decide(ctx, g.w, g.removals, g.readers().of(o.Path))
	if err != nil {
		return false, err
	}
	g.going[o.Path] = there && o.Fate != Leave
	return g.going[o.Path], nil
}
