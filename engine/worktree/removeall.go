package worktree

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// ownerAll is what the owner of a directory needs to list it, to enter it, and
// to add and remove names.
const ownerAll = 0o700

// RemoveAll is os.RemoveAll, but also removes directories that their owner has
// made read-only, as a program may do to what it wrote.
func RemoveAll(path string) error {
	err := os.RemoveAll(path)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	// A directory is visited before it is read, and links are not followed.
	_ = filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = openUp(name)
		}
		return nil // what stays closed is what os.RemoveAll then names
	})
	return os.RemoveAll(path)
}

// openUp lets the owner do everything with a directory.
func openUp(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil || info.Mode()&ownerAll == ownerAll {
		return err
	}
	return os.Chmod(dir, info.Mode().Perm()|ownerAll)
}
