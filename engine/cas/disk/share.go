package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flow-pipelines/flow/engine/digest"
)

// Whoever stores something relies on objects that are there already, and whoever
// clears the store removes what nobody names. Between an object's being found
// and its being named (in a flow.lock, say) somebody could remove it: that is how
// other stores have lost data. Two things keep it from happening here.
//
// The file lock is held shared (flock) while a batch is open, and exclusively
// while the store is cleared, so what a batch has found stays until it is closed.
// Before that it writes what is going to be named to its process's file in
// leases, which its owner holds an flock on. What a living process has leased,
// with all that it leads to, is needed. When it ends, it has named what it
// wanted to, or never will.
//
// The file gate is held exclusively by who waits to clear the store, and shared
// for a moment by who opens a batch: else batches that follow each other would
// keep the other waiting for ever. Nobody who holds lock waits for gate.

const pollLock = 10 * time.Millisecond

// share holds the store so that nothing is removed until release is called. A
// store that cannot be written to, or a file system without locks, is held by
// nobody: whoever would clear it needs both.
func (s *Store) share(ctx context.Context) (release func(), err error) {
	gate, err := s.lockFile(ctx, "gate", unix.LOCK_SH, nil)
	if err != nil {
		return nil, err
	}
	held, err := s.lockFile(ctx, "lock", unix.LOCK_SH, nil)
	gate()
	return held, err
}

// lockFile locks a file in the store's directory. waits, if not nil, is called
// once if that takes a while.
func (s *Store) lockFile(ctx context.Context, name string, how int, waits func()) (release func(), err error) {
	shared := how == unix.LOCK_SH
	f, err := os.OpenFile(filepath.Join(s.dir, name), os.O_RDONLY|os.O_CREATE, 0o666)
	if shared && (errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS)) {
		return func() {}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("lock the cache: %w", err)
	}
	started := time.Now()
	for {
		err := lock(f, how|unix.LOCK_NB)
		switch {
		case err == nil, shared && noLocks(err):
			return func() { _ = f.Close() }, nil
		case !errors.Is(err, unix.EWOULDBLOCK):
			_ = f.Close()
			return nil, fmt.Errorf("lock the cache: %w", err)
		}
		if waits != nil && time.Since(started) > time.Second {
			waits()
			waits = nil
		}
		select {
		case <-ctx.Done():
			_ = f.Close()
			return nil, ctx.Err()
		case <-time.After(pollLock):
		}
	}
}

// lease is this process's file in leases.
type lease struct{ f *os.File }

// lease says that d is going to be named, with all that it leads to. The store
// is shared.
func (s *Store) lease(d digest.Digest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leased == nil {
		l, err := s.newLease()
		if err != nil {
			return fmt.Errorf("say what of the cache is in use: %w", err)
		}
		s.leased = l
	}
	if _, err := s.leased.f.WriteString(d.String() + "\n"); err != nil {
		return fmt.Errorf("say what of the cache is in use: %w", err)
	}
	return nil
}

func (s *Store) leasesDir() string { return filepath.Join(s.dir, "leases") }

// newLease makes the file. Nobody looks at it before it is locked, since the
// store is shared.
func (s *Store) newLease() (*lease, error) {
	if err := os.MkdirAll(s.leasesDir(), 0o777); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(s.leasesDir(), "")
	if err != nil {
		return nil, err
	}
	if err := lock(f, unix.LOCK_EX|unix.LOCK_NB); err != nil && !noLocks(err) {
		_ = os.Remove(f.Name())
		return nil, errors.Join(err, f.Close())
	}
	return &lease{f}, nil
}

// end removes the file: what was leased is named by now, or is not going to be.
func (l *lease) end() error {
	err := ignoreGone(os.Remove(l.f.Name()))
	return errors.Join(err, l.f.Close())
}

// Hold says that d, with all that it leads to, is in use as long as this store
// is open: what is there of it when Hold returns stays. Where nothing can be
// written nothing can be removed either.
func (s *Store) Hold(ctx context.Context, d digest.Digest) error {
	if _, err := os.Lstat(s.dir); errors.Is(err, fs.ErrNotExist) {
		return nil // nothing is there of anything
	}
	release, err := s.share(ctx)
	if err != nil {
		return err
	}
	defer release()
	err = s.lease(d)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) {
		return nil
	}
	return err
}

// leases returns what living processes have leased, and removes the files of
// those that are no more. The store is held exclusively.
func (s *Store) leases() (texts []string, err error) {
	entries, err := os.ReadDir(s.leasesDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		name := filepath.Join(s.leasesDir(), e.Name())
		text, err := readLease(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if text = strings.TrimSpace(text); text != "" {
			texts = append(texts, text)
		}
	}
	return texts, nil
}

func readLease(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	switch err := lock(f, unix.LOCK_SH|unix.LOCK_NB); {
	case err == nil:
		return "", os.Remove(name)
	case !errors.Is(err, unix.EWOULDBLOCK):
		return "", err
	}
	b, err := os.ReadFile(name)
	return string(b), err
}
