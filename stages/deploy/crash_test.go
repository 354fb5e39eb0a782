package deploy

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// errKilled stands for kill -9: nothing after it runs, no cleaning up either.
var errKilled = errors.New("killed")

// dieAt deploys a model and dies after the given number of changes, 0 being
// never. It checks after each change that what is served is old or new, and
// returns how many changes there were.
func (p *project) dieAt(model, old, new string, at int) (changes int) {
	p.t.Helper()
	target := target{root: p.root(), name: "serving/x", now: p.now}
	target.step = func(what string) {
		changes++
		if got, err := p.served(); old != "" && (err != nil || got != old && got != new) {
			p.t.Errorf("after %q: served %q, %v", what, got, err)
		}
		if changes == at {
			panic(errKilled)
		}
	}
	defer func() {
		if r := recover(); r != nil && r != any(errKilled) {
			panic(r)
		}
	}()
	if _, err := target.deploy(p.t.Context(), model, "deploy.local", 2); err != nil {
		p.t.Error(err)
	}
	return changes
}

func TestDeathAtAnyMomentLeavesTheOldVersionOrTheNew(t *testing.T) {
	for at := 1; ; at++ {
		p := newProject(t)
		p.mustDeploy(p.model("x"), 2)
		p.mustDeploy(p.model("old"), 2)
		changes := p.dieAt(p.model("new"), "old", "new", at)
		if changes < at {
			if at < 12 {
				t.Errorf("only %d changes were seen", changes)
			}
			return
		}
		if got, err := p.served(); err != nil || got != "old" && got != "new" {
			t.Errorf("dead after change %d: served %q, %v", at, got, err)
		}
		p.mustDeploy(p.model("new"), 2)
		p.wantServed("new")
		p.wantClean(2)
	}
}

func TestDeathInTheFirstDeploymentIsHealed(t *testing.T) {
	for at := 1; ; at++ {
		p := newProject(t)
		changes := p.dieAt(p.model("new"), "", "new", at)
		if got, err := p.served(); err == nil && got != "new" {
			t.Errorf("dead after change %d: served %q", at, got)
		}
		p.mustDeploy(p.model("new"), 2)
		p.wantServed("new")
		p.wantClean(1)
		if changes < at {
			return
		}
	}
}

func TestDeathAfterDeathIsHealed(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 5))
	p := newProject(t)
	p.mustDeploy(p.model("0"), 2)
	old := "0"
	for i := range 60 {
		content := fmt.Sprint(random.IntN(5))
		p.dieAt(p.model(content), old, content, 1+random.IntN(25))
		var err error
		if old, err = p.served(); err != nil {
			t.Fatalf("round %d: %v", i, err)
		}
		if random.IntN(4) == 0 {
			if _, err := Rollback(t.Context(), p.root(), "", p.now()); err == nil {
				if old, err = p.served(); err != nil {
					t.Fatalf("round %d: after a rollback: %v", i, err)
				}
			}
		}
	}
	p.mustDeploy(p.model("last"), 2)
	p.wantServed("last")
	p.wantClean(2)
}

// wantClean checks that no leftovers lie around and that the record is right.
func (p *project) wantClean(versions int) {
	p.t.Helper()
	names := p.onDisk()
	if len(names) != versions {
		p.t.Errorf("got versions %q, want %d", names, versions)
	}
	entries, err := os.ReadDir(p.root())
	if err != nil {
		p.t.Fatal(err)
	}
	var have []string
	for _, e := range entries {
		have = append(have, e.Name())
	}
	if diff := cmp.Diff([]string{".gitignore", ".lock", "current", "deployment.json", "versions"}, have); diff != "" {
		p.t.Errorf("want then got:\n%s", diff)
	}
	record, err := Read(p.root())
	if err != nil {
		p.t.Fatal(err)
	}
	var recorded []string
	for _, v := range record.Versions {
		recorded = append(recorded, v.Name)
	}
	slices.Sort(recorded)
	if diff := cmp.Diff(names, recorded); diff != "" {
		p.t.Errorf("versions on disk, then recorded:\n%s", diff)
	}
	status, err := Observe(p.root())
	if err != nil || status.Current != record.Current {
		p.t.Errorf("got %+v, %v, want current version %s", status, err, record.Current)
	}
}
