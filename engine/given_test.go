package engine_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/flow-pipelines/flow/engine"
	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/plan"
	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/stages/dataset"
)

// A file that changes while the plan is asked about is not kept as what the plan
// saw: the stage is decided again.
func TestDataThatChangesWhileThePlanIsAskedAbout(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("p.hcl", "dataset \"d\" { path = \"d.txt\" }\n")
	write("d.txt", "as planned")
	p, err := engine.Open(engine.Options{Dir: dir, Types: []stage.Type{dataset.Type{}}, Self: []string{"flow"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	rep, err := p.Apply(t.Context(), engine.ApplyOptions{Confirm: func(*plan.Plan) (bool, error) {
		write("d.txt", "changed since")
		return true, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Counts["recorded"] != 1 || len(rep.Failed) > 0 {
		t.Errorf("got %v, failed %v", rep.Counts, rep.Failed)
	}
	r := p.Lock().Stages()[0].Results[0]
	if r.Node.Digest != digest.OfBytes([]byte("changed since")) {
		t.Errorf("recorded %+v", r)
	}
}
