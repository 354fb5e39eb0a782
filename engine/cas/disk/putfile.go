package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flow-pipelines/flow/engine/cas"
	"github.com/flow-pipelines/flow/engine/digest"
)

// Source is a file on its way into a store.
type Source struct {
	Path string

	// Move gives the file away: it is renamed into the store where possible
	// and may be gone or not afterwards. Nobody else may be writing it.
	Move bool

	// Unchanged reports whether the file is still what was hashed, by its
	// stat. It is asked after the file's bytes have been taken without
	// reading them; when it is nil or says no, they are read.
	Unchanged func() bool
}

// PutFile stores a file that was hashed before: a small one into the pack, a
// large one by rename (Move), else reflink, else copy. When its bytes are not
// those of d it returns a *cas.MismatchError and stores nothing.
func (b *Batch) PutFile(ctx context.Context, d digest.Digest, src Source) error {
	if ok, err := b.Has(d); ok || err != nil {
		return err
	}
	if err := b.putFile(ctx, d, src); err != nil {
		return fmt.Errorf("store %s: %w", src.Path, err)
	}
	return nil
}

func (b *Batch) putFile(ctx context.Context, d digest.Digest, src Source) error {
	if small, err := b.putSmall(ctx, d, src.Path); small || err != nil {
		return err
	}
	f, err := openSource(src.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	if st.Size < PackSize { // it was longer a moment ago
		return b.put(ctx, d, f)
	}
	ses, err := b.store.tempDir()
	if err != nil {
		return err
	}
	tmp := ses.path()
	if err := b.store.takeFile(ctx, tmp, d, src, f, &st); err != nil {
		_ = os.Remove(tmp)
		return err
	}
	return b.add(ctx, d, tmp)
}

// putSmall packs a small file by as few system calls as there can be. small is
// false, and nothing is done, for a large one.
func (b *Batch) putSmall(ctx context.Context, d digest.Digest, path string) (small bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	fd, err := retry(func() (int, error) { return unix.Open(path, sourceFlags|unix.O_CLOEXEC, 0) })
	if err != nil {
		return false, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer func() { _ = unix.Close(fd) }()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return false, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return false, errNotRegular
	}
	if st.Size >= PackSize {
		return false, nil
	}
	buf := b.store.buffers.Get().(*[]byte)
	defer b.store.buffers.Put(buf)
	// If a read gives less than there is, or the file grows, the digest tells.
	n, err := retry(func() (int, error) { return unix.Read(fd, *buf) })
	if err != nil {
		return false, &fs.PathError{Op: "read", Path: path, Err: err}
	}
	if n >= PackSize {
		return false, nil
	}
	return true, b.pack(d, (*buf)[:n])
}

// takeFile makes tmp a file with the bytes of d.
func (s *Store) takeFile(ctx context.Context, tmp string, d digest.Digest, src Source, f *os.File, st *unix.Stat_t) error {
	taken := false
	switch {
	case src.Move && st.Nlink == 1:
		// A file with a second name is somebody else's too, perhaps an
		// object that a stage has linked from its inputs to its outputs.
		taken = os.Rename(src.Path, tmp) == nil
	case st.Size >= ReflinkSize:
		taken = reflink(f, tmp, objectPerm) == nil
	}
	switch {
	case taken:
	case st.Size >= digest.Parallel:
		err := copyTemp(ctx, tmp, d, f, st.Size)
		if errors.Is(err, io.ErrUnexpectedEOF) { // it is shorter by now
			err = &cas.MismatchError{Want: d}
		}
		return err
	default:
		return s.writeTemp(ctx, tmp, d, f)
	}
	if err := os.Chmod(tmp, objectPerm); err != nil {
		return err
	}
	if src.Unchanged == nil || !src.Unchanged() {
		return s.checkTemp(ctx, tmp, d)
	}
	if st.Size >= ReflinkSize {
		s.trustTemp(tmp, d)
	}
	return nil
}

// copyTemp is writeTemp for a large file, by all cores.
func copyTemp(ctx context.Context, tmp string, d digest.Digest, from *os.File, size int64) error {
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, objectPerm)
	if err != nil {
		return err
	}
	got, err := digest.OfReaderAt(ctx, tee{from, f}, size)
	if err == nil && got != d {
		err = &cas.MismatchError{Want: d, Got: got}
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// tee writes what is read of one file to the same place of another, so that a
// copy is hashed by those who hash a file.
type tee struct{ from, to *os.File }

// writeError is the failure of a write, which says nothing about what was read.
type writeError struct{ error }

func (e writeError) Unwrap() error { return e.error }

func (t tee) ReadAt(b []byte, at int64) (int, error) {
	n, err := t.from.ReadAt(b, at)
	if _, werr := t.to.WriteAt(b[:n], at); werr != nil {
		return n, writeError{werr}
	}
	return n, err
}

const sourceFlags = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK

var errNotRegular = errors.New("not a regular file")

// openSource opens a regular file, and does not wait for a writer should a FIFO
// have taken its place.
func openSource(path string) (*os.File, error) {
	f, err := os.OpenFile(path, sourceFlags, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errNotRegular
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// checkTemp reads a file that was taken unread.
func (s *Store) checkTemp(ctx context.Context, tmp string, d digest.Digest) error {
	f, err := os.Open(tmp)
	if err != nil {
		return err
	}
	defer f.Close()
	before, mtime, err := look(f)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	began := settle(ctx, mtime)
	got, err := digest.OfReaderAt(ctx, f, info.Size())
	if err != nil {
		return err
	}
	if got != d {
		return &cas.MismatchError{Want: d, Got: got}
	}
	if info.Size() >= ReflinkSize {
		s.trust(d, f, before, began)
	}
	return nil
}

// trustTemp records a file whose caller vouches for it. The inode stays the
// same when the file gets its name.
func (s *Store) trustTemp(tmp string, d digest.Digest) {
	f, err := os.Open(tmp)
	if err != nil {
		return
	}
	defer f.Close()
	if before, _, err := look(f); err == nil {
		s.trust(d, f, before, time.Now())
	}
}
