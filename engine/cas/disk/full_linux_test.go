package disk

import (
	"bytes"
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flow-pipelines/flow/engine/digest"
)

func TestFullDiskLeavesNoHalfObject(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=3m"); err != nil {
		t.Skipf("cannot mount: %v", err)
	}
	defer func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 2<<20)
	first := digest.OfBytes(b)
	if err := s.Put(ctx, first, bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	b[0] = 1
	if err := s.Put(ctx, digest.OfBytes(b), bytes.NewReader(b)); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("got %v, want ENOSPC", err)
	}
	if n := check(t, s); n != 1 {
		t.Errorf("got %d objects, want 1", n)
	}
	if left := temps(t, s); len(left) > 0 {
		t.Errorf("left %q", left)
	}
	// With room again, all goes on.
	if err := s.remove(ctx, []digest.Digest{first}); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(ctx, digest.OfBytes(b), bytes.NewReader(b)); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestFullDiskLeavesNoHalfRecord(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=3m"); err != nil {
		t.Skipf("cannot mount: %v", err)
	}
	defer func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	putAll(t, s, smalls(100)...)
	b, err := s.NewBatch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for i := 100; i < 2000 && err == nil; i++ {
		err = b.Put(ctx, digest.OfBytes(small(i)), bytes.NewReader(small(i)))
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("put: got %v, want ENOSPC", err)
	}
	if err := b.Commit(ctx); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("commit: got %v, want ENOSPC", err)
	}
	wantObjects(t, s, smalls(100)...)
	// With a little room again, all goes on, and what was lost is put again.
	if err := s.remove(ctx, []digest.Digest{digest.OfBytes(small(3))}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, "size=9m"); err != nil {
		t.Fatal(err)
	}
	for i := range 2000 {
		if err := b.Put(ctx, digest.OfBytes(small(i)), bytes.NewReader(small(i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantObjects(t, open(t, dir), smalls(2000)...)
}
