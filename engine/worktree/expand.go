package worktree

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// Expand returns the files that a glob matches, as sorted slash-separated paths
// below the root. ** stands for any directories, which are not entered through
// symbolic links. A link to a file of the project is a file.
func (w *Worktree) Expand(ctx context.Context, glob string) ([]string, error) {
	pattern := strings.TrimPrefix(glob, "./")
	if !doublestar.ValidatePattern(pattern) {
		return nil, fmt.Errorf("glob %q: %w", glob, doublestar.ErrBadPattern)
	}
	if strings.HasPrefix(pattern, "/") {
		return nil, &PathError{glob, "leaves the project"}
	}
	for part := range strings.SplitSeq(pattern, "/") {
		if part == ".." {
			return nil, &PathError{glob, "leaves the project"}
		}
	}
	// The walk asks for a name without wildcards by following links.
	last := pattern[strings.LastIndexByte(pattern, '/')+1:]
	literal := !strings.ContainsAny(last, `*?[{\`)
	var found []string
	inside := map[string]bool{} // directories, by whether they lie in the project
	err := doublestar.GlobWalk(projectFS{w.root}, pattern, func(path string, d fs.DirEntry) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if w.isFileInside(path, d, inside) && (!literal || w.contains(w.abs(path))) {
			found = append(found, path)
		}
		return nil
	}, doublestar.WithNoFollow(), doublestar.WithFailOnIOErrors())
	if err != nil {
		return nil, fmt.Errorf("expand %q: %w", glob, err)
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}

// isFileInside reports whether a match is a file that lies in the project
// wherever links lead.
func (w *Worktree) isFileInside(path string, d fs.DirEntry, inside map[string]bool) bool {
	for part := range strings.SplitSeq(path, "/") {
		if reserved(part) {
			return false
		}
	}
	abs := w.abs(path)
	if d.Type()&fs.ModeSymlink != 0 {
		info, err := os.Stat(abs)
		return err == nil && info.Mode().IsRegular() && w.contains(abs)
	}
	if !d.Type().IsRegular() {
		return false
	}
	dir := filepath.Dir(abs)
	in, ok := inside[dir]
	if !ok {
		in = w.contains(dir)
		inside[dir] = in
	}
	return in
}

// contains reports whether what abs leads to lies in the project.
func (w *Worktree) contains(abs string) bool {
	real, err := filepath.EvalSymlinks(abs)
	return err == nil && (real == w.root || strings.HasPrefix(real, w.root+string(filepath.Separator)))
}

// projectFS is the project without what is git's and ours.
type projectFS struct{ root string }

func (p projectFS) Open(name string) (fs.File, error) {
	return os.Open(filepath.Join(p.root, filepath.FromSlash(name)))
}

func (p projectFS) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := os.ReadDir(filepath.Join(p.root, filepath.FromSlash(name)))
	return slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return reserved(e.Name()) }), err
}

func (p projectFS) Stat(name string) (fs.FileInfo, error) {
	return os.Stat(filepath.Join(p.root, filepath.FromSlash(name)))
}
