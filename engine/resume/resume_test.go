package resume_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"github.com/flow-pipelines/flow/engine/key"
	"github.com/flow-pipelines/flow/engine/resume"
	"github.com/flow-pipelines/flow/engine/stage"
)

// pointOf is the point of a training, and its key.
func pointOf(t rapid.TB, epochs int, rate string) (key.Point, key.Key) {
	t.Helper()
	args := json.RawMessage(fmt.Sprintf(`{"epochs":%d,"rate":%s}`, epochs, rate))
	m, err := key.ManifestOf(key.Subject{Schema: &stage.Schema{Name: "train", Version: 1}, Args: args, Job: &stage.Job{}})
	if err != nil {
		t.Fatal(err)
	}
	p, ok := key.PointOf(m, args, []string{"epochs"})
	if !ok {
		t.Fatalf("%s has no point", args)
	}
	return p, m.Key()
}

// keep lets a run that saved its number of epochs succeed.
func keep(t rapid.TB, s resume.Store, scratch string, epochs int, rate string) {
	t.Helper()
	p, k := pointOf(t, epochs, rate)
	dir := filepath.Join(scratch, "saved")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "state"), fmt.Append(nil, epochs, rate), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.Keep(dir, p, k); err != nil {
		t.Fatal(err)
	}
}

func TestARunGoesOnFromTheOneThatWentFurthestAndNotTooFar(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		scratch, err := os.MkdirTemp("", "resume")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(scratch)
		s := resume.Store{Dir: filepath.Join(scratch, "kept")}
		epochs := rapid.IntRange(1, 30)
		kept := rapid.SliceOfNDistinct(epochs, 0, 4, rapid.ID[int]).Draw(t, "kept")
		for _, n := range kept {
			keep(t, s, scratch, n, "0.1")
		}
		keep(t, s, scratch, 1, "0.2") // is another training
		want := epochs.Draw(t, "wanted")
		best := 0
		for _, n := range kept {
			if n <= want {
				best = max(best, n)
			}
		}
		p, _ := pointOf(t, want, "0.1")
		from, ok := s.Find(p)
		if ok != (best > 0) || ok && from.Values[0] != float64(best) {
			t.Fatalf("found %v, %v; want %d", from, ok, best)
		}
		if !ok {
			return
		}
		to := filepath.Join(scratch, "copy")
		if err := s.CopyTo(from, to); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(to, "state"))
		if want := fmt.Sprint(best, "0.1"); err != nil || string(got) != want {
			t.Fatalf("copied %q, %v; want %q", got, err, want)
		}
		if from, ok := s.Find(p); !ok || from.Values[0] != float64(best) {
			t.Fatalf("what was copied is gone")
		}
	})
}

func TestWhatWasUsedLastStays(t *testing.T) {
	scratch := t.TempDir()
	s := resume.Store{Dir: filepath.Join(scratch, "kept")}
	for n := 10; n < 20; n++ {
		keep(t, s, scratch, n, "0.1")
	}
	p, _ := pointOf(t, 15, "0.1")
	if from, ok := s.Find(p); ok {
		t.Errorf("%v is still there", from)
	}
	p, _ = pointOf(t, 16, "0.1")
	if from, ok := s.Find(p); !ok || from.Values[0] != 16 {
		t.Errorf("found %v, %v; want 16", from, ok)
	}
}

func TestOnlyNumbersThatMayBeWrittenDownAreAPoint(t *testing.T) {
	for _, row := range []struct{ args, over, sensitive string }{
		{`{"epochs":"many"}`, "epochs", ""},
		{`{"epochs":10}`, "rounds", ""},
		{`{"epochs":10}`, "epochs", "epochs"},
		{`{"env":{"EPOCHS":"nan"}}`, "env.EPOCHS", ""},
	} {
		s := key.Subject{Schema: &stage.Schema{Name: "train", Version: 1}, Args: json.RawMessage(row.args), Job: &stage.Job{}}
		if row.sensitive != "" {
			s.Sensitive = []string{row.sensitive}
		}
		m, err := key.ManifestOf(s)
		if err != nil {
			t.Fatal(err)
		}
		if p, ok := key.PointOf(m, s.Args, []string{row.over}); ok {
			t.Errorf("%s over %s is the point %v", row.args, row.over, p)
		}
	}
}
