package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/flow-pipelines/flow/engine/cas"
	"github.com/flow-pipelines/flow/engine/digest"
)

// A pack is worth compacting when so much of it is of no use, or when it is one
// of several that are so small.
const (
	wasteful = 4 // a quarter
	smallish = sealSize / 8
)

// Compact gives back the space of small objects that were removed: what counts
// in a pack that holds much else is moved to another pack. Small packs become
// one, and small objects that a former version kept as files are packed. A pack
// that another process writes to is left alone.
//
// An object is durable in its new place before the old one goes, so a crash
// leaves it in two. Others who read meanwhile look again where it is.
func (s *Store) Compact(ctx context.Context) error {
	if err := s.packer.close(); err != nil {
		return err
	}
	candidates, err := s.compactable()
	if err != nil {
		return err
	}
	s.packer.leave(candidates)
	defer s.packer.leave(nil)
	for _, p := range candidates {
		if err := s.compactPack(ctx, p); err != nil {
			return fmt.Errorf("compact the cache: %w", err)
		}
	}
	if err := s.packLoose(ctx); err != nil {
		return fmt.Errorf("compact the cache: %w", err)
	}
	s.removeOrphans()
	return s.packer.close()
}

// compactable returns the packs that are worth it.
func (s *Store) compactable() ([]*pack, error) {
	ps := &s.packs
	if err := ps.refresh(); err != nil {
		return nil, err
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	var chosen, small []*pack
	for _, p := range ps.known {
		info, err := p.f.Stat()
		if err != nil {
			return nil, err
		}
		all, err := p.all()
		if err != nil {
			return nil, err
		}
		used := int64(len(packMagic))
		for _, e := range all {
			used += e.end() - e.at
		}
		switch {
		case info.Size()-used > info.Size()/wasteful || len(all) == 0:
			chosen = append(chosen, p)
		case info.Size() < smallish:
			small = append(small, p)
		}
	}
	if len(small) > 1 { // the others go into the first
		chosen = append(chosen, small[1:]...)
	}
	return chosen, nil
}

// compactPack moves what counts in a pack to another one and removes it.
func (s *Store) compactPack(ctx context.Context, p *pack) error {
	f, err := lockPack(p.path)
	if err != nil {
		return nil // in use, or gone: next time
	}
	defer f.Close()
	if !same(f, p.f) {
		return nil
	}
	all, err := s.settledRecords(p)
	if err != nil {
		return err
	}
	losses := s.packer.count()
	buf := make([]byte, recordHead+PackSize)
	for _, e := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		object, err := readRecord(p.f, e.Digest, e.span, buf)
		if got := digest.OfBytes(object); err != nil || got != e.Digest {
			damage := &cas.DamagedError{Digest: e.Digest, Err: err}
			if err == nil {
				damage.Got = got
			}
			if err := s.buryDamaged(damage, p, e.span, object); !errors.Is(err, cas.ErrNotFound) {
				return err
			}
			continue
		}
		if err := s.packer.add(e.Digest, object); err != nil {
			return err
		}
	}
	if err := s.packer.sync(losses); err != nil {
		return err
	}
	s.packs.drop(p)
	return removePack(p.path)
}

// settledRecords returns what counts in a pack that nobody appends to, in the
// order in which it lies there.
func (s *Store) settledRecords(p *pack) ([]placed, error) {
	ps := &s.packs
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if err := ps.follow(p); err != nil {
		return nil, err
	}
	all, err := p.all()
	slices.SortFunc(all, func(a, b placed) int { return int(a.at - b.at) })
	return all, err
}

// packLoose packs small objects that are files.
func (s *Store) packLoose(ctx context.Context) error {
	var packed []digest.Digest
	losses := s.packer.count()
	buf := make([]byte, PackSize)
	err := s.eachLoose(ctx, func(d digest.Digest, e os.DirEntry) error {
		info, err := e.Info()
		if err != nil || info.Size() >= PackSize {
			return ignoreGone(err)
		}
		o, err := s.open(d)
		if err != nil {
			return ignoreMiss(err)
		}
		defer func() { _ = o.Close() }()
		n, err := io.ReadFull(o, buf)
		if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return ignoreMiss(err) // damaged: it is out of the way now
		}
		packed = append(packed, d)
		return s.packer.add(d, buf[:n])
	})
	if err == nil {
		err = s.packer.sync(losses)
	}
	for _, d := range packed {
		if err == nil {
			err = ignoreGone(os.Remove(s.objectPath(d)))
		}
	}
	return err
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func ignoreMiss(err error) error {
	if errors.Is(err, cas.ErrNotFound) {
		return nil
	}
	return err
}

// removeOrphans removes what belongs to packs that are no more.
func (s *Store) removeOrphans() {
	for _, ext := range []string{indexExt, deadExt} {
		names, _ := filepath.Glob(filepath.Join(s.packs.dir, "*"+ext))
		for _, name := range names {
			pack := strings.TrimSuffix(name, ext) + packExt
			if _, err := os.Lstat(pack); errors.Is(err, fs.ErrNotExist) {
				_ = os.Remove(name)
			}
		}
	}
}
