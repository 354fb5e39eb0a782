package worktree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A link inside a directory is content as a link if whoever gets the directory,
// wherever it is laid out, is led by it to the same content: its way, text by
// text, must not leave the directory. Any other link would be read through to
// something that nobody has hashed, so it is followed, and counts as what it
// leads to. That goes for an absolute target too, even one inside: it would lead
// back here from every copy.

// room is a directory that links may lead around in: the scanned one, or one
// that a link in it leads to.
type room struct {
	abs  string // its path, perhaps through links
	rel  string // below the scanned path
	lent bool   // reached by a link: its files are somebody else's

	// For a room that was reached by a link.
	from *room  // where the link lies
	dir  string // the directory of the link, without links
}

// way is where a link leads.
type way struct {
	text string
	out  bool  // by a way that leaves the room, or to what the filter leaves out
	at   stamp // what is there
}

// follow looks where the link abs leads, which is rel below the scanned path. A
// link that leads nowhere is a *PathError with the path abs.
func (r *room) follow(abs, rel string, f Filter) (way, error) {
	text, err := os.Readlink(abs)
	if err != nil {
		return way{}, err
	}
	w := way{text: text}
	if w.at, err = stat(atCWD, abs, 0); err != nil {
		return w, deadEnd(abs, text, err)
	}
	below := strings.TrimPrefix(strings.TrimPrefix(rel, r.rel), "/")
	dir, _ := split(below)
	to, ok := r.walk(dir, text)
	w.out = !ok || to != "" && !within(to, below) && !f.keepsLink(rel, join(r.rel, to))
	return w, nil
}

// deadEnd explains a link whose target cannot be looked at.
func deadEnd(abs, text string, err error) error {
	reason := ""
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		reason = "which is not there"
	case errors.Is(err, unix.ELOOP):
		reason = "which leads in a circle"
	default:
		return err
	}
	return &PathError{Path: abs, Reason: fmt.Sprintf("is a link to %q, %s", text, reason)}
}

// mostLinks is how many links one path may go through; Linux's limit.
const mostLinks = 40

// walk follows text from a directory of the room, link by link, and returns the
// path below the room where it ends. ok is false when the way leaves the room.
func (r *room) walk(dir, text string) (to string, ok bool) {
	if filepath.IsAbs(text) {
		return "", false
	}
	var at []string
	if dir != "" {
		at = strings.Split(dir, "/")
	}
	todo := strings.Split(text, "/")
	for links := 0; len(todo) > 0; {
		part := todo[0]
		todo = todo[1:]
		switch {
		case part == "" || part == ".":
			continue
		case part == ".." && len(at) > 0:
			at = at[:len(at)-1]
			continue
		case part == ".." || reserved(part):
			return "", false
		}
		next, err := os.Readlink(filepath.Join(r.abs, filepath.Join(at...), part))
		if err != nil { // no link
			at = append(at, part)
			continue
		}
		if links++; links > mostLinks || filepath.IsAbs(next) {
			return "", false
		}
		todo = slices.Concat(strings.Split(next, "/"), todo)
	}
	return strings.Join(at, "/"), true
}

// enter returns the room that the link abs opens, which leads to a directory. One
// that holds the link itself would never end.
func (r *room) enter(abs, rel, text string) (*room, error) {
	real, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return nil, err
	}
	for at, from := dir, r; from != nil; at, from = from.dir, from.from {
		if within(real, at) {
			return nil, &PathError{Path: abs, Reason: fmt.Sprintf("is a link to %q, a directory that holds the link itself", text)}
		}
	}
	return &room{abs: abs, rel: rel, lent: true, from: r, dir: dir}, nil
}

// within reports whether path, without links, is dir or lies in it.
func within(dir, path string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}
