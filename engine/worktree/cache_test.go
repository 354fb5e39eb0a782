package worktree

import (
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flow-pipelines/flow/engine/state"
)

func emptyCache(t testing.TB) *cache {
	c := newCache(state.New(filepath.Join(t.TempDir(), "state.db"), state.Options{}))
	if err := c.load(t.Context(), "d", false); err != nil {
		t.Fatal(err)
	}
	return c
}

// Whether files are learnt one at a time or as a directory, the record is the
// same, here and in the database.
func TestARecordIsWhatWasPutLast(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := emptyCache(t)
		want := map[string]state.File{}
		sorted := func() state.Files {
			var all state.Files
			for _, f := range want {
				all = append(all, f)
			}
			slices.SortFunc(all, func(a, b state.File) int { return strings.Compare(a.Name, b.Name) })
			return all
		}
		name := rapid.SampledFrom([]string{"a", "b", "c", "d"})
		rt.Repeat(map[string]func(*rapid.T){
			"putFile": func(rt *rapid.T) {
				f := state.File{Name: name.Draw(rt, "name"), Size: rapid.Int64Range(0, 3).Draw(rt, "size")}
				c.putFile("d", f)
				want[f.Name] = f
			},
			"put": func(rt *rapid.T) {
				clear(want)
				for _, n := range rapid.SliceOfDistinct(name, rapid.ID[string]).Draw(rt, "names") {
					want[n] = state.File{Name: n, Size: 4}
				}
				if err := c.put(t.Context(), "d", sorted()); err != nil {
					rt.Fatal(err)
				}
			},
			"flush": func(rt *rapid.T) {
				if err := c.flush(t.Context()); err != nil {
					rt.Fatal(err)
				}
				again := newCache(c.db)
				if err := again.load(t.Context(), "d", false); err != nil {
					rt.Fatal(err)
				}
				if d := cmp.Diff(sorted(), again.files("d")); d != "" {
					rt.Fatalf("in the database (-want +got):\n%s", d)
				}
			},
			"files": func(rt *rapid.T) {
				if d := cmp.Diff(sorted(), c.files("d")); d != "" {
					rt.Fatalf("(-want +got):\n%s", d)
				}
			},
			"": func(rt *rapid.T) {
				for _, n := range []string{"a", "b", "c", "d"} {
					w, known := want[n]
					if got, ok := c.file("d", n); ok != known || got != w {
						rt.Fatalf("%s: got %v %v, want %v %v", n, got, ok, w, known)
					}
				}
			},
		})
	})
}

// Thousands of outputs that lie in one directory are learnt one at a time, each
// at the same cost: if each moved those before it, these would need 10 GB.
func TestLearningAFileDoesNotCostThoseBesideIt(t *testing.T) {
	c := emptyCache(t)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const n = 15_000
	for i := range n {
		name := fmt.Sprintf("%d.txt", i*7919%n)
		if _, ok := c.file("d", name); ok {
			t.Fatalf("%s is there before it was put", name)
		}
		c.putFile("d", state.File{Name: name, Size: int64(i)})
	}
	runtime.ReadMemStats(&after)
	if got := len(c.files("d")); got != n {
		t.Errorf("got %d files, want %d", got, n)
	}
	if mb := (after.TotalAlloc - before.TotalAlloc) >> 20; mb > 100 {
		t.Errorf("%d files took %d MB", n, mb)
	}
}
