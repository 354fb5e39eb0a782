package disk

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/replace"
)

// A reflink or a hard link hands an object out without reading it, so something
// must say that its bytes are still those that were hashed. For each large
// object that is a small file in trust, with the size, modification time and
// inode that the object had when it was last read and found good. A write
// through a hard link, by root or after a chmod, moves the modification time.
// Whenever the two disagree, or there is nothing in trust, the object is read
// again before it is linked: losing trust costs time and nothing else, so it is
// neither locked nor synced.

// tick bounds the granularity of a file system's clock: two writes less than
// this apart may leave one modification time. Kernels tick at 100 Hz at least.
const tick = 10 * time.Millisecond

func (s *Store) trustPath(d digest.Digest) string {
	h := d.Hex()
	return filepath.Join(s.dir, "trust", h[:2], h[2:])
}

// look describes a file for comparison with what is in trust.
func look(f *os.File) ([]byte, time.Time, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, time.Time{}, fmt.Errorf("stat %s: %w", f.Name(), err)
	}
	mtime := time.Unix(st.Mtim.Unix())
	return fmt.Appendf(nil, "1 %d %d %d\n", st.Size, mtime.UnixNano(), st.Ino), mtime, nil
}

// trusted reports whether the object still looks as it did when it was good.
func (s *Store) trusted(o *object) bool {
	now, _, err := look(o.f)
	if err != nil {
		return false
	}
	then, err := os.ReadFile(s.trustPath(o.d))
	return err == nil && bytes.Equal(now, then)
}

// trust records what o looks like: before is what it looked like before its
// bytes were read and found good. A file that was written less than a tick
// before that reading began, or that changed since, is not recorded.
func (s *Store) trust(d digest.Digest, f *os.File, before []byte, began time.Time) {
	now, mtime, err := look(f)
	if err != nil || !bytes.Equal(now, before) || mtime.Add(tick).After(began) {
		return
	}
	path := s.trustPath(d)
	if os.MkdirAll(filepath.Dir(path), 0o777) != nil {
		return
	}
	_ = replace.Quickly(path, now, 0o644)
}

// ensureGood returns nil when o's bytes are known to be good, reading them if
// need be, and leaves o at its start.
func (s *Store) ensureGood(ctx context.Context, o *object) error {
	if s.trusted(o) {
		return nil
	}
	before, mtime, err := look(o.f)
	if err != nil {
		return err
	}
	began := settle(ctx, mtime)
	if err := o.check(ctx); err != nil {
		return err
	}
	s.trust(o.d, o.f, before, began)
	return nil
}

// settle waits until a write would move the modification time away from mtime,
// a tick at most, and returns the time then. A time in the future is not waited
// for.
func settle(ctx context.Context, mtime time.Time) time.Time {
	wait := time.Until(mtime.Add(tick + time.Millisecond))
	if wait > 0 && wait <= 2*tick {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
	return time.Now()
}
