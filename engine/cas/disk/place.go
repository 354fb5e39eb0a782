package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flow-pipelines/flow/engine/digest"
)

// How says how a file came to its place.
type How byte

const (
	// Copied files are their owner's to change.
	Copied How = iota
	// Reflinked files share blocks until one of them is written to.
	Reflinked
	// Hardlinked files are the object itself, read-only: whoever can write
	// them all the same (root can) damages the store, which the store
	// notices before it hands the object out again.
	Hardlinked
)

func (h How) String() string { return [...]string{"copied", "reflinked", "hard-linked"}[h] }

// Want says what kind of file Place is to make.
type Want struct {
	Perm   os.FileMode // of a copy or a reflink; a hard link has 0444
	NoLink bool        // no hard link: the file will be written to
}

// Place makes dst, which must not exist, a file with the object's bytes: a
// reflink or a hard link for large objects, else a copy. A copy is verified
// while it is made; an object that is linked is known to be good. Damage leaves
// no dst and is a *cas.DamagedError. dst is not synced.
func (s *Store) Place(ctx context.Context, d digest.Digest, dst string, want Want) (How, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if packed, err := s.placePacked(d, dst, want.Perm); packed || err != nil {
		return Copied, err
	}
	o, err := s.open(d)
	if err != nil {
		return 0, err
	}
	defer func() { _ = o.Close() }()
	info, err := o.f.Stat()
	if err != nil {
		return 0, fmt.Errorf("place object %s: %w", d.Short(), err)
	}
	if info.Size() >= ReflinkSize && reflink(o.f, dst, want.Perm) == nil {
		if err := s.ensureGood(ctx, o); err != nil {
			_ = os.Remove(dst)
			return 0, err
		}
		return Reflinked, nil
	}
	// A link shares its mode with the object, so an executable is copied.
	if info.Size() >= LinkSize && !want.NoLink && want.Perm&0o111 == 0 {
		linked, err := s.hardlink(ctx, o, dst)
		if linked || err != nil {
			return Hardlinked, err
		}
	}
	if err := s.copyOut(ctx, o, dst, want.Perm, info.Size()); err != nil {
		return 0, err
	}
	return Copied, nil
}

// placePacked copies an object out of a pack; packed is false when it is in none.
func (s *Store) placePacked(d digest.Digest, dst string, perm os.FileMode) (packed bool, err error) {
	_, packed, err = s.PlaceSmall(d, unix.AT_FDCWD, dst, perm, time.Time{})
	return packed, err
}

// PlaceSmall is Place for the many small files of a new directory, which is open
// as dirfd: name, which must not exist there, becomes a file with the object's
// bytes and the modification time mtime, unless that is zero. at is how it looks
// then. packed is false, and nothing is done, for an object that is in no pack.
//
// Creating 100,000 files of 1 KB is bound by the number of system calls: these
// are five and a read of the pack.
func (s *Store) PlaceSmall(d digest.Digest, dirfd int, name string, perm os.FileMode, mtime time.Time) (at unix.Stat_t, packed bool, err error) {
	buf := s.buffers.Get().(*[]byte)
	defer s.buffers.Put(buf)
	object, packed, err := s.readPacked(d, *buf)
	if !packed || err != nil {
		return at, false, err
	}
	if at, err = writeNew(dirfd, name, perm, object, mtime); err != nil {
		return at, false, fmt.Errorf("place object %s: %w", d.Short(), err)
	}
	return at, true, nil
}

// writeNew makes a file, or leaves none.
func writeNew(dirfd int, name string, perm os.FileMode, b []byte, mtime time.Time) (at unix.Stat_t, err error) {
	fd, err := retry(func() (int, error) {
		return unix.Openat(dirfd, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, uint32(perm))
	})
	if err != nil {
		return at, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	for len(b) > 0 && err == nil {
		var n int
		n, err = retry(func() (int, error) { return unix.Write(fd, b) })
		b = b[max(n, 0):]
	}
	if err == nil && !mtime.IsZero() {
		var ts unix.Timespec
		if ts, err = unix.TimeToTimespec(mtime); err == nil {
			err = unix.UtimesNanoAt(dirfd, name, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
		}
	}
	if err == nil {
		_, err = retry(func() (int, error) { return 0, unix.Fstat(fd, &at) })
	}
	if cerr := unix.Close(fd); err == nil {
		err = cerr
	}
	if err != nil {
		_ = unix.Unlinkat(dirfd, name, 0)
		return at, &fs.PathError{Op: "write", Path: name, Err: err}
	}
	return at, nil
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

// hardlink reports false without an error where links are not possible: another
// file system, too many links, a file system without them.
func (s *Store) hardlink(ctx context.Context, o *object, dst string) (bool, error) {
	if err := os.Link(s.objectPath(o.d), dst); err != nil {
		if errors.Is(err, os.ErrExist) {
			return false, fmt.Errorf("place object %s: %w", o.d.Short(), err)
		}
		return false, nil
	}
	// Not what we have open: replaced at this moment. Then a copy it is.
	linked, err := os.Lstat(dst)
	opened, err2 := o.f.Stat()
	if err != nil || err2 != nil || !os.SameFile(linked, opened) {
		_ = os.Remove(dst)
		return false, errors.Join(err, err2)
	}
	// An object that somebody has made writable is made read-only again.
	if linked.Mode().Perm() != objectPerm {
		if os.Chmod(dst, objectPerm) != nil { // another user's: a copy, then
			return false, os.Remove(dst)
		}
	}
	if err := s.ensureGood(ctx, o); err != nil {
		_ = os.Remove(dst)
		return false, err
	}
	return true, nil
}

func (s *Store) copyOut(ctx context.Context, o *object, dst string, perm os.FileMode, size int64) error {
	f, err := os.OpenFile(dst, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return fmt.Errorf("place object %s: %w", o.d.Short(), err)
	}
	if size >= digest.Parallel {
		err = o.checkWith(ctx, tee{o.f, f}, size)
	} else {
		_, err = s.copy(ctx, f, o)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		_ = os.Remove(dst)
		return fmt.Errorf("place object %s: %w", o.d.Short(), err)
	}
	return nil
}

// Link makes dst, which must not exist, a reflink of the file src, or else a
// hard link. It is for files that no store has; nothing is verified.
func Link(src, dst string, perm os.FileMode) (How, error) {
	f, err := os.Open(src)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if reflink(f, dst, perm) == nil {
		return Reflinked, nil
	}
	return Hardlinked, os.Link(src, dst)
}
