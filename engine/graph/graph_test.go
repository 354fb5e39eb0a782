package graph_test

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/flow-pipelines/flow/engine/graph"
)

func TestSortPutsDependenciesFirstAndBreaksTiesByCompare(t *testing.T) {
	g := graph.New(cmp.Compare[string])
	for _, n := range []string{"d", "c", "b", "a"} {
		g.Add(n)
	}
	g.Depend("a", "d")
	g.Depend("a", "d")
	got, cycle := g.Sort()
	if want := []string{"b", "c", "d", "a"}; !slices.Equal(got, want) || cycle != nil {
		t.Errorf("got %v, cycle %v, want %v", got, cycle, want)
	}
}

func TestDepthsAreTheLongestWaysDown(t *testing.T) {
	g := graph.New(cmp.Compare[string])
	g.Depend("stage c", "local b")
	g.Depend("local b", "stage a")
	g.Depend("stage c", "stage a")
	g.Add("stage d")
	order, _ := g.Sort()
	got := map[string]int{}
	for i, depth := range g.Depths(order, func(n string) bool { return strings.HasPrefix(n, "stage") }) {
		got[order[i]] = depth
	}
	if want := map[string]int{"stage a": 0, "local b": 1, "stage c": 1, "stage d": 0}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestSortReturnsTheCycleAsAPath(t *testing.T) {
	g := graph.New(cmp.Compare[string])
	g.Depend("z", "a")
	g.Depend("a", "c")
	g.Depend("c", "b")
	g.Depend("b", "a")
	g.Depend("b", "leaf")
	_, got := g.Sort()
	if want := []string{"a", "c", "b"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	g.Depend("leaf", "leaf")
	_, got = g.Sort()
	if want := []string{"leaf"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Whatever the edges, there is either an order that respects them all or a
// cycle made of edges; never both, and the same however they were added.
func TestSortIsAnOrderOrACycle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "n")
		edges := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) [2]int {
			return [2]int{rapid.IntRange(0, n-1).Draw(t, "from"), rapid.IntRange(0, n-1).Draw(t, "to")}
		}), 0, 20).Draw(t, "edges")
		odd := func(n int) bool { return n%2 == 1 }
		var depths []int // counting odd ones
		build := func(edges [][2]int) (order, cycle []int) {
			g := graph.New(cmp.Compare[int])
			for i := range n {
				g.Add(i)
			}
			for _, e := range edges {
				g.Depend(e[0], e[1])
			}
			if order, cycle = g.Sort(); cycle == nil {
				depths = g.Depths(order, odd)
			}
			return order, cycle
		}
		order, cycle := build(edges)
		if cycle != nil {
			for i, from := range cycle {
				if !slices.Contains(edges, [2]int{from, cycle[(i+1)%len(cycle)]}) {
					t.Fatalf("%v is not a cycle of %v", cycle, edges)
				}
			}
		} else {
			if len(order) != n {
				t.Fatalf("got %v, want %d nodes", order, n)
			}
			for _, e := range edges {
				i, j := slices.Index(order, e[0]), slices.Index(order, e[1])
				if i < j {
					t.Fatalf("%v: %d comes before what it depends on, %d", order, e[0], e[1])
				}
				if least := depths[j] + e[1]%2; depths[i] < least {
					t.Fatalf("%v: %d has the depth %d, and depends on %d, which asks for %d", edges, e[0], depths[i], e[1], least)
				}
			}
		}
		reversed := slices.Clone(edges)
		slices.Reverse(reversed)
		order2, cycle2 := build(reversed)
		if !slices.Equal(order, order2) || !slices.Equal(cycle, cycle2) {
			t.Fatalf("order of edges matters: %v %v, then %v %v", order, cycle, order2, cycle2)
		}
	})
}

func BenchmarkSort10000(b *testing.B) {
	for b.Loop() {
		g := graph.New(cmp.Compare[int])
		for i := range 10_000 {
			for _, d := range []int{1, 7, 100} {
				if i >= d {
					g.Depend(i, i-d)
				}
			}
		}
		if order, _ := g.Sort(); len(order) != 10_000 {
			b.Fatal(len(order))
		}
	}
}
