package memo

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/key"
	"github.com/flow-pipelines/flow/engine/lock"
	"github.com/flow-pipelines/flow/engine/plan"
	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/engine/state"
)

// Recorder is a World that remembers what it was asked. What a plan asks only
// if there is something to do is not worth remembering, and ends the record.
//
// Each method is written out: one that is new to World does not compile until
// somebody has thought about whether its answers are to be remembered.
type Recorder struct {
	world plan.World
	began int64

	mu      sync.Mutex
	files   map[string]digest.Node
	trees   map[string]Tree
	globs   map[string]digest.Digest
	objects map[digest.Digest]bool
	over    bool
}

var _ plan.World = (*Recorder)(nil)

// Record returns a recorder of questions to w, which have not begun yet. dir is
// a directory of flow's own in the project. Where nothing can be written there
// is no record, and no harm in that.
func Record(w plan.World, dir string) *Recorder {
	r := &Recorder{world: w, files: map[string]digest.Node{}, trees: map[string]Tree{}, globs: map[string]digest.Digest{}, objects: map[digest.Digest]bool{}}
	var err error
	if r.began, err = begin(dir); err != nil {
		r.end()
	}
	return r
}

func (r *Recorder) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
}

// Hash implements plan.World.
func (r *Recorder) Hash(ctx context.Context, o stage.Output) (digest.Node, error) {
	n, err := r.world.Hash(ctx, o)
	if err != nil {
		r.end()
		return n, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if n.Kind != digest.File && n.Kind != digest.Executable {
		t := treeOf(o, n)
		if before, ok := r.trees[t.id()]; ok && before.node() != n {
			r.over = true // it changes while we look
		}
		r.trees[t.id()] = t
		return n, nil
	}
	if before, ok := r.files[o.Path]; ok && before != n {
		r.over = true
	}
	r.files[o.Path] = n
	return n, nil
}

func treeOf(o stage.Output, n digest.Node) Tree {
	return Tree{Path: o.Path, Include: o.Include, Ignore: o.Ignore, Kind: n.Kind, Size: n.Size, Files: n.Files, Digest: n.Digest}
}

// id tells questions apart.
func (t *Tree) id() string {
	return strings.Join([]string{t.Path, strings.Join(t.Include, "\x01"), strings.Join(t.Ignore, "\x01")}, "\x00")
}

// Expand implements plan.World.
func (r *Recorder) Expand(ctx context.Context, glob string) ([]string, error) {
	found, err := r.world.Expand(ctx, glob)
	if err != nil {
		r.end()
		return found, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	d := digestOf(found)
	if before, ok := r.globs[glob]; ok && before != d {
		r.over = true
	}
	r.globs[glob] = d
	return found, nil
}

func digestOf(names []string) digest.Digest {
	return digest.OfBytes([]byte(strings.Join(names, "\x00")))
}

// Missing implements plan.World.
func (r *Recorder) Missing(ctx context.Context, n digest.Node, shallow bool) (int, error) {
	missing, err := r.world.Missing(ctx, n, shallow)
	if err != nil || missing > 0 || !shallow {
		r.end()
		return missing, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.objects[n.Digest] = true
	return missing, err
}

// Result implements plan.World.
func (r *Recorder) Result(ctx context.Context, k key.Key) (state.Result, bool, error) {
	r.end()
	return r.world.Result(ctx, k)
}

// Changes implements plan.World.
func (r *Recorder) Changes(ctx context.Context, o stage.Output, before, after digest.Node) ([]plan.FileChange, int, error) {
	r.end()
	return r.world.Changes(ctx, o, before, after)
}

// Saved implements plan.World.
func (r *Recorder) Saved(p key.Point) (from key.Point, ok bool) {
	r.end()
	return r.world.Saved(p)
}

// Usual implements plan.World. Of no stages there is nothing to tell.
func (r *Recorder) Usual(ctx context.Context, stages []addr.Address) (map[addr.Address]time.Duration, error) {
	if len(stages) > 0 {
		r.end()
	}
	return r.world.Usual(ctx, stages)
}

// Tracked implements plan.World.
func (r *Recorder) Tracked(ctx context.Context, path string) bool {
	r.end()
	return r.world.Tracked(ctx, path)
}

// Content implements plan.World. What a directory or file of this digest holds
// follows from that, and what lies where is asked with Hash.
func (r *Recorder) Content(o stage.Output, n digest.Node) config.Content {
	c := r.world.Content(o, n)
	if c == nil {
		r.end()
	}
	return c
}

// Part implements plan.World. It follows from the digest, as Content does.
func (r *Recorder) Part(o stage.Output, n digest.Node, path string) (digest.Node, bool) {
	part, ok := r.world.Part(o, n, path)
	if !ok {
		r.end()
	}
	return part, ok
}

// Locked implements plan.World. flow.lock is remembered as a whole.
func (r *Recorder) Locked(a addr.Address) *lock.Stage { return r.world.Locked(a) }

// Project implements plan.World.
func (r *Recorder) Project() string { return r.world.Project() }

// Complete puts what was asked into m; false if it cannot be told by later
// looks whether the answers would be the same.
func (r *Recorder) Complete(m *Memo) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return false
	}
	s := &still{root: r.Project(), began: r.began, dirs: map[string]verdict{}}
	if !s.open() {
		return false
	}
	for _, t := range r.trees {
		m.Trees = append(m.Trees, t)
	}
	paths := make([]string, 0, len(r.files))
	for p := range r.files {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	m.files = make([]file, 0, len(paths))
	for _, p := range paths {
		f, v := s.look(p)
		switch v {
		case moved:
			return false
		case plain:
			m.files = append(m.files, f)
		case other:
			m.Trees = append(m.Trees, treeOf(stage.Output{Path: p}, r.files[p]))
		}
	}
	slices.SortFunc(m.Trees, func(a, b Tree) int { return cmp.Compare(a.id(), b.id()) })
	for g, d := range r.globs {
		m.Globs = append(m.Globs, Glob{g, d})
	}
	slices.SortFunc(m.Globs, func(a, b Glob) int { return cmp.Compare(a.Pattern, b.Pattern) })
	for d := range r.objects {
		m.Objects = append(m.Objects, d)
	}
	slices.SortFunc(m.Objects, func(a, b digest.Digest) int { return slices.Compare(a[:], b[:]) })
	return true
}
