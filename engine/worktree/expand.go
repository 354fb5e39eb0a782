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
// symbolic links; matches below a directory that a link leads out of the project
// to do not count. A link to a file is a file wherever it leads, and so is one to
// nothing: it was asked for, and whoever hashes it is told that it dangles.
func (w *Worktree) Expand(ctx context.Context, glob string) ([]string, error) {
	pattern := strings.TrimPrefix(glob, "./")
	if !doublestar.ValidatePattern(pattern) {
		return nil, fmt.Errorf("glob %q: %w", glob, doublestar.ErrBadPattern)
	}
	if strings.HasPrefix(pattern, "/") {
		return nil, &PathError{Path: glob, Reason: "leaves the project"}
	}
	for part := range strings.SplitSeq(pattern, "/") {
		if part == ".." {
			return nil, &PathError{Path: glob, Reason: "leaves the project"}
		}
	}
	var found []string
	inside := map[string]bool{} // directories, by whether they lie in the project
	err := doublestar.GlobWalk(projectFS{w.root}, pattern, func(path string, d fs.DirEntry) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if w.isFile(path, d, inside) {
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

// isFile reports whether a match is a file, or a link that stands for one, in a
// directory that lies in the project. inside remembers which directories do.
func (w *Worktree) isFile(path string, d fs.DirEntry, inside map[string]bool) bool {
	for part := range strings.SplitSeq(strings.TrimPrefix(path, modules), "/") {
		if reserved(part) {
			return false
		}
	}
	abs := w.abs(path)
	dir := filepath.Dir(abs)
	in, ok := inside[dir]
	if !ok {
		in = w.contains(dir)
		inside[dir] = in
	}
	switch {
	case !in:
		return false
	case d.Type()&fs.ModeSymlink != 0:
		info, err := os.Stat(abs)
		return err != nil || info.Mode().IsRegular()
	}
	return d.Type().IsRegular()
}

// contains reports whether what abs leads to lies in the project.
func (w *Worktree) contains(abs string) bool {
	real, err := filepath.EvalSymlinks(abs)
	return err == nil && within(w.root, real)
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

// Stat follows links, and describes one that leads nowhere itself: the walk asks
// in this way for a name without wildcards.
func (p projectFS) Stat(name string) (fs.FileInfo, error) {
	abs := filepath.Join(p.root, filepath.FromSlash(name))
	info, err := os.Stat(abs)
	if err != nil {
		if link, lerr := os.Lstat(abs); lerr == nil && link.Mode()&fs.ModeSymlink != 0 {
			return link, nil
		}
	}
	return info, err
}
