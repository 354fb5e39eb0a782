package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/flow-pipelines/flow/engine/cas"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/plan"
	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/engine/worktree"
)

// content is what lies, or should lie, at an output. It is read from the cache as
// far as that has it, and otherwise in place, if there lies what should.
type content struct {
	p     *Project
	out   stage.Output
	files []config.File
}

var _ config.Content = (*content)(nil)

// Content implements plan.World.
func (w *world) Content(o stage.Output, n digest.Node) config.Content {
	if w.p.wire() != nil {
		return nil
	}
	l, err := w.listing(o, n)
	if err != nil {
		return nil
	}
	c := &content{p: w.p, out: o}
	for _, f := range l.files {
		c.files = append(c.files, config.File{Path: f.Path, Digest: f.Digest, Size: f.Size})
	}
	return c
}

// Part implements plan.World.
func (w *world) Part(o stage.Output, n digest.Node, path string) (digest.Node, bool) {
	if n.Kind != digest.Dir {
		return digest.Node{}, false
	}
	l, err := w.listing(o, n)
	if err != nil {
		return digest.Node{}, false
	}
	f, ok := l.find(path)
	return f.Node, ok
}

// listing returns the files of n, which should lie at an output.
func (w *world) listing(o stage.Output, n digest.Node) (*listing, error) {
	if known, ok := w.listings.Load(n); ok {
		return known.(*listing), nil
	}
	ctx := context.Background() // listings are small, and on this machine
	files, err := w.p.files.ListStored(ctx, n)
	if err == nil && n.Kind != digest.Dir {
		var has bool
		if has, err = w.p.store.Has(ctx, n.Digest); err == nil && !has {
			err = cas.NotFound(n.Digest)
		}
	}
	if errors.Is(err, cas.ErrNotFound) {
		files, err = w.inPlace(ctx, o, n)
	}
	if err != nil {
		return nil, err
	}
	l := listingOf(files, func(link worktree.File) (string, bool) { return w.target(o, link) })
	if n.Kind == digest.Dir {
		w.listings.Store(n, l)
	}
	return l, nil
}

// target returns where a link leads that is in an output.
func (w *world) target(o stage.Output, link worktree.File) (text string, ok bool) {
	if b, err := cas.ReadAll(context.Background(), w.p.store, link.Digest); err == nil {
		return string(b), true
	}
	text, err := os.Readlink(filepath.Join(w.p.root, filepath.FromSlash(path.Join(o.Path, link.Path))))
	return text, err == nil && digest.OfBytes([]byte(text)) == link.Digest
}

// inPlace lists what lies at an output, if that is n.
func (w *world) inPlace(ctx context.Context, o stage.Output, n digest.Node) ([]worktree.File, error) {
	there, err := w.Hash(ctx, o)
	if err != nil {
		return nil, err
	}
	if there != n {
		return nil, fs.ErrNotExist
	}
	return w.p.files.List(ctx, o.Path, filterOf(o))
}

// Files implements config.Content.
func (c *content) Files() []config.File { return c.files }

// Read implements config.Content.
func (c *content) Read(f config.File) ([]byte, error) {
	b, err := cas.ReadAll(context.Background(), c.p.store, f.Digest)
	if !errors.Is(err, cas.ErrNotFound) {
		return b, err
	}
	file, err := os.Open(filepath.Join(c.p.root, filepath.FromSlash(path.Join(c.out.Path, f.Path))))
	if err != nil {
		return nil, fmt.Errorf("%s is not there, and not in the cache", path.Join(c.out.Path, f.Path))
	}
	defer file.Close()
	if b, err = io.ReadAll(io.LimitReader(file, f.Size+1)); err != nil {
		return nil, err
	}
	if digest.OfBytes(b) != f.Digest {
		return nil, fmt.Errorf("%s is not what it was, and the cache does not hold that", path.Join(c.out.Path, f.Path))
	}
	return b, nil
}

// Recorded is the pipeline with the instances that follow from what flow.lock
// records, for who does not plan.
func (p *Project) Recorded() *config.Pipeline {
	pipeline, _ := p.recorded()
	return pipeline
}

// recorded is the same, and what flow.lock records. Where nothing is deferred it
// costs nothing.
func (p *Project) recorded() (*config.Pipeline, config.Results) {
	known := plan.NewKnown(p.world(p.lock))
	for _, s := range p.lock.Stages() {
		if !slices.Contains(p.blocked, s.Addr) {
			known.Record(s)
		}
	}
	if len(p.pipeline.Deferred()) == 0 || p.wire() != nil {
		return p.pipeline, known
	}
	return p.pipeline.Expand(known), known
}
