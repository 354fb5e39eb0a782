package deploy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flow-pipelines/flow/engine/digest"
)

// measure returns the content of a model as the engine names it, so that the
// digest of a version is the one in flow.lock. A single file counts as the
// directory that holds it, as it is deployed.
func measure(name string) (digest.Node, error) {
	info, err := os.Stat(name)
	if err != nil {
		return digest.Node{}, err
	}
	if !info.IsDir() {
		entry, err := measureEntry(name, info)
		if err != nil {
			return digest.Node{}, err
		}
		return digest.Tree{entry}.Node(), nil
	}
	entries, err := os.ReadDir(name)
	if err != nil {
		return digest.Node{}, err
	}
	tree := make(digest.Tree, 0, len(entries))
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return digest.Node{}, err
		}
		entry, err := measureEntry(filepath.Join(name, e.Name()), info)
		if err != nil {
			return digest.Node{}, err
		}
		tree = append(tree, entry)
	}
	tree.Sort()
	return tree.Node(), nil
}

func measureEntry(name string, info fs.FileInfo) (digest.Entry, error) {
	entry := digest.Entry{Name: filepath.Base(name)}
	var err error
	switch {
	case info.IsDir():
		entry.Node, err = measure(name)
		return entry, err
	case info.Mode()&fs.ModeSymlink != 0:
		link, err := os.Readlink(name)
		entry.Node = digest.Node{Kind: digest.Link, Digest: digest.OfBytes([]byte(link)), Size: int64(len(link)), Files: 1}
		return entry, err
	case !info.Mode().IsRegular():
		return entry, fmt.Errorf("%s is neither a file nor a directory", name)
	}
	entry.Kind, entry.Files = digest.File, 1
	if info.Mode()&0o100 != 0 {
		entry.Kind = digest.Executable
	}
	f, err := os.Open(name)
	if err != nil {
		return entry, err
	}
	defer func() { _ = f.Close() }()
	entry.Digest, entry.Size, err = digest.OfReader(f)
	return entry, err
}

// copy copies a model, a directory or a single file, into a new directory, and
// syncs every file and directory of it.
func (t *target) copy(ctx context.Context, from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return t.copyDir(ctx, from, to)
	}
	if err := os.Mkdir(to, 0o777); err != nil {
		return err
	}
	t.did("mkdir %s", filepath.Base(to))
	if err := t.copyFile(from, filepath.Join(to, filepath.Base(from)), info); err != nil {
		return err
	}
	return syncDir(to)
}

func (t *target) copyDir(ctx context.Context, from, to string) error {
	if err := os.Mkdir(to, 0o777); err != nil {
		return err
	}
	t.did("mkdir %s", filepath.Base(to))
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		source, dest := filepath.Join(from, e.Name()), filepath.Join(to, e.Name())
		info, err := e.Info()
		if err != nil {
			return err
		}
		switch {
		case info.IsDir():
			err = t.copyDir(ctx, source, dest)
		case info.Mode()&fs.ModeSymlink != 0:
			err = copyLink(source, dest)
		default:
			err = t.copyFile(source, dest, info)
		}
		if err != nil {
			return err
		}
	}
	return syncDir(to)
}

func copyLink(from, to string) error {
	link, err := os.Readlink(from)
	if err != nil {
		return err
	}
	return os.Symlink(link, to)
}

// copyFile copies content and the execute permission; the model's own files
// may be write-protected, a version's are what the umask says.
func (t *target) copyFile(from, to string, info fs.FileInfo) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666|info.Mode().Perm()&0o111)
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }() // twice on success, which is harmless
	t.did("create %s", filepath.Base(to))
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	t.did("write %s", filepath.Base(to))
	if err := out.Sync(); err != nil {
		return err
	}
	return out.Close()
}

// writeFile replaces a file durably.
func (t *target) writeFile(name string, data []byte) error {
	temporary := filepath.Join(t.root, pending+name)
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	t.did("create %s", name)
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	t.did("write %s", name)
	if err := os.Rename(temporary, filepath.Join(t.root, name)); err != nil {
		return err
	}
	t.did("rename %s", name)
	return syncDir(t.root)
}

func syncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	// Some network file systems cannot sync a directory and say so; they
	// promise nothing more by it.
	if err := d.Sync(); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOTSUP) {
		return err
	}
	return nil
}

// lock waits for the file's lock, which the kernel gives up when the process
// ends, however it ends. The file stays: removing it would race.
func lock(ctx context.Context, name string) (unlock func(), err error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			_ = f.Close()
			return nil, err
		}
		select {
		case <-ctx.Done():
			_ = f.Close()
			return nil, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}
