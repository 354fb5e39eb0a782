package worktree

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/state"
)

// entry is one entry of a scanned directory.
type entry struct {
	digest.Entry
	at   stamp
	sure bool // at proves the digest
}

// directory is a scanned directory. Everything below it has been scanned.
type directory struct {
	abs     string
	rel     string // below the scanned path
	entries []entry
	tree    digest.Tree // of entries
}

// scan is one walk over a directory or file.
type scan struct {
	*Worktree
	filter Filter
	cached bool   // look up and keep stamps in the stat cache
	top    string // the scanned path below the root, if cached

	// visit, if not nil, is called for each directory, children first. It may
	// be called concurrently.
	visit func(ctx context.Context, d *directory) error
	// visitFile is called instead when the scanned path is a file.
	visitFile func(ctx context.Context, abs string, e entry) error
}

// run scans the absolute path abs.
func (s *scan) run(ctx context.Context, abs string) (digest.Node, error) {
	if err := s.filter.check(); err != nil {
		return digest.Node{}, err
	}
	at, err := stat(atCWD, abs, 0)
	if err != nil {
		return digest.Node{}, s.nameError(abs, err)
	}
	if s.cached {
		dir := s.top
		if !at.isDir() {
			dir, _ = split(s.top)
		}
		if err := s.cache.load(ctx, dir, at.isDir()); err != nil {
			return digest.Node{}, err
		}
	}
	switch {
	case at.isDir():
		return s.dir(ctx, abs, "", len(s.filter.Include) == 0)
	case at.isRegular():
		return s.file(ctx, abs, at)
	}
	return digest.Node{}, s.refuse(abs, at)
}

func (s *scan) refuse(abs string, at stamp) error {
	return &PathError{s.show(abs), "is " + at.what() + ", which has no content to keep"}
}

// show shortens an absolute path to one below the root.
func (s *scan) show(abs string) string {
	if rel, err := filepath.Rel(s.root, abs); err == nil && filepath.IsLocal(rel) {
		return filepath.ToSlash(rel)
	}
	return abs
}

// nameError gives errors of system calls the path that the user knows.
func (s *scan) nameError(abs string, err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return &fs.PathError{Op: pe.Op, Path: s.show(abs), Err: pe.Err}
	}
	return err
}

func (s *scan) file(ctx context.Context, abs string, at stamp) (digest.Node, error) {
	e := entry{Entry: digest.Entry{Name: filepath.Base(abs)}, at: at}
	dir, name := split(s.top)
	known, ok := state.File{}, false
	if s.cached {
		known, ok = s.cache.files(dir).Find(name)
	}
	if ok && at.proves(known) {
		e.Node, e.sure = digest.Node{Kind: at.fileKind(), Digest: known.Digest, Size: at.size, Files: 1}, true
	} else if err := s.hash(ctx, atCWD, abs, abs, true, &e); err != nil {
		return digest.Node{}, err
	} else if s.cached && e.sure {
		s.cache.putFile(dir, e.at.record(name, e.Digest))
	}
	if s.visitFile != nil {
		if err := s.visitFile(ctx, abs, e); err != nil {
			return digest.Node{}, err
		}
	}
	return e.Node, nil
}

// hash fills in e by reading a file.
func (s *scan) hash(ctx context.Context, dirfd int, name, abs string, follow bool, e *entry) error {
	d, at, sure, err := s.hashFile(ctx, dirfd, name, follow)
	if err != nil {
		return s.nameError(abs, err)
	}
	e.Node = digest.Node{Kind: at.fileKind(), Digest: d, Size: at.size, Files: 1}
	e.at, e.sure = at, sure
	return nil
}

// dir scans a directory. included says that its entries count unless ignored.
func (s *scan) dir(ctx context.Context, abs, rel string, included bool) (digest.Node, error) {
	f, names, err := readNames(abs, rel == "")
	if err != nil {
		return digest.Node{}, s.nameError(abs, err)
	}
	defer f.Close()
	if err := ctx.Err(); err != nil {
		return digest.Node{}, err
	}
	var known state.Files
	if s.cached {
		known = s.cache.files(join(s.top, rel))
	}
	d := &directory{abs: abs, rel: rel, entries: make([]entry, len(names))}
	changed, err := s.entries(ctx, d, int(f.Fd()), names, known, included)
	if err != nil {
		return digest.Node{}, err
	}
	if s.cached && (changed || !sameNames(known, names)) {
		if err := s.remember(ctx, d, names, known); err != nil {
			return digest.Node{}, err
		}
	}
	d.entries = slices.DeleteFunc(d.entries, func(e entry) bool {
		return e.Kind == 0 || e.Kind == digest.Dir && e.Files == 0 && len(s.filter.Include) > 0
	})
	d.tree = make(digest.Tree, len(d.entries))
	for i, e := range d.entries {
		d.tree[i] = e.Entry
	}
	node := d.tree.Node()
	if s.visit != nil {
		err = s.visit(ctx, d)
	}
	return node, err
}

// readNames opens a directory and returns its entries' names, sorted.
func readNames(abs string, follow bool) (*os.File, []string, error) {
	flags := os.O_RDONLY | unix.O_DIRECTORY
	if !follow {
		flags |= unix.O_NOFOLLOW
	}
	f, err := os.OpenFile(abs, flags, 0)
	if err != nil {
		return nil, nil, err
	}
	names, err := f.Readdirnames(-1)
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	names = slices.DeleteFunc(names, reserved)
	slices.Sort(names)
	return f, names, nil
}

// entries fills in d.entries, one for each name; what does not count stays
// zero. changed says that a file had to be read.
func (s *scan) entries(ctx context.Context, d *directory, dirfd int, names []string, known state.Files, included bool) (changed bool, err error) {
	g := group{tokens: s.tokens}
	for i, name := range names {
		rel := join(d.rel, name)
		if s.filter.ignores(rel) {
			continue
		}
		at, err := lstat(dirfd, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // gone since the directory was read
		}
		if err != nil {
			g.keep(s.nameError(filepath.Join(d.abs, name), err))
			break
		}
		inc := included || s.filter.includes(rel)
		if !inc && !at.isDir() {
			continue
		}
		e := &d.entries[i]
		e.Name, e.at = name, at
		for len(known) > 0 && known[0].Name < name {
			known = known[1:]
		}
		switch {
		case at.isRegular() && len(known) > 0 && known[0].Name == name && at.proves(known[0]):
			e.Node, e.sure = digest.Node{Kind: at.fileKind(), Digest: known[0].Digest, Size: at.size, Files: 1}, true
		case at.isRegular():
			changed = true
			g.do(func() error {
				return unlessGone(s.hash(ctx, dirfd, name, filepath.Join(d.abs, name), false, e))
			})
		case at.isDir():
			g.do(func() (err error) {
				e.Node, err = s.dir(ctx, filepath.Join(d.abs, name), rel, inc)
				return unlessGone(err)
			})
		case at.isLink():
			e.Node, _, err = readLink(filepath.Join(d.abs, name))
			g.keep(unlessGone(err))
		default:
			g.keep(s.refuse(filepath.Join(d.abs, name), at))
		}
		if g.failed() {
			break
		}
	}
	return changed, g.wait()
}

// unlessGone forgives an entry that went away since its directory was read: it
// does not count, and fs.ErrNotExist is kept for the scanned path itself.
func unlessGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// readLink returns a symbolic link and the text that is its content.
func readLink(abs string) (n digest.Node, target string, err error) {
	if target, err = os.Readlink(abs); err != nil {
		return n, "", err
	}
	return linkNode(target), target, nil
}

func linkNode(target string) digest.Node {
	return digest.Node{Kind: digest.Link, Digest: digest.OfBytes([]byte(target)), Size: int64(len(target)), Files: 1}
}

// sameNames reports whether each known file is still in the directory.
func sameNames(known state.Files, names []string) bool {
	for _, f := range known {
		i, ok := slices.BinarySearch(names, f.Name)
		if !ok {
			return false
		}
		names = names[i+1:]
	}
	return true
}

// remember replaces the directory's record: files that were scanned, and what
// was known of those that the filter hid.
func (s *scan) remember(ctx context.Context, d *directory, names []string, known state.Files) error {
	files := make(state.Files, 0, len(names))
	for i, name := range names {
		e := d.entries[i]
		switch {
		case e.sure:
			files = append(files, e.at.record(name, e.Digest))
		case e.Kind == 0:
			if f, ok := known.Find(name); ok {
				files = append(files, f)
			}
		}
	}
	return s.cache.put(ctx, join(s.top, d.rel), files)
}

// wrap completes an error with what was being done to which path.
func wrap(what, path string, err error) error {
	if err == nil {
		return nil
	}
	var pe *PathError
	if errors.As(err, &pe) || errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%s %s: %w", what, path, err)
}
