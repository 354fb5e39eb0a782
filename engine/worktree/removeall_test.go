package worktree

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/flow-pipelines/flow/engine/cas/disk"
)

func TestReadOnlyDirectoriesAreCollectedAndRemoved(t *testing.T) {
	if asNobody(t) {
		return
	}
	p := newProject(t)
	exec, err := filepath.EvalSymlinks(t.TempDir())
	p.must(err)
	dirs := []string{"out", "out/sub", "out/sub/closed", "other", "other/x"}
	for _, d := range dirs {
		p.must(os.Mkdir(filepath.Join(exec, d), 0o755))
		large := strings.Repeat(d, disk.PackSize) // small files are not moved
		p.must(os.WriteFile(filepath.Join(exec, d, "f"), []byte(large), 0o444))
		p.write(d+"/f", large)
	}
	n := p.hash("other")
	slices.Reverse(dirs)
	for i, d := range dirs {
		p.must(os.Chmod(filepath.Join(exec, d), []fs.FileMode{0o555, 0o555, 0o000}[i%3]))
	}
	if err := os.RemoveAll(filepath.Join(exec, "out")); !errors.Is(err, fs.ErrPermission) {
		t.Fatalf("os.RemoveAll: got %v, want fs.ErrPermission", err)
	}
	if got, err := p.Collect(context.Background(), filepath.Join(exec, "other")); got != n || err != nil {
		t.Errorf("collect: got %+v, %v, want %+v", got, err, n)
	}
	if _, err := os.Lstat(filepath.Join(exec, "other/x/f")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("not moved: %v", err)
	}
	if err := RemoveAll(filepath.Join(exec, "out")); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(filepath.Join(exec, "out")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("not removed: %v", err)
	}
}

func TestRemoveAllChangesNothingBehindLinks(t *testing.T) {
	if asNobody(t) {
		return
	}
	p := newProject(t)
	out := p.outside("d/f")
	p.must(os.Chmod(filepath.Join(out, "d"), 0o555))
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(out, "d"), 0o755) })
	p.write("x/y/f", "f")
	p.link(filepath.Join(out, "d"), "x/y/l")
	p.must(os.Chmod(filepath.Join(p.root, "x/y"), 0o555))
	p.must(RemoveAll(filepath.Join(p.root, "x")))
	if info, err := os.Stat(filepath.Join(out, "d")); err != nil || info.Mode().Perm() != 0o555 {
		t.Errorf("got %v, %v", info.Mode(), err)
	}
}
