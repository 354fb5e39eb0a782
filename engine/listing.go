package engine

import (
	"path"
	"slices"
	"strings"

	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/worktree"
)

// listing is the files of a directory, or a file by itself. A link that leads to
// a file of the directory is that file under another name; one that leads to a
// directory is a way there, and no file.
type listing struct {
	files []worktree.File // sorted by path
	links map[string]string
}

// listingOf makes a listing of what a directory holds, sorted by path; target
// reads a link.
func listingOf(held []worktree.File, target func(link worktree.File) (string, bool)) *listing {
	l := &listing{files: held}
	if !slices.ContainsFunc(held, isLink) {
		return l
	}
	l.files, l.links = slices.DeleteFunc(slices.Clone(held), isLink), map[string]string{}
	for _, f := range held {
		if !isLink(f) {
			continue
		}
		if text, ok := target(f); ok {
			l.links[f.Path] = text
		}
	}
	var named []worktree.File
	for link := range l.links {
		if f, ok := l.find(link); ok {
			named = append(named, worktree.File{Path: link, Node: f.Node})
		}
	}
	l.files = append(l.files, named...)
	slices.SortFunc(l.files, func(a, b worktree.File) int { return strings.Compare(a.Path, b.Path) })
	return l
}

func isLink(f worktree.File) bool { return f.Kind == digest.Link }

// mostLinks is how many links one path may go through; Linux's limit.
const mostLinks = 40

// find returns the file at a path, through links.
func (l *listing) find(name string) (worktree.File, bool) {
	at, todo := "", strings.Split(name, "/")
	for links := 0; len(todo) > 0; {
		part := todo[0]
		todo = todo[1:]
		switch {
		case part == "" || part == ".":
			continue
		case part == ".." && at == "":
			return worktree.File{}, false
		case part == "..":
			at = strings.TrimPrefix(path.Dir("/"+at), "/")
			continue
		}
		at = path.Join(at, part)
		text, ok := l.links[at]
		if !ok {
			continue
		}
		if links++; links > mostLinks || path.IsAbs(text) {
			return worktree.File{}, false
		}
		at = strings.TrimPrefix(path.Dir("/"+at), "/")
		todo = slices.Concat(strings.Split(text, "/"), todo)
	}
	i, ok := slices.BinarySearchFunc(l.files, at, func(f worktree.File, at string) int { return strings.Compare(f.Path, at) })
	if !ok {
		return worktree.File{}, false
	}
	return l.files[i], true
}
