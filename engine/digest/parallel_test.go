package digest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

func random(size int) []byte {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// Two libraries and two ways of cutting must come to one digest.
func TestManyReadersComeToTheDigestOfAStream(t *testing.T) {
	all := random(17<<20 + 3)
	ctx := context.Background()
	sizes := []int{0, 1, 1024, Parallel - 1, Parallel, len(all)}
	for _, unit := range []int{1 << 10, groupSize, pieceSize, 1 << 20} {
		for _, base := range []int{Parallel, 5 << 20, 8 << 20, 13 << 20, 16 << 20} {
			sizes = append(sizes, base+unit-1, base+unit, base+unit+1, base-1+1, base+1)
		}
	}
	for _, size := range sizes {
		got, err := OfReaderAt(ctx, bytes.NewReader(all), int64(size))
		if want := OfBytes(all[:size]); got != want || err != nil {
			t.Errorf("%d bytes: got %v, %v, want %v", size, got, err, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(Parallel, len(all)).Draw(t, "size")
		got, err := OfReaderAt(ctx, bytes.NewReader(all), int64(size))
		if want := OfBytes(all[:size]); got != want || err != nil {
			t.Errorf("%d bytes: got %v, %v, want %v", size, got, err, want)
		}
	})
}

func TestAShortOrBrokenReaderHasNoDigest(t *testing.T) {
	ctx := context.Background()
	all := random(5 << 20)
	for _, size := range []int{Parallel / 2, 4 << 20, len(all)} {
		if _, err := OfReaderAt(ctx, bytes.NewReader(all[:size-1]), int64(size)); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes: got %v, want io.ErrUnexpectedEOF", size, err)
		}
	}
	broken := errors.New("bad sector")
	if _, err := OfReaderAt(ctx, brokenAt{broken}, 5<<20); !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := OfReaderAt(ctx, bytes.NewReader(all), int64(len(all))); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

type brokenAt struct{ err error }

func (b brokenAt) ReadAt([]byte, int64) (int, error) { return 0, b.err }
