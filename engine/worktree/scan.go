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
	lent bool // a link was followed to it: at is what the link leads to
}

// directory is a scanned directory. Everything below it has been scanned.
type directory struct {
	abs     string
	rel     string // below the scanned path
	in      *room
	entries []entry
	tree    digest.Tree // of entries
	node    digest.Node // what tree comes to
}

// scan is one walk over a directory or file.
type scan struct {
	*Worktree
	filter Filter
	cached bool     // look up and keep stamps in the stat cache
	top    string   // the scanned path below the root, if cached
	given  string   // otherwise, the scanned path, which we may change
	bounds []string // if given, directories that links may lead into, without links
	hold   bool     // keep the listings that the store lacks; see listings

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
	at, lent, err := s.lookAt(abs)
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
		return s.dir(ctx, &room{abs: abs, lent: lent}, abs, "", len(s.filter.Include) == 0)
	case at.isRegular():
		return s.file(ctx, abs, at)
	}
	return digest.Node{}, s.refuse(abs, "", at)
}

// lookAt describes the scanned path. A link there stands for what it leads to.
func (s *scan) lookAt(abs string) (at stamp, lent bool, err error) {
	own, err := lstat(atCWD, abs)
	if err != nil {
		return own, false, err
	}
	text := ""
	at = own
	if lent = own.isLink(); lent {
		if text, err = os.Readlink(abs); err != nil {
			return own, lent, err
		}
		if at, err = stat(atCWD, abs, 0); err != nil {
			err = deadEnd(abs, text, err)
			var pe *PathError
			if errors.As(err, &pe) {
				pe.Err = fs.ErrNotExist
			}
			return own, lent, err
		}
	}
	return at, lent, s.inBounds(abs, text)
}

// inBounds refuses what leads out of the directories that a result may be made
// from.
func (s *scan) inBounds(abs, text string) error {
	if s.given == "" {
		return nil
	}
	real, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(s.bounds, func(dir string) bool { return within(dir, real) }) {
		return nil
	}
	if text == "" {
		text = real // by a link further up
	}
	return &PathError{Path: abs, Reason: fmt.Sprintf("leads by a link to %q, outside of the work directory, where it may change at any time; copy it instead", text)}
}

// refuse explains what is neither file nor directory. link is the text of the
// link that leads to it.
func (s *scan) refuse(abs, link string, at stamp) error {
	what := at.what()
	if link != "" {
		what = fmt.Sprintf("a link to %q, %s", link, what)
	}
	return &PathError{Path: s.show(abs), Reason: "is " + what + ", which cannot be kept"}
}

// show shortens an absolute path to one below the root, or below what was given.
func (s *scan) show(abs string) string {
	base := s.root
	if s.given != "" {
		base = s.given
	}
	if rel, err := filepath.Rel(base, abs); err == nil && filepath.IsLocal(rel) {
		return filepath.ToSlash(rel)
	}
	return abs
}

// nameError gives errors the path that the user knows.
func (s *scan) nameError(abs string, err error) error {
	var ours *PathError
	if errors.As(err, &ours) {
		return &PathError{Path: s.show(ours.Path), Reason: ours.Reason, Err: ours.Err}
	}
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
		known, ok = s.cache.file(dir, name)
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

// dir scans a directory of the room in. included says that its entries count
// unless ignored.
func (s *scan) dir(ctx context.Context, in *room, abs, rel string, included bool) (digest.Node, error) {
	if s.given != "" && !in.lent {
		// Files are moved out of it. Its permissions are not content.
		if err := openUp(abs); err != nil {
			return digest.Node{}, s.nameError(abs, err)
		}
	}
	f, names, err := readNames(abs, rel == in.rel)
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
	d := &directory{abs: abs, rel: rel, in: in, entries: make([]entry, len(names))}
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
	var listing []byte
	d.node, listing = d.tree.Encoded()
	if s.hold {
		if err := s.seen.add(ctx, s.store, d.node.Digest, listing); err != nil {
			return digest.Node{}, err
		}
	}
	if s.visit != nil {
		err = s.visit(ctx, d)
	}
	return d.node, err
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
		abs := filepath.Join(d.abs, name)
		e := &d.entries[i]
		var to way
		if at.isLink() {
			if to, err = s.follow(d.in, abs, rel); err != nil {
				if inc {
					g.keep(unlessGone(s.nameError(abs, err)))
				}
				continue
			}
			if to.out {
				at, e.lent = to.at, true
			}
		}
		if !inc && !at.isDir() {
			continue
		}
		e.Name, e.at = name, at
		for len(known) > 0 && known[0].Name < name {
			known = known[1:]
		}
		switch {
		case at.isRegular() && len(known) > 0 && known[0].Name == name && at.proves(known[0]):
			e.Node, e.sure = digest.Node{Kind: at.fileKind(), Digest: known[0].Digest, Size: at.size, Files: 1}, true
		case at.isRegular():
			changed = true
			g.do(func() error { return unlessGone(s.hash(ctx, dirfd, name, abs, e.lent, e)) })
		case at.isDir():
			g.do(func() (err error) {
				in := d.in
				if e.lent {
					if in, err = in.enter(abs, rel, to.text); err != nil {
						return unlessGone(s.nameError(abs, err))
					}
				}
				e.Node, err = s.dir(ctx, in, abs, rel, inc)
				return unlessGone(err)
			})
		case at.isLink():
			e.Node = linkNode(to.text)
		default:
			g.keep(s.refuse(abs, to.text, at))
		}
		if g.failed() {
			break
		}
	}
	return changed, g.wait()
}

// follow looks where a link leads, and that it may lead there.
func (s *scan) follow(in *room, abs, rel string) (way, error) {
	to, err := in.follow(abs, rel, s.filter)
	if err == nil && to.out {
		err = s.inBounds(abs, to.text)
	}
	return to, err
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
