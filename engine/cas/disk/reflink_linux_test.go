package disk

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flow-pipelines/flow/engine/digest"
)

// reflinking returns a directory on a file system that can reflink: a new XFS in
// a file, where that can be made and mounted.
func reflinking(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	image, at := filepath.Join(dir, "image"), filepath.Join(dir, "mounted")
	if err := os.Mkdir(at, 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(image)
	if err != nil {
		t.Fatal(err)
	}
	err = f.Truncate(320 << 20) // the least that mkfs.xfs takes; it stays sparse
	if cerr := f.Close(); err != nil || cerr != nil {
		t.Fatal(err, cerr)
	}
	for _, args := range [][]string{{"mkfs.xfs", "-q", "-m", "reflink=1", image}, {"mount", "-o", "loop", image, at}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Skipf("no file system that can reflink: %v: %v\n%s", args, err, out)
		}
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", at).CombinedOutput(); err != nil {
			t.Errorf("umount: %v\n%s", err, out)
		}
	})
	return at
}

func free(t *testing.T, dir string) int64 {
	t.Helper()
	// Blocks are given to a file when it is written back.
	if _, err := syncFS(dir); err != nil {
		t.Fatal(err)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	return int64(st.Bavail) * st.Bsize
}

// Where the file system can reflink, a large file takes its space once, whether
// it is the user's, the store's or laid out, and each may be written to.
func TestLargeFilesAreReflinked(t *testing.T) {
	dir := reflinking(t)
	s := open(t, filepath.Join(dir, "store"))
	b := make([]byte, 40<<20)
	_, _ = rand.NewChaCha8([32]byte{4}).Read(b)
	src, d := filepath.Join(dir, "src"), digest.OfBytes(b)
	if err := os.WriteFile(src, b, 0o644); err != nil {
		t.Fatal(err)
	}
	before := free(t, dir)
	batch, err := s.NewBatch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer batch.Close()
	if err := batch.PutFile(ctx, d, Source{Path: src, Unchanged: func() bool { return true }}); err != nil {
		t.Fatal(err)
	}
	if err := batch.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	dst := filepath.Join(dir, "dst")
	if how, err := s.Place(ctx, d, dst, Want{Perm: 0o755}); how != Reflinked || err != nil {
		t.Fatalf("placed: got %v, %v, want it reflinked", how, err)
	}
	if took := before - free(t, dir); took > int64(len(b))/4 {
		t.Errorf("storing and placing %d bytes took %d", len(b), took)
	}
	// Writing to one of them changes no other.
	f, err := os.OpenFile(dst, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("mine"), 5<<20); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(ctx, d); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(src); err != nil || !bytes.Equal(got, b) {
		t.Errorf("the user's file has changed: %v", err)
	}
	// What is damaged is not handed out, though a reflink reads nothing.
	spoil(t, s.objectPath(d))
	if _, err := s.Place(ctx, d, filepath.Join(dir, "again"), Want{Perm: 0o644}); err == nil {
		t.Error("damage was reflinked")
	}
}
