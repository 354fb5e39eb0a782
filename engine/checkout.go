package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/cas"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/event"
	"github.com/flow-pipelines/flow/engine/lock"
	"github.com/flow-pipelines/flow/engine/placed"
	"github.com/flow-pipelines/flow/engine/plan"
	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/engine/worktree"
)

// CheckoutOptions say what to bring back.
type CheckoutOptions struct {
	// Targets narrow it to some stages; none means all of flow.lock.
	Targets []addr.Pattern
	// Force replaces files that hold something flow has not stored; they are
	// moved to .flow/trash.
	Force bool
	// Sink takes warnings; may be nil.
	Sink event.Sink
}

// CheckoutReport says what was done, by path.
type CheckoutReport struct {
	Restored []string
	Kept     int
	// Edited hold something that flow has not stored; they were left alone.
	Edited []string
	// Missing cannot be brought back: the cache lacks them, or they are damaged.
	Missing []string
	// Trashed says where the replaced files are now.
	Trashed map[string]string
	// Strays are results that flow had put into the tree and flow.lock lacks.
	Strays []Stray
}

// Stray is a result of another flow.lock than the one that is there now.
type Stray struct {
	Addr addr.Address `json:"stage"`
	Path string       `json:"path"`
	// Trashed is where it is now; "": it is where it was, and Why says why.
	Trashed string `json:"trashed,omitempty"`
	Why     string `json:"why,omitempty"`
}

// Checkout makes the files in the tree be what flow.lock says, and takes away what
// flow has put there for another one. It runs nothing.
func (p *Project) Checkout(ctx context.Context, o CheckoutOptions) (*CheckoutReport, error) {
	sink := o.Sink
	if sink == nil {
		sink = func(event.Event) {}
	}
	release, err := p.holdTelling(ctx, sink)
	if err != nil {
		return nil, err
	}
	defer release()
	if err := p.wire(); err != nil {
		return nil, err
	}
	c := &checkout{p: p, opts: o, rep: &CheckoutReport{Trashed: map[string]string{}}}
	c.look()
	want := addr.AnyOf(o.Targets)
	var all []addr.Address
	for _, s := range p.lock.Stages() {
		all = append(all, s.Addr)
	}
	if err := CheckPatterns(all, o.Targets...); err != nil {
		return nil, err
	}
	for _, s := range p.lock.Stages() {
		if want != nil && !want(s.Addr) {
			continue
		}
		for _, r := range s.Results {
			if err := c.result(ctx, r); err != nil {
				return c.rep, fmt.Errorf("%s: %w", s.Addr, err)
			}
		}
	}
	if err := c.strays(ctx, want); err != nil {
		return c.rep, err
	}
	return c.rep, p.flush(ctx)
}

type checkout struct {
	p        *Project
	opts     CheckoutOptions
	pipeline *config.Pipeline
	stages   []*config.Stage         // as far as they can be told
	filters  map[string]stage.Output // by path
	rep      *CheckoutReport
}

// strays takes away what flow has put into the tree and flow.lock lacks, as far
// as it is what flow has put there. Without any flow.lock nothing is known of
// what belongs there.
func (c *checkout) strays(ctx context.Context, want func(addr.Address) bool) error {
	now := c.p.lock.Read()
	if now.IsZero() {
		return nil
	}
	before := slices.DeleteFunc(c.p.placed().Locks(), func(l *lock.Lock) bool { return l.Read() == now })
	var candidates []plan.Orphan
	for _, l := range before {
		for _, s := range l.Stages() {
			for _, r := range s.Results {
				if !r.Given && (want == nil || want(s.Addr)) {
					candidates = append(candidates, plan.Orphan{Addr: s.Addr, Result: r})
				}
			}
		}
	}
	strays, err := plan.Strays(ctx, c.p.world(c.p.lock), candidates, c.p.lock, c.pipeline, c.stages)
	if err != nil {
		return err
	}
	left := map[string]bool{}
	for _, o := range strays {
		s := Stray{Addr: o.Addr, Path: o.Path, Why: o.Why}
		if o.Fate == plan.SetAside {
			if s.Trashed, err = c.p.files.SetAside(o.Path, c.trash()); err != nil {
				return err
			}
			c.p.files.RemoveEmpty(path.Dir(o.Path))
		} else {
			left[o.Path] = true
		}
		c.rep.Strays = append(c.rep.Strays, s)
	}
	if want == nil {
		for _, l := range before {
			if !slices.ContainsFunc(l.Stages(), func(s *lock.Stage) bool {
				return slices.ContainsFunc(s.Results, func(r lock.Result) bool { return left[r.Path] })
			}) {
				c.p.placed().Forget(l.Read())
			}
		}
	}
	return c.p.placed().Note(c.p.root, digest.Digest{})
}

// placed is what flow has put into the tree.
func (p *Project) placed() placed.Dir { return placed.Dir(p.path("placed")) }

// trashMoment begins the name of each group in .flow/trash: when it was set aside,
// in UTC.
const trashMoment = "20060102-150405"

// trash is the group in .flow/trash of this checkout.
func (c *checkout) trash() string { return c.p.opts.Clock().UTC().Format(trashMoment) }

func (c *checkout) result(ctx context.Context, r lock.Result) error {
	o, ok := c.filters[r.Path]
	if !ok {
		o = stage.Output{Path: r.Path}
	}
	w := c.p.world(c.p.lock)
	there, err := w.Hash(ctx, o)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case there == r.Node:
		c.rep.Kept++
		return nil
	}
	if missing, err := w.Missing(ctx, r.Node, false); err != nil {
		return err
	} else if missing > 0 {
		c.rep.Missing = append(c.rep.Missing, r.Path)
		return nil
	}
	if !there.IsZero() {
		if ok, err := c.makeRoom(ctx, w, r, there); err != nil || !ok {
			return err
		}
	}
	_, err = c.p.files.Checkout(ctx, r.Path, worktree.Filter{Include: o.Include, Ignore: o.Ignore}, r.Node)
	var damaged *cas.DamagedError
	if errors.As(err, &damaged) {
		c.rep.Missing = append(c.rep.Missing, r.Path)
		return nil
	}
	if err == nil {
		c.rep.Restored = append(c.rep.Restored, r.Path)
	}
	return err
}

// makeRoom decides about content that is in the way: it goes if the cache can
// bring it back, or to the trash if the user insists.
func (c *checkout) makeRoom(ctx context.Context, w *world, r lock.Result, there digest.Node) (bool, error) {
	missing, err := w.Missing(ctx, there, false)
	if err != nil || missing == 0 {
		return err == nil, err
	}
	if !c.opts.Force {
		c.rep.Edited = append(c.rep.Edited, r.Path)
		return false, nil
	}
	to, err := c.p.files.SetAside(r.Path, c.trash())
	if err != nil {
		return false, err
	}
	c.rep.Trashed[r.Path] = to
	return true, nil
}

// look finds what the pipeline says about its outputs, so that a checkout of a
// data set leaves the files alone that the data set ignores. A pipeline with
// mistakes in it can be checked out all the same.
func (c *checkout) look() {
	c.filters = map[string]stage.Output{}
	var known config.Results
	c.pipeline, known = c.p.recorded()
	c.stages, _ = c.pipeline.Stages(known)
	for _, st := range c.stages {
		if st.Job == nil {
			continue
		}
		for _, o := range st.Job.Outputs {
			c.filters[o.Path] = o
		}
	}
}

// Rollback takes the effect of a stage back to an earlier version, "" the one
// before the current, and returns which that is.
func (p *Project) Rollback(ctx context.Context, a addr.Address, to string) (string, error) {
	rv, st, err := p.reverter(a)
	if err != nil {
		return "", err
	}
	release, err := p.hold(ctx, nil)
	if err != nil {
		return "", err
	}
	defer release()
	return rv.Rollback(p.root, st.Args, to)
}

// Versions lists the versions that a stage can be rolled back to.
func (p *Project) Versions(a addr.Address) ([]string, error) {
	rv, st, err := p.reverter(a)
	if err != nil {
		return nil, err
	}
	return rv.Versions(p.root, st.Args)
}

// reverter finds a stage whose effect can be taken back.
func (p *Project) reverter(a addr.Address) (stage.Reverter, *config.Stage, error) {
	pipeline, _ := p.recorded()
	stages, diags := pipeline.Stages(config.NoResults{})
	if diags.HasErrors() {
		return nil, nil, &plan.Mistakes{Diags: diags, Files: p.Files()}
	}
	if _, err := choose(Selection{Targets: []addr.Pattern{addr.PatternOf(a)}})(stages, nil); err != nil {
		return nil, nil, err
	}
	st, diags := pipeline.Resolve(a, config.NoResults{})
	if diags.HasErrors() {
		return nil, nil, &plan.Mistakes{Diags: diags, Files: p.Files()}
	}
	rv, ok := st.Type.(stage.Reverter)
	if !ok {
		return nil, nil, fmt.Errorf("%s has nothing to roll back: only stages that act outside of their outputs do, such as deploy", a)
	}
	return rv, st, nil
}
