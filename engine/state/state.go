// Package state is what flow remembers between two commands in order to be
// fast: how files looked when they were last hashed, what actions came to, and
// how long stages took.
//
// It is a cache. Whoever deletes state.db loses time and nothing else, and a
// damaged one is moved aside with a warning. What must not be lost is in
// flow.lock and in the content store.
//
// The database is bbolt, and this is the only package that knows. bbolt lets
// one process in at a time while it is open for writing, so it is opened for
// each transaction and closed after it: `flow status` in a second terminal
// works while `flow apply` runs. Open, one synced write and close take 1.7 ms,
// open, read and close 52 µs; many records belong into one transaction, and no
// transaction may span slow work.
//
// It neither reads the user's files (engine/worktree does, and keeps its stat
// cache here) nor knows what a key is made of (engine/key). Callers are
// engine/worktree, engine/plan, engine/apply and the commands that list and
// collect garbage.
package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/flow-pipelines/flow/engine/digest"
)

// Key names an action: the hash of all that a stage's result depends on. It is
// engine/key's type as bytes.
type Key [32]byte

// Options of a database.
type Options struct {
	// LockWait bounds the wait for another process's transaction; zero means
	// 10 s. No transaction of flow's takes a tenth of that.
	LockWait time.Duration
}

const defaultLockWait = 10 * time.Second

// DB is the database in a file. It is safe for concurrent use, holds nothing
// open between transactions, and needs no closing.
type DB struct {
	path     string
	lockWait time.Duration

	// inProcess queues our own goroutines. Otherwise they would meet at the
	// file lock, which can only be polled.
	inProcess sync.RWMutex

	recorders sync.Mutex // held by the one that writes what is queued

	mu       sync.Mutex
	warnings []Warning
	queue    []*recording
	recorded map[Key]Result
}

// New returns the database in the file path, which the first write makes.
func New(path string, opts Options) *DB {
	if opts.LockWait == 0 {
		opts.LockWait = defaultLockWait
	}
	return &DB{path: path, lockWait: opts.LockWait}
}

// Warning tells that the database was unreadable and was moved aside. What it
// knew will be found out again.
type Warning struct {
	Path    string
	MovedTo string
	Err     error
}

func (w Warning) String() string {
	return fmt.Sprintf("%s was damaged (%v); it was moved to %s and a new one is started", w.Path, w.Err, w.MovedTo)
}

// Warnings returns what happened since the last call and was survived.
func (db *DB) Warnings() []Warning {
	db.mu.Lock()
	defer db.mu.Unlock()
	ws := db.warnings
	db.warnings = nil
	return ws
}

func (db *DB) warn(w Warning) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.warnings = append(db.warnings, w)
}

// LockError says that another process kept the database for too long.
type LockError struct {
	Path   string
	Waited time.Duration
}

func (e *LockError) Error() string {
	return fmt.Sprintf("state %s is in use by another flow, for more than %v: wait for it to end, or end it", e.Path, e.Waited)
}

// ErrReadOnly says that Update cannot write because nobody like us can write
// anything there: the file system is mounted read-only, or the directory is
// another user's. A database file that alone refuses to be written is not meant.
var ErrReadOnly = errors.New("the place of the state is read-only")

// VersionError says that the database was made by a later version of flow.
type VersionError struct {
	Path, Got string
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("state %s has the format %q, this flow knows %q: use the flow that made it, or delete the file, which costs time but no results", e.Path, e.Got, format)
}

// Result is what an action came to.
type Result struct {
	Outputs  map[string]digest.Node // by output name
	Metrics  json.RawMessage        // a JSON object, or nil
	Manifest string                 // what the key is the hash of
	Duration time.Duration
	Finished time.Time
	Run      string // the run that did it
}

// Result looks up one key in a transaction of its own.
func (db *DB) Result(ctx context.Context, k Key) (Result, bool, error) {
	rs, err := db.Results(ctx, []Key{k})
	r, ok := rs[k]
	return r, ok, err
}

// Results looks up many keys in one transaction; what is not there is not in
// the map.
func (db *DB) Results(ctx context.Context, keys []Key) (map[Key]Result, error) {
	found := make(map[Key]Result, len(keys))
	err := db.View(ctx, func(tx *Tx) error {
		clear(found)
		for _, k := range keys {
			r, ok, err := tx.Result(k)
			if err != nil {
				return err
			}
			if ok {
				found[k] = r
			}
		}
		return nil
	})
	return found, err
}

// errDamaged marks errors that mean that the file's contents are not what
// bbolt or we have written.
var errDamaged = errors.New("damaged")
