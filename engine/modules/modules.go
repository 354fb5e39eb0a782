// Package modules keeps the modules that come from git.
//
// A source git::REPOSITORY//FOLDER?ref=REVISION is cloned by Getter (the
// command `flow get`) into .flow/modules, a directory for each module block,
// and pinned in flow.lock: the commit, and the digest of the files. All other
// commands take what is there, by Find, and only if it is what flow.lock says.
// So nothing but Getter touches the network, and a module cannot change unless
// flow.lock does.
//
// A directory is named after the module block rather than the commit, so that
// the paths in it, which programs see and which are in the keys of their
// stages, stay as they are from one revision to the next.
//
// The package is called by engine.
package modules

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/lock"
)

// Dir is where modules lie, relative to the project.
const Dir = ".flow/modules"

// Find returns the directory of a module that Getter put there: that of its
// files, and that of the whole checkout, relative to the project at root. All
// errors are *config.SourceError.
func Find(root string, locked *lock.Lock, at addr.Module, source string) (folder, checkout string, err error) {
	s, err := ParseSource(source)
	if err != nil {
		return "", "", err
	}
	pin := locked.Module(s.Pin())
	if pin == nil {
		return "", "", mistake("The module is not in flow.lock", "%s has not been fetched yet. Run: flow get", source)
	}
	checkout = directory(at)
	got, err := Content(root, checkout)
	switch {
	case os.IsNotExist(err):
		return "", "", mistake("The module is not there", "%s is pinned in flow.lock, and has not been fetched here. Run: flow get", source)
	case err != nil:
		return "", "", mistake("The module cannot be read", "%v. To fetch it again, run: flow get", err)
	case got != pin.Content:
		return "", "", mistake("The module is not what flow.lock says", "The files in %s differ from those of commit %.12s. Changes belong in the module's repository; to have the files as they were, run: flow get", checkout, pin.Commit)
	}
	return path.Join(checkout, s.Folder), checkout, nil
}

func mistake(summary, format string, args ...any) error {
	return &config.SourceError{Summary: summary, Detail: fmt.Sprintf(format, args...)}
}

// directory is the one for a module block, relative to the project.
func directory(at addr.Module) string {
	var names []string
	for _, s := range at.Steps() {
		names = append(names, s.Name)
	}
	return path.Join(Dir, strings.Join(names, "."))
}

// Content returns the digest of the files of a module in a directory of the
// project at root, as flow.lock pins it.
func Content(root, checkout string) (digest.Digest, error) {
	return contentOf(filepath.Join(root, checkout))
}

// contentOf returns the digest of a directory: names, content, and whether a
// file can be run. Symbolic links that lead out of it are refused, since what
// is behind them is not pinned.
func contentOf(dir string) (digest.Digest, error) {
	if _, err := os.Stat(dir); err != nil {
		return digest.Digest{}, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return digest.Digest{}, err
	}
	defer root.Close()
	n, err := treeOf(root, ".")
	return n.Digest, err
}

func treeOf(root *os.Root, dir string) (digest.Node, error) {
	entries, err := fs.ReadDir(root.FS(), dir)
	if err != nil {
		return digest.Node{}, err
	}
	var t digest.Tree
	for _, e := range entries {
		n, err := nodeOf(root, path.Join(dir, e.Name()), e)
		if err != nil {
			return digest.Node{}, err
		}
		t = append(t, digest.Entry{Name: e.Name(), Node: n})
	}
	t.Sort()
	return t.Node(), nil
}

func nodeOf(root *os.Root, name string, e fs.DirEntry) (digest.Node, error) {
	switch {
	case e.IsDir():
		return treeOf(root, name)
	case e.Type()&fs.ModeSymlink != 0:
		to, err := root.Readlink(name)
		if err != nil {
			return digest.Node{}, err
		}
		if _, err := root.Stat(name); err != nil {
			return digest.Node{}, fmt.Errorf("the link %s leads out of the module: %s", name, to)
		}
		return digest.Node{Kind: digest.Link, Digest: digest.OfBytes([]byte(to)), Size: int64(len(to)), Files: 1}, nil
	case !e.Type().IsRegular():
		return digest.Node{}, fmt.Errorf("%s is neither a file nor a directory", name)
	}
	f, err := root.Open(name)
	if err != nil {
		return digest.Node{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return digest.Node{}, err
	}
	d, size, err := digest.OfReader(f)
	if err != nil {
		return digest.Node{}, err
	}
	n := digest.Node{Kind: digest.File, Digest: d, Size: size, Files: 1}
	if info.Mode()&0o100 != 0 {
		n.Kind = digest.Executable
	}
	return n, nil
}
