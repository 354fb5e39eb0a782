package worktree

import (
	"context"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flow-pipelines/flow/engine/digest"
)

// picture is a directory as a map from paths to what is there, in words.
type picture map[string]string

// anyTree draws a small tree. Names are few, so that two trees often have one
// name for different things.
func anyTree(t *rapid.T, label string) picture {
	pic := picture{}
	for range rapid.IntRange(0, 12).Draw(t, label) {
		depth := rapid.IntRange(1, 3).Draw(t, "depth")
		var p string
		free := true
		for range depth {
			p = path.Join(p, rapid.SampledFrom([]string{"a", "b", "c", "a b", "ü", "-x", "a.b"}).Draw(t, "name"))
			if what, ok := pic[p]; ok && what != "dir" {
				free = false
			}
		}
		if _, taken := pic[p]; taken || !free {
			continue
		}
		for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
			pic[dir] = "dir"
		}
		pic[p] = rapid.SampledFrom([]string{"file ", "file 1", "file 2", "file 22", "exec 1", "exec 3", "link a", "link ../b", "dir"}).Draw(t, "what")
	}
	// Links stay links if they lead to something inside.
	for p, what := range pic {
		if target, ok := strings.CutPrefix(what, "link "); ok {
			to, ok := pic[path.Join(path.Dir(p), target)]
			if !ok || strings.HasPrefix(to, "link ") {
				pic[p] = "link ."
			}
		}
	}
	return pic
}

// draw makes the directory abs be pic.
func (pic picture) draw(abs string) error {
	if err := os.RemoveAll(abs); err != nil {
		return err
	}
	if err := os.MkdirAll(abs, 0o755); err != nil {
		return err
	}
	for _, p := range slices.Sorted(maps.Keys(pic)) {
		name, what := filepath.Join(abs, p), pic[p]
		var err error
		switch what[:min(4, len(what))] {
		case "file":
			err = os.WriteFile(name, []byte(what[5:]), 0o644)
		case "exec":
			err = os.WriteFile(name, []byte(what[5:]), 0o755)
		case "link":
			err = os.Symlink(what[5:], name)
		default:
			err = os.Mkdir(name, 0o755)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// look is the inverse of draw.
func look(abs string) (picture, error) {
	pic := picture{}
	err := filepath.WalkDir(abs, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == abs {
			return err
		}
		rel, err := filepath.Rel(abs, name)
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			pic[rel] = "dir"
		case d.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(name)
			if err != nil {
				return err
			}
			pic[rel] = "link " + target
		default:
			b, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			kind := "file "
			if info.Mode()&0o100 != 0 {
				kind = "exec "
			}
			pic[rel] = kind + string(b)
		}
		return nil
	})
	return pic, err
}

func TestCheckoutOfAnyTreeOverAnyOther(t *testing.T) {
	p := newProject(t)
	ctx := context.Background()
	abs := filepath.Join(p.root, "out")
	rapid.Check(t, func(t *rapid.T) {
		check := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		var nodes [2]digest.Node
		trees := [2]picture{anyTree(t, "first"), anyTree(t, "second")}
		for i, pic := range trees {
			check(pic.draw(abs))
			n, err := p.Hash(ctx, "out", Filter{})
			check(err)
			check(p.Store(ctx, "out", Filter{}, n))
			nodes[i] = n
		}
		if same := cmp.Equal(trees[0], trees[1]); same != (nodes[0] == nodes[1]) {
			t.Fatalf("same trees %v, same nodes %v", same, nodes[0] == nodes[1])
		}
		_, total, err := p.Diff(ctx, nodes[0], nodes[1], 3)
		check(err)
		if (total == 0) != (nodes[0] == nodes[1]) {
			t.Fatalf("%d changes, same nodes %v", total, nodes[0] == nodes[1])
		}
		for _, i := range []int{0, 1, 0} {
			if rapid.Bool().Draw(t, "forget") {
				check(p.Flush(ctx))
				w, err := New(p.root, p.store, p.db, Options{})
				check(err)
				p.Worktree = w
			}
			_, err := p.Checkout(ctx, "out", Filter{}, nodes[i])
			check(err)
			got, err := look(abs)
			check(err)
			if diff := cmp.Diff(trees[i], got); diff != "" {
				t.Fatalf("checkout %d (-want +got)\n%s", i, diff)
			}
			n, err := p.Hash(ctx, "out", Filter{})
			check(err)
			if n != nodes[i] {
				t.Fatalf("checkout %d: hash %s, want %s", i, n.Digest.Short(), nodes[i].Digest.Short())
			}
			s, err := p.Checkout(ctx, "out", Filter{}, nodes[i])
			check(err)
			if s.Changed() {
				t.Fatalf("a second checkout did %+v", s)
			}
		}
		dir, err := os.MkdirTemp(p.root, "exec")
		check(err)
		defer os.RemoveAll(dir)
		_, err = p.Stage(ctx, "out", nodes[0], dir)
		check(err)
		check(p.Verify(ctx, "out", nodes[0], dir))
		n, err := p.Collect(ctx, filepath.Join(dir, "out"))
		check(err)
		if n != nodes[0] {
			t.Fatalf("collected %s, want %s", n.Digest.Short(), nodes[0].Digest.Short())
		}
	})
}
