package worktree

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/flow-pipelines/flow/engine/cas"
	"github.com/flow-pipelines/flow/engine/cas/disk"
	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/state"
)

// Summary counts the files that Checkout or Stage dealt with.
type Summary struct {
	Kept, Copied, Reflinked, Hardlinked, Removed int
}

// Changed reports whether anything was done.
func (s Summary) Changed() bool { return s.Copied+s.Reflinked+s.Hardlinked+s.Removed > 0 }

// tally is a Summary that many goroutines count in.
type tally struct{ kept, copied, reflinked, hardlinked, removed atomic.Int64 }

func (t *tally) summary() Summary {
	return Summary{int(t.kept.Load()), int(t.copied.Load()), int(t.reflinked.Load()), int(t.hardlinked.Load()), int(t.removed.Load())}
}

func (t *tally) placed(how disk.How) {
	switch how {
	case disk.Copied:
		t.copied.Add(1)
	case disk.Reflinked:
		t.reflinked.Add(1)
	case disk.Hardlinked:
		t.hardlinked.Add(1)
	}
}

// checkout is one call of Checkout.
type checkout struct {
	*Worktree
	tally
	top    string // the path below the root
	room   *room  // what is there
	filter Filter
}

// Checkout makes path be node, from the store. It touches only what differs:
// each new file appears complete under its name, a directory that was not there
// appears complete as a whole, and what is the same stays as it is. Below a
// directory, files that pass f and are not in node are removed. Afterwards the
// stat cache knows what is there.
//
// An object that the store lacks, or has damaged, is cas.ErrNotFound; what was
// done until then stays.
func (w *Worktree) Checkout(ctx context.Context, path string, f Filter, node digest.Node) (Summary, error) {
	c := &checkout{Worktree: w, filter: f}
	p, err := clean(path)
	if err != nil {
		return Summary{}, err
	}
	c.top = p
	if err := f.check(); err != nil {
		return Summary{}, err
	}
	abs, err := w.writable(p)
	if err != nil {
		return Summary{}, err
	}
	c.room = &room{abs: abs}
	dir, deep := p, node.Kind == digest.Dir
	if !deep {
		dir, _ = split(p)
	}
	if err := w.cache.load(ctx, dir, deep); err != nil {
		return Summary{}, err
	}
	// Whoever asks for it is about to name it.
	if err := w.store.Hold(ctx, node.Digest); err != nil {
		return Summary{}, err
	}
	err = c.at(ctx, abs, node)
	return c.summary(), wrap("check out", path, err)
}

func (c *checkout) at(ctx context.Context, abs string, node digest.Node) error {
	if err := os.MkdirAll(filepath.Dir(abs), 0o777); err != nil {
		return err
	}
	at, err := lstat(atCWD, abs)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if node.Kind == digest.Dir {
		return c.directory(ctx, abs, "", at, node)
	}
	dir, name := split(c.top)
	known, _ := c.cache.file(dir, name)
	f, sure, err := c.file(ctx, abs, "", digest.Entry{Name: name, Node: node}, at, known)
	if err == nil && sure {
		c.cache.putFile(dir, f)
	}
	return err
}

// directory makes abs, which now looks like at, be the directory node.
func (c *checkout) directory(ctx context.Context, abs, rel string, at stamp, node digest.Node) error {
	if n, ok := c.behind(ctx, abs, rel, at); ok && n == node {
		c.kept.Add(n.Files)
		return nil
	}
	t, err := c.tree(ctx, node)
	if err != nil {
		return fmt.Errorf("%s: %w", join(c.top, rel), err)
	}
	if at.isDir() {
		return c.change(ctx, abs, rel, t)
	}
	// Built under another name and renamed when complete. Besides, creating
	// 100,000 files takes 3.5 to 4.3 s, creating and renaming each 6 to 10.
	temp := c.tempName(filepath.Dir(abs))
	err = os.Mkdir(temp, 0o777)
	if err == nil {
		err = c.fill(ctx, temp, rel, t)
	}
	if err == nil {
		err = move(temp, abs)
	}
	if err != nil {
		_ = RemoveAll(temp)
	}
	return err
}

// behind returns the content of a directory that the link abs leads to, if that
// is what counts there.
func (c *checkout) behind(ctx context.Context, abs, rel string, at stamp) (n digest.Node, ok bool) {
	if !at.isLink() || c.filter.hides(rel) {
		return n, false
	}
	to, err := c.room.follow(abs, rel, c.filter)
	if err != nil || !to.out || !to.at.isDir() {
		return n, false
	}
	in, err := c.room.enter(abs, rel, to.text)
	if err != nil {
		return n, false
	}
	s := &scan{Worktree: c.Worktree, filter: c.filter, cached: true, top: c.top}
	n, err = s.dir(ctx, in, abs, rel, c.filter.passes(rel))
	return n, err == nil // whatever else it is, it is not what is wanted
}

// fill puts t into the new, empty directory abs. Its small files are made one
// after the other: the kernel lets only one goroutine at a time make names in a
// directory, and those that wait for it keep a core busy. Directories and large
// files are done beside that.
func (c *checkout) fill(ctx context.Context, abs, rel string, t digest.Tree) error {
	dir, err := os.Open(abs)
	if err != nil {
		return err
	}
	defer dir.Close()
	// Files get a time before that of the directory, by the file system's clock.
	now, err := fstat(int(dir.Fd()), abs)
	if err != nil {
		return err
	}
	mtime := time.Unix(0, now.mtime).Add(-backdate)
	files := make(state.Files, len(t))
	g := group{tokens: c.tokens}
	for i, e := range t {
		if err := ctx.Err(); err != nil || g.failed() {
			g.keep(err)
			break
		}
		path := filepath.Join(abs, e.Name)
		switch {
		case e.Kind == digest.Dir:
			g.do(func() error { return c.fillDir(ctx, path, join(rel, e.Name), e.Node) })
			continue
		case e.Kind != digest.Link && e.Size < disk.PackSize:
			st, packed, err := c.store.PlaceSmall(e.Digest, int(dir.Fd()), e.Name, permOf(e.Kind), mtime)
			if err != nil {
				g.keep(err)
			}
			if packed {
				c.placed(disk.Copied)
				files[i] = recordOf(makeStamp(&st), e)
				continue
			}
		}
		g.do(func() (err error) {
			if err = c.place(ctx, path, e); err == nil {
				files[i], err = written(path, e)
			}
			return err
		})
	}
	if err := g.wait(); err != nil {
		return err
	}
	files = slices.DeleteFunc(files, func(f state.File) bool { return f.Name == "" })
	return c.cache.put(ctx, join(c.top, rel), files)
}

// fillDir makes a new directory in a new one.
func (c *checkout) fillDir(ctx context.Context, abs, rel string, n digest.Node) error {
	t, err := c.tree(ctx, n)
	if err != nil {
		return fmt.Errorf("%s: %w", join(c.top, rel), err)
	}
	if err := os.Mkdir(abs, 0o777); err != nil {
		return err
	}
	return c.fill(ctx, abs, rel, t)
}

// change makes the existing directory abs be t.
func (c *checkout) change(ctx context.Context, abs, rel string, t digest.Tree) error {
	names, temps, err := namesOf(abs)
	if err != nil {
		return err
	}
	c.removeOldTemps(abs, temps)
	known := c.cache.files(join(c.top, rel))
	files := make(state.Files, len(t))
	g := group{tokens: c.tokens}
	for i, e := range t {
		if g.failed() {
			break
		}
		path := filepath.Join(abs, e.Name)
		g.do(func() error {
			at, err := lstat(atCWD, path)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			if e.Kind == digest.Dir {
				return c.directory(ctx, path, join(rel, e.Name), at, e.Node)
			}
			was, _ := known.Find(e.Name)
			f, sure, err := c.file(ctx, path, join(rel, e.Name), e, at, was)
			if sure {
				files[i] = f
			}
			return err
		})
	}
	if err := g.wait(); err != nil {
		return err
	}
	for _, name := range names {
		_, ours := slices.BinarySearchFunc(t, name, func(e digest.Entry, name string) int { return strings.Compare(e.Name, name) })
		if ours {
			continue
		}
		if _, err := c.remove(ctx, filepath.Join(abs, name), join(rel, name)); err != nil {
			return err
		}
		// Not ours to remove: what is known of it stays.
		if f, ok := known.Find(name); ok && c.exists(filepath.Join(abs, name)) {
			files = append(files, f)
		}
	}
	files = slices.DeleteFunc(files, func(f state.File) bool { return f.Name == "" })
	slices.SortFunc(files, func(a, b state.File) int { return strings.Compare(a.Name, b.Name) })
	if slices.Equal(files, known) {
		return nil
	}
	return c.cache.put(ctx, join(c.top, rel), files)
}

func (c *checkout) exists(abs string) bool {
	_, err := lstat(atCWD, abs)
	return err == nil
}

// namesOf lists a directory, sorted, with unfinished files apart.
func namesOf(abs string) (names, temps []string, err error) {
	f, err := os.Open(abs)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	all, err := f.Readdirnames(-1)
	if err != nil {
		return nil, nil, err
	}
	slices.Sort(all)
	for _, name := range all {
		switch {
		case strings.HasPrefix(name, tempPrefix):
			temps = append(temps, name)
		case !reserved(name):
			names = append(names, name)
		}
	}
	return names, temps, nil
}

// remove deletes the files at and below abs that pass the filter, and the
// directories that this leaves empty. gone says that nothing is left.
func (c *checkout) remove(ctx context.Context, abs, rel string) (gone bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	at, err := lstat(atCWD, abs)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	if !at.isDir() {
		if !c.filter.passes(rel) {
			// With Include a link may count for what is in the directory
			// that it leads to.
			if n, ok := c.behind(ctx, abs, rel, at); !ok || n.Files == 0 {
				return false, nil
			}
		}
		c.removed.Add(1)
		return true, os.Remove(abs)
	}
	f, err := os.Open(abs)
	if err != nil {
		return false, err
	}
	names, err := f.Readdirnames(-1)
	_ = f.Close()
	if err != nil {
		return false, err
	}
	gone = true
	for _, name := range names {
		if reserved(name) && !strings.HasPrefix(name, tempPrefix) {
			gone = false
			continue
		}
		below, err := c.remove(ctx, filepath.Join(abs, name), join(rel, name))
		if err != nil {
			return false, err
		}
		gone = gone && below
	}
	if !gone || c.filter.ignores(rel) {
		return false, nil
	}
	return true, os.Remove(abs)
}

// file makes abs, which now looks like at, be the file or link e. was is what
// the stat cache knows. sure says that f may be kept there. A link is replaced,
// never written through.
func (c *checkout) file(ctx context.Context, abs, rel string, e digest.Entry, at stamp, was state.File) (f state.File, sure bool, err error) {
	same, now, sure, err := c.same(ctx, abs, rel, e, at, was)
	if err != nil {
		return f, false, err
	}
	if same && e.Kind != digest.Link && now.fileKind() != e.Kind {
		same = c.setExecutable(abs, now, e.Kind) == nil
		if now, err = lstat(atCWD, abs); err != nil {
			return f, false, err
		}
	}
	if same {
		c.kept.Add(1)
		return now.record(e.Name, e.Digest), sure && e.Kind != digest.Link, nil
	}
	temp := c.tempName(filepath.Dir(abs))
	if err := c.place(ctx, temp, e); err != nil {
		return f, false, err
	}
	if err := move(temp, abs); err != nil {
		_ = os.Remove(temp)
		return f, false, err
	}
	f, err = written(abs, e)
	return f, err == nil && f.Name != "", err
}

// same reports whether abs has e's bytes already, and how it looks; for a link
// that is followed, how that looks to which it leads.
func (c *checkout) same(ctx context.Context, abs, rel string, e digest.Entry, at stamp, was state.File) (same bool, now stamp, sure bool, err error) {
	follow := false
	switch {
	case e.Kind == digest.Link && at.isLink():
		n, _, err := readLink(abs)
		return err == nil && n == e.Node, at, false, nil
	case at.isLink():
		to, err := c.room.follow(abs, rel, c.filter)
		if err != nil || !to.out || to.at.fileKind() != e.Kind {
			return false, at, false, nil //nolint:nilerr // it is replaced
		}
		at, follow = to.at, true
	}
	switch {
	case e.Kind == digest.Link || !at.isRegular() || at.size != e.Size:
		return false, at, false, nil
	case at.proves(was):
		return was.Digest == e.Digest, at, true, nil
	}
	d, now, sure, err := c.hashFile(ctx, atCWD, abs, follow)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return false, at, false, nil
	}
	return d == e.Digest, now, sure, err
}

// setExecutable gives or takes the right to execute, to whom may read. A file
// with several names is not touched: the others' content would change too.
func (c *checkout) setExecutable(abs string, at stamp, kind digest.Kind) error {
	if at.links > 1 {
		return errors.New("has several names")
	}
	perm := os.FileMode(at.mode & 0o777)
	if kind == digest.Executable {
		perm |= perm & 0o444 >> 2
	} else {
		perm &^= 0o111
	}
	return os.Chmod(abs, perm)
}

// place makes abs, which is not there, the file or link e.
func (c *checkout) place(ctx context.Context, abs string, e digest.Entry) error {
	if e.Kind == digest.Link {
		target, err := cas.ReadAll(ctx, c.store, e.Digest)
		if err == nil {
			err = os.Symlink(string(target), abs)
		}
		c.copied.Add(1)
		return err
	}
	how, err := c.store.Place(ctx, e.Digest, abs, disk.Want{Perm: permOf(e.Kind)})
	if err != nil {
		return err
	}
	c.placed(how)
	if how == disk.Hardlinked {
		return nil // its times are the object's
	}
	return settleTime(abs)
}

func permOf(k digest.Kind) os.FileMode {
	if k == digest.Executable {
		return 0o755
	}
	return 0o644
}

// settleTime backdates a file that was just written, by the file system's own
// clock.
func settleTime(abs string) error {
	at, err := lstat(atCWD, abs)
	if err != nil {
		return err
	}
	return setMTime(abs, time.Unix(0, at.mtime).Add(-backdate))
}

// written describes a file that was just placed for the stat cache; the zero
// File if it cannot be kept there.
func written(abs string, e digest.Entry) (state.File, error) {
	if e.Kind == digest.Link {
		return state.File{}, nil
	}
	at, err := lstat(atCWD, abs)
	if err != nil {
		return state.File{}, err
	}
	return recordOf(at, e), nil
}

func recordOf(at stamp, e digest.Entry) state.File {
	if !at.isRegular() || at.size != e.Size {
		return state.File{}
	}
	return at.record(e.Name, e.Digest)
}
