package reference_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/internal/reference"
	"github.com/flow-pipelines/flow/stages/builtin"
)

// root is the project's directory, seen from this package.
const root = "../.."

func schemas() []*stage.Schema {
	var all []*stage.Schema
	for _, t := range builtin.Types() {
		all = append(all, t.Schema())
	}
	return all
}

func TestStagesAreDocumentedAsTheyAre(t *testing.T) {
	file := filepath.Join(root, "docs", "stages.md")
	got := reference.Markdown(schemas())
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); d != "" {
		t.Errorf("docs/stages.md is not what the schemas say (UPDATE=1 go test ./internal/reference writes it): -file +schemas\n%s", d)
	}
}

// Whoever reads the reference has nothing else: every argument, block, variant
// and output says what it is, and every type has an example.
func TestNothingIsUndocumented(t *testing.T) {
	for _, s := range schemas() {
		if s.Summary == "" || s.Doc == "" || s.Example == "" {
			t.Errorf("%s: a summary, a doc and an example are needed", s.Name)
		}
		for _, o := range s.Outputs {
			if o.Doc == "" {
				t.Errorf("%s: the output %s has no doc", s.Name, o.Name)
			}
		}
		undocumented(t, s.Name, s.Body)
	}
}

func undocumented(t *testing.T, path string, b stage.Body) {
	for _, a := range b.Attributes {
		if a.Doc == "" {
			t.Errorf("%s.%s has no doc", path, a.Name)
		}
	}
	for _, blk := range b.Blocks {
		if blk.Doc == "" {
			t.Errorf("%s.%s has no doc", path, blk.Name)
		}
		undocumented(t, path+"."+blk.Name, blk.Body)
		for _, v := range blk.Variants {
			if v.Doc == "" {
				t.Errorf("%s.%s.%s has no doc", path, blk.Name, v.Name)
			}
			undocumented(t, path+"."+blk.Name+"."+v.Name, v.Body)
		}
	}
}
