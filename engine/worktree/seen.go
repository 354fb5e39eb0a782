package worktree

import (
	"context"
	"sync"

	"github.com/flow-pipelines/flow/engine/cas/disk"
	"github.com/flow-pipelines/flow/engine/digest"
)

// listings are those that Hash has seen and the store lacks, encoded, about 55
// bytes a file: a plan looks at a data set, tells what has changed in it, and
// then keeps it, and would otherwise walk over it each time. What a listing says
// follows from its digest, so that these cannot be out of date.
type listings struct {
	mu       sync.Mutex
	byDigest map[digest.Digest][]byte
}

func (l *listings) add(ctx context.Context, store *disk.Store, d digest.Digest, listing []byte) error {
	if has, err := store.Has(ctx, d); has || err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byDigest == nil {
		l.byDigest = map[digest.Digest][]byte{}
	}
	l.byDigest[d] = listing
	return nil
}

func (l *listings) get(d digest.Digest) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byDigest[d]
}

// forget drops what the store has by now.
func (l *listings) forget(ds []digest.Digest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range ds {
		delete(l.byDigest, d)
	}
}

// listing is tree, for a directory that may have been seen and not stored.
func (w *Worktree) listing(ctx context.Context, n digest.Node) (digest.Tree, error) {
	if b := w.seen.get(n.Digest); b != nil {
		return digest.DecodeTree(b)
	}
	return w.tree(ctx, n)
}

// see looks at what lies at path, which must be want, so that listing knows it.
func (w *Worktree) see(ctx context.Context, path string, f Filter, want digest.Node) error {
	got, err := w.Hash(ctx, path, f)
	if err == nil && got != want {
		err = &ChangedError{Want: want, Got: got}
	}
	return err
}
