package engine_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/flow-pipelines/flow/engine"
	"github.com/flow-pipelines/flow/engine/plan"
	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/stages/exec"
)

// later is a stage type that has come to compute something else.
type later struct {
	exec.Type
	version int
}

func (l later) Schema() *stage.Schema {
	s := *l.Type.Schema()
	s.Version = l.version
	return &s
}

func TestAStageTypeThatComputesDifferentlyIsTheReason(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "p.hcl"), []byte("exec \"s\" {\n  command = [\"ok\"]\n}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	open := func(version int, flow string) *engine.Project {
		p, err := engine.Open(engine.Options{
			Dir: dir, Version: flow, Types: []stage.Type{later{version: version}},
			Executor: &actor{alone: true, tries: map[string]int{}}, Self: []string{"flow"},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Close() })
		return p
	}
	if _, err := open(1, "0.1.0").Apply(t.Context(), engine.ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	// Another flow computes the same as long as its stage types say so.
	pl, err := open(1, "0.2.0").Plan(t.Context(), engine.Selection{})
	if err != nil {
		t.Fatal(err)
	}
	if !pl.Empty() {
		t.Errorf("another flow with the same stage types: %+v", pl.Steps[0].Reasons)
	}
	pl, err = open(2, "0.2.0").Plan(t.Context(), engine.Selection{})
	if err != nil {
		t.Fatal(err)
	}
	got := pl.Steps[0]
	if got.Action != plan.Run || len(got.Reasons) != 1 {
		t.Fatalf("got %s, %+v", got.Action, got.Reasons)
	}
	if r := got.Reasons[0]; r.Kind != plan.TypeVersion || r.Text != "stage type exec computes differently now (version 1 → 2)" {
		t.Errorf("got %q, %s", r.Text, r.Kind)
	}
}
