package worktree

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/flow-pipelines/flow/engine/digest"
)

// Hash returns what lies at path, a slash-separated path below the root; "."
// is the root. A path that is not there is fs.ErrNotExist. The filter applies
// to what lies below a directory.
func (w *Worktree) Hash(ctx context.Context, path string, f Filter) (digest.Node, error) {
	p, err := clean(path)
	if err != nil {
		return digest.Node{}, err
	}
	s := &scan{Worktree: w, filter: f, cached: true, top: p, hold: true}
	n, err := s.run(ctx, w.abs(p))
	return n, wrap("hash", path, err)
}

// HashAll is Hash for many paths at once; what is not there is the zero Node.
func (w *Worktree) HashAll(ctx context.Context, paths []string) ([]digest.Node, error) {
	nodes := make([]digest.Node, len(paths))
	g := group{tokens: w.tokens}
	for i, p := range paths {
		g.do(func() (err error) {
			nodes[i], err = w.Hash(ctx, p, Filter{})
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		})
	}
	return nodes, g.wait()
}

// File is one file of a listing.
type File struct {
	Path string // slash-separated, below the listed path; "" is that path itself
	digest.Node
}

// List returns the files at or below path, sorted, with their content.
func (w *Worktree) List(ctx context.Context, path string, f Filter) ([]File, error) {
	p, err := clean(path)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var files []File
	s := &scan{Worktree: w, filter: f, cached: true, top: p}
	s.visit = func(_ context.Context, d *directory) error {
		mu.Lock()
		defer mu.Unlock()
		for _, e := range d.entries {
			if e.Kind != digest.Dir {
				files = append(files, File{join(d.rel, e.Name), e.Node})
			}
		}
		return nil
	}
	s.visitFile = func(_ context.Context, _ string, e entry) error {
		files = append(files, File{"", e.Node})
		return nil
	}
	if _, err := s.run(ctx, w.abs(p)); err != nil {
		return nil, wrap("list", path, err)
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files, nil
}
