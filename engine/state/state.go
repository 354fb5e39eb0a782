// Package state is what flow remembers between two commands to be fast.
package state

import (
	"context"
	"encoding/json"
	"time"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/digest"
)

// Key names an action: the hash of everything that a stage's result depends
// on. It is engine/key's type in bytes, so that this room stays below that.
type Key [32]byte

// Options of a database.
type Options struct {
	// LockWait bounds the wait for another process's transaction; zero means 10 s.
	LockWait time.Duration
}

// Warning tells that the database was unreadable and was moved aside.
type Warning struct {
	Path    string
	MovedTo string
	Err     error
}

func (w Warning) String() string { panic("not yet") }

// DB is the database in a file, opened a transaction at a time.
type DB struct{ path string }

// New returns the database in the file path, which the first write makes.
func New(path string, opts Options) *DB { return &DB{path: path} }

// Warnings returns what went wrong since the last call and was survived.
func (db *DB) Warnings() []Warning { return nil }

// View runs read in a read-only transaction.
func (db *DB) View(ctx context.Context, read func(*Tx) error) error { panic("not yet") }

// Update runs write in a read-write transaction.
func (db *DB) Update(ctx context.Context, write func(*Tx) error) error { panic("not yet") }

// Tx is a transaction; it must not be used after its function has returned.
type Tx struct{}

// Result is what an action came to.
type Result struct {
	Outputs  map[string]digest.Node // by output name
	Metrics  json.RawMessage        // a JSON object, or nil
	Manifest string                 // what the key is the hash of
	Duration time.Duration
	Finished time.Time
	Run      string // the run that did it
}

// Result returns what is recorded under k, and whether anything is.
func (tx *Tx) Result(k Key) (Result, bool, error) { panic("not yet") }
func (tx *Tx) PutResult(k Key, r Result) error    { panic("not yet") }
func (tx *Tx) DeleteResult(k Key) error           { panic("not yet") }

// EachResult calls f for all results, by key.
func (tx *Tx) EachResult(f func(Key, Result) error) error { panic("not yet") }

// AddDuration records how long a stage took.
func (tx *Tx) AddDuration(a addr.Address, d time.Duration) error { panic("not yet") }

// Duration returns the usual time of a stage, else of its type.
func (tx *Tx) Duration(a addr.Address) (d time.Duration, known bool) { panic("not yet") }

// Results looks up many keys in one transaction; what is not there is not in the map.
func (db *DB) Results(ctx context.Context, keys []Key) (map[Key]Result, error) { panic("not yet") }
