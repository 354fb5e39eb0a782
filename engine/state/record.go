package state

import (
	"context"

	"github.com/flow-pipelines/flow/engine/addr"
)

// recording is a result on its way to the database.
type recording struct {
	addr   addr.Address
	key    Key
	result Result
	done   bool
	err    error
}

// Record keeps what an action came to, and how long its stage took. It is
// durable when Record returns nil. Results that come while another transaction
// is written share the next one: a synced transaction takes as long as a small
// stage does.
func (db *DB) Record(ctx context.Context, at addr.Address, k Key, res Result) error {
	r := &recording{addr: at, key: k, result: res}
	db.mu.Lock()
	db.queue = append(db.queue, r)
	if db.recorded == nil {
		db.recorded = map[Key]Result{}
	}
	db.recorded[k] = res
	db.mu.Unlock()

	db.recorders.Lock()
	defer db.recorders.Unlock()
	if r.done { // by the one before us
		return r.err
	}
	db.mu.Lock()
	batch := db.queue
	db.queue = nil
	db.mu.Unlock()
	err := db.Update(ctx, func(tx *Tx) error {
		for _, r := range batch {
			if err := tx.PutResult(r.key, r.result); err != nil {
				return err
			}
			if err := tx.AddDuration(r.addr, r.result.Duration); err != nil {
				return err
			}
		}
		return nil
	})
	for _, r := range batch {
		r.done, r.err = true, err
	}
	return err
}

// Recorded returns a result that was given to Record, durable or not yet.
func (db *DB) Recorded(k Key) (Result, bool) {
	db.mu.Lock()
	defer db.mu.Unlock()
	r, ok := db.recorded[k]
	return r, ok
}
