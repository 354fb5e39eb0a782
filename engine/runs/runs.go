// Package runs keeps records of runs as plain files that can be tailed:
//
//	.flow/runs/20261124-160041-k3f9/
//	    run.json        what ran, when, and how it ended
//	    events.jsonl    one JSON object a line, appended as things happen
//	    logs/NAME.log   what each stage printed
//	    lock            locked (flock) as long as the run's process lives
//
// The command that runs a pipeline calls Create and writes; `flow runs`,
// `flow logs` and the web UI call List, Open and Follow, in other processes
// and at any time. A run without an end whose lock is free was interrupted.
//
// The package does not know what the events mean, and keeps no index: a record
// is whole without any other, and deleting its directory deletes it.
package runs

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Run is a run that is being recorded by this process. Its methods may be
// called concurrently.
type Run struct {
	dir   string
	clock func() time.Time
	lock  *os.File

	mu     sync.Mutex
	record Record
	events *os.File
	ended  bool
}

// Create starts a record in dir, .flow/runs. Version, ID, Status, Started and
// PID of rec are filled in.
func Create(dir string, rec Record, clock func() time.Time) (*Run, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("create run: %w", err)
	}
	r := &Run{clock: clock, record: rec}
	r.record.Version, r.record.Status, r.record.PID = recordVersion, Running, os.Getpid()
	r.record.Started, r.record.Ended = clock().UTC(), time.Time{}
	// A run appears with everything in it, its lock held: otherwise a reader
	// could take it for an interrupted one.
	tmp, err := os.MkdirTemp(dir, ".new-")
	if err != nil {
		return nil, fmt.Errorf("create run: %w", err)
	}
	if err := r.prepare(dir, tmp); err != nil {
		_ = r.close()
		_ = os.RemoveAll(tmp)
		return nil, fmt.Errorf("create run: %w", err)
	}
	return r, nil
}

// prepare fills the directory tmp and gives it its name in dir.
func (r *Run) prepare(dir, tmp string) error {
	err := os.Chmod(tmp, 0o755)
	if err != nil {
		return err
	}
	if r.lock, err = lock(filepath.Join(tmp, lockFile)); err != nil {
		return err
	}
	if r.events, err = os.OpenFile(filepath.Join(tmp, eventsFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(tmp, logsDir), 0o755); err != nil {
		return err
	}
	for range 100 {
		r.record.ID = newID(r.record.Started)
		r.dir = filepath.Join(dir, r.record.ID)
		if err := writeRecord(tmp, r.record); err != nil {
			return err
		}
		// A directory replaces no directory that holds something, so of two
		// processes with the same id one fails here.
		if err = os.Rename(tmp, r.dir); err == nil {
			if abs, absErr := filepath.Abs(r.dir); absErr == nil {
				r.dir = abs
			}
			return nil
		}
		if !errors.Is(err, fs.ErrExist) && !errors.Is(err, syscall.ENOTEMPTY) {
			return err
		}
	}
	return err
}

// newID returns an id such as 20261124-160041-k3f9. Ids sort by the second;
// within one, by chance. Letters that look alike are left out.
func newID(t time.Time) string {
	const letters = "abcdefghjkmnpqrstuvwxyz23456789" // 31
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails
	for i, b := range random {
		random[i] = letters[int(b)%len(letters)]
	}
	return t.UTC().Format("20060102-150405-") + string(random[:])
}

// lock makes the file and locks it until it is closed, or this process dies. A
// child must not inherit it, and does not: Go opens files close-on-exec.
func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

// ID returns the run's id.
func (r *Run) ID() string { return r.record.ID }

// Dir returns the absolute path of the run's directory.
func (r *Run) Dir() string { return r.dir }

// Log returns the absolute path of the log of this name, a file name without
// an extension: addr.Address.FileName.
func (r *Run) Log(name string) string { return logPath(r.dir, name) }

func logPath(dir, name string) string { return filepath.Join(dir, logsDir, name+logExt) }

// Event appends v as one line of JSON.
func (r *Run) Event(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("record event: %w", err)
	}
	if bytes.IndexByte(line, '\n') >= 0 {
		return fmt.Errorf("record event: %T marshals to several lines", v)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return fmt.Errorf("record event: run %s has ended", r.record.ID)
	}
	// One write a line: a reader never sees the middle of two.
	if _, err := r.events.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("record event: %w", err)
	}
	return nil
}

// Finish writes the end and frees the lock. A second call does nothing.
func (r *Run) Finish(s Status, counts map[string]int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return nil
	}
	r.ended = true
	r.record.Status, r.record.Counts, r.record.Ended = s, counts, r.clock().UTC()
	// The end is written before the lock is freed: in between, a reader sees
	// an ended run whose process lives, which is nothing to worry about.
	err := writeRecord(r.dir, r.record)
	if err = errors.Join(err, r.close()); err != nil {
		return fmt.Errorf("finish run %s: %w", r.record.ID, err)
	}
	return nil
}

func (r *Run) close() error {
	var err error
	for _, f := range []*os.File{r.events, r.lock} {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	return err
}
