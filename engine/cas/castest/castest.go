// Package castest is the suite that every content store must pass. It is called
// by the tests of the stores, and by nobody else.
package castest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/flow-pipelines/flow/engine/cas"
	"github.com/flow-pipelines/flow/engine/digest"
)

// Harness makes stores to test.
type Harness struct {
	// New returns an empty store.
	New func(t *testing.T) cas.Store

	// Damage changes one byte of a stored object behind the store's back. It
	// is nil where that is not possible.
	Damage func(t *testing.T, s cas.Store, d digest.Digest)
}

// Run tests a store.
func Run(t *testing.T, h Harness) {
	for name, test := range map[string]func(*testing.T, Harness){
		"round trip":             roundTrip,
		"miss":                   miss,
		"mismatch":               mismatch,
		"broken reader":          brokenReader,
		"put twice":              putTwice,
		"concurrent puts":        concurrentPuts,
		"cancelled":              cancelled,
		"damage is a miss":       damage,
		"damage heals":           heal,
		"batch":                  batch,
		"batch closed":           batchClosed,
		"batch used after error": batchAfterError,
	} {
		t.Run(name, func(t *testing.T) { test(t, h) })
	}
}

// sizes around every threshold that a store may have.
var sizes = []int{0, 1, 100, 4 << 10, 64<<10 - 1, 64 << 10, 128<<10 + 1, 256 << 10, 1<<20 - 1, 1 << 20, 1<<20 + 1, 9 << 20}

func content(size int) ([]byte, digest.Digest) {
	b := make([]byte, size)
	seed := [32]byte{byte(size), byte(size >> 8), byte(size >> 16)}
	_, _ = rand.NewChaCha8(seed).Read(b)
	return b, digest.OfBytes(b)
}

func put(t *testing.T, s cas.Store, b []byte) digest.Digest {
	t.Helper()
	d := digest.OfBytes(b)
	if err := s.Put(t.Context(), d, bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	return d
}

func wantHas(t *testing.T, s cas.Store, d digest.Digest, want bool) {
	t.Helper()
	if got, err := s.Has(t.Context(), d); err != nil || got != want {
		t.Errorf("has %s: got %v, %v, want %v", d.Short(), got, err, want)
	}
}

func wantBytes(t *testing.T, s cas.Store, want []byte) {
	t.Helper()
	got, err := cas.ReadAll(t.Context(), s, digest.OfBytes(want))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("read %d bytes back: got %d, %v", len(want), len(got), err)
	}
}

func wantMiss(t *testing.T, s cas.Store, d digest.Digest) {
	t.Helper()
	wantHas(t, s, d, false)
	if _, err := cas.ReadAll(t.Context(), s, d); !errors.Is(err, cas.ErrNotFound) {
		t.Errorf("open %s: got %v, want ErrNotFound", d.Short(), err)
	}
}

func roundTrip(t *testing.T, h Harness) {
	s := h.New(t)
	for _, size := range sizes {
		b, d := content(size)
		wantHas(t, s, d, false)
		// A reader may give its bytes in any portions.
		if err := s.Put(t.Context(), d, iotest.HalfReader(bytes.NewReader(b))); err != nil {
			t.Fatal(err)
		}
		wantHas(t, s, d, true)
	}
	for _, size := range sizes {
		b, _ := content(size)
		wantBytes(t, s, b)
	}
}

func miss(t *testing.T, h Harness) {
	s := h.New(t)
	wantMiss(t, s, digest.OfBytes([]byte("nowhere")))
	var damaged *cas.DamagedError
	if _, err := s.Open(t.Context(), digest.OfBytes([]byte("nowhere"))); errors.As(err, &damaged) {
		t.Errorf("a plain miss is called damage: %v", err)
	}
}

func mismatch(t *testing.T, h Harness) {
	s := h.New(t)
	for _, size := range []int{10, 2 << 20} {
		b, d := content(size)
		var e *cas.MismatchError
		for _, wrong := range [][]byte{b[:size-1], append(bytes.Clone(b), 0), nil} {
			if err := s.Put(t.Context(), d, bytes.NewReader(wrong)); !errors.As(err, &e) || e.Want != d || e.Got != digest.OfBytes(wrong) {
				t.Errorf("put of %d wrong bytes: got %v, want a *MismatchError", len(wrong), err)
			}
		}
		wantMiss(t, s, d)
		put(t, s, b)
		wantBytes(t, s, b)
	}
}

func brokenReader(t *testing.T, h Harness) {
	s := h.New(t)
	b, d := content(300 << 10)
	broken := errors.New("the network is gone")
	err := s.Put(t.Context(), d, io.MultiReader(bytes.NewReader(b[:200<<10]), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
	wantMiss(t, s, d)
}

func putTwice(t *testing.T, h Harness) {
	s := h.New(t)
	b, d := content(1000)
	put(t, s, b)
	if err := s.Put(t.Context(), d, iotest.ErrReader(errors.New("read"))); err != nil {
		t.Errorf("an object that is there was read: %v", err)
	}
	wantBytes(t, s, b)
}

func concurrentPuts(t *testing.T, h Harness) {
	s := h.New(t)
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 20 {
				b := fmt.Appendf(nil, "object %d", (i*7+worker)%20)
				if err := s.Put(t.Context(), digest.OfBytes(b), bytes.NewReader(b)); err != nil {
					t.Error(err)
				}
				wantBytes(t, s, b)
			}
		})
	}
	wg.Wait()
}

func cancelled(t *testing.T, h Harness) {
	s := h.New(t)
	b, d := content(5 << 20)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Put(ctx, d, bytes.NewReader(b)); !errors.Is(err, context.Canceled) {
		t.Errorf("put: got %v, want context.Canceled", err)
	}
	wantMiss(t, s, d)
}

func damage(t *testing.T, h Harness) {
	if h.Damage == nil {
		t.Skip("cannot damage this store")
	}
	for _, size := range []int{1, 1000, 2 << 20} {
		s := h.New(t)
		b, d := content(size)
		put(t, s, b)
		h.Damage(t, s, d)
		_, err := cas.ReadAll(t.Context(), s, d)
		var damaged *cas.DamagedError
		if !errors.As(err, &damaged) || damaged.Digest != d || !errors.Is(err, cas.ErrNotFound) {
			t.Fatalf("%d bytes: got %v, want a *DamagedError that is ErrNotFound", size, err)
		}
		wantMiss(t, s, d)
	}
}

func heal(t *testing.T, h Harness) {
	if h.Damage == nil {
		t.Skip("cannot damage this store")
	}
	s := h.New(t)
	for range 3 {
		b, d := content(1000)
		put(t, s, b)
		wantBytes(t, s, b)
		h.Damage(t, s, d)
		if _, err := cas.ReadAll(t.Context(), s, d); err == nil {
			t.Fatal("damage was read")
		}
	}
	b, _ := content(1000)
	put(t, s, b)
	wantBytes(t, s, b)
}

// newBatch returns a batch of a store that has them.
func newBatch(t *testing.T, s cas.Store) cas.Batch {
	t.Helper()
	batcher, ok := s.(cas.Batcher)
	if !ok {
		t.Skip("this store has no batches")
	}
	b, err := batcher.Batch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func batch(t *testing.T, h Harness) {
	s := h.New(t)
	b := newBatch(t, s)
	var objects [][]byte
	for i := range 100 {
		objects = append(objects, fmt.Appendf(nil, "object %d", i))
	}
	for _, size := range sizes {
		o, _ := content(size)
		objects = append(objects, o)
	}
	var wg sync.WaitGroup
	for range 2 { // each twice, at the same time
		for _, o := range objects {
			wg.Go(func() {
				if err := b.Put(t.Context(), digest.OfBytes(o), bytes.NewReader(o)); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	if err := b.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		wantHas(t, s, digest.OfBytes(o), true)
		wantBytes(t, s, o)
	}
	more := []byte("after the first commit")
	if err := b.Put(t.Context(), digest.OfBytes(more), bytes.NewReader(more)); err != nil {
		t.Fatal(err)
	}
	if err := b.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	wantBytes(t, s, more)
}

func batchClosed(t *testing.T, h Harness) {
	s := h.New(t)
	b := newBatch(t, s)
	o, d := content(1000)
	if err := b.Put(t.Context(), d, bytes.NewReader(o)); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	// What was not committed may be there or not, but must be whole.
	if got, err := cas.ReadAll(t.Context(), s, d); err == nil && !bytes.Equal(got, o) {
		t.Error("a closed batch left half an object")
	}
	put(t, s, o)
	wantBytes(t, s, o)
}

func batchAfterError(t *testing.T, h Harness) {
	s := h.New(t)
	b := newBatch(t, s)
	defer func() { _ = b.Close() }()
	good, d := content(1000)
	_, other := content(1001)
	var e *cas.MismatchError
	if err := b.Put(t.Context(), other, bytes.NewReader(good)); !errors.As(err, &e) {
		t.Errorf("got %v, want a *MismatchError", err)
	}
	if err := b.Put(t.Context(), d, bytes.NewReader(good)); err != nil {
		t.Fatal(err)
	}
	if err := b.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantBytes(t, s, good)
	wantMiss(t, s, other)
}
