package worktree

import (
	"fmt"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flow-pipelines/flow/engine/cas/disk"
	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/state"
)

// stamp is how a file looks from outside.
type stamp struct {
	size         int64
	mtime, ctime int64 // nanoseconds
	inode        uint64
	links        uint64
	mode         uint32
}

// racyMargin is how much older than the moment of its reading a file must be
// for its stamp to prove anything: a later write within the same tick of the
// file system's clock would leave the stamp as it is. (git calls such files
// racily clean.) Kernels tick at 100 Hz at least.
const racyMargin = 10 * time.Millisecond

// backdate is subtracted from the modification time of files that flow writes.
// Any later write then moves it, so that a file's stamp is proof at once, and
// the next command need not read what this one has just written.
const backdate = time.Second

func makeStamp(st *unix.Stat_t) stamp {
	return stamp{
		size:  st.Size,
		mtime: st.Mtim.Nano(),
		ctime: st.Ctim.Nano(),
		inode: st.Ino,
		links: uint64(st.Nlink),
		mode:  uint32(st.Mode),
	}
}

// atCWD stands for a directory's descriptor where names are absolute.
const atCWD = unix.AT_FDCWD

// lstat describes name in the directory dirfd, or an absolute name.
func lstat(dirfd int, name string) (stamp, error) { return stat(dirfd, name, unix.AT_SYMLINK_NOFOLLOW) }

func stat(dirfd int, name string, flags int) (stamp, error) {
	var st unix.Stat_t
	for {
		err := unix.Fstatat(dirfd, name, &st, flags)
		switch err {
		case nil:
			return makeStamp(&st), nil
		case unix.EINTR:
			continue
		}
		return stamp{}, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
}

func (s stamp) isDir() bool     { return s.mode&unix.S_IFMT == unix.S_IFDIR }
func (s stamp) isRegular() bool { return s.mode&unix.S_IFMT == unix.S_IFREG }
func (s stamp) isLink() bool    { return s.mode&unix.S_IFMT == unix.S_IFLNK }

func (s stamp) fileKind() digest.Kind {
	if s.mode&unix.S_IXUSR != 0 {
		return digest.Executable
	}
	return digest.File
}

// what names the kinds of files that have no content.
func (s stamp) what() string {
	switch s.mode & unix.S_IFMT {
	case unix.S_IFSOCK:
		return "a socket"
	case unix.S_IFIFO:
		return "a named pipe"
	case unix.S_IFBLK, unix.S_IFCHR:
		return "a device"
	}
	return fmt.Sprintf("of an unknown kind (mode %o)", s.mode)
}

// unwritten reports whether no write has happened between two stamps of one
// file, renames and new links aside, which move ctime.
func (s stamp) unwritten(now stamp) bool {
	return s.size == now.size && s.mtime == now.mtime && s.inode == now.inode
}

// record is s for the stat cache. ctime is left out where it moves without a
// write: it does when a name of the file comes or goes, as for an object that
// is hard-linked into worktrees, or a large file that is laid out for a stage.
func (s stamp) record(name string, d digest.Digest) state.File {
	f := state.File{Name: name, Size: s.size, MTime: s.mtime, CTime: s.ctime, Inode: s.inode, Digest: d}
	if s.links > 1 || s.size >= disk.LinkSize {
		f.CTime = 0
	}
	return f
}

// proves reports whether a file that looks like s has the content that f
// remembers.
func (s stamp) proves(f state.File) bool {
	return s.size == f.Size && s.mtime == f.MTime && s.inode == f.Inode &&
		(s.ctime == f.CTime || f.CTime == 0 || s.links > 1)
}
