package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/flow-pipelines/flow/engine/digest"
)

// maxFile limits what file() reads: it is for settings, not for data.
const maxFile = 16 << 20

// projectFiles reads files for functions, each once, and none outside the
// project: os.Root refuses .. and symbolic links that lead out.
type projectFiles struct {
	dir   string
	looks *looks

	// recorded returns the output of a stage that a path is, or lies in, as
	// flow.lock has it; nil: there are none. fileset leaves those out that it
	// does not name, as globs do.
	recorded func(path string) (output string, ok bool)

	mu      sync.Mutex
	read    map[string][]byte // by clean path
	digests map[string]string
	found   map[string]bool    // by fileset and fileexists
	asked   map[string]request // by function and path
}

// request is what a function was asked for.
type request struct {
	function string
	argument string   // the path or directory, as it was given
	path     string   // of the project; of fileset a glob
	found    []string // by fileset
}

func newProjectFiles(dir string, seen *looks) *projectFiles {
	return &projectFiles{dir: dir, looks: seen, read: map[string][]byte{}, digests: map[string]string{}, found: map[string]bool{}, asked: map[string]request{}}
}

func (p *projectFiles) content(name string) ([]byte, error) {
	clean, problem := projectPath(name)
	if problem != "" {
		return nil, function.NewArgErrorf(0, "functions read files of the project only, and %q is none: %s", name, problem)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if b, ok := p.read[clean]; ok {
		return b, nil
	}
	b, err := p.load(clean)
	p.looks.note(lookFile, clean, "", answered(b, err))
	if err != nil {
		return nil, function.NewArgError(0, err)
	}
	p.read[clean] = b
	return b, nil
}

// ask notes a request for a path of the project. Of several that write the path
// in their ways, one is kept, whoever comes first.
func (p *projectFiles) ask(r request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := r.function + "\x00" + r.path
	if before, ok := p.asked[at]; !ok || r.argument <= before.argument {
		p.asked[at] = r
	}
}

// requests are all that there were so far, in the order of functions and paths.
func (p *projectFiles) requests() []request {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]request, 0, len(p.asked))
	for _, k := range slices.Sorted(maps.Keys(p.asked)) {
		all = append(all, p.asked[k])
	}
	return all
}

// Reads returns the files of the project that the pipeline is made of, and those
// that functions have read or found so far, which after Stages and Outputs are
// all; sorted.
func (p *Pipeline) Reads() []string {
	f := p.funcs.files
	f.mu.Lock()
	defer f.mu.Unlock()
	all := map[string]bool{}
	for name := range p.files {
		all[path.Clean(name)] = true
	}
	for name := range f.read {
		all[name] = true
	}
	for name := range f.digests {
		all[name] = true
	}
	maps.Copy(all, f.found)
	return slices.Sorted(maps.Keys(all))
}

// find notes that a function has said of a file that it is there.
func (p *projectFiles) find(clean string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.found[clean] = true
}

func (p *projectFiles) load(clean string) ([]byte, error) {
	f, err := p.open(clean)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > maxFile {
		return nil, fmt.Errorf("%s is larger than %d MiB: data is read by stages, not by functions", clean, maxFile>>20)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", clean, pathless(err))
	}
	return b, nil
}

// open opens a regular file of the project.
func (p *projectFiles) open(clean string) (*os.File, error) {
	f, err := os.OpenInRoot(p.dir, clean)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no file %s in the project", clean)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", clean, pathless(err))
	}
	info, err := f.Stat()
	switch {
	case err != nil:
		err = fmt.Errorf("cannot read %s: %w", clean, pathless(err))
	case info.IsDir():
		err = fmt.Errorf("%s is a directory", clean)
	case !info.Mode().IsRegular():
		err = fmt.Errorf("%s is not a regular file", clean)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// pathless takes absolute paths out of an error.
func pathless(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// digest returns the digest of a file of any size, as flow.lock writes it.
func (p *projectFiles) digest(name string) (string, error) {
	clean, problem := projectPath(name)
	if problem != "" {
		return "", function.NewArgErrorf(0, "functions read files of the project only, and %q is none: %s", name, problem)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if d, ok := p.digests[clean]; ok {
		return d, nil
	}
	d, err := p.hash(clean)
	p.looks.note(lookDigest, clean, "", answered([]byte(d), err))
	if err != nil {
		return "", function.NewArgError(0, err)
	}
	p.digests[clean] = d
	return d, nil
}

func (p *projectFiles) hash(clean string) (string, error) {
	f, err := p.open(clean)
	if err != nil {
		return "", err
	}
	defer f.Close()
	d, _, err := digest.OfReader(f)
	if err != nil {
		return "", fmt.Errorf("cannot read %s: %w", clean, pathless(err))
	}
	return d.String(), nil
}

func (p *projectFiles) exists(name string) (bool, error) {
	clean, problem := projectPath(name)
	if problem != "" {
		return false, function.NewArgErrorf(0, "functions look at files of the project only, and %q is none: %s", name, problem)
	}
	yes := p.there(clean)
	p.looks.note(lookExists, clean, "", answerOf(yes))
	if yes {
		p.find(clean)
	}
	return yes, nil
}

// there reports whether there is a file to be used: one that can be opened.
func (p *projectFiles) there(clean string) bool {
	f, err := os.OpenInRoot(p.dir, clean)
	if err != nil {
		return false
	}
	defer f.Close()
	info, err := f.Stat()
	return err == nil && info.Mode().IsRegular()
}

// set returns the files that a pattern matches, relative to the directory.
func (p *projectFiles) set(dir, pattern string) ([]string, error) {
	clean, problem := projectPath(dir)
	if problem != "" {
		return nil, function.NewArgErrorf(0, "functions look at files of the project only, and %q is none: %s", dir, problem)
	}
	names, err := p.glob(clean, pattern)
	p.looks.note(lookSet, clean, pattern, listed(names, err))
	if err != nil {
		return nil, err
	}
	r := request{function: "fileset", argument: dir, path: path.Join(clean, pattern)}
	kept := make([]string, 0, len(names))
	for _, n := range names {
		at := path.Join(clean, n)
		if p.recorded != nil {
			if output, ok := p.recorded(at); ok && !Names(r.path, output) {
				continue
			}
		}
		p.find(at)
		r.found = append(r.found, at)
		kept = append(kept, n)
	}
	p.ask(r)
	return kept, nil
}

// glob returns the files below a directory that match a pattern.
func (p *projectFiles) glob(clean, pattern string) ([]string, error) {
	root, err := os.OpenRoot(p.dir)
	if err != nil {
		return nil, pathless(err)
	}
	defer root.Close()
	sub, err := fs.Sub(root.FS(), clean)
	if err != nil {
		return nil, pathless(err)
	}
	names, err := doublestar.Glob(userFiles{sub}, pattern, doublestar.WithFilesOnly(), doublestar.WithNoFollow())
	if err != nil {
		return nil, pathless(err)
	}
	return names, nil
}

// userFiles are the files of a directory without what is flow's own and git's: all
// that was ever cached or set aside is no file of the project.
type userFiles struct{ fs.FS }

var _ fs.ReadDirFS = userFiles{}

// ReadDir leaves out .flow, .git and files that flow is just writing.
func (u userFiles) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(u.FS, name)
	return slices.DeleteFunc(entries, func(e fs.DirEntry) bool {
		return e.Name() == ".git" || e.Name() == ".flow" || strings.HasPrefix(e.Name(), ".flow-")
	}), err
}
