package executor

import (
	"bytes"
	"path"
	"regexp"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// Failure is what is known about a task that failed.
type Failure struct {
	// Log is the end of the task's log; a few KiB are enough.
	Log  []byte
	Argv []string
	// Project and Dir are the absolute paths of the project and of the
	// task's directory, which looks like the project.
	Project, Dir string
	// Inputs are the paths and globs, relative to the project, that the
	// stage declared; Outputs are the paths that it writes.
	Inputs, Outputs []string
	// Exists reports whether the project has a file or directory at the
	// slash-separated relative path.
	Exists func(rel string) bool
}

// Hint is a file of the project that a failed program seems to have wanted.
type Hint struct {
	// Path is relative to the project, slash-separated.
	Path string
	// Input is what would declare it, most often Path itself, a glob for a
	// directory of code. It is "" if the file is declared already.
	Input string
	// Absolute says that the program goes to the project itself, by an
	// absolute path or up from its directory. Declaring the file does not
	// help alone: the program must use the path relative to its directory.
	Absolute bool
	// Line is the line of the log that tells, or "" if it is an argument.
	Line string
}

// maxHints is how many files are worth telling: whoever misses more must look
// at the whole log.
const maxHints = 8

// complaint recognises a line that says that a file cannot be had, in the words
// of sh, the coreutils, awk, Python, R, Node, Perl, Julia and the C library.
var complaint = regexp.MustCompile(`(?i)no such file|(can(no|')t|could( not|n't)|unable to|failed to) (open|access|stat|find|read|load|locate)|not found|not exist|n't exist|permission denied|\benoent\b|\beacces\b`)

// quoted finds what stands between any of the quotes that programs use.
var quoted = regexp.MustCompile("'([^']+)'|\"([^\"]+)\"|`([^`']+)['`]|‘([^’]+)’|“([^”]+)”")

// moduleLine finds what Python and Node say of code that is not there.
var moduleLine = regexp.MustCompile(`(?:No module named|Cannot find module|cannot import name '(\w+)' from)[ ]['"]?([^'"\s]+)`)

// Hints finds the files of the project that the program wanted and that are
// not inputs of its stage, most certain first: what the log's last lines
// complain of, then what the command names. It is pure but for f.Exists.
//
// It guesses, but only among files that the project has: a wrong guess names
// an existing file that is named in an error message or in the command and that
// the stage cannot see.
func Hints(f Failure) []Hint {
	h := hinter{Failure: f, seen: map[string]bool{}}
	lines := bytes.Split(f.Log, []byte("\n"))
	for i := len(lines) - 1; i >= 0; i-- {
		h.line(strings.TrimSpace(string(lines[i])))
	}
	h.arguments()
	return h.hints
}

type hinter struct {
	Failure
	seen  map[string]bool
	hints []Hint
}

func (h *hinter) line(line string) {
	if m := moduleLine.FindStringSubmatch(line); m != nil {
		h.module(m[2], m[1], line)
		return
	}
	at := complaint.FindStringIndex(line)
	if at == nil {
		return
	}
	for _, m := range quoted.FindAllStringSubmatch(line, -1) {
		h.want(strings.Join(m[1:], ""), line)
	}
	// "cat: my notes: No such file": what stands before the complaint, up to
	// a colon, may be anything.
	before := strings.TrimRight(line[:at[0]], " :(-")
	h.want(strings.TrimSpace(before[strings.LastIndex(before, ": ")+1:]), line)
	for _, token := range strings.Fields(line) {
		token = strings.Trim(token, "'\"`‘’“”()[]{}<>,;:")
		if looksLikePath(token) {
			h.want(strings.TrimRight(token, "."), line)
		}
	}
}

func looksLikePath(s string) bool { return strings.ContainsAny(s, "/.") }

// arguments looks for files that the command names.
func (h *hinter) arguments() {
	for i, arg := range h.Argv {
		// A command for a shell is one argument with several words.
		for _, word := range strings.FieldsFunc(arg, func(r rune) bool { return strings.ContainsRune(" \t\n;|&<>()='\"`,", r) }) {
			if (i > 0 || strings.Contains(word, "/")) && looksLikePath(word) {
				h.want(word, "")
			}
		}
	}
}

// want adds the file that name leads to, if the project has it.
func (h *hinter) want(name, line string) {
	if name == "" || len(name) > 4096 {
		return
	}
	if path.IsAbs(name) || strings.HasPrefix(name, "../") {
		if rel, outside, ok := h.relative(name); ok && h.Exists(rel) {
			h.add(Hint{Path: rel, Input: rel, Absolute: outside, Line: line})
			return
		}
		if path.IsAbs(name) {
			return
		}
	}
	for _, base := range h.bases() {
		rel := path.Join(base, name)
		if local(rel) && h.Exists(rel) {
			h.add(Hint{Path: rel, Input: rel, Line: line})
			return
		}
	}
}

// relative returns the path in the project that a path means which is absolute
// or leads up from the task's directory, and whether it leads outside of it.
func (h *hinter) relative(name string) (rel string, outside, ok bool) {
	if !path.IsAbs(name) {
		name = path.Join(h.Dir, name)
	}
	name = path.Clean(name)
	// The directory is tried first: it often lies in the project.
	for _, root := range []string{h.Dir, h.Project} {
		if root == "" {
			continue
		}
		if rel, ok := strings.CutPrefix(name, strings.TrimSuffix(root, "/")+"/"); ok {
			return rel, root == h.Project, true
		}
	}
	return "", false, false
}

// bases are the directories that a relative path may start from: the root, and
// those of the scripts, which some programs change to.
func (h *hinter) bases() []string {
	bases := []string{""}
	seen := map[string]bool{"": true}
	for _, name := range append(append([]string{}, h.Argv...), h.Inputs...) {
		base, _ := doublestar.SplitPattern(name)
		if base == name || !hasMeta(name) {
			base = path.Dir(name)
		}
		base = strings.TrimPrefix(path.Clean(base), "./")
		if base != "." && !seen[base] && local(base) {
			seen[base] = true
			bases = append(bases, base)
		}
	}
	return bases
}

func hasMeta(s string) bool { return strings.ContainsAny(s, "*?[{\\") }

// local reports whether rel stays in the project, and out of what flow and git
// keep there.
func local(rel string) bool {
	first, _, _ := strings.Cut(rel, "/")
	return !path.IsAbs(rel) && first != "" && first != "." && first != ".." && first != ".git" && first != ".flow"
}

// module adds the code that an import did not find. of is a name that should
// have been in the module.
func (h *hinter) module(name, of, line string) {
	if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "/") {
		for _, end := range []string{"", ".js", ".mjs", ".cjs", ".ts", ".json", "/index.js"} {
			h.want(name+end, line)
		}
		return
	}
	file := strings.ReplaceAll(name, ".", "/")
	for _, base := range h.bases() {
		at := path.Join(base, file)
		top := path.Join(base, strings.SplitN(file, "/", 2)[0])
		switch {
		case of != "" && h.Exists(at+"/"+of+".py"):
			h.add(Hint{Path: at + "/" + of + ".py", Input: at + "/" + of + ".py", Line: line})
		case h.Exists(at + ".py"):
			h.add(Hint{Path: at + ".py", Input: at + ".py", Line: line})
		case h.Exists(top + "/__init__.py"), local(top) && h.Exists(at):
			// Of a package, more than the named module is needed.
			h.add(Hint{Path: top, Input: top + "/**/*.py", Line: line})
		default:
			continue
		}
		return
	}
}

func (h *hinter) add(hint Hint) {
	if !local(hint.Path) || h.seen[hint.Path] || len(h.hints) == maxHints {
		return
	}
	for _, o := range h.Outputs {
		if o = path.Clean(o); o == hint.Path || strings.HasPrefix(hint.Path, o+"/") || strings.HasPrefix(o, hint.Path+"/") {
			return
		}
	}
	if h.declared(hint) {
		if !hint.Absolute {
			return
		}
		hint.Input = ""
	}
	h.seen[hint.Path] = true
	h.hints = append(h.hints, hint)
}

// declared reports whether the file, or, of a directory, something in it, is
// an input.
func (h *hinter) declared(hint Hint) bool {
	for _, in := range h.Inputs {
		in = path.Clean(in)
		if in == hint.Path || in == hint.Input || strings.HasPrefix(hint.Path, in+"/") || strings.HasPrefix(in, hint.Path+"/") && hint.Input == hint.Path {
			return true
		}
		if ok, err := doublestar.Match(in, hint.Path); err == nil && ok {
			return true
		}
	}
	return false
}
