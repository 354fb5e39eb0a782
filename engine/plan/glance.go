package plan

import (
	"context"
	"sync"

	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/stage"
)

// glance is a World that is looked at once: all stages of a plan that read a file
// of the project see the same, though somebody is writing it, and a glob that a
// thousand stages name is matched once. Directories with filters, of which each
// belongs to one stage, are looked at as they come.
type glance struct {
	World
	files sync.Map // path → func() (digest.Node, error)
	globs sync.Map // glob → func() ([]string, error)
}

// Hash implements World.
func (g *glance) Hash(ctx context.Context, o stage.Output) (digest.Node, error) {
	if len(o.Include)+len(o.Ignore) > 0 {
		return g.World.Hash(ctx, o)
	}
	return once(&g.files, o.Path, func() (digest.Node, error) { return g.World.Hash(ctx, o) })
}

// Expand implements World.
func (g *glance) Expand(ctx context.Context, glob string) ([]string, error) {
	return once(&g.globs, glob, func() ([]string, error) { return g.World.Expand(ctx, glob) })
}

// once returns what the first that asked under this name was answered.
func once[T any](seen *sync.Map, name string, ask func() (T, error)) (T, error) {
	answer, ok := seen.Load(name)
	if !ok {
		answer, _ = seen.LoadOrStore(name, sync.OnceValues(ask))
	}
	return answer.(func() (T, error))()
}
