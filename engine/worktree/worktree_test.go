package worktree

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flow-pipelines/flow/engine/cas"
	"github.com/flow-pipelines/flow/engine/cas/disk"
	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/state"
)

type project struct {
	*Worktree
	t     testing.TB
	root  string
	store *disk.Store
	db    *state.DB
}

func newProject(t testing.TB) *project {
	t.Helper()
	root := t.TempDir()
	store, err := disk.Open(filepath.Join(root, ".flow/cache"), disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	p := &project{t: t, root: root, store: store, db: state.New(filepath.Join(root, ".flow/state.db"), state.Options{})}
	p.reopen()
	return p
}

// reopen forgets all but the state database, as the next command does.
func (p *project) reopen() {
	p.t.Helper()
	if p.Worktree != nil {
		p.must(p.Flush(context.Background()))
	}
	w, err := New(p.root, p.store, p.db, Options{})
	p.must(err)
	p.Worktree = w
}

func (p *project) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *project) write(name, content string) {
	p.t.Helper()
	abs := filepath.Join(p.root, name)
	p.must(os.MkdirAll(filepath.Dir(abs), 0o755))
	p.must(os.WriteFile(abs, []byte(content), 0o644))
}

// age makes what lies below name old enough for its stamps to be proof.
func (p *project) age(name string) {
	p.t.Helper()
	old := time.Now().Add(-time.Minute)
	p.must(filepath.WalkDir(filepath.Join(p.root, name), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			err = os.Chtimes(path, old, old)
		}
		return err
	}))
}

func (p *project) read(name string) string {
	p.t.Helper()
	b, err := os.ReadFile(filepath.Join(p.root, name))
	p.must(err)
	return string(b)
}

func (p *project) hash(name string) digest.Node {
	p.t.Helper()
	n, err := p.Hash(context.Background(), name, Filter{})
	p.must(err)
	return n
}

// stored hashes and stores name.
func (p *project) stored(name string) digest.Node {
	p.t.Helper()
	n := p.hash(name)
	p.must(p.Store(context.Background(), name, Filter{}, n))
	return n
}

func (p *project) checkout(name string, n digest.Node) Summary {
	p.t.Helper()
	s, err := p.Checkout(context.Background(), name, Filter{}, n)
	p.must(err)
	if got := p.hash(name); got != n {
		p.t.Fatalf("after checkout of %s: got %+v, want %+v", name, got, n)
	}
	return s
}

func TestHashSeesContentModeLinksAndEmptyDirectories(t *testing.T) {
	p := newProject(t)
	p.write("d/a.txt", "a")
	base := p.hash("d")
	seen := map[digest.Digest]string{base.Digest: "base"}
	step := func(what string, f func()) {
		f()
		n := p.hash("d")
		if before, ok := seen[n.Digest]; ok {
			t.Errorf("%s: looks like %s", what, before)
		}
		seen[n.Digest] = what
	}
	step("executable", func() { p.must(os.Chmod(filepath.Join(p.root, "d/a.txt"), 0o755)) })
	step("empty directory", func() { p.must(os.Mkdir(filepath.Join(p.root, "d/e"), 0o755)) })
	step("link", func() { p.must(os.Symlink("a.txt", filepath.Join(p.root, "d/l"))) })
	step("same size, other bytes", func() { p.write("d/a.txt", "b") })
}

func TestHashNeverEntersReservedNames(t *testing.T) {
	p := newProject(t)
	p.write("d/a", "a")
	before := p.hash("d")
	p.write("d/.git/config", "x")
	p.write("d/.flow/x", "x")
	p.write("d/.flow-tmp-1-1", "x")
	if got := p.hash("d"); got != before {
		t.Errorf("got %+v, want %+v", got, before)
	}
	for _, path := range []string{".flow/state.db", "d/.git", "../x", "/etc", "a/../../b"} {
		var pe *PathError
		if _, err := p.Hash(context.Background(), path, Filter{}); !errors.As(err, &pe) {
			t.Errorf("%s: got %v, want a *PathError", path, err)
		}
	}
}

func TestHashOfNothingIsNotExist(t *testing.T) {
	p := newProject(t)
	if _, err := p.Hash(context.Background(), "no/such", Filter{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want fs.ErrNotExist", err)
	}
	p.write("a", "a")
	nodes, err := p.HashAll(context.Background(), []string{"a", "b"})
	if err != nil || nodes[0].IsZero() || !nodes[1].IsZero() {
		t.Errorf("got %v, %v", nodes, err)
	}
}

func TestFilter(t *testing.T) {
	p := newProject(t)
	for _, f := range []string{"d/a.csv", "d/b.tmp", "d/sub/c.csv", "d/sub/x.txt", "d/skip/d.csv", "d/.DS_Store"} {
		p.write(f, f)
	}
	list := func(f Filter) []string {
		files, err := p.List(context.Background(), "d", f)
		p.must(err)
		var names []string
		for _, f := range files {
			names = append(names, f.Path)
		}
		return names
	}
	for _, c := range []struct {
		name string
		f    Filter
		want []string
	}{
		{"all", Filter{}, []string{".DS_Store", "a.csv", "b.tmp", "skip/d.csv", "sub/c.csv", "sub/x.txt"}},
		{"ignore by name at any depth", Filter{Ignore: []string{"*.tmp", "skip", ".DS_Store"}}, []string{"a.csv", "sub/c.csv", "sub/x.txt"}},
		{"include by name", Filter{Include: []string{"*.csv"}}, []string{"a.csv", "skip/d.csv", "sub/c.csv"}},
		{"include by path", Filter{Include: []string{"sub/**"}}, []string{"sub/c.csv", "sub/x.txt"}},
		{"include a directory", Filter{Include: []string{"sub/"}, Ignore: []string{"*.txt"}}, []string{"sub/c.csv"}},
	} {
		if diff := cmp.Diff(c.want, list(c.f)); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", c.name, diff)
		}
	}
}

func TestExpand(t *testing.T) {
	p := newProject(t)
	for _, f := range []string{"src/a.py", "src/pkg/b.py", "src/pkg/c.txt", ".git/x.py", "src/.flow/y.py", "top.py"} {
		p.write(f, f)
	}
	outside := t.TempDir()
	p.must(os.WriteFile(filepath.Join(outside, "o.py"), nil, 0o644))
	p.must(os.Symlink(outside, filepath.Join(p.root, "out")))
	p.must(os.Symlink(filepath.Join(outside, "o.py"), filepath.Join(p.root, "src/o.py")))
	p.must(os.Symlink("nowhere", filepath.Join(p.root, "src/dangling.py")))
	p.must(os.Symlink("loop.py", filepath.Join(p.root, "src/loop.py")))
	p.must(os.Symlink("pkg", filepath.Join(p.root, "src/dir.py")))
	p.must(os.Symlink("a.py", filepath.Join(p.root, "src/link.py")))
	for _, c := range []struct {
		glob string
		want []string
	}{
		{"src/**/*.py", []string{"src/a.py", "src/dangling.py", "src/link.py", "src/loop.py", "src/o.py", "src/pkg/b.py"}},
		{"**/*.py", []string{"src/a.py", "src/dangling.py", "src/link.py", "src/loop.py", "src/o.py", "src/pkg/b.py", "top.py"}},
		{"out/*.py", nil},
		{"out/o.py", nil},
		{"src/o.py", []string{"src/o.py"}},
		{"src/dangling.py", []string{"src/dangling.py"}},
		{"src/{loop,o}.py", []string{"src/loop.py", "src/o.py"}},
		{"src/dir.py", nil},
		{"src/dangling.py/x", nil},
		{"./top.py", []string{"top.py"}},
		{"nothing/*.py", nil},
		{"nothing.py", nil},
		{"src/{a,pkg/b}.py", []string{"src/a.py", "src/pkg/b.py"}},
		{"src", nil},
	} {
		got, err := p.Expand(context.Background(), c.glob)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, %v, want %q", c.glob, got, err, c.want)
		}
	}
	for _, glob := range []string{"../*.py", "/etc/*", "a/[", "a/../../b"} {
		if got, err := p.Expand(context.Background(), glob); err == nil {
			t.Errorf("%s: got %q, want an error", glob, got)
		}
	}
}

func TestStoreNoticesChange(t *testing.T) {
	p := newProject(t)
	p.write("d/a", "a")
	n := p.hash("d")
	p.write("d/a", "changed")
	var ce *ChangedError
	if err := p.Store(context.Background(), "d", Filter{}, n); !errors.As(err, &ce) {
		t.Errorf("got %v, want a *ChangedError", err)
	}
}

func TestStoreKeepsWhatWasHashedWhateverElseHasChanged(t *testing.T) {
	p := newProject(t)
	p.write("d/a", "a")
	p.write("d/sub/b", "b")
	p.must(os.Symlink(filepath.Join(p.root, "d/sub"), filepath.Join(p.root, "d/behind"))) // counts as a directory
	p.stored("d")
	p.write("d/a", "new")
	p.write("d/more/c", "c")
	n := p.hash("d")
	p.write("d/sub/b", "the store has what this was")
	p.must(p.Store(context.Background(), "d", Filter{}, n))
	p.checkout("d", n)
	if got := p.read("d/sub/b"); got != "b" {
		t.Errorf("d/sub/b holds %q", got)
	}
	// What it lacks and is no longer there is a change.
	p.write("d/more/c", "c2")
	n = p.hash("d")
	p.must(os.RemoveAll(filepath.Join(p.root, "d/more")))
	var ce *ChangedError
	if err := p.Store(context.Background(), "d", Filter{}, n); !errors.As(err, &ce) || ce.Path != "more/c" {
		t.Errorf("got %v, want a *ChangedError for more/c", err)
	}
}

func TestAWriteWhoseTimeIsPutBackIsSeen(t *testing.T) {
	p := newProject(t)
	p.write("d/a", "old")
	p.age("d")
	n := p.hash("d")
	p.reopen()
	// Same size, same inode, and the old time put back: what tar and rsync do.
	abs := filepath.Join(p.root, "d/a")
	info, err := os.Stat(abs)
	p.must(err)
	p.write("d/a", "new")
	p.must(os.Chtimes(abs, info.ModTime(), info.ModTime()))
	if got := p.hash("d"); got == n {
		t.Error("ctime was not compared")
	}
}

func TestStatCacheKnowsWhatIsThere(t *testing.T) {
	p := newProject(t)
	p.write("d/a", "a")
	p.write("d/sub/b", "b")
	p.age("d")
	n := p.hash("d")
	p.reopen()
	if got := p.hash("d"); got != n {
		t.Fatalf("got %+v, want %+v", got, n)
	}
	if p.cache.dirty != 0 {
		t.Error("a no-op hash learnt something")
	}
	if len(p.cache.files("d")) != 1 || len(p.cache.files("d/sub")) != 1 {
		t.Errorf("cache has %v and %v", p.cache.files("d"), p.cache.files("d/sub"))
	}
	p.write("d/c", "c")
	p.must(os.Remove(filepath.Join(p.root, "d/a")))
	p.age("d/c")
	p.hash("d")
	var names []string
	for _, f := range p.cache.files("d") {
		names = append(names, f.Name)
	}
	if !slices.Equal(names, []string{"c"}) {
		t.Errorf("got %q, want what is there now", names)
	}
}

func TestRacilyCleanFilesAreReadAgain(t *testing.T) {
	p := newProject(t)
	for i := range 50 {
		start := time.Now()
		p.write("f", fmt.Sprintf("%02d", i))
		got := p.hash("f")
		want := digest.OfBytes([]byte(p.read("f")))
		if got.Digest != want {
			t.Fatalf("round %d: got %s, want %s", i, got.Digest, want)
		}
		// On a machine that is busy enough the file is no longer racy, and what
		// is known of it stays known in the rounds after that.
		if f, ok := p.cache.file("", "f"); ok && f.Digest == want && time.Since(start) < racyMargin {
			t.Fatal("a racily clean file is trusted")
		}
	}
}

func TestStageAndVerify(t *testing.T) {
	p := newProject(t)
	ctx := context.Background()
	p.write("data/a", "a")
	p.write("data/sub/b", "b")
	p.write("data/large", strings.Repeat("0123456789abcdef", disk.LinkSize/16))
	p.age("data")
	stored := p.stored("data")
	for _, kept := range []bool{true, false} {
		n := stored
		if !kept {
			p = newProject(t)
			p.write("data/a", "a")
			p.write("data/large", strings.Repeat("0123456789abcdef", disk.LinkSize/16))
			p.age("data")
			n = p.hash("data")
			p.must(p.StoreTrees(ctx, "data", Filter{}, n))
		}
		dir := t.TempDir()
		_, err := p.Stage(ctx, "data", n, dir)
		p.must(err)
		p.must(p.Verify(ctx, "data", n, dir))
		p.must(p.Verify(ctx, "data", n, dir)) // by reading, now
		p.must(os.WriteFile(filepath.Join(dir, "data/extra"), nil, 0o644))
		p.must(p.Verify(ctx, "data", n, dir))

		dir = t.TempDir()
		_, err = p.Stage(ctx, "data", n, dir)
		p.must(err)
		p.must(os.WriteFile(filepath.Join(dir, "data/a"), []byte("b"), 0o644))
		var ce *ChangedError
		if err := p.Verify(ctx, "data", n, dir); !errors.As(err, &ce) || ce.Path != "a" {
			t.Errorf("stored %v: got %v, want a *ChangedError for a", kept, err)
		}
		if p.hash("data") != n {
			t.Errorf("stored %v: staging changed the worktree", kept)
		}
	}
	// What neither has is a miss; what the worktree has otherwise, a change.
	p.write("data/a", "z")
	lost := digest.Node{Kind: digest.File, Digest: digest.OfBytes([]byte("lost")), Size: 4, Files: 1}
	var ce *ChangedError
	if _, err := p.Stage(ctx, "data/a", lost, t.TempDir()); !errors.As(err, &ce) {
		t.Errorf("got %v, want a *ChangedError", err)
	}
	if _, err := p.Stage(ctx, "data/none", lost, t.TempDir()); !errors.Is(err, cas.ErrNotFound) {
		t.Errorf("got %v, want cas.ErrNotFound", err)
	}
}

func TestDiff(t *testing.T) {
	p := newProject(t)
	ctx := context.Background()
	p.write("d/a", "a")
	p.write("d/same/x", "x")
	p.write("d/gone/y", "y")
	p.write("d/gone/z", "zz")
	old := p.stored("d")
	p.write("d/a", "a2")
	p.must(os.RemoveAll(filepath.Join(p.root, "d/gone")))
	p.write("d/new", "n")
	new := p.hash("d")
	if _, _, err := p.Diff(ctx, old, new, 10); !errors.Is(err, cas.ErrNotFound) {
		t.Errorf("of what is not stored: %v", err)
	}
	there, total, err := p.DiffAt(ctx, old, new, "d", Filter{}, 10)
	if err != nil || total != 4 {
		t.Errorf("in place: got %d, %v", total, err)
	}
	changed := (*ChangedError)(nil)
	if _, _, err := p.DiffAt(ctx, new, old, "d", Filter{}, 10); !errors.Is(err, cas.ErrNotFound) {
		t.Errorf("from what is not stored: %v", err)
	}
	p.reopen()
	if _, _, err := p.DiffAt(ctx, old, new, "d", Filter{Ignore: []string{"a"}}, 10); !errors.As(err, &changed) {
		t.Errorf("something else in place: %v", err)
	}
	p.stored("d")
	changes, total, err := p.Diff(ctx, old, new, 10)
	p.must(err)
	if diff := cmp.Diff(changes, there); diff != "" {
		t.Errorf("in place is not as stored (-stored +in place)\n%s", diff)
	}
	var got []string
	for _, c := range changes {
		sign := "~"
		if c.Old.IsZero() {
			sign = "+"
		} else if c.New.IsZero() {
			sign = "-"
		}
		got = append(got, sign+c.Path)
	}
	if diff := cmp.Diff([]string{"~a", "-gone/y", "-gone/z", "+new"}, got); diff != "" || total != 4 {
		t.Errorf("total %d (-want +got)\n%s", total, diff)
	}
	changes, total, err = p.Diff(ctx, old, new, 1)
	if len(changes) != 1 || total != 4 || err != nil {
		t.Errorf("limited: got %d of %d, %v", len(changes), total, err)
	}
	changes, total, err = p.Diff(ctx, digest.Node{}, new, 10)
	if len(changes) != 3 || total != 3 || err != nil {
		t.Errorf("from nothing: got %v of %d, %v", changes, total, err)
	}
}
