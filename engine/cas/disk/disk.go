// Package disk is a content store in a directory: .flow/cache of one project,
// or a directory that several projects and processes share.
//
//	VERSION              the layout's version
//	objects/9f/64a7…     one file an object, read-only, whole
//	trust/9f/64a7…       how a large object looked when its bytes were last good
//	tmp/…                a directory for each process that writes
//	damaged/…            objects whose bytes were not theirs
//
// Large objects are whole files, so that they can be reflinked and hard-linked
// out. How small ones are kept is this package's own business: callers see
// only digests.
//
// An object gets its name by a rename, after its bytes have reached the disk,
// so a crash, a kill or a full disk leaves a file in tmp and nothing else; the
// next process that writes removes it. No lock is held across processes except
// that on one's own directory in tmp.
//
// It does not decide what to keep: who deletes has asked all users of the
// directory. Its callers are engine/worktree, which moves files in and out, and
// whoever copies objects between stores.
package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/flow-pipelines/flow/engine/cas"
	"github.com/flow-pipelines/flow/engine/digest"
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
}

// Store is a content store in a directory. It is safe for concurrent use.
type Store struct {
	dir      string
	onDamage func(*cas.DamagedError)
	buffers  sync.Pool // of *[]byte, for copying

	mu      sync.Mutex
	session *session // our directory in tmp; nil until the first write
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

// Open returns the store in dir. It writes nothing: a directory that is not
// there is an empty store, which the first write makes. Close it.
func Open(dir string, opts Options) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open cache: %w", err)
	}
	s := &Store{dir: dir, onDamage: opts.OnDamage}
	s.buffers.New = func() any { b := make([]byte, 256<<10); return &b }
	if _, err := s.checkVersion(); err != nil {
		return nil, err
	}
	return s, nil
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
// whatever version of flow, since it was opened.
func (s *Store) create() error {
	if there, err := s.checkVersion(); there || err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(s.dir, "objects"), 0o777); err != nil {
		return fmt.Errorf("make cache: %w", err)
	}
	// Two processes may both come here: they write the same bytes.
	name := filepath.Join(s.dir, "VERSION")
	tmp := fmt.Sprintf("%s.%d", name, os.Getpid())
	err := os.WriteFile(tmp, []byte(version), 0o666)
	if err == nil {
		err = os.Rename(tmp, name)
	}
	if err != nil {
		return fmt.Errorf("make cache: %w", err)
	}
	return nil
}

// Close removes what the store holds in tmp. Batches must be closed before.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session == nil {
		return nil
	}
	err := s.session.close()
	s.session = nil
	return err
}

// Dir returns the directory, an absolute path.
func (s *Store) Dir() string { return s.dir }

func (s *Store) objectPath(d digest.Digest) string {
	h := d.Hex()
	return filepath.Join(s.dir, "objects", h[:2], h[2:])
}

// Has reports whether the object is there: one stat.
func (s *Store) Has(_ context.Context, d digest.Digest) (bool, error) {
	_, err := os.Lstat(s.objectPath(d))
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	}
	return false, fmt.Errorf("look for object %s: %w", d.Short(), err)
}

// Open reads an object, verified at its end.
func (s *Store) Open(ctx context.Context, d digest.Digest) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return s.open(d)
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

// Each calls f for every object, in the order of their digests, with its size.
func (s *Store) Each(ctx context.Context, f func(d digest.Digest, size int64) error) error {
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
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return fmt.Errorf("list objects: %w", err)
			}
			if err := f(d, info.Size()); err != nil {
				return err
			}
		}
	}
	return nil
}

// Remove deletes an object. One that is not there is no error. Hard links to
// it in worktrees stay.
func (s *Store) Remove(_ context.Context, d digest.Digest) error {
	_ = os.Remove(s.trustPath(d))
	if err := os.Remove(s.objectPath(d)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove object %s: %w", d.Short(), err)
	}
	return nil
}

// Verify reads a whole object; damage is put out of the way and returned.
func (s *Store) Verify(ctx context.Context, d digest.Digest) error {
	o, err := s.open(d)
	if err != nil {
		return err
	}
	defer func() { _ = o.Close() }()
	_, err = s.copy(ctx, io.Discard, o)
	return err
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
