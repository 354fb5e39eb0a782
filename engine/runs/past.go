package runs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
)

// Latest is the reference to the newest run.
const Latest = "latest"

// Past is a run as any process may look at it, ended or not.
type Past struct {
	// Record is as it was when the run was looked at; Reload looks again.
	Record
	// Dir is the run's directory.
	Dir string
}

// NotFoundError says that there is no run of that name.
type NotFoundError struct {
	Ref string
	// Matches are the ids that begin with Ref, if it is not unique.
	Matches []string
}

func (e *NotFoundError) Error() string {
	switch {
	case len(e.Matches) > 0:
		return fmt.Sprintf("run %q: it could be %s", e.Ref, strings.Join(e.Matches, ", "))
	case e.Ref == Latest || e.Ref == "":
		return "there are no runs yet"
	}
	return fmt.Sprintf("run %q: there is none whose id begins with this", e.Ref)
}

// List returns the runs in dir, newest first. What is not a run, or damaged,
// is left out. No directory is no runs.
func List(dir string) ([]*Past, error) {
	ids, err := list(dir)
	if err != nil {
		return nil, err
	}
	var runs []*Past
	for _, id := range ids {
		if p, err := load(filepath.Join(dir, id)); err == nil {
			runs = append(runs, p)
		}
	}
	// Ids know only seconds.
	sort.SliceStable(runs, func(i, j int) bool { return runs[i].Started.After(runs[j].Started) })
	return runs, nil
}

// list returns the names in dir that may be runs, the last first.
func list(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	var ids []string
	for i := len(entries) - 1; i >= 0; i-- {
		if name := entries[i].Name(); entries[i].IsDir() && !strings.HasPrefix(name, ".") {
			ids = append(ids, name)
		}
	}
	return ids, nil
}

// load reads one run. The lock is looked at first: a run that ends in between
// has its end, instead of being taken for an interrupted one.
func load(dir string) (*Past, error) {
	alive := live(dir)
	rec, err := readRecord(dir)
	if err != nil {
		return nil, err
	}
	if rec.Status == Running && !alive {
		rec.Status = Interrupted
	}
	return &Past{Record: rec, Dir: dir}, nil
}

// live reports whether the process that records the run lives.
func live(dir string) bool {
	f, err := os.Open(filepath.Join(dir, lockFile))
	if err != nil {
		return false
	}
	defer f.Close()
	// Shared, so that readers do not take each other for the writer. The
	// lock goes with the file.
	return errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}

// Open finds a run by its id, a unique beginning of it, or Latest. If there is
// none, the error is a *NotFoundError.
func Open(dir, ref string) (*Past, error) {
	if ref == Latest {
		runs, err := List(dir)
		if err != nil {
			return nil, err
		}
		if len(runs) == 0 {
			return nil, &NotFoundError{Ref: ref}
		}
		return runs[0], nil
	}
	ids, err := list(dir)
	if err != nil {
		return nil, err
	}
	var found []*Past
	var matches []string
	for _, id := range ids {
		if !strings.HasPrefix(id, ref) {
			continue
		}
		if p, err := load(filepath.Join(dir, id)); err == nil {
			if id == ref {
				return p, nil
			}
			found, matches = append(found, p), append(matches, id)
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	return nil, &NotFoundError{Ref: ref, Matches: matches}
}

// Reload reads the record again.
func (p *Past) Reload() error {
	again, err := load(p.Dir)
	if err != nil {
		return fmt.Errorf("run %s: %w", p.ID, err)
	}
	p.Record = again.Record
	return nil
}

// Live reports whether the process that records the run is alive, now.
func (p *Past) Live() bool { return live(p.Dir) }

// Events returns the path of the events.
func (p *Past) Events() string { return filepath.Join(p.Dir, eventsFile) }

// Log returns the path of a log, which may not be there (yet).
func (p *Past) Log(name string) string { return logPath(p.Dir, name) }

// Logs returns the names for which there are logs, sorted.
func (p *Past) Logs() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(p.Dir, logsDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("run %s: list logs: %w", p.ID, err)
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), logExt); ok {
			names = append(names, name)
		}
	}
	return names, nil
}

// Prune removes the oldest runs but for the keep newest, and what died while it
// was created. A live one is never removed. It returns the ids of those
// removed, newest first.
func Prune(dir string, keep int) (removed []string, err error) {
	runs, err := List(dir)
	if err != nil {
		return nil, err
	}
	for i, p := range runs {
		if i < keep || p.Live() {
			continue
		}
		if err := remove(dir, p.ID); err != nil {
			return removed, fmt.Errorf("remove run %s: %w", p.ID, err)
		}
		removed = append(removed, p.ID)
	}
	return removed, sweep(dir)
}

// remove takes a run away at once: half a run is never seen.
func remove(dir, id string) error {
	gone := filepath.Join(dir, ".old-"+id)
	if err := os.Rename(filepath.Join(dir, id), gone); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.RemoveAll(gone)
}

// sweep removes what was left by a process that died in Create or Prune.
func sweep(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil //nolint:nilerr // no directory, no runs
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch {
		case strings.HasPrefix(e.Name(), ".old-"):
		case strings.HasPrefix(e.Name(), ".new-") && abandoned(path):
		default:
			continue
		}
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("remove %s: %w", path, err)
		}
	}
	return nil
}
