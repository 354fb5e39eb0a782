package config

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"pgregory.net/rapid"
)

// same fails if a text parsed in pieces is another than it is as a whole.
func same(t interface {
	Helper()
	Fatalf(string, ...any)
}, text []byte, size int,
) {
	t.Helper()
	want, wantDiags := hclsyntax.ParseConfig(text, "x.hcl", hcl.InitialPos)
	got, gotDiags := parse(text, "x.hcl", size)
	if !reflect.DeepEqual(gotDiags, wantDiags) {
		t.Fatalf("%q in pieces of %d: got %v, want %v", text, size, gotDiags, wantDiags)
	}
	if !reflect.DeepEqual(got.Body, want.Body) || !reflect.DeepEqual(got.Bytes, want.Bytes) {
		t.Fatalf("%q in pieces of %d is another than as a whole", text, size)
	}
}

func TestATextInPiecesIsTheSameAsTheWhole(t *testing.T) {
	fragments := rapid.SampledFrom([]string{
		"exec \"a\" {\n  command = [\"x\", \"${var.y}\"]\n}\n", "locals {\n", "}\n", "}", "\n", "{\n", "{", "(\n", ")\n", "[\n", "]\n",
		"a = 1\n", "a = 1 +", "a = {\n}\n", "a = <<E\n", "a = <<-E\n", "a = \"${{\n", "}}\"\n", "\"", "E\n", "  E\n", "text", "${", "%{ if true }", "%{ endif }\n",
		"/*\n", "*/\n", "# note\n", "// note", "\ufeff", "\r\n", "}\r\n", "é\n", "b \"c\" {}\n", "b {\n  n {\n  }\n}\n",
	})
	rapid.Check(t, func(t *rapid.T) {
		var text []byte
		for _, f := range rapid.SliceOfN(fragments, 0, 12).Draw(t, "fragments") {
			text = append(text, f...)
		}
		same(t, text, rapid.IntRange(1, 40).Draw(t, "size"))
	})
}

func TestPipelinesInPiecesAreTheSame(t *testing.T) {
	files, err := filepath.Glob("../../examples/*/*.hcl")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var all []byte
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		same(t, text, 100)
		all = append(append(all, text...), '\n')
	}
	same(t, all, 100)
	if n := len(cut(all, 100)); n < 20 {
		t.Errorf("%d bytes are cut into %d pieces", len(all), n)
	}
}
