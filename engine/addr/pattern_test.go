package addr

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestPatternNamesStages(t *testing.T) {
	tests := []struct {
		pattern, matches, not string
	}{
		{`train.mlp`, `train.mlp train.mlp["a"] train.mlp[3]`, `train.mlp2 exec.mlp`},
		{`train.mlp["a"]`, `train.mlp["a"]`, `train.mlp train.mlp["ab"] train.mlp[3]`},
		{`train.*`, `train.mlp train.mlp["a.b"]`, `exec.mlp`},
		{`*.mlp`, `train.mlp exec.mlp[1]`, `train.mlps`},
		{`*`, `train.mlp exec.mlp[1]`, ``},
		{`exec.shard[*]`, `exec.shard[0] exec.shard[12] exec.shard["a"]`, `exec.shard exec.other[0]`},
		{`exec.shard[1*]`, `exec.shard[1] exec.shard[12]`, `exec.shard[2] exec.shard["1"]`},
		{`exec.shard[?]`, `exec.shard[1]`, `exec.shard[12]`},
		{`train.mlp["w*"]`, `train.mlp["w"] train.mlp["wide"]`, `train.mlp["narrow"] train.mlp`},
		{`train.mlp["*.csv"]`, `train.mlp["a.csv"]`, `train.mlp["a.json"]`},
		{`train.m?p`, `train.mlp`, `train.mp train.mllp`},
		{`train.a*b*c`, `train.abc train.axxbyyc`, `train.acb`},
	}
	for _, tt := range tests {
		p, err := ParsePattern(tt.pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range strings.Fields(tt.matches) {
			if a, err := Parse(s); err != nil || !p.Match(a) {
				t.Errorf("%s does not match %s (%v)", p, s, err)
			}
		}
		for _, s := range strings.Fields(tt.not) {
			if a, err := Parse(s); err != nil || p.Match(a) {
				t.Errorf("%s matches %s (%v)", p, s, err)
			}
		}
	}
}

func TestPatternsThatNameNothingAreRefused(t *testing.T) {
	for _, s := range []string{``, `train`, `train.`, `.mlp`, `train.mlp[`, `train.mlp[]`, `train.mlp["a]`, `train.mlp["a"`, `train.mlp[small]`, `train.mlp["a"]x`, `train.mlp.x`, `**x.`, `a b.c`} {
		if p, err := ParsePattern(s); err == nil {
			t.Errorf("%q was read as %+v", s, p)
		}
	}
}

func TestPatternOfAnAddressMatchesIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := Address{Type: "train", Name: "mlp", Key: StringKey(rapid.String().Draw(t, "key"))}
		if !PatternOf(a).Match(a) {
			t.Fatalf("%s does not match itself", a)
		}
		p, err := ParsePattern(a.String())
		if err != nil || !p.Match(a) {
			t.Fatalf("%s, typed, does not match itself: %v", a, err)
		}
		if !PatternOf(a.Block()).Match(a) {
			t.Fatalf("%s does not match its instance %s", a.Block(), a)
		}
	})
}
