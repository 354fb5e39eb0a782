package worktree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/flow-pipelines/flow/engine/cas/disk"
	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/state"
)

// child makes the test binary a process that checks two trees out in turn,
// until it is killed.
const child = "FLOW_TEST_WORKTREE"

func TestMain(m *testing.M) {
	root := os.Getenv(child)
	if root == "" {
		goleak.VerifyTestMain(m)
		return
	}
	if err := runChild(root); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
}

func runChild(root string) error {
	ctx := context.Background()
	store, err := disk.Open(filepath.Join(root, ".flow/cache"), disk.Options{})
	if err != nil {
		return err
	}
	w, err := New(root, store, state.New(filepath.Join(root, ".flow/state.db"), state.Options{}), Options{})
	if err != nil {
		return err
	}
	for i := range 1000 {
		n, err := w.Hash(ctx, []string{"one", "two"}[i%2], Filter{})
		if err != nil {
			return err
		}
		if _, err := w.Checkout(ctx, "out", Filter{}, n); err != nil {
			return err
		}
		if err := w.Flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

func TestKilledCheckoutLeavesWholeFiles(t *testing.T) {
	p := newProject(t)
	for i := range 40 {
		p.write(fmt.Sprintf("one/%d/f", i), strings.Repeat("1", 50_000))
		p.write(fmt.Sprintf("two/%d/f", i+20), strings.Repeat("2", 50_000))
	}
	one := p.stored("one")
	p.stored("two")
	p.must(p.Flush(context.Background()))
	for i := range 8 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), child+"="+p.root)
		cmd.Stderr = os.Stderr
		p.must(cmd.Start())
		time.Sleep(time.Duration(15+9*i) * time.Millisecond)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		p.reopen()
		files, err := p.List(context.Background(), "out", Filter{})
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		p.must(err)
		for _, f := range files {
			if b := p.read("out/" + f.Path); len(b) != 50_000 || digest.OfBytes([]byte(b)) != f.Digest {
				t.Errorf("out/%s: %d bytes, the stat cache says %s", f.Path, len(b), f.Digest.Short())
			}
		}
	}
	p.checkout("out", one)
}

func TestCheckoutRefusesListingsThatWriteIntoGit(t *testing.T) {
	p := newProject(t)
	ctx := context.Background()
	for _, name := range []string{".git", ".flow", tempPrefix + "1-1"} {
		tree := digest.Tree{{Name: name, Node: digest.Node{Kind: digest.File, Digest: digest.OfBytes(nil), Files: 1}}}
		b := tree.Encode()
		p.must(p.store.Put(ctx, digest.OfBytes(b), bytes.NewReader(b)))
		p.must(p.store.Put(ctx, digest.OfBytes(nil), bytes.NewReader(nil)))
		var pe *PathError
		if _, err := p.Checkout(ctx, "out", Filter{}, tree.Node()); !errors.As(err, &pe) {
			t.Errorf("%s: got %v, want a *PathError", name, err)
		}
		if _, err := os.Lstat(filepath.Join(p.root, "out")); err == nil {
			t.Errorf("%s: a directory was left", name)
		}
	}
}

func TestFilesWithoutContentAreRefusedUnlessIgnored(t *testing.T) {
	p := newProject(t)
	p.write("d/a", "a")
	n := p.hash("d")
	p.must(unix.Mkfifo(filepath.Join(p.root, "d/pipe"), 0o644))
	var pe *PathError
	if _, err := p.Hash(context.Background(), "d", Filter{}); !errors.As(err, &pe) || !strings.Contains(err.Error(), "named pipe") {
		t.Errorf("got %v, want a *PathError that says what it is", err)
	}
	got, err := p.Hash(context.Background(), "d", Filter{Ignore: []string{"pipe"}})
	if err != nil || got != n {
		t.Errorf("ignored: got %+v, %v", got, err)
	}
}

func TestALinkThatIsAskedForStandsForItsTarget(t *testing.T) {
	p := newProject(t)
	outside := t.TempDir()
	p.must(os.WriteFile(filepath.Join(outside, "a"), []byte("a"), 0o644))
	p.write("real/a", "a")
	p.must(os.Symlink(outside, filepath.Join(p.root, "data")))
	if got, want := p.hash("data"), p.hash("real"); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	p.stored("data")
	// An output that is a link is collected as what it points to, which stays.
	p.must(os.Symlink(filepath.Join(outside, "a"), filepath.Join(p.root, "l")))
	n, err := p.Collect(context.Background(), filepath.Join(p.root, "l"), p.root, outside)
	if err != nil || n != p.hash("real/a") {
		t.Errorf("got %+v, %v", n, err)
	}
	if _, err := os.Stat(filepath.Join(outside, "a")); err != nil {
		t.Error("the target of a link was moved")
	}
}

func TestHardLinkedOutputsAreNotMovedIntoTheStore(t *testing.T) {
	p := newProject(t)
	p.write("mine/a", "a")
	p.must(os.Mkdir(filepath.Join(p.root, "exec"), 0o755))
	p.must(os.Link(filepath.Join(p.root, "mine/a"), filepath.Join(p.root, "exec/a")))
	_, err := p.Collect(context.Background(), filepath.Join(p.root, "exec"))
	p.must(err)
	info, err := os.Stat(filepath.Join(p.root, "mine/a"))
	p.must(err)
	if info.Mode().Perm() != 0o644 {
		t.Errorf("the user's file has become the store's: %v", info.Mode())
	}
}
