package deploy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/flow-pipelines/flow/engine/stage"
)

// Status is what a look at a deployment shows.
type Status struct {
	// Current is the version that is served, "" if none is.
	Current string
	// Problem says why none is, to follow the link's path in a sentence: "is
	// gone", "points to version x, which is gone".
	Problem string
	// RolledBack says that the last recorded change was a rollback to Current.
	RolledBack bool

	// foreign says that something else is in the link's place.
	foreign bool
}

// Observe looks at the deployment in the directory without changing it. It
// takes a few system calls, whatever the model's size.
func Observe(root string) (Status, error) {
	link := filepath.Join(root, linkName)
	info, err := os.Lstat(link)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Status{Problem: "is gone"}, nil
	case err != nil:
		return Status{}, fmt.Errorf("look at the deployment: %w", err)
	case info.Mode()&fs.ModeSymlink == 0:
		return Status{Problem: "is not the link that flow made", foreign: true}, nil
	}
	to, err := os.Readlink(link)
	if err != nil {
		return Status{}, fmt.Errorf("look at the deployment: %w", err)
	}
	dir, name := path.Split(filepath.ToSlash(to))
	if dir != versionsName+"/" || name == "" {
		return Status{Problem: fmt.Sprintf("points to %s, which is not one of its versions", to), foreign: true}, nil
	}
	switch info, err := os.Stat(link); {
	case errors.Is(err, fs.ErrNotExist), err == nil && !info.IsDir():
		return Status{Problem: fmt.Sprintf("points to version %s, which is gone", name)}, nil
	case err != nil:
		return Status{}, fmt.Errorf("look at the deployment: %w", err)
	}
	status := Status{Current: name}
	if record, err := readRecord(root); err == nil && len(record.History) > 0 {
		last := record.History[len(record.History)-1]
		status.RolledBack = last.Action == ActionRollback && last.To == name
	}
	return status, nil
}

// Read returns the record of a deployment, for those who list its versions. A
// missing or damaged one is an error.
func Read(root string) (*Record, error) {
	r, err := readRecord(root)
	if err != nil {
		return nil, fmt.Errorf("read the deployment: %w", err)
	}
	return r, nil
}

// Rollback makes an earlier version of the deployment in the directory current
// and returns its name: the one named to, or by an unambiguous beginning of its
// name, or, if to is empty, the one deployed before the current one. No version
// is removed, so a rollback can be taken back. A version that is not there is
// a *stage.Problem. now is the time for the history.
func Rollback(ctx context.Context, root, to string, now time.Time) (string, error) {
	t := target{root: root, name: root, now: func() time.Time { return now }}
	return t.rollback(ctx, to)
}

func (t *target) rollback(ctx context.Context, to string) (string, error) {
	if _, err := os.Stat(t.versions()); errors.Is(err, fs.ErrNotExist) {
		return "", stage.Problemf("", "Nothing is deployed", "%s has no versions. Apply the pipeline first.", t.name)
	}
	unlock, err := t.prepare(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	current, err := t.current()
	if err != nil {
		return "", err
	}
	record, err := t.heal(current)
	if err != nil {
		return "", err
	}
	version, err := record.choose(to)
	if err != nil {
		return "", err
	}
	if err := t.intact(version); err != nil {
		return "", err
	}
	if version.Name == current {
		return version.Name, nil
	}
	if err := t.point(version.Name); err != nil {
		return "", err
	}
	record.change(ActionRollback, current, version.Name, t.now())
	record.Current = version.Name
	return version.Name, t.writeRecord(record)
}

// intact refuses to switch to a version whose files are not what was deployed.
func (t *target) intact(v Version) error {
	if v.Digest.IsZero() {
		return nil // found without a record; there is nothing to compare with
	}
	node, err := measure(filepath.Join(t.versions(), v.Name))
	if err != nil {
		return fmt.Errorf("check version %s: %w", v.Name, err)
	}
	if node.Digest != v.Digest {
		return stage.Problemf("", fmt.Sprintf("Version %s is damaged", v.Name), "Its files are not those that were deployed. Roll back to another version, or deploy the model again.")
	}
	return nil
}

// choose finds the version that is asked for.
func (r *Record) choose(to string) (Version, error) {
	if to == "" {
		return r.previous()
	}
	var found []Version
	for _, v := range r.Versions {
		if v.Name == to {
			return v, nil
		}
		if strings.HasPrefix(v.Name, to) {
			found = append(found, v)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return Version{}, stage.Problemf("", fmt.Sprintf("There is no version %q", to), "The versions are, oldest first: %s.", r.list())
	default:
		return Version{}, stage.Problemf("", fmt.Sprintf("Several versions begin with %q", to), "The versions are, oldest first: %s.", r.list())
	}
}

// previous is the version before the current one; if none is current, the last.
func (r *Record) previous() (Version, error) {
	at := slices.IndexFunc(r.Versions, func(v Version) bool { return v.Name == r.Current })
	if at < 0 {
		at = len(r.Versions)
	}
	if at == 0 {
		return Version{}, stage.Problemf("", "There is no earlier version", "The versions are, oldest first: %s.", r.list())
	}
	return r.Versions[at-1], nil
}

func (r *Record) list() string {
	names := make([]string, len(r.Versions))
	for i, v := range r.Versions {
		names[i] = v.Name
		if v.Name == r.Current {
			names[i] += " (current)"
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
