// Package runs keeps records of runs as plain files that can be tailed:
//
//	.flow/runs/20261124-160041-k3f9/
//	    run.json        what ran, when, and how it ended
//	    events.jsonl    one JSON object a line, appended as things happen
//	    logs/NAME.log   what each stage printed
//	    lock            held (flock) as long as the run's process lives
//
// The command that runs a pipeline calls Create and writes; `flow runs`,
// `flow logs` and the web UI call List, Open and Follow, in other processes
// and at any time. A run without an end whose lock is free was interrupted.
//
// It does not know what the events mean, keeps no index and needs no database:
// a record is whole without any other.
package runs

import (
	"context"
	"io"
	"time"
)

// Status says how a run ended.
type Status string

// The states of a run. Interrupted is never written: it is what a reader sees
// if the process is gone and has not said how the run ended.
const (
	Running     Status = "running"
	Succeeded   Status = "succeeded"
	Failed      Status = "failed"
	Cancelled   Status = "cancelled"
	Interrupted Status = "interrupted"
)

// Record is run.json.
type Record struct {
	Version int      `json:"version"`
	ID      string   `json:"id"`
	Command []string `json:"command"`
	Status  Status   `json:"status"`
	// Started and Ended are in UTC; Ended is zero while the run has no end.
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"`
	// Counts are the caller's: stages by how they ended.
	Counts map[string]int `json:"counts,omitempty"`
	// Flow is the version of flow.
	Flow string `json:"flow"`
	// Commit is the git revision, "" outside of git; Dirty says that the
	// work tree differed from it.
	Commit string `json:"commit,omitempty"`
	Dirty  bool   `json:"dirty,omitempty"`
	Host   string `json:"host,omitempty"`
	PID    int    `json:"pid"`
}

// Run is a run that is being recorded by this process. Its methods may be
// called concurrently.
type Run struct{}

// Create starts a record in dir (.flow/runs). Version, ID, Status, Started and
// PID of rec are filled in.
func Create(dir string, rec Record, clock func() time.Time) (*Run, error) { return nil, nil }

// ID returns the run's id. Ids sort by time.
func (r *Run) ID() string { return "" }

// Log returns the absolute path of the log of this name ("train.mlp"); its
// directory is there.
func (r *Run) Log(name string) string { return "" }

// Event appends v as one line of JSON.
func (r *Run) Event(v any) error { return nil }

// Finish writes the end and frees the lock. The Run must not be used after.
func (r *Run) Finish(s Status, counts map[string]int) error { return nil }

// Past is a run as any process may look at it, ended or not.
type Past struct {
	Record
	// Dir is the run's directory.
	Dir string
}

// List returns the runs in dir, newest first. What is not a run, or damaged,
// is left out. No directory is no runs.
func List(dir string) ([]*Past, error) { return nil, nil }

// Open finds a run by its id, a unique beginning of it, or "latest".
func Open(dir, ref string) (*Past, error) { return nil, nil }

// Live reports whether the process that records the run is alive.
func (p *Past) Live() bool { return false }

// Log returns the path of a log, which may not be there (yet).
func (p *Past) Log(name string) string { return "" }

// Logs returns the names for which there are logs, sorted.
func (p *Past) Logs() ([]string, error) { return nil, nil }

// Events returns the path of the events.
func (p *Past) Events() string { return "" }

// Follow returns a reader of a file of the run, Events or a Log, that waits
// for more while the run lives, and ends when the run has ended and everything
// is read, or with ctx's error.
func (p *Past) Follow(ctx context.Context, path string) io.ReadCloser { return nil }

// Prune removes the oldest runs but for the keep newest; a live one is never
// removed. It returns the ids of those removed.
func Prune(dir string, keep int) ([]string, error) { return nil, nil }
