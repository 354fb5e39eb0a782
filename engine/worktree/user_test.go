package worktree

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/flow-pipelines/flow/engine/cas/disk"
	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/state"
)

// nobody is the user that root becomes to be told what permission bits forbid.
const nobody = 65534

// asNobody runs the calling test again in a process that is not root's, and
// reports whether that has been done, so that the caller returns.
func asNobody(t *testing.T) (done bool) {
	t.Helper()
	if os.Getuid() != 0 {
		return false
	}
	// The test binary lies where only root can go, and so would t.TempDir.
	dir, err := os.MkdirTemp("/tmp", "flow-nobody-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	program := filepath.Join(dir, "test")
	if err := errors.Join(os.Chmod(dir, 0o777), copyProgram(program)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TMPDIR="+dir, "HOME="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("as another user: %v\n%s", err, out)
	}
	return true
}

func copyProgram(to string) error {
	in, err := os.Open(os.Args[0])
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

func TestAReadOnlyProjectIsHashedAllTheSame(t *testing.T) {
	if asNobody(t) {
		return
	}
	ctx := context.Background()
	root := t.TempDir()
	open := func() *project {
		store, err := disk.Open(filepath.Join(root, ".flow/cache"), disk.Options{})
		if err != nil {
			t.Fatal(err)
		}
		p := &project{t: t, root: root, store: store, db: state.New(filepath.Join(root, ".flow/state.db"), state.Options{})}
		if p.Worktree, err = New(root, store, p.db, Options{}); err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := open()
	p.write("d/a", "a")
	p.age("d")
	p.must(os.Chmod(root, 0o555))
	t.Cleanup(func() { _ = os.Chmod(root, 0o755) })
	n := p.hash("d")
	if err := p.Flush(ctx); err != nil {
		t.Errorf("flush in a fresh project: %v", err)
	}
	if _, err := os.Lstat(filepath.Join(root, ".flow")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something was made: %v", err)
	}

	// With a database from before, in a directory that has become read-only.
	p.must(os.Chmod(root, 0o755))
	p.reopen()
	p.hash("d")
	p.must(p.Flush(ctx))
	p.write("d/b", "b")
	p.age("d")
	db, dir := filepath.Join(root, ".flow/state.db"), filepath.Join(root, ".flow")
	p.must(errors.Join(os.Chmod(db, 0o444), os.Chmod(dir, 0o555)))
	t.Cleanup(func() { _ = os.Chmod(dir, 0o755) })
	p = open()
	if p.hash("d") == n {
		t.Error("the new file was not seen")
	}
	if err := p.Flush(ctx); err != nil {
		t.Errorf("flush: %v", err)
	}

	// A database that alone is read-only is somebody's mistake, not a place.
	p.must(os.Chmod(dir, 0o755))
	p = open()
	p.hash("d")
	if err := p.Flush(ctx); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("got %v, want fs.ErrPermission", err)
	}
}

func TestAReadOnlyCacheIsReadAllTheSame(t *testing.T) {
	if asNobody(t) {
		return
	}
	p := newProject(t)
	p.write("d/small", "small")
	p.write("d/large", strings.Repeat("large", disk.PackSize))
	n := p.stored("d")
	p.must(p.store.Close())
	var names []string
	p.must(filepath.WalkDir(p.store.Dir(), func(name string, _ fs.DirEntry, err error) error {
		names = append(names, name)
		return err
	}))
	for _, name := range names {
		p.must(os.Chmod(name, 0o555))
		t.Cleanup(func() { _ = os.Chmod(name, 0o755) })
	}
	p.checkout("copy", n)
	if got := p.hash("copy"); got != n {
		t.Errorf("got %+v, want %+v", got, n)
	}
	if err := p.store.Put(context.Background(), digest.OfBytes([]byte("new")), strings.NewReader("new")); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("put: got %v, want fs.ErrPermission", err)
	}
}
