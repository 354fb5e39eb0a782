package worktree

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// Stages that end at the same moment make the directory of their outputs at the
// same moment. Whoever looks in between must not take it for a link to nothing.
func TestADirectoryThatIsJustMadeIsNoLink(t *testing.T) {
	p := newProject(t)
	for round := range 200 {
		dir := filepath.Join(p.root, "out", "a", string(rune('a'+round%26)))
		if err := os.RemoveAll(filepath.Join(p.root, "out")); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if _, err := p.writable("out/a/" + filepath.Base(dir) + "/f"); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Go(func() {
			if err := os.MkdirAll(dir, 0o777); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
	}
}
