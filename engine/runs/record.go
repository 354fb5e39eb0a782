package runs

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/replace"
)

// recordVersion is the version of run.json and of the files beside it.
const recordVersion = 1

// The files of a run.
const (
	RecordFile = "run.json"
	eventsFile = "events.jsonl"
	lockFile   = "lock"
	logsDir    = "logs"
	logExt     = ".log"
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
	Version int    `json:"version"`
	ID      string `json:"id"`
	// Command is the command line.
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
	// Data is what the run had of the user's own files, by path.
	Data map[string]digest.Node `json:"data,omitempty"`
	PID  int                    `json:"pid"`
}

// errNotRun says that a directory is not a run, or one that cannot be read.
var errNotRun = errors.New("not a run record")

func readRecord(dir string) (Record, error) {
	data, err := os.ReadFile(filepath.Join(dir, RecordFile))
	if err != nil {
		return Record{}, err
	}
	var r Record
	if err := json.Unmarshal(data, &r); err != nil {
		return Record{}, fmt.Errorf("%w: %w", errNotRun, err)
	}
	if r.Version != recordVersion || r.ID != filepath.Base(dir) {
		return Record{}, fmt.Errorf("%w: version %d, id %q", errNotRun, r.Version, r.ID)
	}
	return r, nil
}

// writeRecord replaces run.json at once. It is not synced: after a power
// failure a run that has just ended may look interrupted, which costs nothing.
func writeRecord(dir string, r Record) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return replace.Quickly(filepath.Join(dir, RecordFile), append(data, '\n'), 0o644)
}
