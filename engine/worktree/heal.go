package worktree

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/flow-pipelines/flow/engine/cas"
	"github.com/flow-pipelines/flow/engine/digest"
)

// healing is one call of Heal.
type healing struct {
	*Worktree
	mu      sync.Mutex
	seen    map[digest.Digest]bool
	damaged int
}

// Heal reads every object of node that the store has, and has those that are
// damaged put out of the way: afterwards Missing names them all, and putting
// node's content again repairs the store. damaged is how many there were; each
// is reported to the store's OnDamage once. What a damaged or missing listing
// names cannot be known and is not read.
//
// It is for whoever has met one *cas.DamagedError. Putting an object that is
// there costs a stat and not a look at its bytes, so without Heal the damage of
// a tree would come to light one object and one attempt at a time.
func (w *Worktree) Heal(ctx context.Context, node digest.Node) (damaged int, err error) {
	h := &healing{Worktree: w, seen: map[digest.Digest]bool{}}
	if err := h.node(ctx, node); err != nil {
		return h.damaged, fmt.Errorf("read the objects of %s: %w", node.Digest.Short(), err)
	}
	return h.damaged, nil
}

func (h *healing) node(ctx context.Context, n digest.Node) error {
	if n.IsZero() || !h.first(n.Digest) {
		return nil
	}
	if n.Kind != digest.Dir {
		return h.count(ctx, n.Digest, h.store.Verify(ctx, n.Digest))
	}
	t, err := h.tree(ctx, n)
	if err != nil {
		return h.count(ctx, n.Digest, err)
	}
	g := group{tokens: h.tokens}
	for _, e := range t {
		g.do(func() error { return h.node(ctx, e.Node) })
	}
	return g.wait()
}

// first reports whether an object has not been read yet.
func (h *healing) first(d digest.Digest) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.seen[d] {
		return false
	}
	h.seen[d] = true
	return true
}

// count counts damage, and forgives it as it forgives what is not there, unless
// it could not be put out of the way.
func (h *healing) count(ctx context.Context, d digest.Digest, err error) error {
	if !isMiss(err) {
		return err
	}
	var damage *cas.DamagedError
	if !errors.As(err, &damage) {
		return nil
	}
	if there, herr := h.store.Has(ctx, d); there || herr != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.damaged++
	return nil
}
