package disk

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/flow-pipelines/flow/engine/digest"
)

// packer appends small objects to a pack that no other process writes to: one
// that is not full and that nobody has locked, or else a new one.
//
// An object is found from the moment it is added, by this process; by others,
// when it is in the file. Either may be before it is durable, so whoever relies
// on it sees to that: sync makes all of this process's durable, and a batch that
// found an object at the end of another process's pack syncs that file.
type packer struct {
	store *Store

	// syncing is held while waiting for the disk, so that several who commit at
	// one time wait for one sync. It is taken before mu.
	syncing sync.Mutex

	mu      sync.Mutex
	p       *pack
	f       *os.File // locked
	buf     []byte   // to be written at written
	written int64
	synced  int64   // bytes that are on the disk; changes with both locks held
	losses  int     // how often objects were lost that somebody had added
	lost    error   // the last time
	avoid   []*pack // that are being compacted
}

// writeSize is how much is written at once.
const writeSize = 1 << 20

// count returns how often objects were lost, for whoever is about to add some.
func (w *packer) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.losses
}

// add appends an object.
func (w *packer) add(d digest.Digest, object []byte) error {
	full, err := w.append(d, object)
	if full && err == nil {
		err = w.close()
	}
	return err
}

func (w *packer) append(d digest.Digest, object []byte) (full bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notice()
	if w.p == nil {
		if err := w.open(); err != nil {
			return false, fmt.Errorf("open a pack: %w", err)
		}
	}
	if w.keep(d, len(object)) {
		w.buf = appendRecord(w.buf, d, object)
	}
	if len(w.buf) >= writeSize {
		err = w.flush()
	}
	return w.written >= sealSize, err
}

// keep notes where an object of that size is about to be added, unless another
// goroutine has just added it.
func (w *packer) keep(d digest.Digest, size int) bool {
	ps := &w.store.packs
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if s, twice := w.p.tail[d]; twice && !w.p.dead[s.at] {
		return false
	}
	s := span{w.written + int64(len(w.buf)), uint32(size)}
	w.p.tail[d], w.p.end = s, s.end()
	return true
}

// notice lets go of a pack that somebody has deleted.
func (w *packer) notice() {
	if w.p == nil || w.store.packs.has(w.p) {
		return
	}
	if w.synced < w.written || len(w.buf) > 0 {
		w.lose(errors.New("the cache was deleted meanwhile"))
	}
	w.abandon()
}

// flush writes what was added. What cannot be written is lost.
func (w *packer) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	_, err := w.f.WriteAt(w.buf, w.written)
	if err != nil {
		w.lose(err)
		w.forget(w.written)
		_ = w.f.Truncate(w.written)
	} else {
		w.written += int64(len(w.buf))
	}
	w.buf = w.buf[:0]
	return err
}

func (w *packer) lose(err error) {
	w.losses++
	w.lost = err
}

// forget takes back the objects from at on.
func (w *packer) forget(at int64) {
	ps := &w.store.packs
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for d, s := range w.p.tail {
		if s.at >= at {
			delete(w.p.tail, d)
		}
	}
	w.p.end = at
}

// abandon lets go of the pack as it is.
func (w *packer) abandon() {
	ps := &w.store.packs
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.own = nil
	_ = w.f.Close() // and so unlocks it
	w.p, w.f, w.buf = nil, nil, nil
}

// sync makes durable all that was added. losses is what count returned before
// that.
func (w *packer) sync(losses int) error {
	w.syncing.Lock()
	defer w.syncing.Unlock()
	f, written, err := w.unsynced(losses)
	if f == nil || err != nil {
		return err
	}
	err = fdatasync(f) // meanwhile others add more
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reached(written, err)
}

// unsynced writes what was added, and returns the file if it is to be synced.
func (w *packer) unsynced(losses int) (f *os.File, written int64, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notice()
	if w.p != nil {
		err = w.flush()
	}
	switch {
	case w.losses != losses:
		return nil, 0, w.lost
	case err != nil || w.p == nil || w.synced >= w.written:
		return nil, 0, err
	}
	return w.f, w.written, nil
}

// reached notes what a sync has come to.
func (w *packer) reached(written int64, err error) error {
	if err != nil {
		// Nobody knows now what is on the disk, and asking again does not tell.
		w.lose(err)
		w.forget(w.synced)
		w.abandon()
		return err
	}
	w.synced = written
	// The index is written when what it lacks has come to be as long as it is:
	// all writing of it costs no more than twice what is appended.
	lacks, size := w.synced, int64(rescanned)
	if x := w.p.index; x != nil {
		lacks, size = lacks-x.covers, max(size, x.size())
	}
	if lacks < size {
		return nil
	}
	return w.writeIndex()
}

// close makes durable what was added and lets go of the pack, which the next add
// takes up again unless it is full.
func (w *packer) close() error {
	w.syncing.Lock()
	defer w.syncing.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notice()
	if w.p == nil {
		return nil
	}
	err := w.flush()
	if err == nil && w.synced < w.written {
		if err = w.reached(w.written, fdatasync(w.f)); w.p == nil {
			return err
		}
	}
	lacks := w.synced - int64(len(packMagic))
	if x := w.p.index; x != nil {
		lacks = w.synced - x.covers
	}
	// With an index, what is found to be other than it says is damage, and not
	// something that a crash may have left.
	if err == nil && lacks > 0 {
		err = w.writeIndex()
	}
	w.abandon()
	return err
}

// writeIndex writes the index of all that is durable.
func (w *packer) writeIndex() error {
	ps := &w.store.packs
	ps.mu.Lock()
	all, err := w.p.all()
	ps.mu.Unlock()
	if err != nil {
		return err
	}
	durable := all[:0]
	for _, e := range all {
		if e.end() <= w.synced {
			durable = append(durable, e)
		}
	}
	name := w.p.path + indexExt
	if err := writeIndex(name, durable, w.synced); err != nil {
		return fmt.Errorf("write the index of a pack: %w", err)
	}
	x := openIndex(name)
	if x == nil {
		return nil // the cache is being deleted
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	w.p.index = x
	tail := map[digest.Digest]span{}
	for d, s := range w.p.tail {
		if s.at >= w.synced {
			tail[d] = s
		}
	}
	w.p.tail = tail
	return nil
}

// write makes sure that a record is in the file.
func (w *packer) write(p *pack, s span) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.p != p || s.end() <= w.written {
		return nil
	}
	return w.flush()
}

// open takes a pack to append to.
func (w *packer) open() error {
	w.store.mu.Lock()
	err := w.store.create()
	w.store.mu.Unlock()
	if err != nil {
		return err
	}
	ps := &w.store.packs
	if err := os.MkdirAll(ps.dir, 0o777); err != nil {
		return err
	}
	if err := ps.refresh(); err != nil {
		return err
	}
	p, f := w.continuable()
	if p == nil {
		if p, f, err = w.make(); err != nil {
			return err
		}
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	// The lock is ours: what is there now is all there is, and a record that a
	// crash has cut short is nobody's.
	err = p.scan()
	if err == nil {
		err = f.Truncate(p.end)
	}
	// What a killed process has appended may not have reached the disk, and is
	// about to be taken for ours.
	if err == nil && len(p.tail) > 0 {
		err = fdatasync(f)
	}
	if err != nil {
		_ = f.Close()
		return err
	}
	ps.own = p
	w.p, w.f, w.written = p, f, p.end
	w.synced = p.end
	return nil
}

// leave keeps packs from being appended to.
func (w *packer) leave(packs []*pack) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.avoid = packs
}

// continuable finds a pack that is not full and that nobody writes to.
func (w *packer) continuable() (*pack, *os.File) {
	ps := &w.store.packs
	ps.mu.RLock()
	defer ps.mu.RUnlock()
	for _, p := range ps.known {
		// One that has become shorter is damaged. And what is written where a
		// record was that does not count would not count either.
		info, err := p.f.Stat()
		if err != nil || info.Size() < p.end || p.end <= p.last || p.end >= sealSize || slices.Contains(w.avoid, p) {
			continue
		}
		if f, err := lockPack(p.path); err == nil {
			if same(p.f, f) {
				return p, f
			}
			_ = f.Close()
		}
	}
	return nil, nil
}

// make makes a pack.
func (w *packer) make() (*pack, *os.File, error) {
	sweepNew(w.store.packs.dir)
	for {
		p, f, err := w.tryMake()
		if !errors.Is(err, fs.ErrNotExist) {
			return p, f, err
		}
		// Swept between its making and its locking, or the cache was deleted.
		if err := os.MkdirAll(w.store.packs.dir, 0o777); err != nil {
			return nil, nil, err
		}
	}
}

func (w *packer) tryMake() (*pack, *os.File, error) {
	ps := &w.store.packs
	path := filepath.Join(ps.dir, strings.ToLower(rand.Text()))
	// Nobody takes it up before it is ours: it gets its name when it is locked.
	f, err := os.OpenFile(path+newExt, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, nil, err
	}
	var p *pack
	err = lock(f, unix.LOCK_EX)
	if err == nil {
		_, err = f.WriteString(packMagic)
	}
	if err == nil {
		p, err = ps.name(path)
	}
	if err == nil {
		err = syncFile(ps.dir)
	}
	if err == nil {
		err = syncFile(w.store.dir)
	}
	if err != nil {
		_ = os.Remove(path + newExt)
		_ = f.Close()
		return nil, nil, err
	}
	return p, f, nil
}

// sweepNew removes packs that processes were killed in the making of. An index in
// the making belongs to who has its pack locked, and the next one replaces it.
func sweepNew(dir string) {
	names, err := filepath.Glob(filepath.Join(dir, "*"+newExt))
	if err != nil {
		return
	}
	for _, name := range names {
		if strings.HasSuffix(name, indexExt+newExt) {
			continue
		}
		if f, err := os.Open(name); err == nil {
			if lock(f, unix.LOCK_EX|unix.LOCK_NB) == nil {
				_ = os.Remove(name)
			}
			_ = f.Close()
		}
	}
}

func same(a, b *os.File) bool {
	x, err := a.Stat()
	y, err2 := b.Stat()
	return err == nil && err2 == nil && os.SameFile(x, y)
}
