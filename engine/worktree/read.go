package worktree

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flow-pipelines/flow/engine/digest"
)

// readSize is one read's bytes. Most files of a data set of many fit in one.
const readSize = 128 << 10

type reader struct {
	h   *digest.Hasher
	buf []byte
}

// hashFile reads name, in the directory dirfd or absolute, and returns its
// digest and its stamp. sure says that the stamp proves the digest from now on:
// nothing was written while it was read, and a later write will show. With
// follow a symbolic link is followed.
func (w *Worktree) hashFile(ctx context.Context, dirfd int, name string, follow bool) (d digest.Digest, at stamp, sure bool, err error) {
	began := w.clock()
	flags := unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK // should it have become a FIFO
	if !follow {
		flags |= unix.O_NOFOLLOW
	}
	fd, err := retry(func() (int, error) { return unix.Openat(dirfd, name, flags, 0) })
	if err != nil {
		return d, at, false, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	defer func() { _ = unix.Close(fd) }()
	before, err := fstat(fd, name)
	if err != nil {
		return d, at, false, err
	}
	d, size, err := w.hashFD(ctx, fd, before.size)
	if err != nil {
		return d, at, false, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	after, err := fstat(fd, name)
	if err != nil {
		return d, at, false, err
	}
	sure = before.unwritten(after) && before.ctime == after.ctime && size == after.size &&
		time.Unix(0, after.mtime).Add(racyMargin).Before(began)
	after.size = size
	return d, after, sure, nil
}

// hashFD reads an open file, which was of the given size a moment ago.
func (w *Worktree) hashFD(ctx context.Context, fd int, size int64) (d digest.Digest, read int64, err error) {
	if size >= digest.Parallel {
		d, err = digest.OfReaderAt(ctx, descriptor(fd), size)
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			return d, size, err
		}
		// It has become shorter: then its stamp tells that it has changed.
	}
	r := w.readers.Get().(*reader)
	defer w.readers.Put(r)
	r.h.Reset()
	for {
		if err := ctx.Err(); err != nil {
			return d, read, err
		}
		n, err := retry(func() (int, error) { return unix.Read(fd, r.buf) })
		if err != nil {
			return d, read, err
		}
		if n == 0 {
			return r.h.Sum(), read, nil
		}
		read += int64(n)
		_, _ = r.h.Write(r.buf[:n])
	}
}

// descriptor reads a file by its descriptor.
type descriptor int

func (f descriptor) ReadAt(b []byte, at int64) (n int, err error) {
	for n < len(b) {
		m, err := retry(func() (int, error) { return unix.Pread(int(f), b[n:], at+int64(n)) })
		if err != nil {
			return n, err
		}
		if m == 0 {
			return n, io.EOF
		}
		n += m
	}
	return n, nil
}

func fstat(fd int, name string) (stamp, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return stamp{}, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	return makeStamp(&st), nil
}

// retry repeats a system call that a signal has interrupted.
func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
