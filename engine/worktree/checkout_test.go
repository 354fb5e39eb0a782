package worktree

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flow-pipelines/flow/engine/cas"
	"github.com/flow-pipelines/flow/engine/cas/disk"
)

func TestCheckoutTouchesOnlyWhatDiffers(t *testing.T) {
	p := newProject(t)
	p.write("out/a", "a")
	p.write("out/sub/b", "b")
	p.write("out/sub/c", "c")
	old := p.stored("out")
	p.write("out/sub/b", "B2")
	p.write("out/new/n", "n")
	p.must(os.Remove(filepath.Join(p.root, "out/a")))
	edited := p.stored("out")

	before, err := os.Stat(filepath.Join(p.root, "out/sub/c"))
	p.must(err)
	got := p.checkout("out", old)
	if want := (Summary{Kept: 1, Copied: 2, Removed: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	after, err := os.Stat(filepath.Join(p.root, "out/sub/c"))
	p.must(err)
	if !os.SameFile(before, after) || !before.ModTime().Equal(after.ModTime()) {
		t.Error("a file that was right was written anew")
	}
	if _, err := os.Stat(filepath.Join(p.root, "out/new")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("new is still there: %v", err)
	}
	p.checkout("out", edited)
	if got := p.checkout("out", edited); got.Changed() {
		t.Errorf("checkout of what is there: got %+v", got)
	}
}

func TestCheckoutSwapsFilesAndDirectories(t *testing.T) {
	p := newProject(t)
	p.write("out/x", "file")
	p.write("out/y/z", "in a directory")
	old := p.stored("out")
	p.must(os.RemoveAll(filepath.Join(p.root, "out")))
	p.write("out/x/deep/er", "in a directory")
	p.must(os.Symlink("/etc/passwd", filepath.Join(p.root, "out/y")))
	new := p.stored("out")
	p.checkout("out", old)
	p.checkout("out", new)
	p.checkout("out", old)
	file := p.stored("out/x")
	p.checkout("out", file)
	p.checkout("out", old)
}

func TestCheckoutLeavesWhatTheFilterHides(t *testing.T) {
	p := newProject(t)
	f := Filter{Ignore: []string{"*.log"}}
	p.write("d/a", "a")
	p.write("d/x.log", "log")
	ctx := context.Background()
	n, err := p.Hash(ctx, "d", f)
	p.must(err)
	p.must(p.Store(ctx, "d", f, n))
	p.write("d/extra/b", "b")
	p.write("d/extra2/y.log", "log")
	_, err = p.Checkout(ctx, "d", f, n)
	p.must(err)
	if p.read("d/x.log") != "log" || p.read("d/extra2/y.log") != "log" {
		t.Error("an ignored file is gone")
	}
	if _, err := os.Stat(filepath.Join(p.root, "d/extra")); err == nil {
		t.Error("an extra file is still there")
	}
}

func TestCheckoutRefusesToLeaveTheProject(t *testing.T) {
	p := newProject(t)
	p.write("a", "a")
	n := p.stored("a")
	outside := t.TempDir()
	p.must(os.Symlink(outside, filepath.Join(p.root, "out")))
	p.must(os.Mkdir(filepath.Join(p.root, "real"), 0o755))
	p.must(os.Symlink("real", filepath.Join(p.root, "in")))
	for _, path := range []string{"out", "out/a", "out/b/c", "../a", ".flow/x", ".git/x"} {
		var pe *PathError
		if _, err := p.Checkout(context.Background(), path, Filter{}, n); !errors.As(err, &pe) {
			t.Errorf("%s: got %v, want a *PathError", path, err)
		}
	}
	if entries, _ := os.ReadDir(outside); len(entries) > 0 {
		t.Errorf("written outside: %v", entries)
	}
	p.checkout("in/a", n)
	if p.read("real/a") != "a" {
		t.Error("a link inside the project was not followed")
	}
}

func TestCheckedOutFilesNeedNoReading(t *testing.T) {
	p := newProject(t)
	p.write("out/a", "a")
	p.write("out/sub/b", strings.Repeat("b", 10))
	n := p.stored("out")
	p.must(os.RemoveAll(filepath.Join(p.root, "out")))
	_, err := p.Checkout(context.Background(), "out", Filter{}, n)
	p.must(err)
	for dir, name := range map[string]string{"out": "a", "out/sub": "b"} {
		f, ok := p.cache.file(dir, name)
		at, err := lstat(atCWD, filepath.Join(p.root, dir, name))
		if !ok || err != nil || !at.proves(f) {
			t.Errorf("%s/%s: cache has %+v, %v", dir, name, f, ok)
		}
	}
	// And a write at once afterwards shows.
	p.write("out/a", "x")
	if p.hash("out") == n {
		t.Error("a write right after checkout was not seen")
	}
}

func TestCollectMovesAndCheckoutLinksLargeFiles(t *testing.T) {
	p := newProject(t)
	ctx := context.Background()
	exec := t.TempDir()
	large := strings.Repeat("0123456789abcdef", disk.LinkSize/16)
	p.must(os.WriteFile(filepath.Join(exec, "large"), []byte(large), 0o644))
	p.must(os.WriteFile(filepath.Join(exec, "small"), []byte("s"), 0o755))
	n, err := p.Collect(ctx, exec)
	p.must(err)
	if _, err := os.Stat(filepath.Join(exec, "large")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the large file was not moved: %v", err)
	}
	got := p.checkout("out", n)
	if got.Copied != 1 || got.Reflinked+got.Hardlinked != 1 {
		t.Errorf("got %+v", got)
	}
	if missing, err := p.Missing(ctx, n); err != nil || len(missing) > 0 {
		t.Errorf("missing %v, %v", missing, err)
	}
	info, err := os.Stat(filepath.Join(p.root, "out/large"))
	p.must(err)
	if got.Hardlinked == 1 && info.Mode().Perm() != 0o444 {
		t.Errorf("a hard link has mode %v", info.Mode())
	}
}

func TestDamageThroughAHardLinkIsNeverLinkedOut(t *testing.T) {
	p := newProject(t)
	ctx := context.Background()
	p.write("out/large", strings.Repeat("0123456789abcdef", disk.LinkSize/16))
	n := p.stored("out")
	p.must(os.RemoveAll(filepath.Join(p.root, "out")))
	if p.checkout("out", n).Hardlinked != 1 {
		t.Skip("this file system reflinks")
	}
	p.must(os.Chmod(filepath.Join(p.root, "out/large"), 0o644))
	f, err := os.OpenFile(filepath.Join(p.root, "out/large"), os.O_WRONLY, 0)
	p.must(err)
	_, err = f.WriteAt([]byte("damage"), 100)
	p.must(err)
	p.must(f.Close())
	if p.hash("out") == n {
		t.Error("the write was not seen")
	}
	_, err = p.Checkout(ctx, "out2", Filter{}, n)
	var damaged *cas.DamagedError
	if !errors.As(err, &damaged) || !errors.Is(err, cas.ErrNotFound) {
		t.Fatalf("got %v, want a *cas.DamagedError", err)
	}
	missing, err := p.Missing(ctx, n)
	if err != nil || len(missing) != 1 {
		t.Errorf("missing: got %v, %v, want the damaged object", missing, err)
	}
	// The good bytes come again.
	p.must(os.RemoveAll(filepath.Join(p.root, "out")))
	p.write("out/large", strings.Repeat("0123456789abcdef", disk.LinkSize/16))
	p.stored("out")
	p.checkout("out2", n)
}
