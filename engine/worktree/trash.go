package worktree

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
)

// SetAside moves what lies at a path of the project to .flow/trash/GROUP, where
// it has the same path, and returns where it is now, relative to the project. If
// something is there already, the group is GROUP-2, and so on. Nothing of a
// user's is overwritten without this way back.
func (w *Worktree) SetAside(rel, group string) (string, error) {
	for n := 1; ; n++ {
		name := group
		if n > 1 {
			name = fmt.Sprintf("%s-%d", group, n)
		}
		to := path.Join(".flow", "trash", name, rel)
		if _, err := os.Lstat(w.abs(to)); err == nil {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(w.abs(to)), 0o755); err != nil {
			return "", err
		}
		return to, os.Rename(w.abs(rel), w.abs(to))
	}
}

// RemoveEmpty removes a directory of the project and those above it as far as
// they are empty. A link to a directory is the user's and stays.
func (w *Worktree) RemoveEmpty(dir string) {
	for ; dir != "."; dir = path.Dir(dir) {
		abs := w.abs(dir)
		if info, err := os.Lstat(abs); err != nil || !info.IsDir() || os.Remove(abs) != nil {
			return
		}
	}
}
