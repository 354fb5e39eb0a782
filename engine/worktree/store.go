package worktree

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"sync"

	"github.com/flow-pipelines/flow/engine/cas"
	"github.com/flow-pipelines/flow/engine/cas/disk"
	"github.com/flow-pipelines/flow/engine/digest"
)

// keeper puts scanned directories and files into a batch.
type keeper struct {
	*Worktree
	batch   *disk.Batch
	content bool // files too, not only listings
	move    bool // files may be moved away
}

func (k *keeper) directory(ctx context.Context, d *directory) error {
	if err := k.files(ctx, d, func(entry) bool { return k.content }); err != nil {
		return err
	}
	return k.listing(ctx, d)
}

func (k *keeper) listing(ctx context.Context, d *directory) error {
	return k.batch.Put(ctx, d.node.Digest, bytes.NewReader(d.tree.Encode()))
}

// files keeps those files and links of a directory that are wanted.
func (k *keeper) files(ctx context.Context, d *directory, wanted func(entry) bool) error {
	g := group{tokens: k.tokens}
	for _, e := range d.entries {
		if g.failed() {
			break
		}
		if e.Kind == digest.Dir || !wanted(e) {
			continue
		}
		abs, rel := filepath.Join(d.abs, e.Name), join(d.rel, e.Name)
		g.do(func() error {
			switch {
			case e.Kind == digest.Link:
				// Links are small; listings need their targets to be checked out.
				return k.link(ctx, abs, rel, e)
			case e.lent:
				return k.behind(ctx, abs, rel, e)
			}
			return k.file(ctx, abs, rel, e)
		})
	}
	return g.wait()
}

// behind keeps the file that the link abs leads to, which is not ours to move.
func (k *keeper) behind(ctx context.Context, abs, rel string, e entry) error {
	real, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return err
	}
	copying := *k
	copying.move = false
	return copying.file(ctx, real, rel, e)
}

func (k *keeper) file(ctx context.Context, abs, rel string, e entry) error {
	src := disk.Source{Path: abs, Move: k.move && e.at.links == 1, Unchanged: func() bool {
		now, err := lstat(atCWD, abs)
		return err == nil && e.sure && now.unwritten(e.at)
	}}
	if src.Move {
		// The file is ours and its writer has ended. Its name is gone when
		// this is asked, and its stamp was compared while it was hashed.
		src.Unchanged = func() bool { return true }
	}
	err := k.batch.PutFile(ctx, e.Digest, src)
	var other *cas.MismatchError
	if errors.As(err, &other) {
		return &ChangedError{Path: rel, Want: e.Node, Got: digest.Node{Kind: e.Kind, Digest: other.Got, Files: 1}}
	}
	return err
}

func (k *keeper) link(ctx context.Context, abs, rel string, e entry) error {
	n, target, err := readLink(abs)
	if err != nil {
		return err
	}
	if n != e.Node {
		return &ChangedError{Path: rel, Want: e.Node, Got: n}
	}
	return k.batch.Put(ctx, n.Digest, bytes.NewReader([]byte(target)))
}

// Store keeps the content at path, which must be want, in the store. The
// user's files are reflinked or copied, never moved or changed. When something
// is not what it should be, or changes meanwhile, that is a *ChangedError.
func (w *Worktree) Store(ctx context.Context, path string, f Filter, want digest.Node) error {
	return w.keep(ctx, path, f, want, true)
}

// StoreTrees keeps the listings of directories alone (store = false), for
// comparisons and for Stage.
func (w *Worktree) StoreTrees(ctx context.Context, path string, f Filter, want digest.Node) error {
	return w.keep(ctx, path, f, want, false)
}

func (w *Worktree) keep(ctx context.Context, path string, f Filter, want digest.Node, content bool) error {
	p, err := clean(path)
	if err != nil {
		return err
	}
	batch, err := w.store.NewBatch(ctx)
	if err != nil {
		return wrap("store", path, err)
	}
	defer func() { _ = batch.Close() }()
	k := &keeper{Worktree: w, batch: batch, content: content}
	s := &scan{Worktree: w, filter: f, cached: true, top: p, visit: k.directory}
	s.visitFile = func(ctx context.Context, abs string, e entry) error {
		if !content {
			return nil
		}
		return k.behind(ctx, abs, "", e) // it may be a link to the file
	}
	got, err := s.run(ctx, w.abs(p))
	if err == nil && got != want {
		err = &ChangedError{Want: want, Got: got}
	}
	if err == nil {
		err = batch.Commit(ctx)
	}
	return wrap("store", path, err)
}

// Collect hashes the file or directory at absPath, which lies outside of the
// worktree and is given away, and moves its files into the store. A file with a
// second name is copied, and so is what a link leads to out of absPath, or out
// of its own directory: that must lie in one of the bounds, the job's work
// directory, or in absPath itself when there are none. Directories that are
// read-only are made writable. What is left of absPath afterwards is the
// caller's to remove.
//
// What cannot be kept is a *PathError with a path below absPath; everything is
// still where it was then.
func (w *Worktree) Collect(ctx context.Context, absPath string, bounds ...string) (digest.Node, error) {
	absPath = filepath.Clean(absPath)
	bounds, err := realBounds(absPath, bounds)
	if err != nil {
		return digest.Node{}, wrap("collect", absPath, err)
	}
	batch, err := w.store.NewBatch(ctx)
	if err != nil {
		return digest.Node{}, wrap("collect", absPath, err)
	}
	defer func() { _ = batch.Close() }()
	c := &collecting{keeper: keeper{Worktree: w, batch: batch, content: true, move: true}}
	n, err := c.run(ctx, absPath, bounds)
	if err == nil {
		err = batch.Commit(ctx)
	}
	return n, wrap("collect", absPath, err)
}

// realBounds resolves links in bounds.
func realBounds(absPath string, bounds []string) ([]string, error) {
	if len(bounds) == 0 {
		dir, err := filepath.EvalSymlinks(filepath.Dir(absPath))
		return []string{filepath.Join(dir, filepath.Base(absPath))}, err
	}
	real := make([]string, len(bounds))
	for i, b := range bounds {
		var err error
		if real[i], err = filepath.EvalSymlinks(b); err != nil {
			return nil, err
		}
	}
	return real, nil
}

// collecting is one call of Collect. Nothing is moved before all has been
// scanned and what links lead to has been copied: a file may be what another's
// link leads to.
type collecting struct {
	keeper
	mu   sync.Mutex
	dirs []*directory
}

func (c *collecting) run(ctx context.Context, abs string, bounds []string) (digest.Node, error) {
	s := &scan{Worktree: c.Worktree, given: abs, bounds: bounds}
	s.visit = func(_ context.Context, d *directory) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.dirs = append(c.dirs, d)
		return nil
	}
	s.visitFile = func(ctx context.Context, abs string, e entry) error {
		link, err := lstat(atCWD, abs)
		if err != nil {
			return err
		}
		if link.isLink() {
			return c.behind(ctx, abs, "", e)
		}
		return c.file(ctx, abs, "", e)
	}
	n, err := s.run(ctx, abs)
	if err != nil {
		return n, err
	}
	copying := c.keeper
	copying.move = false
	err = c.each(func(d *directory) error {
		return copying.files(ctx, d, func(e entry) bool { return e.lent || d.in.lent })
	})
	if err != nil {
		return n, err
	}
	return n, c.each(func(d *directory) error {
		if err := c.files(ctx, d, func(e entry) bool { return !e.lent && !d.in.lent }); err != nil {
			return err
		}
		return c.listing(ctx, d)
	})
}

func (c *collecting) each(f func(*directory) error) error {
	g := group{tokens: c.tokens}
	for _, d := range c.dirs {
		g.do(func() error { return f(d) })
	}
	return g.wait()
}
