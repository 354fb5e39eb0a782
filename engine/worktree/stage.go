package worktree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/flow-pipelines/flow/engine/cas"
	"github.com/flow-pipelines/flow/engine/cas/disk"
	"github.com/flow-pipelines/flow/engine/digest"
)

// staging is one call of Stage.
type staging struct {
	*Worktree
	tally
	top string

	mu     sync.Mutex
	stamps map[string]stamp // by path below top
}

// Stage lays node at dir/path for a stage to read: reflinked, else hard-linked
// if large, else copied; from the store, or, what the store does not have, from
// the worktree at path, whose content must still be that of node. dir/path must
// not exist. Whoever runs a program on it calls Verify afterwards: root may
// write to a hard link.
func (w *Worktree) Stage(ctx context.Context, path string, node digest.Node, dir string) (Summary, error) {
	p, err := clean(path)
	if err != nil {
		return Summary{}, err
	}
	dst := filepath.Join(dir, filepath.FromSlash(p))
	if err := os.MkdirAll(filepath.Dir(dst), 0o777); err != nil {
		return Summary{}, wrap("lay out", path, err)
	}
	s, err := w.layOut(ctx, p, dst, node)
	if isMiss(err) && node.Kind == digest.Dir {
		// The store lacks a listing, as after somebody deleted it. The
		// directory in the project has the same one, or is refused.
		if err := w.StoreTrees(ctx, p, Filter{}, node); err != nil {
			return s.summary(), wrap("lay out", path, err)
		}
		if err := RemoveAll(dst); err != nil {
			return s.summary(), wrap("lay out", path, err)
		}
		s, err = w.layOut(ctx, p, dst, node)
	}
	if err != nil {
		return s.summary(), wrap("lay out", path, err)
	}
	w.mu.Lock()
	w.staged[dst] = s.stamps
	w.mu.Unlock()
	return s.summary(), nil
}

func (w *Worktree) layOut(ctx context.Context, p, dst string, node digest.Node) (*staging, error) {
	s := &staging{Worktree: w, top: p, stamps: map[string]stamp{}}
	return s, s.node(ctx, dst, "", node)
}

func (s *staging) node(ctx context.Context, dst, rel string, n digest.Node) error {
	switch n.Kind {
	case digest.Dir:
		return s.dir(ctx, dst, rel, n)
	case digest.Link:
		return s.link(ctx, dst, rel, n)
	}
	how, err := s.file(ctx, dst, rel, n)
	if err != nil {
		return err
	}
	s.placed(how)
	if how != disk.Hardlinked {
		if err := settleTime(dst); err != nil {
			return err
		}
	}
	at, err := lstat(atCWD, dst)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stamps[rel] = at
	return nil
}

func (s *staging) dir(ctx context.Context, dst, rel string, n digest.Node) error {
	t, err := s.tree(ctx, n)
	if err != nil {
		return fmt.Errorf("%s: %w", join(s.top, rel), err)
	}
	if err := os.Mkdir(dst, 0o777); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	g := group{tokens: s.tokens}
	for _, e := range t {
		g.do(func() error { return s.node(ctx, filepath.Join(dst, e.Name), join(rel, e.Name), e.Node) })
	}
	return g.wait()
}

func (s *staging) link(ctx context.Context, dst, rel string, n digest.Node) error {
	b, err := cas.ReadAll(ctx, s.store, n.Digest)
	target := string(b)
	if isMiss(err) {
		var now digest.Node
		if now, target, err = readLink(s.abs(join(s.top, rel))); err == nil && now != n {
			err = &ChangedError{Path: rel, Want: n, Got: now}
		}
	}
	if err != nil {
		return err
	}
	s.copied.Add(1)
	return os.Symlink(target, dst)
}

// isMiss reports whether a store does not have an object. Damage is a miss too.
func isMiss(err error) bool { return errors.Is(err, cas.ErrNotFound) }

// file lays out one file.
func (s *staging) file(ctx context.Context, dst, rel string, n digest.Node) (disk.How, error) {
	how, err := s.store.Place(ctx, n.Digest, dst, disk.Want{Perm: permOf(n.Kind)})
	if !isMiss(err) {
		return how, err
	}
	now, herr := s.Hash(ctx, join(s.top, rel), Filter{})
	if errors.Is(herr, os.ErrNotExist) {
		return 0, err // nowhere: say what the store says
	}
	if herr != nil {
		return 0, herr
	}
	if now.Digest != n.Digest {
		return 0, &ChangedError{Path: rel, Want: n, Got: now}
	}
	src, err := filepath.EvalSymlinks(s.abs(join(s.top, rel)))
	if err != nil {
		return 0, err
	}
	if n.Size >= disk.LinkSize && now.Kind == n.Kind {
		if how, err := disk.Link(src, dst, permOf(n.Kind)); err == nil {
			return how, nil
		}
	}
	return disk.Copied, s.copyFile(ctx, src, dst, rel, n)
}

// copyFile copies a file of the user's, and makes sure that it is n.
func (s *staging) copyFile(ctx context.Context, src, dst, rel string, n digest.Node) error {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(dst, os.O_WRONLY|os.O_CREATE|os.O_EXCL, permOf(n.Kind))
	if err != nil {
		return err
	}
	h := digest.NewHasher()
	_, err = io.Copy(io.MultiWriter(out, h), &contextReader{ctx, in})
	if got := h.Sum(); err == nil && got != n.Digest {
		err = &ChangedError{Path: rel, Want: n, Got: digest.Node{Kind: n.Kind, Digest: got, Files: 1}}
	}
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	return err
}

// contextReader stops reading when its context ends. It lives for one copy.
type contextReader struct {
	ctx context.Context //nolint:containedctx
	r   io.Reader
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// Verify returns a *ChangedError when a file that Stage laid at dir/path is no
// longer what it was. Files that look as they did then are not read. Files that
// were added beside them (caches of an interpreter, say) are nobody's concern.
func (w *Worktree) Verify(ctx context.Context, path string, node digest.Node, dir string) error {
	p, err := clean(path)
	if err != nil {
		return err
	}
	dst := filepath.Join(dir, filepath.FromSlash(p))
	w.mu.Lock()
	stamps := w.staged[dst]
	delete(w.staged, dst)
	w.mu.Unlock()
	v := &verifying{Worktree: w, stamps: stamps}
	return wrap("verify", path, v.node(ctx, dst, "", node))
}

// verifying is one call of Verify.
type verifying struct {
	*Worktree
	stamps map[string]stamp
}

func (v *verifying) node(ctx context.Context, dst, rel string, n digest.Node) error {
	switch n.Kind {
	case digest.Dir:
		t, err := v.tree(ctx, n)
		if err != nil {
			return fmt.Errorf("%s: %w", rel, err)
		}
		g := group{tokens: v.tokens}
		for _, e := range t {
			g.do(func() error { return v.node(ctx, filepath.Join(dst, e.Name), join(rel, e.Name), e.Node) })
		}
		return g.wait()
	case digest.Link:
		if now, _, err := readLink(dst); err != nil || now != n {
			return &ChangedError{Path: rel, Want: n, Got: now}
		}
		return nil
	}
	return v.file(ctx, dst, rel, n)
}

func (v *verifying) file(ctx context.Context, dst, rel string, n digest.Node) error {
	at, err := lstat(atCWD, dst)
	if errors.Is(err, os.ErrNotExist) || err == nil && !at.isRegular() {
		return &ChangedError{Path: rel, Want: n}
	}
	if err != nil {
		return err
	}
	if then, ok := v.stamps[rel]; ok && then.unwritten(at) {
		return nil
	}
	d, now, _, err := v.hashFile(ctx, atCWD, dst, false)
	if err != nil {
		return err
	}
	if d != n.Digest {
		return &ChangedError{Path: rel, Want: n, Got: digest.Node{Kind: now.fileKind(), Digest: d, Size: now.size, Files: 1}}
	}
	return nil
}
