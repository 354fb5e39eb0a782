package worktree

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/flow-pipelines/flow/engine/cas"
	"github.com/flow-pipelines/flow/engine/digest"
)

// tree reads a directory's listing from the store. It may have come from
// anywhere: one that would write into .git is refused, as digest.DecodeTree
// refuses names with slashes.
func (w *Worktree) tree(ctx context.Context, n digest.Node) (digest.Tree, error) {
	b, err := cas.ReadAll(ctx, w.store, n.Digest)
	if err != nil {
		return nil, err
	}
	t, err := digest.DecodeTree(b)
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", n.Digest.Short(), err)
	}
	for _, e := range t {
		if reserved(e.Name) {
			return nil, fmt.Errorf("listing %s: %w", n.Digest.Short(), &PathError{Path: e.Name, Reason: "belongs to git or to flow itself"})
		}
	}
	return t, nil
}

// ListStored returns the files of node as List would, from the store alone. A
// listing that the store lacks is cas.ErrNotFound.
func (w *Worktree) ListStored(ctx context.Context, node digest.Node) ([]File, error) {
	var files []File
	var visit func(path string, n digest.Node) error
	visit = func(path string, n digest.Node) error {
		if n.Kind != digest.Dir {
			files = append(files, File{path, n})
			return ctx.Err()
		}
		t, err := w.tree(ctx, n)
		if err != nil {
			return err
		}
		for _, e := range t {
			if err := visit(join(path, e.Name), e.Node); err != nil {
				return err
			}
		}
		return nil
	}
	if err := visit("", node); err != nil {
		return nil, fmt.Errorf("list %s: %w", node.Digest.Short(), err)
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files, nil
}

// Object is something a store lacks.
type Object struct {
	digest.Digest
	Size int64 // bytes of a file; 0 for a listing, whose size is not known
}

// Missing returns the objects of node that the store lacks, each once, sorted
// by digest. What a missing listing names cannot be known and is not in it: an
// answer of nothing is complete, any other may be the first of several.
func (w *Worktree) Missing(ctx context.Context, node digest.Node) ([]Object, error) {
	seen := map[digest.Digest]bool{}
	var lacks []Object
	var visit func(n digest.Node) error
	visit = func(n digest.Node) error {
		if err := ctx.Err(); err != nil || n.IsZero() || seen[n.Digest] {
			return err
		}
		seen[n.Digest] = true
		has, err := w.store.Has(ctx, n.Digest)
		if err != nil {
			return err
		}
		if !has {
			o := Object{n.Digest, n.Size}
			if n.Kind == digest.Dir {
				o.Size = 0
			}
			lacks = append(lacks, o)
			return nil
		}
		if n.Kind != digest.Dir {
			return nil
		}
		t, err := w.tree(ctx, n)
		if err != nil {
			if isMiss(err) { // damaged, or gone since
				lacks = append(lacks, Object{n.Digest, 0})
				return nil
			}
			return err
		}
		for _, e := range t {
			if err := visit(e.Node); err != nil {
				return err
			}
		}
		return nil
	}
	if err := visit(node); err != nil {
		return nil, fmt.Errorf("look for objects of %s: %w", node.Digest.Short(), err)
	}
	slices.SortFunc(lacks, func(a, b Object) int { return slices.Compare(a.Digest[:], b.Digest[:]) })
	return lacks, nil
}

// Change is one file that differs between two nodes. A directory that is on one
// side alone and empty is a change too.
type Change struct {
	Path     string      // slash-separated, below the compared nodes; "" is themselves
	Old, New digest.Node // zero: not there
}

// Diff returns the first limit changes from old to new, sorted by path, and
// how many there are in all. It reads the listings that differ and no files; a
// listing that the store lacks is cas.ErrNotFound.
func (w *Worktree) Diff(ctx context.Context, old, new digest.Node, limit int) (changes []Change, total int, err error) {
	d := &differ{Worktree: w, limit: limit}
	if err := d.node(ctx, "", old, new); err != nil {
		return nil, 0, fmt.Errorf("compare %s with %s: %w", old.Digest.Short(), new.Digest.Short(), err)
	}
	return d.changes, d.total, nil
}

// DiffAt is Diff for a new side that lies at path, seen through the filter, and
// whose listings the store may lack: nothing is kept of what is only looked at.
// Those that a Hash has not seen are made again from the stat cache. If
// something else lies there by now, that is a *ChangedError.
func (w *Worktree) DiffAt(ctx context.Context, old, new digest.Node, path string, f Filter, limit int) (changes []Change, total int, err error) {
	has, err := w.store.Has(ctx, old.Digest)
	if err == nil && !has && !old.IsZero() {
		err = cas.NotFound(old.Digest)
	}
	d := &differ{Worktree: w, limit: limit, seen: true}
	if err == nil {
		err = d.node(ctx, "", old, new)
	}
	if isMiss(err) && (has || old.IsZero()) && new.Kind == digest.Dir {
		if err = w.see(ctx, path, f, new); err == nil {
			d = &differ{Worktree: w, limit: limit, seen: true}
			err = d.node(ctx, "", old, new)
		}
	}
	return d.changes, d.total, wrap("compare", path, err)
}

type differ struct {
	*Worktree
	seen    bool // the new side may have been seen and not stored
	limit   int
	changes []Change
	total   int
}

func (d *differ) node(ctx context.Context, path string, old, new digest.Node) error {
	if err := ctx.Err(); err != nil || old == new {
		return err
	}
	if old.Kind != digest.Dir && new.Kind != digest.Dir {
		d.add(Change{path, old, new}, 1)
		return nil
	}
	oldDir, newDir := dirOnly(old), dirOnly(new)
	if oldDir != old { // a file became a directory
		d.add(Change{Path: path, Old: old}, 1)
	}
	if newDir != new {
		d.add(Change{Path: path, New: new}, 1)
	}
	switch {
	case oldDir.IsZero() && newDir.Files == 0:
		d.add(Change{Path: path, New: newDir}, 1)
		return nil
	case newDir.IsZero() && oldDir.Files == 0:
		d.add(Change{Path: path, Old: oldDir}, 1)
		return nil
	case len(d.changes) >= d.limit && (oldDir.IsZero() || newDir.IsZero()):
		// All that is in it counts, and none of it is wanted by name.
		d.total += int(oldDir.Files + newDir.Files)
		return nil
	}
	return d.trees(ctx, path, oldDir, newDir)
}

// dirOnly is n if it is a directory.
func dirOnly(n digest.Node) digest.Node {
	if n.Kind == digest.Dir {
		return n
	}
	return digest.Node{}
}

func (d *differ) trees(ctx context.Context, path string, old, new digest.Node) error {
	var a, b digest.Tree
	var err error
	if !old.IsZero() {
		if a, err = d.tree(ctx, old); err != nil {
			return err
		}
	}
	if !new.IsZero() {
		read := d.tree
		if d.seen {
			read = d.listing
		}
		if b, err = read(ctx, new); err != nil {
			return err
		}
	}
	for len(a) > 0 || len(b) > 0 {
		var was, is digest.Node
		var name string
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].Name < b[0].Name:
			name, was, a = a[0].Name, a[0].Node, a[1:]
		case len(a) == 0 || b[0].Name < a[0].Name:
			name, is, b = b[0].Name, b[0].Node, b[1:]
		default:
			name, was, is, a, b = a[0].Name, a[0].Node, b[0].Node, a[1:], b[1:]
		}
		if err := d.node(ctx, join(path, name), was, is); err != nil {
			return err
		}
	}
	return nil
}

func (d *differ) add(c Change, n int) {
	d.total += n
	if len(d.changes) < d.limit {
		d.changes = append(d.changes, c)
	}
}
