package worktree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flow-pipelines/flow/engine/replace"
)

// tempPrefix starts the names of files and directories that are on their way to
// their own. They lie beside their place, so that the rename is one within a
// file system, and are not there for anything else in this package. What a
// killed process leaves is removed by a later Checkout into the directory, and by
// RemoveOldTemps from the project's own.
const tempPrefix = replace.TempPrefix

// TempPattern matches these names, for a .gitignore.
const TempPattern = tempPrefix + "*"

// tempAge is how old an unfinished file must be to be nobody's.
const tempAge = time.Hour

func (w *Worktree) tempName(dir string) string {
	return filepath.Join(dir, fmt.Sprintf("%s%d-%d", tempPrefix, os.Getpid(), w.temps.Add(1)))
}

// RemoveOldTemps removes what killed processes have left beside flow.lock.
func (w *Worktree) RemoveOldTemps() {
	left, _ := filepath.Glob(filepath.Join(w.root, TempPattern)) // fails for a wrong pattern only
	for i, abs := range left {
		left[i] = filepath.Base(abs)
	}
	w.removeOldTemps(w.root, left)
}

// removeOldTemps removes what killed processes have left in dir.
func (w *Worktree) removeOldTemps(dir string, names []string) {
	for _, name := range names {
		abs := filepath.Join(dir, name)
		at, err := lstat(atCWD, abs)
		if err == nil && w.clock().Sub(time.Unix(0, at.mtime)) > tempAge {
			_ = RemoveAll(abs)
		}
	}
}

// setMTime sets a file's modification time, and not that of a link's target.
func setMTime(abs string, at time.Time) error {
	ts, err := unix.TimeToTimespec(at)
	if err != nil {
		return err
	}
	err = unix.UtimesNanoAt(atCWD, abs, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return &fs.PathError{Op: "set time of", Path: abs, Err: err}
	}
	return nil
}

// move gives temp its name, replacing a file, a link, or an empty directory.
func move(temp, abs string) error {
	err := os.Rename(temp, abs)
	if err == nil || !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.EEXIST) && !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, unix.ENOTDIR) {
		return err
	}
	// A directory gives way to a file, or a file to a directory: only this
	// change is not atomic.
	if err := RemoveAll(abs); err != nil {
		return err
	}
	return os.Rename(temp, abs)
}
