// Package disk is a content store in a directory: .flow/cache of one project,
// or a directory that several projects and processes share.
//
//	VERSION              the layout's version
//	packs/NAME.pack      small objects, one after the other
//	packs/NAME.idx       where each of them lies, sorted by digest
//	packs/NAME.dead      which of them do not count any more
//	objects/9f/64a7…     large objects, a file each, read-only, whole
//	trust/9f/64a7…       how a large object looked when its bytes were last good
//	tmp/…                a directory for each process that writes large objects
//	damaged/…            objects whose bytes were not theirs
//	users/…              the directories that live by the store
//	leases/…             what running processes are about to name
//	lock, gate           held while something is stored, or removed
//
// Large objects are whole files, so that they can be reflinked and hard-linked
// out. Small ones (below PackSize) are records in packs: that is several times
// faster, and one sync makes any number of them durable. Callers see only
// digests. Small objects that a former version kept as files are read all the
// same.
//
// # Packs
//
// A pack is only ever appended to, by one process at a time, which holds an
// flock on it; several processes append to several packs. A record is a digest,
// a size, a checksum of both, and the bytes. The pack says all that there is to
// know; everything beside it only saves time:
//
// The index is written whole, under another name, synced and renamed, when what
// it lacks has grown as long as the index is, and when a process ends. Records
// behind what it covers are looked through, and count if their bytes are those
// of their digest. So it does not matter where a crash or a full disk cuts a
// record off: readers pass it over, and the next process that appends overwrites
// it. What the index covers is durable; who relies on a record behind it, of
// another process, syncs the pack himself.
//
// A record that is removed or found damaged is written to the list of the dead.
// Its space comes back by Compact, which moves what counts to another pack, syncs
// it, and then deletes the old one. Whoever still reads that has it open.
//
// Packs are read by pread and not mapped: a bad sector or a pack that somebody
// has cut short is then an error, not a fault of the processor.
//
// # Files
//
// A large object gets its name by a rename, after its bytes have reached the
// disk, so a crash, a kill or a full disk leaves a file in tmp and nothing else;
// the next process that writes removes it. No process waits for another's lock,
// except while objects are being removed (share.go).
//
// It does not decide what to keep: who deletes has asked all users of the
// directory. Its callers are engine/worktree, which moves files in and out, and
// whoever copies objects between stores.
package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/flow-pipelines/flow/engine/cas"
	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/replace"
)

// Sizes from which an object is treated as large. Below LinkSize a copy costs
// about what a link does and cannot be damaged through the worktree; a hard
// link makes the user's file read-only, which is a price worth paying only for
// space that matters.
const (
	ReflinkSize = 1 << 20 // from here Place tries a reflink
	LinkSize    = 8 << 20 // from here, failing that, a hard link
)

const (
	version    = "flow cache 1\n"
	objectPerm = 0o444
)

// Options of a store.
type Options struct {
	// OnDamage, if not nil, hears once of each damaged object that the store
	// puts out of the way. It may be called concurrently.
	OnDamage func(*cas.DamagedError)

	// User is the directory on whose behalf it is opened, a real absolute
	// path: whoever removes objects asks there what is needed.
	User string
}

// Store is a content store in a directory. It is safe for concurrent use.
type Store struct {
	dir      string
	onDamage func(*cas.DamagedError)
	user     string
	buffers  sync.Pool // of *[]byte, for copying

	packs  packs
	packer packer

	mu      sync.Mutex
	session *session // our directory in tmp; nil until the first write
	leased  *lease   // nil until something is
	shards  [256]bool
}

var (
	_ cas.Store   = (*Store)(nil)
	_ cas.Batcher = (*Store)(nil)
)

// VersionError says that the directory was made by another version of flow.
type VersionError struct {
	Dir, Got string
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("cache %s has the format %q, this flow knows %q: use the flow that made it, or another directory", e.Dir, e.Got, strings.TrimSpace(version))
}

// Open returns the store in dir. A directory that is not there is an empty
// store, which the first write makes. Close it.
func Open(dir string, opts Options) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open cache: %w", err)
	}
	s := &Store{dir: dir, onDamage: opts.OnDamage, user: opts.User, packs: packs{dir: filepath.Join(dir, "packs")}}
	s.packer.store = s
	s.buffers.New = func() any { b := make([]byte, 256<<10); return &b }
	there, err := s.checkVersion()
	if err != nil {
		return nil, err
	}
	if there {
		err = s.register(context.Background())
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) {
			err = nil // one who can only read it
		}
	}
	return s, err
}

// checkVersion refuses a directory of another version. there says that the
// directory has one at all.
func (s *Store) checkVersion() (there bool, err error) {
	b, err := os.ReadFile(filepath.Join(s.dir, "VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("open cache: %w", err)
	}
	// An empty or cut file is what a power loss leaves of the first start.
	if got := string(b); got != version && !strings.HasPrefix(version, got) {
		return true, &VersionError{Dir: s.dir, Got: strings.TrimSpace(got)}
	}
	return true, nil
}

// create makes the directory for the first write. It may have been made, by
// whatever version of flow, since it was opened. s.mu is held.
func (s *Store) create() error {
	if there, err := s.checkVersion(); there || err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(s.dir, "objects"), 0o777); err != nil {
		return fmt.Errorf("make cache: %w", err)
	}
	// Two processes may both come here: they write the same bytes.
	if err := replace.Quickly(filepath.Join(s.dir, "VERSION"), []byte(version), 0o644); err != nil {
		return fmt.Errorf("make cache: %w", err)
	}
	return s.register(context.Background())
}

// Close removes what the store holds in tmp and lets go of its pack. Batches must
// be closed before.
func (s *Store) Close() error {
	err := s.packer.close()
	s.packs.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session != nil {
		err = errors.Join(err, s.session.close())
	}
	if s.leased != nil {
		err = errors.Join(err, s.leased.end())
	}
	s.session, s.leased = nil, nil
	return err
}

// Dir returns the directory, an absolute path.
func (s *Store) Dir() string { return s.dir }

func (s *Store) objectPath(d digest.Digest) string {
	h := d.Hex()
	return filepath.Join(s.dir, "objects", h[:2], h[2:])
}

// Has reports whether the object is there.
func (s *Store) Has(_ context.Context, d digest.Digest) (bool, error) {
	if _, _, ok, err := s.packs.find(d); ok || err != nil {
		return ok, err
	}
	if ok, err := s.hasLoose(d); ok || err != nil {
		return ok, err
	}
	_, _, ok, err := s.packs.look(d)
	return ok, err
}

// Open reads an object, verified at its end at the latest.
func (s *Store) Open(ctx context.Context, d digest.Digest) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b, ok, err := s.readPacked(d, nil)
	if err != nil {
		return nil, err
	}
	if ok {
		return io.NopCloser(bytes.NewReader(b)), nil
	}
	return s.open(d)
}

// readPacked reads an object that is in a pack, and verifies it. buf is used if
// it is large enough. ok is false for an object that is in none.
func (s *Store) readPacked(d digest.Digest, buf []byte) (object []byte, ok bool, err error) {
	p, at, ok, err := s.packs.find(d)
	if err == nil && !ok {
		if there, lerr := s.hasLoose(d); !there && lerr == nil {
			p, at, ok, err = s.packs.look(d)
		}
	}
	if !ok || err != nil {
		return nil, false, err
	}
	if err := s.packer.write(p, at); err != nil {
		return nil, false, fmt.Errorf("read object %s: %w", d.Short(), err)
	}
	if need := recordHead + int(at.size); len(buf) < need {
		buf = make([]byte, need)
	}
	object, err = readRecord(p.f, d, at, buf)
	if err == nil {
		got := digest.OfBytes(object)
		if got == d {
			return object, true, nil
		}
		return nil, false, s.buryDamaged(&cas.DamagedError{Digest: d, Got: got}, p, at, object)
	}
	return nil, false, s.buryDamaged(&cas.DamagedError{Digest: d, Err: err}, p, at, nil)
}

func (s *Store) open(d digest.Digest) (*object, error) {
	f, err := os.Open(s.objectPath(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, cas.NotFound(d)
	}
	if err != nil {
		return nil, fmt.Errorf("open object %s: %w", d.Short(), err)
	}
	return &object{store: s, d: d, f: f, h: digest.NewHasher()}, nil
}

// Each calls f for every object once, in the order of their digests, with its
// size.
func (s *Store) Each(ctx context.Context, f func(d digest.Digest, size int64) error) error {
	packed, err := s.packs.all()
	if err != nil {
		return err
	}
	// before gives f the packed ones as long as they sort before a file's.
	before := func(isBefore func(digest.Digest) bool) error {
		for ; len(packed) > 0 && isBefore(packed[0].Digest); packed = packed[1:] {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := f(packed[0].Digest, int64(packed[0].size)); err != nil {
				return err
			}
		}
		return nil
	}
	err = s.eachLoose(ctx, func(d digest.Digest, e os.DirEntry) error {
		if err := before(func(p digest.Digest) bool { return bytes.Compare(p[:], d[:]) < 0 }); err != nil {
			return err
		}
		if len(packed) > 0 && packed[0].Digest == d {
			return nil // it is in a pack too
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("list objects: %w", err)
		}
		return f(d, info.Size())
	})
	if err != nil {
		return err
	}
	return before(func(digest.Digest) bool { return true })
}

// Verify reads a whole object; damage is put out of the way and returned.
func (s *Store) Verify(ctx context.Context, d digest.Digest) error {
	buf := s.buffers.Get().(*[]byte)
	_, ok, err := s.readPacked(d, *buf)
	s.buffers.Put(buf)
	if ok || err != nil {
		return err
	}
	o, err := s.open(d)
	if err != nil {
		return err
	}
	defer func() { _ = o.Close() }()
	return o.check(ctx)
}

// copy is io.Copy with a buffer of ours and an ear for cancellation.
func (s *Store) copy(ctx context.Context, w io.Writer, r io.Reader) (int64, error) {
	buf := s.buffers.Get().(*[]byte)
	defer s.buffers.Put(buf)
	var n int64
	for {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		m, rerr := r.Read(*buf)
		if m > 0 {
			wm, werr := w.Write((*buf)[:m])
			n += int64(wm)
			if werr != nil {
				return n, werr
			}
		}
		if rerr == io.EOF {
			return n, nil
		}
		if rerr != nil {
			return n, rerr
		}
	}
}
