package worktree

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"

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
	g := group{tokens: k.tokens}
	for _, e := range d.entries {
		if g.failed() {
			break
		}
		switch {
		case e.Kind == digest.Dir || !k.content:
		case e.Kind == digest.Link:
			// Links are small; listings need their targets to be checked out.
			g.do(func() error { return k.link(ctx, filepath.Join(d.abs, e.Name), join(d.rel, e.Name), e) })
		default:
			g.do(func() error { return k.file(ctx, filepath.Join(d.abs, e.Name), join(d.rel, e.Name), e) })
		}
	}
	if err := g.wait(); err != nil {
		return err
	}
	b := d.tree.Encode()
	return k.batch.Put(ctx, digest.OfBytes(b), bytes.NewReader(b))
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
		// The scanned path may be a link to the file.
		real, err := filepath.EvalSymlinks(abs)
		if err != nil {
			return err
		}
		return k.file(ctx, real, "", e)
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
// second name is copied. What is left of absPath afterwards is the caller's to
// remove.
func (w *Worktree) Collect(ctx context.Context, absPath string) (digest.Node, error) {
	batch, err := w.store.NewBatch(ctx)
	if err != nil {
		return digest.Node{}, wrap("collect", absPath, err)
	}
	defer func() { _ = batch.Close() }()
	k := &keeper{Worktree: w, batch: batch, content: true, move: true}
	s := &scan{Worktree: w, visit: k.directory}
	s.visitFile = func(ctx context.Context, abs string, e entry) error {
		// A link's target is not ours to move.
		link, err := lstat(atCWD, abs)
		if err != nil {
			return err
		}
		if !link.isLink() {
			return k.file(ctx, abs, "", e)
		}
		real, err := filepath.EvalSymlinks(abs)
		if err != nil {
			return err
		}
		copying := *k
		copying.move = false
		return copying.file(ctx, real, "", e)
	}
	n, err := s.run(ctx, absPath)
	if err == nil {
		err = batch.Commit(ctx)
	}
	return n, wrap("collect", absPath, err)
}
