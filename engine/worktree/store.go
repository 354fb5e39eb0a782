package worktree

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/flow-pipelines/flow/engine/cas"
	"github.com/flow-pipelines/flow/engine/cas/disk"
	"github.com/flow-pipelines/flow/engine/digest"
)

// keeper puts what was collected into a batch.
type keeper struct {
	*Worktree
	batch *disk.Batch
	move  bool // files may be moved away
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
// that the store lacks is not there, or changes meanwhile, that is a
// *ChangedError.
//
// Nothing is looked at that the store has already. That is sound because want
// names its content: whatever has become of those files since they were hashed,
// what is kept is want, and the next Hash tells.
func (w *Worktree) Store(ctx context.Context, path string, f Filter, want digest.Node) error {
	return w.keep(ctx, path, f, want, true)
}

// Hold says that node is about to be named: what the store has of it stays, as
// what was stored, collected or checked out does.
func (w *Worktree) Hold(ctx context.Context, node digest.Node) error {
	return w.store.Hold(ctx, node.Digest)
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
	s := &storing{Worktree: w, batch: batch, top: p, content: content}
	dir, deep := p, want.Kind == digest.Dir
	if !deep {
		dir, _ = split(p)
	}
	if err := w.cache.load(ctx, dir, deep); err != nil {
		return wrap("store", path, err)
	}
	if deep {
		err = s.dir(ctx, "", want)
		if isMiss(err) { // nobody has looked since the program was started
			if err = w.see(ctx, path, f, want); err == nil {
				err = s.dir(ctx, "", want)
			}
		}
	} else {
		err = s.entry(ctx, "", want)
	}
	if err == nil {
		err = batch.Commit(ctx)
	}
	if err == nil {
		err = batch.Hold(want.Digest)
	}
	if err == nil {
		w.seen.forget(s.put)
	}
	return wrap("store", path, err)
}

// storing is one call of Store.
type storing struct {
	*Worktree
	batch   *disk.Batch
	top     string // the path below the root
	content bool   // files too, not only listings

	mu  sync.Mutex
	put []digest.Digest // listings
}

// dir keeps a directory, its listing last: a listing in the store was complete
// once.
func (s *storing) dir(ctx context.Context, rel string, n digest.Node) error {
	t, err := s.listing(ctx, n)
	if err != nil {
		return err
	}
	g := group{tokens: s.tokens}
	for _, e := range t {
		if err := ctx.Err(); err != nil || g.failed() {
			g.keep(err)
			break
		}
		rel := join(rel, e.Name)
		if e.Kind == digest.Dir {
			g.do(func() error { return s.dir(ctx, rel, e.Node) })
			continue
		}
		if !s.content {
			continue
		}
		has, err := s.batch.Has(e.Digest)
		if err != nil {
			g.keep(err)
		} else if !has {
			g.do(func() error { return s.entry(ctx, rel, e.Node) })
		}
	}
	if err := g.wait(); err != nil {
		return err
	}
	if err := s.batch.Put(ctx, n.Digest, bytes.NewReader(t.Encode())); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put = append(s.put, n.Digest)
	return nil
}

// entry keeps a file or link.
func (s *storing) entry(ctx context.Context, rel string, n digest.Node) error {
	if !s.content {
		return nil
	}
	abs := s.abs(join(s.top, rel))
	err := s.file(ctx, abs, rel, n)
	if err == nil || ctx.Err() != nil {
		return err
	}
	var other *cas.MismatchError
	if errors.As(err, &other) {
		return &ChangedError{Path: rel, Want: n, Got: digest.Node{Kind: n.Kind, Digest: other.Got, Files: 1}}
	}
	if now, serr := stat(atCWD, abs, 0); serr != nil || !now.isRegular() {
		return &ChangedError{Path: rel, Want: n}
	}
	return err
}

func (s *storing) file(ctx context.Context, abs, rel string, n digest.Node) error {
	if n.Kind == digest.Link {
		target, err := os.Readlink(abs)
		if err != nil {
			return err
		}
		return s.batch.Put(ctx, n.Digest, strings.NewReader(target))
	}
	put := func(abs string) error {
		return s.batch.PutFile(ctx, n.Digest, disk.Source{Path: abs, Unchanged: func() bool {
			dir, name := split(join(s.top, rel))
			known, ok := s.cache.file(dir, name)
			now, err := lstat(atCWD, abs)
			return ok && err == nil && known.Digest == n.Digest && now.proves(known)
		}})
	}
	err := put(abs)
	if errors.Is(err, unix.ELOOP) { // the file is what a link leads to
		if abs, err = filepath.EvalSymlinks(abs); err == nil {
			err = put(abs)
		}
	}
	return err
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
	c := &collecting{keeper: keeper{Worktree: w, batch: batch, move: true}}
	n, err := c.run(ctx, absPath, bounds)
	if err == nil {
		err = batch.Commit(ctx)
	}
	if err == nil {
		err = batch.Hold(n.Digest)
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
