package plan_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/lock"
	"github.com/flow-pipelines/flow/engine/plan"
)

func address(t *testing.T, s string) addr.Address {
	t.Helper()
	a, err := addr.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Results go where the moves lead, through chains, and never onto a result that
// is there.
func TestResultsFollowMoves(t *testing.T) {
	for name, test := range map[string]struct {
		moves  [][2]string
		exists []string
		locked []string
		want   map[string]string // renamed: from, to
	}{
		"a block": {
			moves: [][2]string{{"exec.a", "exec.b"}}, exists: []string{"exec.b"}, locked: []string{"exec.a", "exec.c"},
			want: map[string]string{"exec.a": "exec.b"},
		},
		"all instances": {
			moves: [][2]string{{"exec.a", "exec.b"}}, exists: []string{`exec.b["x"]`, "exec.b[1]"}, locked: []string{`exec.a["x"]`, "exec.a[1]", "exec.a[2]"},
			want: map[string]string{`exec.a["x"]`: `exec.b["x"]`, "exec.a[1]": "exec.b[1]"},
		},
		"into and out of instances": {
			moves: [][2]string{{"exec.a", `exec.a["x"]`}, {"exec.b[0]", "exec.b"}}, exists: []string{`exec.a["x"]`, "exec.b"}, locked: []string{"exec.a", "exec.b[0]"},
			want: map[string]string{"exec.a": `exec.a["x"]`, "exec.b[0]": "exec.b"},
		},
		"a chain, in any order": {
			moves: [][2]string{{"exec.b", "exec.c"}, {"exec.a", "exec.b"}}, exists: []string{"exec.c"}, locked: []string{"exec.a"},
			want: map[string]string{"exec.a": "exec.c"},
		},
		"a module with all that is in it": {
			moves: [][2]string{{"module.a", "module.b"}}, exists: []string{`module.b.exec.x["k"]`, "module.b.module.c[1].exec.x", "exec.x"},
			locked: []string{`module.a.exec.x["k"]`, "module.a.module.c[1].exec.x", "module.aa.exec.x"},
			want:   map[string]string{`module.a.exec.x["k"]`: `module.b.exec.x["k"]`, "module.a.module.c[1].exec.x": "module.b.module.c[1].exec.x"},
		},
		"all instances of a module": {
			moves: [][2]string{{"module.a", "module.b"}}, exists: []string{`module.b["k"].exec.x`}, locked: []string{`module.a["k"].exec.x`},
			want: map[string]string{`module.a["k"].exec.x`: `module.b["k"].exec.x`},
		},
		"one instance of a module": {
			moves: [][2]string{{`module.a["k"]`, "module.b"}}, exists: []string{`module.b.exec.x`}, locked: []string{`module.a["k"].exec.x`, `module.a["l"].exec.x`},
			want: map[string]string{`module.a["k"].exec.x`: `module.b.exec.x`},
		},
		"a module into another's instance": {
			moves: [][2]string{{"module.a", `module.b["k"].module.a`}}, exists: []string{`module.b["k"].module.a[0].exec.x`}, locked: []string{`module.a[0].exec.x`},
			want: map[string]string{`module.a[0].exec.x`: `module.b["k"].module.a[0].exec.x`},
		},
		"within the instances of a module": {
			moves: [][2]string{{"module.a.exec.x", "module.a.exec.y"}}, exists: []string{`module.a["k"].exec.y[0]`}, locked: []string{`module.a["k"].exec.x[0]`},
			want: map[string]string{`module.a["k"].exec.x[0]`: `module.a["k"].exec.y[0]`},
		},
		"out of a module": {
			moves: [][2]string{{"module.a.exec.x", "exec.x"}}, exists: []string{`exec.x["k"]`}, locked: []string{`module.a.exec.x["k"]`, `module.a[1].exec.x["k"]`},
			want: map[string]string{`module.a.exec.x["k"]`: `exec.x["k"]`},
		},
		"a place that is taken": {
			moves: [][2]string{{"exec.a", "exec.b"}}, exists: []string{"exec.b"}, locked: []string{"exec.a", "exec.b"},
			want: map[string]string{},
		},
		"a stage that is still there": {
			moves: [][2]string{{`exec.a["x"]`, `exec.a["y"]`}}, exists: []string{`exec.a["x"]`, `exec.a["y"]`}, locked: []string{`exec.a["x"]`},
			want: map[string]string{},
		},
		"a circle": {
			moves: [][2]string{{"exec.a", "exec.b"}, {"exec.b", "exec.a"}}, exists: nil, locked: []string{"exec.a"},
			want: map[string]string{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var moves []config.Move
			for _, m := range test.moves {
				moves = append(moves, config.Move{From: address(t, m[0]), To: address(t, m[1])})
			}
			exists := map[addr.Address]bool{}
			for _, s := range test.exists {
				exists[address(t, s)] = true
			}
			before := &lock.Lock{}
			for _, s := range test.locked {
				before.Put(&lock.Stage{Addr: address(t, s)})
			}
			r := plan.Rename(before, moves, func(a addr.Address) bool { return exists[a] })
			after := r.Lock
			got := map[string]string{}
			for _, m := range r.Moved {
				got[m.From.String()] = m.To.String()
				if s := after.Get(m.To); after.Get(m.From) != nil || s == nil || s.Addr != m.To {
					t.Errorf("%s is not recorded as %s", m.From, m.To)
				}
			}
			if d := cmp.Diff(test.want, got); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
			if before.Len() != len(test.locked) || after.Len() != before.Len() {
				t.Errorf("%d stages became %d", before.Len(), after.Len())
			}
		})
	}
}
