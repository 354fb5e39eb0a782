package deploy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/stage"
)

// The names in a target. What begins with pending is half-done work that the
// next run removes; nothing else ever reads it.
const (
	linkName     = "current"
	versionsName = "versions"
	recordName   = "deployment.json"
	lockName     = ".lock"
	ignoreName   = ".gitignore"
	pending      = ".flow-"
)

// target is a directory that is deployed to.
type target struct {
	root string // on this machine
	name string // as the user wrote it, for messages
	now  func() time.Time
	log  io.Writer
	// step, if not nil, is called after each change to the file system. Tests
	// check there that a model can be served, and die there.
	step func(what string)
}

func (t *target) did(format string, args ...any) {
	if t.step != nil {
		t.step(fmt.Sprintf(format, args...))
	}
}

func (t *target) logf(format string, args ...any) {
	if t.log != nil {
		_, _ = fmt.Fprintf(t.log, format+"\n", args...)
	}
}

func (t *target) versions() string { return filepath.Join(t.root, versionsName) }

// deploy makes the model current. There is no undoing on errors: what is half
// done has a pending name, and the next run removes it.
func (t *target) deploy(ctx context.Context, model, by string, keep int) (Version, error) {
	node, err := measure(model)
	if err != nil {
		return Version{}, fmt.Errorf("read the model: %w", err)
	}
	unlock, err := t.prepare(ctx)
	if err != nil {
		return Version{}, err
	}
	defer unlock()

	before, err := t.current()
	if err != nil {
		return Version{}, err
	}
	record, err := t.heal(before)
	if err != nil {
		return Version{}, err
	}
	version, damaged, err := t.place(ctx, model, node)
	if err != nil {
		return Version{}, fmt.Errorf("copy the model to %s: %w", t.name, err)
	}
	version.By = by
	if before != version.Name {
		if err := t.point(version.Name); err != nil {
			return Version{}, err
		}
		t.logf("%s: version %s is current", t.name, version.Name)
	} else {
		t.logf("%s: version %s was current already", t.name, version.Name)
	}
	record.deployed(version, before, t.now())
	record.drop(damaged)
	doomed := append(damaged, record.prune(keep)...)
	if err := t.writeRecord(record); err != nil {
		return Version{}, err
	}
	return version, t.remove(doomed)
}

// ignore keeps a target that lies in a project out of git: what was deployed
// comes from the cache, by flow.lock, and not from a commit.
func (t *target) ignore() error {
	f, err := os.OpenFile(filepath.Join(t.root, ignoreName), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("prepare %s: %w", t.name, err)
	}
	_, err = f.WriteString("# written by flow deploy\n*\n")
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("prepare %s: %w", t.name, err)
	}
	t.did("write %s", ignoreName)
	return nil
}

// prepare makes the target, takes its lock and removes leftovers.
func (t *target) prepare(ctx context.Context) (unlock func(), err error) {
	if err := t.make(t.versions()); err != nil {
		return nil, err
	}
	if err := t.ignore(); err != nil {
		return nil, err
	}
	unlock, err = lock(ctx, filepath.Join(t.root, lockName))
	if err != nil {
		return nil, fmt.Errorf("wait for another deployment to %s: %w", t.name, err)
	}
	if err := t.sweep(); err != nil {
		unlock()
		return nil, fmt.Errorf("remove what an interrupted deployment left in %s: %w", t.name, err)
	}
	return unlock, nil
}

// make creates a directory and its parents, each synced into its parent.
func (t *target) make(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return t.notOurs("A file is in the place of the deployment", "%s is not a directory. Move it away or deploy elsewhere.", dir)
	case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTDIR): // of which the parent tells
		return fmt.Errorf("create %s: %w", t.name, err)
	}
	if parent := filepath.Dir(dir); parent != dir {
		if err := t.make(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("create %s: %w", t.name, err)
	}
	t.did("mkdir %s", filepath.Base(dir))
	return syncDir(filepath.Dir(dir))
}

// notOurs is a *stage.Problem about what lies at the target.
func (t *target) notOurs(summary, detail string, args ...any) error {
	return stage.Problemf("directory.path", summary, detail, args...)
}

func (t *target) sweep() error {
	for _, dir := range []string{t.root, t.versions()} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if !strings.HasPrefix(e.Name(), pending) {
				continue
			}
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
			t.did("sweep %s", e.Name())
		}
	}
	return nil
}

// current returns the version that the link points to, "" if there is none. A
// link that points nowhere counts as none: it serves nothing.
func (t *target) current() (string, error) {
	status, err := Observe(t.root)
	if err != nil {
		return "", err
	}
	if status.foreign {
		return "", t.notOurs("What is served was not deployed by flow", "%s %s. Move it away or deploy elsewhere.", path.Join(t.name, linkName), status.Problem)
	}
	return status.Current, nil
}

// place makes the version's directory complete and durable. A version is named
// by its digest's first digits; if a damaged one has that name, by the same
// with a number. The damaged one may be current, so it is only reported here,
// and removed when another is.
func (t *target) place(ctx context.Context, model string, node digest.Node) (version Version, damaged []string, err error) {
	version = Version{Digest: node.Digest, Files: node.Files, Size: node.Size, Deployed: t.now().UTC()}
	disk, err := t.onDisk()
	if err != nil {
		return version, nil, err
	}
	base := node.Digest.Short()
	for _, v := range disk {
		if v.Name != base && !strings.HasPrefix(v.Name, base+"-") {
			continue
		}
		have, contents, err := measureVersion(filepath.Join(t.versions(), v.Name))
		if err != nil {
			return version, nil, err
		}
		if have == node {
			version.Name, version.Contents = v.Name, contents
			continue
		}
		t.logf("%s: version %s is damaged", t.name, v.Name)
		damaged = append(damaged, v.Name)
	}
	if version.Name != "" {
		return version, damaged, nil
	}
	version.Name = base
	for n := 2; slices.Contains(damaged, version.Name); n++ {
		version.Name = fmt.Sprintf("%s-%d", base, n)
	}
	version.Contents, err = t.write(ctx, model, node, version.Name)
	return version, damaged, err
}

// write copies the model to a version that is not there yet.
func (t *target) write(ctx context.Context, model string, node digest.Node, name string) ([]Stat, error) {
	temporary := filepath.Join(t.versions(), pending+name)
	if err := t.copy(ctx, model, temporary); err != nil {
		return nil, err
	}
	// What was copied is what was measured, even if the model changed meanwhile.
	have, contents, err := measureVersion(temporary)
	if err != nil {
		return nil, err
	}
	if have != node {
		return nil, fmt.Errorf("%s changed while it was copied", model)
	}
	if err := os.Rename(temporary, filepath.Join(t.versions(), name)); err != nil {
		return nil, err
	}
	t.did("rename version %s", name)
	return contents, syncDir(t.versions())
}

// point switches the link. A rename replaces a link in one step; removing and
// creating it would leave a moment with none.
func (t *target) point(version string) error {
	temporary := filepath.Join(t.root, pending+linkName)
	if err := os.Symlink(path.Join(versionsName, version), temporary); err != nil {
		return fmt.Errorf("switch %s to version %s: %w", t.name, version, err)
	}
	t.did("symlink")
	if err := os.Rename(temporary, filepath.Join(t.root, linkName)); err != nil {
		return fmt.Errorf("switch %s to version %s: %w", t.name, version, err)
	}
	t.did("switch to %s", version)
	return syncDir(t.root)
}

// remove deletes versions. Each gets a pending name first, so that a version
// is there as a whole or not at all.
func (t *target) remove(doomed []string) error {
	for _, name := range doomed {
		temporary := filepath.Join(t.versions(), pending+"old-"+name)
		err := os.Rename(filepath.Join(t.versions(), name), temporary)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("remove version %s of %s: %w", name, t.name, err)
		}
		t.did("retire %s", name)
		if err := os.RemoveAll(temporary); err != nil {
			return fmt.Errorf("remove version %s of %s: %w", name, t.name, err)
		}
		t.did("remove %s", name)
		t.logf("%s: version %s is removed", t.name, name)
	}
	return nil
}

// onDisk lists the versions that are there, sorted by when they were made.
func (t *target) onDisk() ([]Version, error) {
	entries, err := os.ReadDir(t.versions())
	if err != nil {
		return nil, err
	}
	var all []Version
	for _, e := range entries {
		if !e.IsDir() || strings.HasPrefix(e.Name(), pending) {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		all = append(all, Version{Name: e.Name(), Deployed: info.ModTime().UTC()})
	}
	slices.SortStableFunc(all, func(a, b Version) int { return a.Deployed.Compare(b.Deployed) })
	return all, nil
}
