package addr_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/flow-pipelines/flow/engine/addr"
)

func address() *rapid.Generator[addr.Address] {
	return rapid.Custom(func(t *rapid.T) addr.Address {
		name := rapid.StringMatching(`[a-z][a-z0-9_]{0,5}`)
		a := addr.Address{Type: name.Draw(t, "type"), Name: name.Draw(t, "name")}
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
		b.Type, b.Name = a.Type, a.Name // the key is what could collide
		if a.Key.IsInt() != b.Key.IsInt() {
			return // one block has keys of one kind
		}
		if a != b && (a.Dir() == b.Dir() || a.FileName() == b.FileName()) {
			t.Fatalf("%v and %v share %s", a, b, a.Dir())
		}
		if strings.Contains(a.FileName(), "/") || strings.Contains(a.Dir(), "..") {
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
