// Package event says what happens during an apply, as plain data. The engine
// emits events and prints nothing; terminal views, the JSON stream, the run
// record and, later, the web page are readers of the same values.
//
// Events of one stage come in order; events of different stages interleave.
// The JSON form is what events.jsonl of a run record holds: fields are added,
// never changed.
package event

import (
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/flow-pipelines/flow/engine/addr"
)

// Kind tells what an event says.
type Kind string

// The kinds, with the fields that each fills in besides Time and Kind.
const (
	// RunStarted: Run, Total (stages that are not kept).
	RunStarted Kind = "run_started"
	// Waiting: Text. Another apply holds the project.
	Waiting Kind = "waiting"
	// Started: Addr, Action, Usual, GPUs (that it has, not how they are used).
	Started Kind = "stage_started"
	// Progress: Addr, Step, Total, Unit, Metrics, Text.
	Progress Kind = "stage_progress"
	// Sample: Addr, GPUs. How the GPUs of a stage are used, every few seconds.
	Sample Kind = "stage_sample"
	// Log: Addr, Text (one line, without its end). Where a stage prints faster
	// than can be shown, a line says how much is left out and where it all is.
	Log Kind = "stage_log"
	// Retrying: Addr, Attempt (the one that begins), Text (why), Elapsed.
	Retrying Kind = "stage_retrying"
	// Done: Addr, Action, Elapsed, Metrics (top-level numbers), Text, Usage (of
	// a job).
	Done Kind = "stage_done"
	// Failed: Addr, Elapsed, Text (why), Exit, LogTail, LogPath, Hints, Diags,
	// Usage; Action is Expand if it is a block, whose instances cannot be made.
	Failed Kind = "stage_failed"
	// Skipped: Addr, Text (why). It will not run: a stage it needs failed,
	// or a gate is closed.
	Skipped Kind = "stage_skipped"
	// Expanded: Addr (a block or a module), Total (stages that it has added).
	// Its instances are known now.
	Expanded Kind = "block_expanded"
	// Warning: Addr (may be empty), Text.
	Warning Kind = "warning"
	// RunFinished: Text ("ok", "failed", "interrupted"), Elapsed, Counts.
	RunFinished Kind = "run_finished"
)

// Expand is the action of a block whose instances are made.
const Expand = "expand"

// Event is one thing that happened.
type Event struct {
	Time    time.Time    `json:"time"`
	Kind    Kind         `json:"kind"`
	Run     string       `json:"run,omitempty"`
	Addr    addr.Address `json:"stage,omitzero"`
	Action  string       `json:"action,omitempty"`
	Text    string       `json:"text,omitempty"`
	Step    int64        `json:"step,omitempty"`
	Total   int64        `json:"total,omitempty"`
	Unit    string       `json:"unit,omitempty"`
	Attempt int          `json:"attempt,omitempty"`
	Exit    int          `json:"exit,omitempty"`
	// Elapsed and Usual are in seconds.
	Elapsed float64            `json:"elapsed,omitempty"`
	Usual   float64            `json:"usual,omitempty"`
	Metrics map[string]float64 `json:"metrics,omitempty"`
	LogTail []string           `json:"log_tail,omitempty"`
	LogPath string             `json:"log_path,omitempty"`
	Hints   []string           `json:"hints,omitempty"`
	Counts  map[string]int     `json:"counts,omitempty"`
	Usage   *Usage             `json:"usage,omitempty"`
	GPUs    []GPU              `json:"gpus,omitempty"`
	// Diags are a mistake of the user's with its position, for Failed. Text
	// says the same without it.
	Diags hcl.Diagnostics `json:"-"`
}

// Usage is what a job took of the machine, in its last attempt.
type Usage struct {
	// CPU is the processor time in seconds, of all its processes.
	CPU float64 `json:"cpu"`
	// Memory is the most that its processes used together, in bytes; see
	// executor.Result.PeakMemory. 0 is not known.
	Memory int64 `json:"memory,omitempty"`
	// Read and Written are bytes from and to storage.
	Read    int64 `json:"read,omitempty"`
	Written int64 `json:"written,omitempty"`
}

// GPU is a GPU, or a part of one, that a stage has.
type GPU struct {
	// Device is its name for programs: "GPU-…", "MIG-…".
	Device string `json:"device"`
	Name   string `json:"name,omitempty"`
	Driver string `json:"driver,omitempty"`
	// Utilization is the share of time, in percent, in which anything ran on
	// the whole GPU; Memory the bytes in use there, Power its watts.
	Utilization float64 `json:"utilization,omitempty"`
	Memory      int64   `json:"memory,omitempty"`
	Power       float64 `json:"power,omitempty"`
}

// Sink takes events. It is called from one goroutine at a time.
type Sink func(Event)
