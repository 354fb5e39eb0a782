package worktree

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// outside makes a directory beside the project with the given files.
func (p *project) outside(files ...string) string {
	p.t.Helper()
	dir, err := filepath.EvalSymlinks(p.t.TempDir())
	p.must(err)
	for _, f := range files {
		p.must(os.MkdirAll(filepath.Dir(filepath.Join(dir, f)), 0o755))
		p.must(os.WriteFile(filepath.Join(dir, f), []byte(f), 0o644))
	}
	return dir
}

func (p *project) link(target, name string) {
	p.t.Helper()
	abs := filepath.Join(p.root, name)
	p.must(os.MkdirAll(filepath.Dir(abs), 0o755))
	p.must(os.Symlink(target, abs))
}

// kinds are the kinds of what lies at or below name, by path.
func (p *project) kinds(name string, f Filter) string {
	p.t.Helper()
	files, err := p.List(context.Background(), name, f)
	p.must(err)
	var list []string
	for _, f := range files {
		list = append(list, string(rune(f.Kind))+" "+f.Path)
	}
	return strings.Join(list, ", ")
}

func TestAChangeBehindALinkThatLeavesTheDirectoryIsSeen(t *testing.T) {
	p := newProject(t)
	out := p.outside("f", "dir/g")
	p.write("other/o", "o")
	p.write("d/own", "own")
	p.link(filepath.Join(out, "f"), "d/lf")
	p.link(filepath.Join(out, "dir"), "d/ld")
	p.link("../other/o", "d/sub/no")
	p.link("../../other/o", "d/sub/lo")
	p.must(os.Remove(filepath.Join(p.root, "d/sub/no")))
	old := p.root
	p.root = out
	p.age(".")
	p.root = old
	p.age(".")
	n := p.hash("d")
	if got, want := p.kinds("d", Filter{}), "f ld/g, f lf, f own, f sub/lo"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	p.reopen()
	if p.hash("d") != n || p.cache.dirty != 0 {
		t.Error("what links lead to was read again")
	}
	for _, f := range []string{filepath.Join(out, "f"), filepath.Join(out, "dir/g"), filepath.Join(p.root, "other/o")} {
		p.must(os.WriteFile(f, []byte("edited"), 0o644))
		now := p.hash("d")
		if now == n {
			t.Errorf("an edit of %s was not seen", f)
		}
		n = now
	}
	p.must(os.WriteFile(filepath.Join(out, "dir/new"), nil, 0o644))
	if p.hash("d") == n {
		t.Error("a new file behind a link was not seen")
	}
}

func TestLinksThatStayInTheDirectoryStayLinks(t *testing.T) {
	p := newProject(t)
	p.write("d/a", "a")
	p.write("d/sub/b", "b")
	p.write("d/skip/c", "c")
	p.link("a", "d/file")
	p.link("sub", "d/dir")
	p.link("../dir/../a", "d/sub/through")
	p.link("..", "d/sub/up")
	p.link(filepath.Join(p.root, "d/a"), "d/absolute")
	p.link("../d/a", "d/around")
	p.link("skip/c", "d/ignored")
	got := p.kinds("d", Filter{Ignore: []string{"skip"}})
	if want := "f a, f absolute, f around, l dir, l file, f ignored, f sub/b, l sub/through, l sub/up"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	// What a filter leaves out, a link that counts itself brings in.
	p.write("g/a.csv", "a")
	p.write("g/sub/b.txt", "b")
	p.link("sub", "g/in")
	p.link("sub", "g/not")
	p.link("a.csv", "g/b.csv")
	if got, want := p.kinds("g", Filter{Include: []string{"*.csv", "in"}}), "f a.csv, l b.csv, f in/b.txt"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	// In a directory that a link leads to, links stay if they stay in that one.
	out := p.outside("x/a", "b")
	p.must(os.Symlink("a", filepath.Join(out, "x/in")))
	p.must(os.Symlink("../b", filepath.Join(out, "x/out")))
	p.link(filepath.Join(out, "x"), "e/x")
	if got, want := p.kinds("e", Filter{}), "f x/a, l x/in, f x/out"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestLinksWithoutAnEndAreExplained(t *testing.T) {
	for name, c := range map[string]struct{ target, path, reason string }{
		"to nothing":         {"nowhere", "d/l", `a link to "nowhere", which is not there`},
		"through a file":     {"a/b", "d/l", `a link to "a/b", which is not there`},
		"in a circle":        {"l", "d/l", `a link to "l", which leads in a circle`},
		"to what it lies in": {"..", "d/l", `a link to "..", a directory that holds the link itself`},
		"to /":               {"/", "d/l", `a link to "/", a directory that holds the link itself`},
		"to where one leads": {"OUT", "d/l/back", `a directory that holds the link itself`},
		"to a device":        {"/dev/null", "d/l", `a link to "/dev/null", a device, which cannot be kept`},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProject(t)
			p.write("d/a", "a")
			if c.target == "OUT" {
				c.target = p.outside("x")
				p.must(os.Symlink(filepath.Join(p.root, "d"), filepath.Join(c.target, "back")))
			}
			p.link(c.target, "d/l")
			_, err := p.Hash(context.Background(), "d", Filter{})
			var pe *PathError
			if !errors.As(err, &pe) || pe.Path != c.path || !strings.Contains(pe.Reason, c.reason) || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("got %v, want a *PathError for %s: %s", err, c.path, c.reason)
			}
			if _, err := p.Hash(context.Background(), "d", Filter{Ignore: []string{"l"}}); err != nil {
				t.Errorf("ignored: %v", err)
			}
			if _, err := p.Hash(context.Background(), "d", Filter{Include: []string{"a"}}); name == "to nothing" && err != nil {
				t.Errorf("not included: %v", err)
			}
		})
	}
	p := newProject(t)
	p.link("nowhere", "l")
	var pe *PathError
	if _, err := p.Hash(context.Background(), "l", Filter{}); !errors.As(err, &pe) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("asked for: got %v, want a *PathError that is fs.ErrNotExist", err)
	}
}

func TestCheckoutReplacesALinkOnlyWhenTheContentBehindItIsWrong(t *testing.T) {
	p := newProject(t)
	out := p.outside("f", "dir/g", "dir/h")
	p.link(filepath.Join(out, "f"), "d/lf")
	p.link(filepath.Join(out, "dir"), "d/ld")
	p.write("d/a", "a")
	n := p.stored("d")
	isLink := func(name string) bool {
		info, err := os.Lstat(filepath.Join(p.root, name))
		p.must(err)
		return info.Mode()&fs.ModeSymlink != 0
	}
	p.write("d/a", "edited")
	if s := p.checkout("d", n); s != (Summary{Kept: 3, Copied: 1}) || !isLink("d/lf") || !isLink("d/ld") {
		t.Errorf("got %+v, links %v and %v", s, isLink("d/lf"), isLink("d/ld"))
	}
	p.must(os.WriteFile(filepath.Join(out, "f"), []byte("E"), 0o644))
	p.must(os.WriteFile(filepath.Join(out, "dir/g"), []byte("edited"), 0o644))
	p.checkout("d", n)
	if isLink("d/lf") || isLink("d/ld") || p.read("d/lf") != "f" || p.read("d/ld/g") != "dir/g" {
		t.Error("the links were not replaced by what should be there")
	}
	b, err := os.ReadFile(filepath.Join(out, "dir/g"))
	if string(b) != "edited" || err != nil {
		t.Errorf("written through a link: %q, %v", b, err)
	}
	// The mode behind a link is not ours to change.
	p.must(os.Chmod(filepath.Join(p.root, "d/lf"), 0o755))
	exec := p.stored("d")
	p.must(os.Remove(filepath.Join(p.root, "d/lf")))
	p.must(os.WriteFile(filepath.Join(out, "f"), []byte("f"), 0o644))
	p.link(filepath.Join(out, "f"), "d/lf")
	p.checkout("d", exec)
	if info, err := os.Stat(filepath.Join(out, "f")); err != nil || info.Mode()&0o111 != 0 {
		t.Errorf("a mode was changed through a link: %v, %v", info.Mode(), err)
	}
}

func TestCheckoutRemovesALinkThatCountsForWhatItLeadsTo(t *testing.T) {
	p := newProject(t)
	ctx := context.Background()
	f := Filter{Include: []string{"*.csv"}}
	out := p.outside("x.csv", "y.txt")
	p.write("d/a.csv", "a")
	n, err := p.Hash(ctx, "d", f)
	p.must(err)
	p.must(p.Store(ctx, "d", f, n))
	p.link(out, "d/more")
	p.link(p.outside("z.txt"), "d/none")
	if got, want := p.kinds("d", f), "f a.csv, f more/x.csv"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	_, err = p.Checkout(ctx, "d", f, n)
	p.must(err)
	if got, err := p.Hash(ctx, "d", f); got != n || err != nil {
		t.Errorf("got %+v, %v, want %+v", got, err, n)
	}
	if _, err := os.Lstat(filepath.Join(p.root, "d/none")); err != nil {
		t.Error("a link that does not count is gone")
	}
	if _, err := os.Stat(filepath.Join(out, "x.csv")); err != nil {
		t.Error("a file behind a link was removed")
	}
}

func TestStageLaysOutWhatLinksLeadTo(t *testing.T) {
	ctx := context.Background()
	for _, kept := range []bool{true, false} {
		p := newProject(t)
		out := p.outside("f", "dir/g")
		p.link(filepath.Join(out, "f"), "d/lf")
		p.link(filepath.Join(out, "dir"), "d/ld")
		n := p.hash("d")
		if kept {
			p.must(p.Store(ctx, "d", Filter{}, n))
		} else {
			p.must(p.StoreTrees(ctx, "d", Filter{}, n))
		}
		dir := t.TempDir()
		_, err := p.Stage(ctx, "d", n, dir)
		p.must(err)
		pic, err := look(filepath.Join(dir, "d"))
		if err != nil || pic["lf"] != "file f" || pic["ld"] != "dir" || pic["ld/g"] != "file dir/g" {
			t.Errorf("kept %v: got %v, %v", kept, pic, err)
		}
		p.must(p.Verify(ctx, "d", n, dir))
	}
}

// job makes a work directory with an input and two outputs.
func (p *project) job() (work string) {
	p.t.Helper()
	return p.outside("in/data", "out/a/file", "out2/file")
}

func TestCollectFollowsLinksThatStayInTheWorkDirectory(t *testing.T) {
	p := newProject(t)
	ctx := context.Background()
	work := p.job()
	out := filepath.Join(work, "out")
	p.must(os.Symlink("../in/data", filepath.Join(out, "in")))
	p.must(os.Symlink(filepath.Join(out, "a/file"), filepath.Join(out, "latest")))
	p.must(os.Symlink(filepath.Join(work, "out2"), filepath.Join(out, "z")))
	p.must(os.Symlink("a/file", filepath.Join(out, "inside")))
	n, err := p.Collect(ctx, out, work)
	p.must(err)
	if data, err := os.ReadFile(filepath.Join(work, "in/data")); string(data) != "in/data" || err != nil {
		t.Errorf("an input was moved: %q, %v", data, err)
	}
	if _, err := p.Collect(ctx, filepath.Join(work, "out2"), work); err != nil {
		t.Errorf("the other output: %v", err)
	}
	p.must(RemoveAll(work))
	p.checkout("out", n)
	got, err := look(filepath.Join(p.root, "out"))
	p.must(err)
	want := picture{"a": "dir", "a/file": "file out/a/file", "in": "file in/data", "inside": "link a/file", "latest": "file out/a/file", "z": "dir", "z/file": "file out2/file"}
	for name := range want {
		if got[name] != want[name] || len(got) != len(want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
}

func TestCollectRefusesWhatCannotBeKept(t *testing.T) {
	p := newProject(t)
	elsewhere := p.outside("f", "dir/g")
	name := func(err error) (path, reason string) {
		var pe *PathError
		if !errors.As(err, &pe) {
			t.Fatalf("got %v, want a *PathError", err)
		}
		return pe.Path, pe.Reason
	}
	for _, c := range []struct {
		what   string
		make   func(abs string) error
		reason string
	}{
		{"pipe", func(abs string) error { return unix.Mkfifo(abs, 0o644) }, "is a named pipe, which cannot be kept"},
		{"socket", func(abs string) error { return unix.Mknod(abs, unix.S_IFSOCK|0o644, 0) }, "is a socket, which cannot be kept"},
		{"device", func(abs string) error { return os.Symlink("/dev/null", abs) }, `outside of the work directory`},
		{"dangling link", func(abs string) error { return os.Symlink("nowhere", abs) }, `is a link to "nowhere", which is not there`},
		{"link to a file elsewhere", func(abs string) error { return os.Symlink(filepath.Join(elsewhere, "f"), abs) }, "outside of the work directory"},
		{"link to a directory elsewhere", func(abs string) error { return os.Symlink(filepath.Join(elsewhere, "dir"), abs) }, "outside of the work directory"},
	} {
		work := p.job()
		if err := c.make(filepath.Join(work, "out/a/x")); errors.Is(err, fs.ErrPermission) {
			continue // some systems let only root make sockets in this way
		}
		_, err := p.Collect(context.Background(), filepath.Join(work, "out"), work)
		if path, reason := name(err); path != "a/x" || !strings.Contains(reason, c.reason) {
			t.Errorf("%s in an output: got %q %q", c.what, path, reason)
		}
		if _, err := os.Lstat(filepath.Join(work, "out/a/file")); err != nil {
			t.Errorf("%s: the other files are gone: %v", c.what, err)
		}
		_, err = p.Collect(context.Background(), filepath.Join(work, "out/a/x"), work)
		if path, reason := name(err); path != "." || !strings.Contains(reason, c.reason) {
			t.Errorf("%s as an output: got %q %q", c.what, path, reason)
		}
	}
	// Without bounds what is collected bounds itself.
	work := p.job()
	p.must(os.Symlink("../in/data", filepath.Join(work, "out/l")))
	_, err := p.Collect(context.Background(), filepath.Join(work, "out"))
	if path, reason := name(err); path != "l" || !strings.Contains(reason, "../in/data") {
		t.Errorf("without bounds: got %q %q", path, reason)
	}
	p.must(os.Symlink(elsewhere, filepath.Join(work, "gone")))
	if _, err := p.Collect(context.Background(), filepath.Join(work, "gone/f"), work); err == nil {
		t.Error("an output behind a link out of the work directory was collected")
	}
}
