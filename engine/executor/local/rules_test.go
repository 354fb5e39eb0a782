//go:build linux

package local

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/flow-pipelines/flow/engine/executor"
)

// BenchmarkRules is the part of a confined task's cost that grows with the
// number of files beside the project and above.
func BenchmarkRules(b *testing.B) {
	root := filepath.Join(b.TempDir(), "project")
	dir := filepath.Join(root, ".flow", "exec", "1")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		r, err := newRules(&executor.Confinement{Project: root}, dir)
		if err != nil {
			b.Fatal(err)
		}
		r.close()
	}
}

func TestEnvironmentKeepsTheLastValue(t *testing.T) {
	got := environment([]string{"A=1", "B=2", "A=3", "ODD"}, []string{"B=4"})
	want := []string{"A=3", "ODD", "B=4"}
	if len(got) != len(want) {
		t.Fatalf("got %q, want %q", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestShortcomingsAreSaid(t *testing.T) {
	for version, enforced := range map[int]bool{0: false, 1: false, 2: false, 3: true, 7: true, 99: true} {
		if got := shortcoming(version) == ""; got != enforced {
			t.Errorf("version %d: %q", version, shortcoming(version))
		}
	}
}
