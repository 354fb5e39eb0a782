package worktree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/flow-pipelines/flow/engine/cas"
	"github.com/flow-pipelines/flow/engine/cas/disk"
	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/state"
)

func TestHealFindsAllDamageAtOnce(t *testing.T) {
	ctx := context.Background()
	var heard atomic.Int64
	root := t.TempDir()
	store, err := disk.Open(filepath.Join(root, ".flow/cache"), disk.Options{OnDamage: func(*cas.DamagedError) { heard.Add(1) }})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	p := &project{t: t, root: root, store: store, db: state.New(filepath.Join(root, ".flow/state.db"), state.Options{})}
	p.reopen()
	for i := range 20 {
		p.write(fmt.Sprintf("d/%d/f", i), fmt.Sprint(i))
		p.write(fmt.Sprintf("d/%d/same", i), "same") // one object with 20 names
	}
	n := p.stored("d")
	if damaged, err := p.Heal(ctx, n); damaged != 0 || err != nil {
		t.Fatalf("of a whole tree: got %d, %v", damaged, err)
	}
	spoil := func(d digest.Digest) {
		t.Helper()
		packs, err := filepath.Glob(filepath.Join(store.Dir(), "packs/*.pack"))
		p.must(err)
		for _, name := range packs {
			b, err := os.ReadFile(name)
			p.must(err)
			if at := bytes.Index(b, d[:]); at >= 0 {
				b[at+digest.Size+8] ^= 1
				p.must(os.WriteFile(name, b, 0o644))
				return
			}
		}
		t.Fatalf("%s is in no pack", d.Short())
	}
	for i := range 5 {
		spoil(digest.OfBytes([]byte(fmt.Sprint(i))))
	}
	spoil(digest.OfBytes([]byte("same")))
	spoil(p.hash("d/7").Digest) // a listing
	c, err := store.Clear(ctx, nil)
	p.must(err)
	p.must(c.Remove(ctx, []digest.Digest{p.hash("d/9/f").Digest}))
	c.Close()

	damaged, err := p.Heal(ctx, n)
	if damaged != 7 || heard.Load() != 7 || err != nil {
		t.Errorf("got %d damaged, heard of %d, %v; want 7", damaged, heard.Load(), err)
	}
	if damaged, err := p.Heal(ctx, n); damaged != 0 || err != nil {
		t.Errorf("a second time: got %d, %v", damaged, err)
	}
	// All that is missing is now seen as missing, and is put again at once.
	if missing, err := p.Missing(ctx, n); len(missing) != 8 || err != nil {
		t.Errorf("missing: got %d, %v, want 8", len(missing), err)
	}
	p.must(p.Store(ctx, "d", Filter{}, n))
	p.must(os.RemoveAll(filepath.Join(root, "d")))
	p.checkout("d", n)
}

func TestHealOfWhatTheStoreNeverHadFindsNothing(t *testing.T) {
	p := newProject(t)
	p.write("d/a", "a")
	if damaged, err := p.Heal(context.Background(), p.hash("d")); damaged != 0 || err != nil {
		t.Errorf("got %d, %v", damaged, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	n := p.stored("d")
	cancel()
	if _, err := p.Heal(ctx, n); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}
