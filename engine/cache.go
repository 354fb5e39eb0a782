package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/cas"
	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/lock"
	"github.com/flow-pipelines/flow/engine/pinned"
	"github.com/flow-pipelines/flow/engine/reach"
	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/engine/state"
	"github.com/flow-pipelines/flow/engine/worktree"
)

// CacheUse is what a project's cache is used for.
type CacheUse struct {
	Dir  string
	Disk int64 // bytes that its files take up
	// Stages are those of flow.lock, the largest first.
	Stages []StageUse
	// Shared is what the results of several stages have in common.
	Shared reach.Amount
	Totals map[reach.Why]reach.Amount
	// Users are the other projects that live by the cache; Gone are those that
	// are not where they were, so that what they need is counted as needed by
	// nobody.
	Users, Gone []string
	// Beside is what else flow keeps, by its path in the project.
	Beside map[string]int64
}

// StageUse is what the results of a stage have of the cache.
type StageUse struct {
	Addr addr.Address
	// Given stands for the user's own files.
	Given bool
	// Bytes are those of the results' files; Own is what no other stage's
	// results have too.
	Bytes int64
	Own   reach.Amount
}

// CacheUse finds out what the cache is used for.
func (p *Project) CacheUse(ctx context.Context) (*CacheUse, error) {
	if err := p.wire(); err != nil {
		return nil, err
	}
	s, err := reach.New(ctx, p.store)
	if err != nil {
		return nil, err
	}
	u := &CacheUse{Dir: p.store.Dir(), Beside: map[string]int64{}}
	if u.Disk, err = p.store.Used(ctx); err != nil {
		return nil, err
	}
	stages := p.lock.Stages()
	for i, st := range stages {
		use := StageUse{Addr: st.Addr}
		for _, r := range st.Results {
			use.Given = use.Given || r.Given
			use.Bytes += r.Node.Size
			if err := s.MarkStage(ctx, i, r.Node.Digest); err != nil {
				return nil, err
			}
		}
		u.Stages = append(u.Stages, use)
	}
	gone, err := p.mark(ctx, s, reach.Policy{Now: p.opts.Clock()}, &u.Users)
	if err != nil {
		return nil, err
	}
	u.Gone = gone
	own, several := s.OfStages(len(stages))
	for i := range u.Stages {
		u.Stages[i].Own = own[i]
	}
	u.Shared, u.Totals = several, s.Totals()
	slices.SortStableFunc(u.Stages, func(a, b StageUse) int { return int(b.Own.Bytes - a.Own.Bytes) })
	for _, name := range []string{"trash", "checkpoints", "resume", "runs", "exec"} {
		if n := worktree.Size(p.path(name)); n > 0 {
			u.Beside[filepath.Join(Dir, name)] = n
		}
	}
	if n := worktree.Size(filepath.Join(p.store.Dir(), "damaged")); n > 0 {
		u.Beside[filepath.Join(p.store.Dir(), "damaged")] = n
	}
	return u, nil
}

// mark marks what this project needs, and the others that use the cache, which
// it adds to users. It returns those that are not there.
func (p *Project) mark(ctx context.Context, s *reach.Survey, policy reach.Policy, users *[]string) (gone []string, err error) {
	if err := s.MarkProject(ctx, reach.At(p.root, Dir), policy, reach.Nobody); err != nil {
		return nil, err
	}
	all, err := p.store.Users()
	if err != nil {
		return nil, err
	}
	for _, root := range all {
		if root == p.root {
			continue
		}
		err := s.MarkProject(ctx, reach.At(root, Dir), policy, reach.Others)
		var away *reach.GoneError
		if errors.As(err, &away) {
			gone = append(gone, root)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("project %s, which uses this cache: %w", root, err)
		}
		*users = append(*users, root)
	}
	return gone, nil
}

// GCOptions say what to remove from the cache.
type GCOptions struct {
	// DryRun removes nothing and only counts.
	DryRun bool
	// History and Results narrow what counts as needed: see reach.Policy.
	History, Results time.Duration
	// Trash is the age from which files in .flow/trash are deleted too; 0 is
	// never.
	Trash time.Duration
	// Forget are projects that used the cache and are no more.
	Forget []string
	// Busy is told, once, that others are waited for; Progress, how far it is.
	// Both may be nil.
	Busy     func()
	Progress func(what string, done, total int64)
}

// GCReport says what was removed, or would be.
type GCReport struct {
	Removed reach.Amount
	// Versions is what of it commits name that are too old for History: it
	// cannot be brought back, unless stages make it again.
	Versions reach.Amount
	// Kept is what stays, by reason.
	Kept map[reach.Why]reach.Amount
	// Users are the other projects that were asked.
	Users []string
	// Trash are the bytes in .flow/trash that were deleted.
	Trash int64
	// Results are the records of results that were forgotten.
	Results int
	// Before and After are the bytes that the cache takes up.
	Before, After int64
}

// CollectGarbage removes from the cache what nobody needs. It can run beside
// anything else, and be killed at any moment.
func (p *Project) CollectGarbage(ctx context.Context, o GCOptions) (*GCReport, error) {
	if err := p.wire(); err != nil {
		return nil, err
	}
	rep := &GCReport{Kept: map[reach.Why]reach.Amount{}}
	if err := p.trash(o, rep); err != nil {
		return rep, err
	}
	if _, err := os.Lstat(p.store.Dir()); errors.Is(err, fs.ErrNotExist) {
		return rep, nil
	}
	if err := p.forget(o); err != nil {
		return rep, err
	}
	var err error
	if rep.Before, err = p.store.Used(ctx); err != nil {
		return rep, err
	}
	rep.After = rep.Before
	if err := p.collect(ctx, o, rep); err != nil || o.DryRun {
		return rep, err
	}
	// Here others may store again.
	if err := p.store.Compact(ctx); err != nil {
		return rep, err
	}
	rep.After, err = p.store.Used(ctx)
	return rep, err
}

// collect removes what is not needed, and holds the cache meanwhile.
func (p *Project) collect(ctx context.Context, o GCOptions, rep *GCReport) error {
	var leases []string
	var remove func(context.Context, []digest.Digest) error
	if !o.DryRun {
		c, err := p.store.Clear(ctx, o.Busy)
		if err != nil {
			return err
		}
		defer c.Close()
		leases, remove = c.Leases, c.Remove
	}
	policy := reach.Policy{History: o.History, Results: o.Results, Now: p.opts.Clock()}
	s, err := p.survey(ctx, o, policy, leases, &rep.Users)
	if err != nil {
		return err
	}
	rep.Kept = s.Totals()
	rep.Removed = rep.Kept[reach.Nobody]
	delete(rep.Kept, reach.Nobody)
	keys, err := s.Stale(ctx, reach.At(p.root, Dir), policy)
	if err != nil {
		return err
	}
	rep.Results = len(keys)
	if o.DryRun {
		if o.History > 0 {
			rep.Versions, err = p.versions(ctx, s, policy, rep.Removed)
		}
		return err
	}
	if err := p.forgetResults(ctx, keys); err != nil {
		return err
	}
	waves, err := s.Unneeded(ctx)
	if err != nil {
		return err
	}
	done := 0
	for _, wave := range waves {
		for some := range slices.Chunk(wave, 10_000) {
			if err := remove(ctx, some); err != nil {
				return err
			}
			if done += len(some); o.Progress != nil {
				o.Progress("removing", int64(done), int64(rep.Removed.Objects))
			}
		}
	}
	return nil
}

// survey asks everybody. Processes that are at work are asked first: what they
// have named since, the others say.
func (p *Project) survey(ctx context.Context, o GCOptions, policy reach.Policy, leases []string, users *[]string) (*reach.Survey, error) {
	s, err := reach.New(ctx, p.store)
	if err != nil {
		return nil, err
	}
	gone, err := p.mark(ctx, s, policy, users)
	if err != nil {
		return nil, err
	}
	for _, root := range gone {
		if !slices.Contains(o.Forget, root) {
			return nil, &reach.GoneError{Root: root}
		}
	}
	return s, s.MarkTexts(ctx, leases)
}

// versions counts what of the removed a longer history would keep. The survey
// counts that as needed from then on.
func (p *Project) versions(ctx context.Context, s *reach.Survey, policy reach.Policy, removed reach.Amount) (reach.Amount, error) {
	policy.History = 0
	var users []string
	if _, err := p.mark(ctx, s, policy, &users); err != nil {
		return reach.Amount{}, err
	}
	still := s.Totals()[reach.Nobody]
	return reach.Amount{Objects: removed.Objects - still.Objects, Bytes: removed.Bytes - still.Bytes}, nil
}

// NoUserError says that a project to be forgotten does not use the cache.
type NoUserError struct{ Root string }

func (e *NoUserError) Error() string {
	return e.Root + " is not among the projects that use this cache"
}

// AliveError says that a project to be forgotten is there.
type AliveError struct{ Root string }

func (e *AliveError) Error() string {
	return fmt.Sprintf("there is a project in %s, which needs what it needs", e.Root)
}

// forget strikes projects from the users of the cache.
func (p *Project) forget(o GCOptions) error {
	users, err := p.store.Users()
	if err != nil {
		return err
	}
	for _, root := range o.Forget {
		if !slices.Contains(users, root) {
			return &NoUserError{root}
		}
		if reach.At(root, Dir).There() {
			return &AliveError{root}
		}
		if o.DryRun {
			continue
		}
		if _, err := p.store.Forget(root); err != nil {
			return err
		}
	}
	return nil
}

func (p *Project) forgetResults(ctx context.Context, keys []state.Key) error {
	if len(keys) == 0 {
		return nil
	}
	return p.db.Update(ctx, func(tx *state.Tx) error {
		for _, k := range keys {
			if err := tx.DeleteResult(k); err != nil {
				return err
			}
		}
		return nil
	})
}

// trash deletes what was put aside long ago. What is set aside is named by the
// moment, by runs as well as by checkouts.
func (p *Project) trash(o GCOptions, rep *GCReport) error {
	if o.Trash <= 0 {
		return nil
	}
	entries, err := os.ReadDir(p.path("trash"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		at, err := time.Parse(trashMoment, e.Name()[:min(len(trashMoment), len(e.Name()))])
		if err != nil || p.opts.Clock().Sub(at) < o.Trash {
			continue
		}
		rep.Trash += worktree.Size(p.path("trash", e.Name()))
		if o.DryRun {
			continue
		}
		if err := worktree.RemoveAll(p.path("trash", e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// SavePlan writes a plan to a file. What it is going to put in place stays in the
// cache as long as the file is there.
func (p *Project) SavePlan(doc *pinned.Document, file string) error {
	if err := doc.Write(file); err != nil {
		return err
	}
	return reach.At(p.root, Dir).KeepPlan(file)
}

// VerifyReport says what is wrong with a cache.
type VerifyReport struct {
	Checked reach.Amount
	Damaged []*cas.DamagedError
	// Affected are the results in flow.lock of which something was not there.
	Affected []Affected
	// Elsewhere is how many of the damaged objects no result in flow.lock
	// has, and which are not whole again: they are of other commits, other
	// projects, or nobody's.
	Elsewhere int
}

// Affected is a result that the cache did not have whole.
type Affected struct {
	Addr  addr.Address
	Path  string
	Given bool
	// Damaged says that it was found now; otherwise it was not there before.
	Damaged bool
	// Healed says that it is whole again, by what is in place. Otherwise There
	// says that something else lies there.
	Healed, There bool
}

// VerifyCache reads all of the cache. What is damaged is put out of the way. What
// flow.lock names and the cache lacks is stored, if it is in place.
func (p *Project) VerifyCache(ctx context.Context, progress func(what string, done, total int64)) (*VerifyReport, error) {
	if err := p.wire(); err != nil {
		return nil, err
	}
	p.damage.Add(1) // the report tells of each: no warning of the first
	rep := &VerifyReport{}
	total, err := p.store.Used(ctx)
	if err != nil {
		return nil, err
	}
	err = p.store.Scrub(ctx, func(_ digest.Digest, size int64, err error) error {
		rep.Checked.Objects++
		rep.Checked.Bytes += size
		if progress != nil {
			progress("checking", rep.Checked.Bytes, total)
		}
		var damaged *cas.DamagedError
		switch {
		case errors.As(err, &damaged):
			rep.Damaged = append(rep.Damaged, damaged)
		case err != nil && !errors.Is(err, cas.ErrNotFound): // removed meanwhile
			return err
		}
		return nil
	})
	if err != nil {
		return rep, err
	}
	slices.SortFunc(rep.Damaged, func(a, b *cas.DamagedError) int { return slices.Compare(a.Digest[:], b.Digest[:]) })
	return rep, p.repair(ctx, rep)
}

// repair finds which results are not whole, and stores them from their place.
func (p *Project) repair(ctx context.Context, rep *VerifyReport) error {
	open := make(map[digest.Digest]bool, len(rep.Damaged))
	for _, d := range rep.Damaged {
		open[d.Digest] = true
	}
	c := &checkout{p: p}
	c.look()
	for _, st := range p.lock.Stages() {
		for _, r := range st.Results {
			missing, err := p.files.Missing(ctx, r.Node)
			if err != nil {
				return err
			}
			damaged := slices.ContainsFunc(missing, func(o worktree.Object) bool { return open[o.Digest] })
			if len(missing) == 0 || !damaged && c.filters[r.Path].NoStore {
				continue
			}
			a, err := p.putAgain(ctx, r, c.filters[r.Path])
			if err != nil {
				return err
			}
			a.Addr, a.Damaged = st.Addr, damaged
			for _, o := range missing {
				delete(open, o.Digest)
			}
			rep.Affected = append(rep.Affected, a)
		}
	}
	for d := range open {
		if has, err := p.store.Has(ctx, d); err != nil {
			return err
		} else if !has {
			rep.Elsewhere++
		}
	}
	return p.flush(ctx)
}

// putAgain stores a result from its place, if it is there.
func (p *Project) putAgain(ctx context.Context, r lock.Result, o stage.Output) (Affected, error) {
	a, f := Affected{Path: r.Path, Given: r.Given}, filterOf(o)
	there, err := p.files.Hash(ctx, r.Path, f)
	a.There = err == nil
	if err != nil || there != r.Node {
		return a, ctx.Err() // it is another question why it cannot be read
	}
	store := p.files.Store
	if o.NoStore {
		store = p.files.StoreTrees
	}
	if err := store(ctx, r.Path, f, r.Node); err != nil {
		// It looks as it did, and its bytes are others: the file is the damaged
		// object itself, or lies on the same bad disk.
		var changed *worktree.ChangedError
		if errors.As(err, &changed) {
			return a, nil
		}
		return a, err
	}
	damaged, err := p.files.Heal(ctx, r.Node)
	a.Healed = err == nil && damaged == 0
	return a, err
}
