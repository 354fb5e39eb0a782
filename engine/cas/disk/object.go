package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/flow-pipelines/flow/engine/cas"
	"github.com/flow-pipelines/flow/engine/digest"
)

// object reads a stored object and hashes what it reads. The Read that meets
// the end judges.
type object struct {
	store *Store
	d     digest.Digest
	f     *os.File
	h     *digest.Hasher
	end   error // what a Read at the end returns
}

func (o *object) Read(p []byte) (int, error) {
	if o.end != nil {
		return 0, o.end
	}
	n, err := o.f.Read(p)
	_, _ = o.h.Write(p[:n])
	if err == nil {
		return n, nil
	}
	if errors.Is(err, io.EOF) {
		if got := o.h.Sum(); got != o.d {
			err = o.store.setAside(o.d, o.f, got, nil)
		}
	} else {
		// A bad sector reads as EIO: damage like any other.
		err = o.store.setAside(o.d, o.f, digest.Digest{}, err)
	}
	o.end = err
	return n, err
}

func (o *object) Close() error { return o.f.Close() }

// check judges the whole object, by all cores, and leaves o where it is.
func (o *object) check(ctx context.Context) error {
	info, err := o.f.Stat()
	if err != nil {
		return err
	}
	return o.checkWith(ctx, o.f, info.Size())
}

// checkWith is check for one who does something else with what is read.
func (o *object) checkWith(ctx context.Context, r io.ReaderAt, size int64) error {
	got, err := digest.OfReaderAt(ctx, r, size)
	var write writeError
	switch {
	case err != nil && ctx.Err() != nil, errors.As(err, &write):
		return err
	case err != nil:
		return o.store.setAside(o.d, o.f, digest.Digest{}, err)
	case got != o.d:
		return o.store.setAside(o.d, o.f, got, nil)
	}
	return nil
}

// setAside moves a damaged object out of the way, tells OnDamage, and returns
// the *DamagedError. f is the open file that was found damaged: a good one that
// has taken its place in the meantime stays. Of several who find the damage at
// one moment, OnDamage hears the one who has moved it.
func (s *Store) setAside(d digest.Digest, f *os.File, got digest.Digest, cause error) error {
	path := s.objectPath(d)
	e := &cas.DamagedError{Digest: d, Got: got, Where: path, Err: cause}
	damaged, err := f.Stat()
	if err != nil {
		return errors.Join(e, err)
	}
	now, err := os.Lstat(path)
	moved := false
	if err == nil && os.SameFile(damaged, now) {
		e.Where, err = s.moveAside(d, path)
		moved = err == nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("put damaged object %s aside: %w", d.Short(), errors.Join(err, e))
	}
	if moved && s.onDamage != nil {
		s.onDamage(e)
	}
	return e
}

// moveAside gives the file at path a free name in damaged. One file is kept for
// each digest: more of them would only fill the disk.
func (s *Store) moveAside(d digest.Digest, path string) (string, error) {
	_ = os.Remove(s.trustPath(d))
	to := filepath.Join(s.dir, "damaged", d.Hex())
	if err := os.MkdirAll(filepath.Dir(to), 0o777); err == nil {
		err := os.Rename(path, to)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return to, err
		}
	}
	// On a full disk even a new directory entry may fail; removing does not.
	return path, os.Remove(path)
}

// buryDamaged puts a damaged record out of the way: it does not count any more,
// and its bytes, if they can be read, are in damaged.
func (s *Store) buryDamaged(e *cas.DamagedError, p *pack, at span, object []byte) error {
	e.Where = p.f.Name()
	first, err := s.packs.bury(p, at)
	if err != nil {
		return fmt.Errorf("put damaged object %s aside: %w", e.Digest.Short(), errors.Join(err, e))
	}
	if !first {
		return e
	}
	to := filepath.Join(s.dir, "damaged", e.Digest.Hex())
	if object != nil && os.MkdirAll(filepath.Dir(to), 0o777) == nil && os.WriteFile(to, object, 0o666) == nil {
		e.Where = to
	}
	if s.onDamage != nil {
		s.onDamage(e)
	}
	return e
}
