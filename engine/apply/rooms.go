package apply

import (
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/flow-pipelines/flow/engine/worktree"
)

// workDir is the directory in a room in which a program works.
const workDir = "work"

// rooms are the empty directories of finished jobs, for other jobs. A directory
// that is renamed from one job to the next costs less than one that is removed
// and made, above all to the executor: what confines a program to a directory
// confines the next one to the same, whatever its name is by then.
type rooms struct {
	mu    sync.Mutex
	empty []string
	mode  fs.FileMode // of a new one, and of its work directory
}

// enter makes dir a directory with nothing but an empty work directory. Its
// parent is there.
func (r *rooms) enter(dir string) error {
	if err := worktree.RemoveAll(dir); err != nil { // of an earlier attempt
		return err
	}
	if room, ok := r.take(); ok {
		return os.Rename(room, dir)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(dir, workDir), 0o755); err != nil {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mode = info.Mode()
	return nil
}

// leave empties dir and keeps it for another job, unless the last one changed
// who may do what in it.
func (r *rooms) leave(dir string) error {
	if !r.asMade(dir) || !r.asMade(filepath.Join(dir, workDir)) {
		return worktree.RemoveAll(dir)
	}
	for _, d := range []string{dir, filepath.Join(dir, workDir)} {
		entries, err := os.ReadDir(d)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if d == dir && e.Name() == workDir {
				continue
			}
			if err := worktree.RemoveAll(filepath.Join(d, e.Name())); err != nil {
				return err
			}
		}
	}
	r.put(dir)
	return nil
}

// asMade reports whether a directory is there and has the mode that it was made
// with.
func (r *rooms) asMade(dir string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	info, err := os.Lstat(dir)
	return err == nil && info.Mode() == r.mode
}

// remove removes the rooms that nobody needs any more.
func (r *rooms) remove() error {
	for {
		room, ok := r.take()
		if !ok {
			return nil
		}
		if err := worktree.RemoveAll(room); err != nil {
			return err
		}
	}
}

func (r *rooms) take() (room string, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.empty) == 0 {
		return "", false
	}
	room = r.empty[len(r.empty)-1]
	r.empty = r.empty[:len(r.empty)-1]
	return room, true
}

func (r *rooms) put(room string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.empty = append(r.empty, room)
}
