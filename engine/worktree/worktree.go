// Package worktree knows the user's files by content, and puts content back.
package worktree

import (
	"context"
	"time"

	"github.com/flow-pipelines/flow/engine/cas/disk"
	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/state"
)

// Filter says which files below a directory count; the zero Filter: all.
type Filter struct {
	Include []string
	Ignore  []string
}

// Options of a worktree.
type Options struct {
	Clock   func() time.Time // time.Now when nil
	Workers int              // concurrent readers; 0 chooses
}

// Worktree is a project directory.
type Worktree struct{ root string }

// New returns the worktree with the given root, an absolute directory.
func New(root string, store *disk.Store, db *state.DB, opts Options) (*Worktree, error) {
	panic("not yet")
}

// Hash returns what lies at path, a slash-separated path below the root. A
// path that is not there is fs.ErrNotExist.
func (w *Worktree) Hash(ctx context.Context, path string, f Filter) (digest.Node, error) {
	panic("not yet")
}

// HashAll is Hash for many paths; what is not there is the zero Node.
func (w *Worktree) HashAll(ctx context.Context, paths []string) ([]digest.Node, error) {
	panic("not yet")
}

// File is one file of a listing.
type File struct {
	Path string // slash-separated, below the listed path; "" is the path itself
	digest.Node
}

// List returns the files at or below path, sorted, with their content.
func (w *Worktree) List(ctx context.Context, path string, f Filter) ([]File, error) { panic("not yet") }

// Expand returns the files that glob matches, sorted.
func (w *Worktree) Expand(ctx context.Context, glob string) ([]string, error) { panic("not yet") }

// Store keeps the content at path, which must be want, in the store. The
// user's files are reflinked or copied, never moved or changed.
func (w *Worktree) Store(ctx context.Context, path string, f Filter, want digest.Node) error {
	panic("not yet")
}

// StoreTrees keeps the directory listings alone (store = false).
func (w *Worktree) StoreTrees(ctx context.Context, path string, f Filter, want digest.Node) error {
	panic("not yet")
}

// Collect hashes the file or directory at absPath, outside of the worktree,
// and moves its files into the store.
func (w *Worktree) Collect(ctx context.Context, absPath string) (digest.Node, error) {
	panic("not yet")
}

// Summary counts what Checkout and Stage did.
type Summary struct {
	Kept, Copied, Reflinked, Hardlinked, Removed int
}

// Checkout makes path be node, touching only what differs. Below a directory,
// files that pass f and are not in node are removed.
func (w *Worktree) Checkout(ctx context.Context, path string, f Filter, node digest.Node) (Summary, error) {
	panic("not yet")
}

// Stage lays node at dir/path for a stage to read: from the store, or, what
// the store does not have, from the worktree at path.
func (w *Worktree) Stage(ctx context.Context, path string, node digest.Node, dir string) (Summary, error) {
	panic("not yet")
}

// Verify returns a *ChangedError when dir/path is no longer node.
func (w *Worktree) Verify(ctx context.Context, path string, node digest.Node, dir string) error {
	panic("not yet")
}

// ChangedError says that content is not what it was a moment ago.
type ChangedError struct {
	Path      string
	Want, Got digest.Node
}

func (e *ChangedError) Error() string { panic("not yet") }

// Change is one file that differs between two nodes.
type Change struct {
	Path     string      // below the compared nodes
	Old, New digest.Node // zero: not there
}

// Diff returns the first limit changes from old to new, sorted by path, and
// how many there are in all.
func (w *Worktree) Diff(ctx context.Context, old, new digest.Node, limit int) (changes []Change, total int, err error) {
	panic("not yet")
}

// Object is something a store lacks.
type Object struct {
	digest.Digest
	Size int64
}

// Missing returns the objects of node that the store lacks.
func (w *Worktree) Missing(ctx context.Context, node digest.Node) ([]Object, error) { panic("not yet") }

// Flush writes what was learnt about the files to the database.
func (w *Worktree) Flush(ctx context.Context) error { panic("not yet") }
