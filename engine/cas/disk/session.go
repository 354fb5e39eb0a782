package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// A session is a process's own directory in tmp. Its owner holds an flock on
// the directory, which the kernel drops when the process ends, however it ends:
// a directory that can be locked has no owner and is removed.
type session struct {
	dir  *os.File
	next atomic.Int64
}

func (s *Store) tempDir() (*session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session != nil {
		if s.session.there() {
			return s.session, nil
		}
		// Somebody has deleted the cache under us, which costs time only.
		_ = s.session.dir.Close()
		s.session, s.shards = nil, [256]bool{}
	}
	if err := s.create(); err != nil {
		return nil, err
	}
	root := filepath.Join(s.dir, "tmp")
	if err := os.MkdirAll(root, 0o777); err != nil {
		return nil, fmt.Errorf("make directory for new objects: %w", err)
	}
	sweep(root)
	ses, err := newSession(root)
	if err != nil {
		return nil, fmt.Errorf("make directory for new objects: %w", err)
	}
	s.session = ses
	return ses, nil
}

func newSession(root string) (*session, error) {
	for {
		name, err := os.MkdirTemp(root, "")
		if err != nil {
			return nil, err
		}
		dir, err := lockDir(name, unix.LOCK_EX)
		if errors.Is(err, fs.ErrNotExist) {
			continue // swept between its making and its locking
		}
		if err != nil {
			return nil, err
		}
		return &session{dir: dir}, nil
	}
}

// lockDir opens and locks a directory and makes sure that it still has its name.
func lockDir(name string, how int) (*os.File, error) {
	dir, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	err = lock(dir, how)
	if err == nil {
		var locked, named os.FileInfo
		if locked, err = dir.Stat(); err == nil {
			if named, err = os.Lstat(name); err == nil && !os.SameFile(locked, named) {
				err = fs.ErrNotExist
			}
		}
	}
	if err != nil {
		_ = dir.Close()
		return nil, err
	}
	return dir, nil
}

// lock takes the flock on a file or directory.
func lock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case noLocks(err):
			// Some network file systems have no locks. Then nobody can lock what
			// is ours, so nobody will sweep it or append to it either.
			if how&unix.LOCK_NB == 0 {
				return nil
			}
		}
		return err
	}
}

// noLocks reports whether a lock failed since the file system has none.
func noLocks(err error) bool {
	return errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.ENOLCK) || errors.Is(err, unix.ENOSYS)
}

// sweep removes the directories of processes that are no more.
func sweep(root string) {
	entries, err := os.ReadDir(root)
	if err != nil {
		return
	}
	for _, e := range entries {
		name := filepath.Join(root, e.Name())
		if dir, err := lockDir(name, unix.LOCK_EX|unix.LOCK_NB); err == nil {
			_ = os.RemoveAll(name)
			_ = dir.Close()
		}
	}
}

// there reports whether the directory still has its name.
func (ses *session) there() bool {
	held, err := ses.dir.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(ses.dir.Name())
	return err == nil && os.SameFile(held, named)
}

// path returns a name in the directory that nobody has used.
func (ses *session) path() string {
	return filepath.Join(ses.dir.Name(), strconv.FormatInt(ses.next.Add(1), 36))
}

func (ses *session) close() error {
	err := os.RemoveAll(ses.dir.Name())
	return errors.Join(err, ses.dir.Close())
}
