package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/flow-pipelines/flow/engine/digest"
)

// looseObjects are the objects that are files of their own, for one batch. After
// a few questions, each a stat, it lists them all: what other batches add later
// is not seen, and is then stored again, to no harm. Former versions kept small
// objects like this too.
type looseObjects struct {
	store *Store
	asked int
	all   map[digest.Digest]bool // nil until listed
}

// looseStats is how many stats the listing of 256 directories costs.
const looseStats = 512

func (l *looseObjects) has(d digest.Digest) (bool, error) {
	if l.all != nil {
		return l.all[d], nil
	}
	if l.asked++; l.asked < looseStats {
		return l.store.hasLoose(d)
	}
	l.all = map[digest.Digest]bool{}
	err := l.store.eachLoose(context.Background(), func(d digest.Digest, _ os.DirEntry) error {
		l.all[d] = true
		return nil
	})
	return l.all[d], err
}

func (s *Store) hasLoose(d digest.Digest) (bool, error) {
	_, err := os.Lstat(s.objectPath(d))
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	}
	return false, fmt.Errorf("look for object %s: %w", d.Short(), err)
}

// eachLoose calls f for every object that is a file, in the order of their
// digests.
func (s *Store) eachLoose(ctx context.Context, f func(digest.Digest, os.DirEntry) error) error {
	root := filepath.Join(s.dir, "objects")
	shards, err := os.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // nothing was ever stored
	}
	if err != nil {
		return fmt.Errorf("list objects: %w", err)
	}
	for _, shard := range shards {
		entries, err := os.ReadDir(filepath.Join(root, shard.Name()))
		if err != nil {
			return fmt.Errorf("list objects: %w", err)
		}
		for _, e := range entries {
			if err := ctx.Err(); err != nil {
				return err
			}
			d, err := digest.Parse("blake3:" + shard.Name() + e.Name())
			if err != nil {
				continue // not ours
			}
			if err := f(d, e); err != nil {
				return err
			}
		}
	}
	return nil
}
