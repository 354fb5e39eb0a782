// Package replace writes small files whole: whoever reads one finds the old
// content or the new, also after a crash, and never a part of it.
//
// It is for files that are kept in memory on their way. What is written as a
// stream, what moves large files, and what packs small ones has ways of its own
// (stages/table, engine/worktree, engine/cas/disk).
package replace

import (
	"errors"
	"os"
	"path/filepath"
)

// TempPrefix starts the names of files on their way to their own name, beside
// which they lie. Such a file is nobody's input and not for git; what a kill leaves
// behind, a later apply removes.
const TempPrefix = ".flow-tmp-"

// Durably replaces the file at path, which need not be there. When it returns
// nil the new content survives a loss of power.
func Durably(path string, b []byte, perm os.FileMode) error { return file(path, b, perm, true) }

// Quickly replaces a file that can be done without: a loss of power may leave the
// old content, or none.
func Quickly(path string, b []byte, perm os.FileMode) error { return file(path, b, perm, false) }

func file(path string, b []byte, perm os.FileMode, durable bool) error {
	f, err := os.CreateTemp(filepath.Dir(path), TempPrefix+"*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Chmod(perm)
	}
	if err == nil && durable {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	if durable {
		return syncDir(filepath.Dir(path))
	}
	return nil
}

// syncDir makes a rename durable.
func syncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
