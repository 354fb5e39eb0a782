package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flow-pipelines/flow/engine/digest"
)

// packs is what this process knows of the packs of a store. Other processes
// make them, append to them, and remove them when they have moved what counts
// to another; refresh looks.
type packs struct {
	dir    string
	listed atomic.Bool // at least once

	mu    sync.RWMutex
	known []*pack
	own   *pack       // that we append to
	at    os.FileInfo // the directory when it was listed; nil: list it again
}

// rescanned is how much a pack has grown before its index is looked at again,
// which spares hashing what is in it.
const rescanned = 4 << 20

// find returns where an object lies, as far as is known.
func (ps *packs) find(d digest.Digest) (p *pack, s span, ok bool, err error) {
	if !ps.listed.Load() {
		if err := ps.refresh(); err != nil {
			return nil, s, false, err
		}
	}
	ps.mu.RLock()
	defer ps.mu.RUnlock()
	for _, p := range ps.known {
		if s, ok := p.find(d); ok {
			return p, s, true, nil
		}
	}
	return nil, s, false, nil
}

// look is find, with a look at what others have done if that finds nothing.
func (ps *packs) look(d digest.Digest) (p *pack, s span, ok bool, err error) {
	if p, s, ok, err = ps.find(d); ok || err != nil {
		return p, s, ok, err
	}
	if err := ps.refresh(); err != nil {
		return nil, s, false, err
	}
	return ps.find(d)
}

// refresh looks what others have done.
func (ps *packs) refresh() error {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if err := ps.list(); err != nil {
		return fmt.Errorf("look at the packs of the cache: %w", err)
	}
	for _, p := range ps.known {
		if err := ps.follow(p); err != nil {
			return fmt.Errorf("look at the packs of the cache: %w", err)
		}
	}
	ps.listed.Store(true)
	return nil
}

// list finds packs that were made or removed.
func (ps *packs) list() error {
	now, err := os.Stat(ps.dir)
	if errors.Is(err, fs.ErrNotExist) {
		ps.known, ps.at = nil, nil
		return nil
	}
	if err != nil {
		return err
	}
	if ps.at != nil && os.SameFile(ps.at, now) && ps.at.ModTime().Equal(now.ModTime()) {
		return nil
	}
	entries, err := os.ReadDir(ps.dir)
	if err != nil {
		return err
	}
	var known []*pack
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), packExt)
		if !ok {
			continue
		}
		p := ps.named(filepath.Join(ps.dir, name))
		if p == nil {
			p, err = openPack(filepath.Join(ps.dir, name))
			if errors.Is(err, fs.ErrNotExist) {
				continue // removed since
			}
			if err != nil {
				return err
			}
		}
		known = append(known, p)
	}
	ps.known, ps.at = known, now
	// A change within the tick of the directory's time would not show in it.
	if time.Since(now.ModTime()) < 2*tick {
		ps.at = nil
	}
	return nil
}

// named returns a pack that is known, if it is still the file of that name.
func (ps *packs) named(path string) *pack {
	for _, p := range ps.known {
		if p.path != path {
			continue
		}
		held, err := p.f.Stat()
		named, err2 := os.Lstat(path + packExt)
		if err == nil && err2 == nil && os.SameFile(held, named) {
			return p
		}
	}
	return nil
}

// name gives a new pack its name, and knows it from then on.
func (ps *packs) name(path string) (*pack, error) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if err := os.Rename(path+newExt, path+packExt); err != nil {
		return nil, err
	}
	p, err := openPack(path)
	if err == nil {
		ps.known = append(ps.known, p)
	}
	return p, err
}

// follow reads what others have appended to a pack.
func (ps *packs) follow(p *pack) error {
	if p.index != nil && p.index.broken.Load() {
		if err := p.unindex(); err != nil {
			return err
		}
	}
	if err := p.readDead(); err != nil || p == ps.own {
		return err
	}
	info, err := p.f.Stat()
	if err != nil || info.Size() <= p.end {
		return err
	}
	if info.Size()-p.end > rescanned {
		if x := openIndex(p.path + indexExt); x != nil && x.covers > p.end {
			p.index, p.end, p.tail = x, x.covers, map[digest.Digest]span{}
		}
	}
	return p.scan()
}

// has reports whether a pack is still one of the store's.
func (ps *packs) has(p *pack) bool {
	ps.mu.RLock()
	defer ps.mu.RUnlock()
	for _, k := range ps.known {
		if k == p {
			return true
		}
	}
	return false
}

// bury makes a record count no more, here and for everybody. first is false if
// it did not count before.
func (ps *packs) bury(p *pack, s span) (first bool, err error) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if p.dead[s.at] {
		return false, nil
	}
	p.bury(s.at)
	err = appendDead(p.path, false, s.at)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // nothing counts any more
	}
	return true, err
}

// drop forgets a pack.
func (ps *packs) drop(p *pack) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	kept := make([]*pack, 0, len(ps.known))
	for _, k := range ps.known {
		if k != p {
			kept = append(kept, k)
		}
	}
	ps.known = kept
}

// settled reports whether a record is durable, or will be by our own sync.
func (ps *packs) settled(p *pack, s span) bool {
	ps.mu.RLock()
	defer ps.mu.RUnlock()
	return p == ps.own || p.durable(s)
}

// all returns the records that count, one for each object, sorted.
func (ps *packs) all() ([]placed, error) {
	if err := ps.refresh(); err != nil {
		return nil, err
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	var all []placed
	for _, p := range ps.known {
		records, err := p.all()
		if err != nil {
			return nil, fmt.Errorf("list objects: %w", err)
		}
		all = append(all, records...)
	}
	sortPlaced(all)
	return slices.CompactFunc(all, func(a, b placed) bool { return a.Digest == b.Digest }), nil
}

// close forgets all packs and closes their files.
func (ps *packs) close() {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, p := range ps.known {
		p.close()
	}
	ps.known, ps.at = nil, nil
	ps.listed.Store(false)
}

// each calls f for each pack that is known.
func (ps *packs) each(f func(*pack) error) error {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, p := range ps.known {
		if err := f(p); err != nil {
			return err
		}
	}
	return nil
}
