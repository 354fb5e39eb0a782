package apply

import (
	"os"
	"path"
	"path/filepath"
)

// trash moves what lies at a path of the project into .flow/trash/RUN and
// returns where it is now, relative to the project.
func (a *apply) trash(rel string) (string, error) {
	to := path.Join(filepath.Base(filepath.Dir(a.Scratch)), "trash", a.Record.ID(), rel)
	abs := filepath.Join(a.Root, filepath.FromSlash(to))
	if err := os.MkdirAll(filepath.Dir(abs), 0o755); err != nil {
		return "", err
	}
	return to, os.Rename(filepath.Join(a.Root, filepath.FromSlash(rel)), abs)
}
