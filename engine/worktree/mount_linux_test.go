package worktree

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flow-pipelines/flow/engine/cas/disk"
)

func TestCacheOnAnotherFileSystem(t *testing.T) {
	p := newProject(t)
	other := t.TempDir()
	if err := unix.Mount("tmpfs", other, "tmpfs", 0, "size=64m"); err != nil {
		t.Skipf("cannot mount: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(other, unix.MNT_DETACH) })
	store, err := disk.Open(filepath.Join(other, "cache"), disk.Options{})
	p.must(err)
	t.Cleanup(func() { _ = store.Close() })
	p.store = store
	p.reopen()
	p.write("exec/large", strings.Repeat("0123456789abcdef", disk.LinkSize/16))
	p.write("exec/small", "s")
	n, err := p.Collect(context.Background(), filepath.Join(p.root, "exec"))
	p.must(err)
	if got, want := p.checkout("out", n), (Summary{Copied: 2}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
