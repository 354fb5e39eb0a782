package engine

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/cas"
	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/key"
	"github.com/flow-pipelines/flow/engine/lock"
	"github.com/flow-pipelines/flow/engine/plan"
	"github.com/flow-pipelines/flow/engine/resume"
	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/engine/state"
	"github.com/flow-pipelines/flow/engine/worktree"
)

// world is the project as plan.Decide looks at it.
type world struct {
	p    *Project
	lock *lock.Lock
	// missed are the keys for which there was no result in the database. While
	// the project is held nobody but us adds one, and an apply looks for each
	// key that its plan looked for: without this it would wait each time for
	// the results that are just being written.
	missed *sync.Map // key.Key → struct{}
	// from has the names of stages before they were moved.
	from map[addr.Address]addr.Address
	// listings are those of directories that were asked for files.
	listings *sync.Map // digest.Node → *listing
	// looks are answers of Hash that are known; noted, if not nil, takes those that
	// are given. See Looked.
	looks, noted map[string]digest.Node
	// compared are the pairs that were compared: many stages may read the same.
	compared *sync.Map // [2]digest.Node → changes
}

var _ plan.World = (*world)(nil)

// world is the project with the results that there are now.
func (p *Project) world(l *lock.Lock) *world {
	return &world{p: p, lock: l, missed: new(sync.Map), listings: new(sync.Map), compared: new(sync.Map)}
}

// Project implements plan.World.
func (w *world) Project() string { return w.p.root }

// Hash implements plan.World.
func (w *world) Hash(ctx context.Context, o stage.Output) (digest.Node, error) {
	if w.looks != nil {
		if n, ok := w.looks[look(o)]; ok {
			return n, nil
		}
	}
	n, err := w.p.files.Hash(ctx, filepath.ToSlash(o.Path), filterOf(o))
	if errors.Is(err, syscall.ENOTDIR) {
		// A file lies where the way leads on.
		return n, fs.ErrNotExist
	}
	if w.noted != nil && err == nil {
		w.noted[look(o)] = n
	}
	return n, err
}

// filterOf says which files at an output count.
func filterOf(o stage.Output) worktree.Filter {
	return worktree.Filter{Include: o.Include, Ignore: o.Ignore}
}

// Expand implements plan.World.
func (w *world) Expand(ctx context.Context, glob string) ([]string, error) {
	return w.p.files.Expand(ctx, glob)
}

// Locked implements plan.World.
func (w *world) Locked(a addr.Address) *lock.Stage { return w.lock.Get(a) }

// Result implements plan.World.
func (w *world) Result(ctx context.Context, k key.Key) (res state.Result, ok bool, err error) {
	if res, ok := w.p.db.Recorded(state.Key(k)); ok {
		return res, true, nil
	}
	if _, missed := w.missed.Load(k); missed {
		return res, false, nil
	}
	err = w.p.db.View(ctx, func(tx *state.Tx) error {
		res, ok, err = tx.Result(state.Key(k))
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err == nil && !ok {
		w.missed.Store(k, struct{}{})
	}
	return res, ok, err
}

// Missing implements plan.World.
func (w *world) Missing(ctx context.Context, n digest.Node, shallow bool) (int, error) {
	if shallow {
		ok, err := w.p.store.Has(ctx, n.Digest)
		if err != nil || ok {
			return 0, err
		}
		return 1, nil
	}
	missing, err := w.p.files.Missing(ctx, n)
	return len(missing), err
}

// Saved implements plan.World.
func (w *world) Saved(p key.Point) (from key.Point, ok bool) { return w.p.saved().Find(p) }

// saved is what successful runs have saved.
func (p *Project) saved() resume.Store { return resume.Store{Dir: p.path("resume")} }

// mostFiles is how many changed files a reason lists.
const mostFiles = 5

// changes is an answer of Changes.
type changes struct {
	files []plan.FileChange
	more  int
}

// Changes implements plan.World.
func (w *world) Changes(ctx context.Context, o stage.Output, before, after digest.Node) ([]plan.FileChange, int, error) {
	pair := [2]digest.Node{before, after}
	if known, ok := w.compared.Load(pair); ok {
		c := known.(changes)
		return c.files, c.more, nil
	}
	found, total, err := w.p.files.DiffAt(ctx, before, after, filepath.ToSlash(o.Path), filterOf(o), mostFiles)
	if changed := (*worktree.ChangedError)(nil); errors.Is(err, cas.ErrNotFound) || errors.As(err, &changed) {
		// The old listing may be gone with the cache, or somebody is writing
		// there. An explanation that lacks the file names is still right.
		found, total, err = nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	c := changes{more: total - len(found)}
	for _, f := range found {
		lines, err := w.lines(ctx, path.Join(filepath.ToSlash(o.Path), f.Path), f.Old, f.New)
		if err != nil {
			return nil, 0, err
		}
		c.files = append(c.files, plan.FileChange{Path: f.Path, Old: f.Old, New: f.New, Lines: lines})
	}
	w.compared.Store(pair, c)
	return c.files, c.more, nil
}

// lines counts the lines by which the text at a path differs from what it was;
// nil if that is no text, too large, or not at hand.
func (w *world) lines(ctx context.Context, at string, before, after digest.Node) (*plan.Lines, error) {
	isText := func(n digest.Node) bool {
		return (n.Kind == digest.File || n.Kind == digest.Executable) && n.Size <= worktree.MostText
	}
	if !isText(before) || !isText(after) {
		return nil, nil
	}
	was, err := cas.ReadAll(ctx, w.p.store, before.Digest)
	if errors.Is(err, cas.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	is, err := cas.ReadAll(ctx, w.p.store, after.Digest)
	if errors.Is(err, cas.ErrNotFound) {
		is, err = w.p.files.ReadText(at, after)
	}
	if err != nil || is == nil || !worktree.IsText(was) {
		return nil, err
	}
	return countLines(was, is), nil
}

// Tracked implements plan.World.
func (w *world) Tracked(ctx context.Context, path string) bool {
	_, err := w.p.git(ctx, "--literal-pathspecs", "ls-files", "--error-unmatch", "--", path)
	return err == nil
}

// Usual implements plan.World.
func (w *world) Usual(ctx context.Context, stages []addr.Address) (map[addr.Address]time.Duration, error) {
	usual := make(map[addr.Address]time.Duration, len(stages))
	if len(stages) == 0 {
		return usual, nil
	}
	err := w.p.db.View(ctx, func(tx *state.Tx) error {
		for _, a := range stages {
			d, ok := tx.Duration(a)
			if old, moved := w.from[a]; !ok && moved {
				d, ok = tx.Duration(old)
			}
			if ok {
				usual[a] = d
			}
		}
		return nil
	})
	return usual, err
}
