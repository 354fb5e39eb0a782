package addr_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"pgregory.net/rapid"

	"github.com/flow-pipelines/flow/engine/addr"
)

func modulePath() *rapid.Generator[addr.Module] {
	return rapid.Custom(func(t *rapid.T) addr.Module {
		var m addr.Module
		for range rapid.IntRange(0, 2).Draw(t, "depth") {
			k := addr.Key{}
			switch rapid.IntRange(0, 2).Draw(t, "key kind") {
			case 1:
				k = addr.StringKey(rapid.StringMatching(`[]a-z.\[\\"{}$%]{0,5}`).Draw(t, "key"))
			case 2:
				k = addr.IntKey(rapid.IntRange(0, 12).Draw(t, "index"))
			}
			m = m.Child(rapid.StringMatching(`[a-z]{1,3}`).Draw(t, "module"), k)
		}
		return m
	})
}

func address() *rapid.Generator[addr.Address] {
	return rapid.Custom(func(t *rapid.T) addr.Address {
		name := rapid.StringMatching(`[a-z][a-z0-9_]{0,5}`)
		a := addr.Address{Module: modulePath().Draw(t, "module"), Type: name.Draw(t, "type"), Name: name.Draw(t, "name")}
		switch rapid.IntRange(0, 2).Draw(t, "key kind") {
		case 1:
			a.Key = addr.StringKey(rapid.String().Filter(func(s string) bool { return strings.ToValidUTF8(s, "") == s }).Draw(t, "key"))
		case 2:
			a.Key = addr.IntKey(rapid.IntRange(0, 1000).Draw(t, "index"))
		}
		return a
	})
}

func TestParseIsTheInverseOfString(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := address().Draw(t, "address")
		got, err := addr.Parse(a.String())
		if err != nil {
			t.Fatal(err)
		}
		if got != a {
			t.Fatalf("Parse(%s) = %v", a, got)
		}
	})
}

func TestDifferentAddressesHaveDifferentDirectories(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := address().Draw(t, "a"), address().Draw(t, "b")
		b.Module, b.Type, b.Name = a.Module, a.Type, a.Name // the key is what could collide
		if a.Key.IsInt() != b.Key.IsInt() {
			return // one block has keys of one kind
		}
		if a != b && (a.Dir() == b.Dir() || a.FileName() == b.FileName()) {
			t.Fatalf("%v and %v share %s", a, b, a.Dir())
		}
		if strings.Contains(a.FileName(), "/") || slices.Contains(strings.Split(a.Dir(), "/"), "..") {
			t.Fatalf("%v has the directory %s", a, a.Dir())
		}
	})
}

func TestCountInstancesSortByNumber(t *testing.T) {
	as := []addr.Address{
		{Type: "exec", Name: "shard", Key: addr.IntKey(10)},
		{Type: "exec", Name: "shard", Key: addr.IntKey(2)},
		{Type: "exec", Name: "shard"},
	}
	slices.SortFunc(as, addr.Compare)
	var got []string
	for _, a := range as {
		got = append(got, a.String())
	}
	if want := "exec.shard exec.shard[2] exec.shard[10]"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"train":                "want TYPE.NAME",
		"train.mlp[small]":     "quote the brackets",
		"train.mlp[01]":        "neither a quoted string nor a number",
		"train.mlp[1":          "missing ]",
		`train.mlp["a]`:        "invalid syntax",
		"train.mlp.x":          "want TYPE.NAME",
		"":                     "want TYPE.NAME",
		"../x.y":               "want TYPE.NAME",
		"train.mlp[-1]":        "neither",
		`train.mlp["small"]x`:  "missing ]",
		`train.mlp["${oops}"]`: "",
	} {
		_, err := addr.Parse(text)
		if want == "" {
			if err != nil {
				t.Errorf("Parse(%q): %v", text, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%q): got %v, want an error with %q", text, err, want)
		}
	}
}

func TestKeysOfModulesDoNotCollideInFileNames(t *testing.T) {
	in := func(key string) addr.Module { return addr.Module{}.Child("m", addr.StringKey(key)) }
	a := addr.Address{Module: in("x.exec"), Type: "train", Name: "mlp"}
	b := addr.Address{Module: in("x"), Type: "exec", Name: "train", Key: addr.StringKey("mlp")}
	if a.FileName() == b.FileName() {
		t.Errorf("%s and %s share %s", a, b, a.FileName())
	}
	if got, want := b.Dir(), "module/m/x/exec/train/mlp"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAModuleStandsForAllThatIsInIt(t *testing.T) {
	for _, tt := range []struct {
		a, named string
		want     bool
	}{
		{`train.mlp["a"]`, `train.mlp`, true},
		{`train.mlp["a"]`, `train.mlp["b"]`, false},
		{`module.m.train.mlp`, `train.mlp`, false},
		{`module.m["k"].train.mlp["a"]`, `module.m.train.mlp`, true},
		{`module.m["k"].train.mlp["a"]`, `module.m`, true},
		{`module.m["k"].train.mlp["a"]`, `module.m["k"]`, true},
		{`module.m["k"].train.mlp["a"]`, `module.m["l"]`, false},
		{`module.m["k"].module.n.train.mlp`, `module.m["k"]`, true},
		{`module.m["k"].module.n.train.mlp`, `module.m["k"].train.mlp`, false},
		{`module.mm.train.mlp`, `module.m`, false},
	} {
		a, err := addr.Parse(tt.a)
		if err != nil {
			t.Fatal(err)
		}
		named, err := addr.Parse(tt.named)
		if err != nil {
			t.Fatal(err)
		}
		if got := a.Within(named); got != tt.want {
			t.Errorf("%s within %s: got %v", a, named, got)
		}
	}
}

func TestModulesComeAfterWhatIsAroundThem(t *testing.T) {
	want := []string{`train.z`, `module.a.exec.x`, `module.a.module.b.exec.x`, `module.c[2].exec.x`, `module.c[10].exec.x`}
	var as []addr.Address
	for _, s := range []int{4, 2, 0, 3, 1} {
		a, err := addr.Parse(want[s])
		if err != nil {
			t.Fatal(err)
		}
		as = append(as, a)
	}
	slices.SortFunc(as, addr.Compare)
	for i, a := range as {
		if a.String() != want[i] {
			t.Errorf("%d: got %s, want %s", i, a, want[i])
		}
	}
}

func TestANameIsAnIdentifierOfHCL(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(rapid.StringMatching(`[a-zA-Z_0-9-]{0,4}`), rapid.StringMatching(`[\x00-\x7f]{0,3}`), rapid.StringMatching(`[a-zé٣ª世☃·-]{0,4}`), rapid.String()).Draw(t, "s")
		if got, want := addr.IsName(s), hclsyntax.ValidIdentifier(s); got != want {
			t.Fatalf("IsName(%q) = %v, and HCL says %v", s, got, want)
		}
	})
}
