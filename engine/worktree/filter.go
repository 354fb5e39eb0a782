package worktree

import (
	"fmt"
	"path"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// Filter says which files below a directory count; the zero Filter: all.
//
// Patterns are those of .gitignore in spirit: one with a slash is matched
// against the path below the directory, one without against each name at any
// depth; ** stands for any directories, and a pattern that matches a directory
// matches all that is in it. Ignore wins over Include. With Include,
// directories without an included file do not count either.
type Filter struct {
	Include []string
	Ignore  []string
}

func (f Filter) check() error {
	for _, list := range [][]string{f.Include, f.Ignore} {
		for _, p := range list {
			if !doublestar.ValidatePattern(p) {
				return fmt.Errorf("pattern %q: %w", p, doublestar.ErrBadPattern)
			}
		}
	}
	return nil
}

// ignores reports whether rel, a path below the directory, is ignored.
func (f Filter) ignores(rel string) bool { return matchAny(f.Ignore, rel) }

// includes reports whether rel is included by itself.
func (f Filter) includes(rel string) bool { return len(f.Include) == 0 || matchAny(f.Include, rel) }

// passes reports whether a file counts, whose parents must be asked too.
func (f Filter) passes(rel string) bool {
	if len(f.Include) == 0 && len(f.Ignore) == 0 {
		return true
	}
	included := false
	for i := 0; i <= len(rel); i++ {
		if i < len(rel) && rel[i] != '/' {
			continue
		}
		if f.ignores(rel[:i]) {
			return false
		}
		included = included || f.includes(rel[:i])
	}
	return included
}

// hides reports whether rel, or a directory that it lies in, is ignored.
func (f Filter) hides(rel string) bool {
	for i := 0; i <= len(rel) && len(f.Ignore) > 0; i++ {
		if (i == len(rel) || rel[i] == '/') && f.ignores(rel[:i]) {
			return true
		}
	}
	return false
}

// keepsLink reports whether a link at rel may stay one, as far as the filter is
// concerned: what it leads to must count too, or it would be gone from a copy.
func (f Filter) keepsLink(rel, target string) bool {
	return !f.hides(target) && (f.passes(target) || !f.passes(rel))
}

func matchAny(patterns []string, rel string) bool {
	for _, p := range patterns {
		p = strings.TrimSuffix(p, "/")
		name := rel
		if !strings.Contains(p, "/") {
			name = path.Base(rel)
		}
		if doublestar.MatchUnvalidated(strings.TrimPrefix(p, "/"), name) {
			return true
		}
	}
	return false
}
