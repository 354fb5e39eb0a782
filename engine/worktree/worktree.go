// Package worktree knows the user's files by content, and puts content back.
//
// A Worktree is a project's directory together with a content store and the
// stat cache. It answers "what is there" without reading files that look as
// they did when they were last read, keeps content in the store, and makes
// paths be what they should be, touching only what differs.
//
// What counts as content: the bytes of files, whether their owner may execute
// them, the targets of symbolic links, names, and empty directories. Not:
// times, owners, other permissions. Sockets, devices and FIFOs are refused.
// Entries named .git or .flow are not there for this package, at any depth.
//
// A link inside a directory is kept as a link if it leads to something in that
// directory by a way that does not leave it: wherever the directory is laid out,
// the link leads to the same content. Any other link is followed and counts as
// the file or directory that it leads to, since programs read through it: one
// with an absolute target, one through "..", one to what a filter ignores, and
// one at the very path that is asked for. Stage and Checkout lay out real files
// in its place; Checkout leaves it alone while the content behind it is right.
// A link to nothing, into a circle, or to a directory that it lies in is a
// *PathError. So is, to Collect, one that leads out of the job's directory:
// results must not depend on what lies there.
//
// It never writes outside of the project: not through "..", and not through a
// symbolic link. It knows nothing of stages; engine/apply decides what is put
// where, engine/plan asks what is there.
package worktree

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flow-pipelines/flow/engine/cas/disk"
	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/state"
)

// Options of a worktree.
type Options struct {
	Clock func() time.Time // time.Now when nil

	// Workers bounds the files read or written at one moment, over all
	// calls; 0 chooses. Stats gain nothing from more workers than cores, but
	// 1,000,000 cold files are hashed in 68 s by one reader, 23 s by 16, 12 s
	// by 64.
	Workers int
}

const minWorkers = 16

// Worktree is a project directory. It is safe for concurrent use.
type Worktree struct {
	root  string // absolute, no symbolic links
	store *disk.Store
	clock func() time.Time
	cache *cache
	seen  listings

	tokens  chan struct{} // one is held by each goroutine beside its callers
	readers sync.Pool     // of *reader
	temps   atomic.Int64  // numbers unfinished files

	mu     sync.Mutex
	staged map[string]map[string]stamp // see Stage
}

// New returns the worktree with the given root, an existing directory.
func New(root string, store *disk.Store, db *state.DB, opts Options) (*Worktree, error) {
	root, err := filepath.Abs(root)
	if err == nil {
		root, err = filepath.EvalSymlinks(root)
	}
	if err != nil {
		return nil, fmt.Errorf("open project: %w", err)
	}
	w := &Worktree{root: root, store: store, clock: opts.Clock, cache: newCache(db), staged: map[string]map[string]stamp{}}
	if w.clock == nil {
		w.clock = time.Now
	}
	workers := opts.Workers
	if workers == 0 {
		workers = max(minWorkers, 2*runtime.GOMAXPROCS(0))
	}
	w.tokens = make(chan struct{}, workers)
	w.readers.New = func() any { return &reader{h: digest.NewHasher(), buf: make([]byte, readSize)} }
	return w, nil
}

// Flush writes what was learnt about files to the stat cache. Whoever forgets
// it lets the next command read files again. Where nothing can be written it
// does nothing.
func (w *Worktree) Flush(ctx context.Context) error { return w.cache.flush(ctx) }

// PathError says that a path is none that this package touches. Path is
// slash-separated and below the root; for Collect, below what is collected,
// which itself is ".".
type PathError struct {
	Path, Reason string
	Err          error // fs.ErrNotExist if nothing is at the very path that was asked for
}

func (e *PathError) Error() string { return fmt.Sprintf("path %q %s", e.Path, e.Reason) }

func (e *PathError) Unwrap() error { return e.Err }

// ChangedError says that content is not what it was a moment ago.
type ChangedError struct {
	Path      string      // slash-separated; below the path that was asked for
	Want, Got digest.Node // Got is zero when nothing is there
}

func (e *ChangedError) Error() string {
	name := e.Path
	if name == "" {
		name = "content"
	}
	if e.Got.IsZero() {
		return fmt.Sprintf("%s: no longer what it was (%s)", name, e.Want.Digest.Short())
	}
	return fmt.Sprintf("%s: was %s, is now %s", name, e.Want.Digest.Short(), e.Got.Digest.Short())
}

// modules is where the files of modules lie that come from elsewhere: in .flow,
// and yet inputs like others.
const modules = ".flow/modules/"

// reserved reports whether an entry of a directory is git's or ours.
func reserved(name string) bool {
	return name == ".git" || name == ".flow" || strings.HasPrefix(name, tempPrefix)
}

// clean checks a path and returns it without detours; "" is the root.
func clean(p string) (string, error) {
	if p == "" || p == "." || p == "./" {
		return "", nil
	}
	c := path.Clean(p)
	if path.IsAbs(c) || !filepath.IsLocal(filepath.FromSlash(c)) {
		return "", &PathError{Path: p, Reason: "leaves the project"}
	}
	for part := range strings.SplitSeq(strings.TrimPrefix(c, modules), "/") {
		if reserved(part) {
			return "", &PathError{Path: p, Reason: "belongs to git or to flow itself"}
		}
	}
	if strings.ContainsRune(c, 0) {
		return "", &PathError{Path: p, Reason: "has a zero byte"}
	}
	return c, nil
}

func (w *Worktree) abs(clean string) string { return filepath.Join(w.root, filepath.FromSlash(clean)) }

// writable returns the absolute path to write at for a clean path: the same
// place with all symbolic links resolved, which must lie in the project. Parts
// that do not exist yet are taken as they are.
func (w *Worktree) writable(clean string) (string, error) {
	abs := w.abs(clean)
	if clean == "" {
		return abs, nil
	}
	rest := ""
	for at := abs; ; {
		real, err := filepath.EvalSymlinks(at)
		switch {
		case err == nil && !within(w.root, real):
			return "", &PathError{Path: clean, Reason: fmt.Sprintf("leads out of the project, to %s, by a symbolic link; flow does not write there", filepath.Join(real, rest))}
		case err == nil:
			return filepath.Join(real, rest), nil
		case !errors.Is(err, fs.ErrNotExist):
			return "", fmt.Errorf("look at %s: %w", clean, err)
		}
		info, err := os.Lstat(at)
		switch {
		case err != nil:
			at, rest = filepath.Dir(at), filepath.Join(filepath.Base(at), rest)
		case info.Mode()&fs.ModeSymlink == 0:
			// Another stage's output has just made it: look again.
		case rest != "":
			return "", &PathError{Path: clean, Reason: "goes through a symbolic link to nothing"}
		default: // a dangling link as the last part is replaced
			parent, err := w.writable(path.Dir(clean))
			return filepath.Join(parent, filepath.Base(at)), err
		}
	}
}

// join is path.Join for clean parts, of which the first may be "".
func join(dir, name string) string {
	if dir == "" {
		return name
	}
	if name == "" {
		return dir
	}
	return dir + "/" + name
}

// split is the inverse of join.
func split(p string) (dir, name string) {
	i := strings.LastIndexByte(p, '/')
	if i < 0 {
		return "", p
	}
	return p[:i], p[i+1:]
}

// group runs functions on free workers, or right here when there are none, so
// that nesting cannot deadlock. wait returns the first error.
type group struct {
	tokens chan struct{}
	wg     sync.WaitGroup
	mu     sync.Mutex
	err    error
}

func (g *group) do(f func() error) {
	if g.failed() {
		return
	}
	select {
	case g.tokens <- struct{}{}:
		g.wg.Go(func() {
			defer func() { <-g.tokens }()
			g.keep(f())
		})
	default:
		g.keep(f())
	}
}

func (g *group) keep(err error) {
	if err == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err == nil {
		g.err = err
	}
}

func (g *group) failed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err != nil
}

func (g *group) wait() error {
	g.wg.Wait()
	return g.err
}
