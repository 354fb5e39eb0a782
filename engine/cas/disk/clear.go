package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/flow-pipelines/flow/engine/digest"
)

// Clearing is a store from which objects are about to be removed. As long as it
// lasts nobody begins to rely on one: see share.
type Clearing struct {
	// Leases are the texts in which running processes name what they rely on.
	Leases []string

	store   *Store
	release []func()
}

// Clear waits until nobody stores anything and keeps everybody from it until
// Close. busy is called once if that takes a while. The store must not have an
// open batch. On a file system without locks it is refused.
func (s *Store) Clear(ctx context.Context, busy func()) (*Clearing, error) {
	c := &Clearing{store: s}
	if err := c.begin(ctx, busy); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (c *Clearing) begin(ctx context.Context, busy func()) error {
	for _, name := range []string{"gate", "lock"} {
		release, err := c.store.lockFile(ctx, name, unix.LOCK_EX, busy)
		if err != nil {
			return err
		}
		c.release = append(c.release, release)
	}
	err := c.store.packer.close()
	if err != nil {
		return err
	}
	if c.Leases, err = c.store.leases(); err != nil {
		return fmt.Errorf("ask what of the cache is in use: %w", err)
	}
	return nil
}

// Close lets others store again.
func (c *Clearing) Close() {
	for _, release := range c.release {
		release()
	}
	c.release = nil
}

// Remove removes objects, durably: after a crash none of them is there that was
// removed before another call. Hard links to them in worktrees stay. The space
// of small ones comes back by Compact.
func (c *Clearing) Remove(ctx context.Context, objects []digest.Digest) error {
	return c.store.remove(ctx, objects)
}

func (s *Store) remove(ctx context.Context, objects []digest.Digest) error {
	if err := s.packs.refresh(); err != nil {
		return err
	}
	shards := map[string]bool{}
	for _, d := range objects {
		if err := ctx.Err(); err != nil {
			return err
		}
		path := s.objectPath(d)
		switch err := os.Remove(path); {
		case err == nil:
			_ = os.Remove(s.trustPath(d))
			shards[filepath.Dir(path)] = true
		case !errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("remove object %s: %w", d.Short(), err)
		}
	}
	if err := s.packs.buryAll(objects); err != nil {
		return fmt.Errorf("remove objects: %w", err)
	}
	dirs := make([]string, 0, len(shards))
	for dir := range shards {
		dirs = append(dirs, dir)
	}
	return syncFiles(ctx, dirs)
}

// buryAll makes all records of objects count no more.
func (ps *packs) buryAll(objects []digest.Digest) error {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, p := range ps.known {
		var at []int64
		for _, d := range objects {
			for s, ok := p.find(d); ok; s, ok = p.find(d) {
				p.bury(s.at)
				at = append(at, s.at)
			}
		}
		if len(at) == 0 {
			continue
		}
		if err := appendDead(p.path, true, at...); err != nil {
			return err
		}
	}
	return nil
}

// Starts reports whether an object starts with the given bytes. One that is not
// there, or cannot be read, does not.
func (s *Store) Starts(d digest.Digest, with []byte) bool {
	head := make([]byte, len(with))
	p, at, ok, err := s.packs.find(d)
	if err != nil {
		return false
	}
	if ok {
		if int(at.size) < len(with) || s.packer.write(p, at) != nil {
			return false
		}
		_, err := p.f.ReadAt(head, at.at+recordHead)
		return err == nil && bytes.Equal(head, with)
	}
	f, err := os.Open(s.objectPath(d))
	if err != nil {
		return false
	}
	defer f.Close()
	n, _ := f.ReadAt(head, 0)
	return bytes.Equal(head[:n], with)
}

// Used returns the bytes that the files of the store take up.
func (s *Store) Used(ctx context.Context) (n int64, err error) {
	err = s.eachLoose(ctx, func(_ digest.Digest, e os.DirEntry) error {
		info, err := e.Info()
		if err == nil {
			n += info.Size()
		}
		return ignoreGone(err)
	})
	if err != nil {
		return 0, err
	}
	entries, err := os.ReadDir(s.packs.dir)
	if err != nil {
		return n, ignoreGone(err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			n += info.Size()
		}
	}
	return n, nil
}
