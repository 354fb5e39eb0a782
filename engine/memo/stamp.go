package memo

import (
	"errors"
	"fmt"
	"os"
	"path"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// stamp is how a file looks from outside. Any two writes of a file give it
// different ones.
type stamp struct {
	inode        uint64
	size         int64
	mtime, ctime int64 // nanoseconds
	mode         uint32
}

// file is a file with its stamp; the path is relative to the project.
type file struct {
	path string
	stamp
}

func lstat(dirfd int, name string) (s stamp, dev uint64, err error) {
	var st unix.Stat_t
	for {
		err = unix.Fstatat(dirfd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	return stamp{inode: st.Ino, size: st.Size, mtime: st.Mtim.Nano(), ctime: st.Ctim.Nano(), mode: uint32(st.Mode)}, uint64(st.Dev), err //nolint:unconvert,nolintlint // differs between systems
}

// Program says which file a program is, so that another build is told apart.
func Program(name string) (string, error) {
	var st unix.Stat_t
	if err := unix.Stat(name, &st); err != nil {
		return "", err
	}
	return fmt.Sprint(st.Dev, st.Ino, st.Size, st.Mtim.Nano(), st.Ctim.Nano()), nil
}

func (s stamp) is(kind uint32) bool { return s.mode&unix.S_IFMT == kind }

// begin returns what the time is to the file system of a directory, by changing
// it: a network's has a clock of its own, and a local one's is coarser than ours.
func begin(dir string) (int64, error) {
	now := time.Now()
	if err := os.Chtimes(dir, now, now); err != nil {
		return 0, err
	}
	s, _, err := lstat(unix.AT_FDCWD, dir)
	return s.ctime, err
}

// verdict is what a look at a path is good for.
type verdict int

const (
	plain verdict = iota // a plain file that has not changed since the plan began
	other                // no plain file, or not reached by plain directories
	moved                // it, or the way to it, has changed
)

// still looks at files once more after a plan, to see that they are what the
// plan saw.
type still struct {
	root  string
	began int64
	fd    int
	dev   uint64
	dirs  map[string]verdict
}

// open looks at the project itself.
func (s *still) open() bool {
	at, dev, err := lstat(unix.AT_FDCWD, s.root)
	s.fd, s.dev = unix.AT_FDCWD, dev
	return err == nil && at.is(unix.S_IFDIR) && at.ctime < s.began
}

func (s *still) look(p string) (file, verdict) {
	p = path.Clean(p)
	if v := s.dir(path.Dir(p)); v != plain {
		return file{}, v
	}
	at, dev, err := lstat(s.fd, path.Join(s.root, p))
	switch {
	case err != nil:
		return file{}, moved
	case !at.is(unix.S_IFREG) || dev != s.dev:
		return file{}, other
	case at.ctime >= s.began:
		return file{}, moved
	}
	return file{p, at}, plain
}

// dir judges a directory and those that lead to it.
func (s *still) dir(d string) verdict {
	if d == "." {
		return plain // see open
	}
	if v, ok := s.dirs[d]; ok {
		return v
	}
	v := s.dir(path.Dir(d))
	if v == plain {
		at, dev, err := lstat(s.fd, path.Join(s.root, d))
		switch {
		case err != nil:
			v = moved
		case !at.is(unix.S_IFDIR) || dev != s.dev:
			v = other
		case at.ctime >= s.began:
			v = moved
		}
	}
	s.dirs[d] = v
	return v
}

// chunk is how many files a worker looks at in one go.
const chunk = 512

// alike reports whether each file looks as it did. A look is bound by the
// kernel, not by waiting: more workers than cores gain nothing.
func alike(root string, files []file) bool {
	fd, err := unix.Open(root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(fd) }()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return false
	}
	dev := uint64(st.Dev) //nolint:unconvert,nolintlint // differs between systems
	var next atomic.Int64
	var differs atomic.Bool
	work := func() {
		for !differs.Load() {
			from := int(next.Add(chunk)) - chunk
			if from >= len(files) {
				return
			}
			for _, f := range files[from:min(from+chunk, len(files))] {
				if now, d, err := lstat(fd, f.path); err != nil || now != f.stamp || d != dev {
					differs.Store(true)
					return
				}
			}
		}
	}
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(files)/chunk) {
		workers.Go(work)
	}
	work()
	workers.Wait()
	return !differs.Load()
}
