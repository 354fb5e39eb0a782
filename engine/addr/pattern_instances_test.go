package addr

import "testing"

func TestPatternsOfInstancesThatAreNotKnown(t *testing.T) {
	for _, row := range []struct {
		pattern, block string
		may, all       bool
	}{
		{"*", "exec.shard", true, true},
		{"exec.shard", "exec.shard", true, true},
		{"exec.*", "exec.shard", true, true},
		{"exec.shard[*]", "exec.shard", true, true},
		{`exec.shard["a"]`, "exec.shard", true, false},
		{"exec.shard[3]", "exec.shard", true, false},
		{"exec.other", "exec.shard", false, false},
		{"module.m", "module.m.exec.shard", true, true},
		{"module.n", "module.m.exec.shard", false, false},
		{"module.m", "module.m", true, true},
		{`module.m["a"]`, "module.m", true, false},
		{`module.m["a"].exec.x`, "module.m", true, false},
		{"exec.x", "module.m", false, false},
	} {
		p, err := ParsePattern(row.pattern)
		if err != nil {
			t.Fatal(err)
		}
		a, err := Parse(row.block)
		if err != nil {
			t.Fatal(err)
		}
		if may, all := p.MayMatch(a), p.MatchAll(a); may != row.may || all != row.all {
			t.Errorf("%s of %s: got %t, %t, want %t, %t", row.pattern, row.block, may, all, row.may, row.all)
		}
	}
}
