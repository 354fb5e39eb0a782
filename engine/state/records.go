package state

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"time"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/digest"
)

// Every value is sealed: a version, a checksum, the payload. bbolt has no
// checksums of its own, and a flipped bit in a digest would be believed. A
// value of another version or with another sum is as good as none.
const sealed = 1 + crc32.Size

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func seal(version byte, payload []byte) []byte {
	b := make([]byte, sealed, sealed+len(payload))
	b[0] = version
	binary.LittleEndian.PutUint32(b[1:], crc32.Checksum(payload, castagnoli))
	return append(b, payload...)
}

func unseal(version byte, b []byte) ([]byte, bool) {
	if len(b) < sealed || b[0] != version {
		return nil, false
	}
	payload := b[sealed:]
	return payload, binary.LittleEndian.Uint32(b[1:]) == crc32.Checksum(payload, castagnoli)
}

// get returns a copy of the payload under key, nil if there is none.
func (tx *Tx) get(bucket []byte, version byte, key []byte) ([]byte, error) {
	var payload []byte
	err := tx.use(bucket, func(b bucketOf) error {
		if v, ok := unseal(version, b.Get(key)); ok {
			payload = append([]byte{}, v...)
		}
		return nil
	})
	return payload, err
}

func (tx *Tx) put(bucket []byte, version byte, key, payload []byte) error {
	if tx.bolt == nil || !tx.bolt.Writable() {
		return errors.New("state: write in a read-only transaction")
	}
	return tx.use(bucket, func(b bucketOf) error { return b.Put(key, seal(version, payload)) })
}

func (tx *Tx) delete(bucket, key []byte) error {
	return tx.use(bucket, func(b bucketOf) error { return b.Delete(key) })
}

// bucketOf is what is used of bbolt's bucket.
type bucketOf interface {
	Get([]byte) []byte
	Put(k, v []byte) error
	Delete([]byte) error
}

// use runs f on a bucket, if it is there.
func (tx *Tx) use(name []byte, f func(bucketOf) error) error {
	if tx.bolt == nil {
		return nil
	}
	return guard(func() error {
		b := tx.bolt.Bucket(name)
		if b == nil {
			return nil
		}
		return f(b)
	})
}

// page is one step of each: copies, so that f runs outside of guard and its own
// panics are not taken for damage.
type page struct{ key, value []byte }

const pageBytes = 1 << 20

// each calls f for the values whose keys start with prefix, in order.
func (tx *Tx) each(bucket []byte, version byte, prefix []byte, f func(key, payload []byte) error) error {
	if tx.bolt == nil {
		return nil
	}
	next := prefix
	for next != nil {
		var pages []page
		err := guard(func() error {
			pages, next = tx.page(bucket, version, prefix, next)
			return nil
		})
		if err != nil {
			return err
		}
		for _, p := range pages {
			if err := f(p.key, p.value); err != nil {
				return err
			}
		}
	}
	return nil
}

// page copies the next values, and returns where to go on.
func (tx *Tx) page(bucket []byte, version byte, prefix, from []byte) (pages []page, next []byte) {
	b := tx.bolt.Bucket(bucket)
	if b == nil {
		return nil, nil
	}
	c := b.Cursor()
	size := 0
	for k, v := c.Seek(from); k != nil && bytes.HasPrefix(k, prefix); k, v = c.Next() {
		if size > pageBytes {
			return pages, bytes.Clone(k)
		}
		if payload, ok := unseal(version, v); ok {
			pages = append(pages, page{bytes.Clone(k), bytes.Clone(payload)})
			size += len(k) + len(payload)
		}
	}
	return pages, nil
}

const resultVersion = 1

// storedResult is a Result as JSON; a Node is written as flow.lock writes it.
type storedResult struct {
	Outputs  map[string]storedNode `json:"outputs"`
	Metrics  json.RawMessage       `json:"metrics,omitempty"`
	Manifest string                `json:"manifest,omitempty"`
	Duration time.Duration         `json:"duration_ns"`
	Finished time.Time             `json:"finished"`
	Run      string                `json:"run,omitempty"`
}

type storedNode struct {
	Kind   string        `json:"kind"`
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"`
	Files  int64         `json:"files"`
}

func encodeResult(r Result) ([]byte, error) {
	s := storedResult{make(map[string]storedNode, len(r.Outputs)), r.Metrics, r.Manifest, r.Duration, r.Finished, r.Run}
	for name, n := range r.Outputs {
		s.Outputs[name] = storedNode{string(rune(n.Kind)), n.Digest, n.Size, n.Files}
	}
	b, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode result: %w", err)
	}
	return b, nil
}

func decodeResult(b []byte) (Result, bool) {
	var s storedResult
	if json.Unmarshal(b, &s) != nil {
		return Result{}, false
	}
	r := Result{make(map[string]digest.Node, len(s.Outputs)), s.Metrics, s.Manifest, s.Duration, s.Finished, s.Run}
	for name, n := range s.Outputs {
		if len(n.Kind) != 1 {
			return Result{}, false
		}
		r.Outputs[name] = digest.Node{Kind: digest.Kind(n.Kind[0]), Digest: n.Digest, Size: n.Size, Files: n.Files}
	}
	return r, true
}

// Result returns what is recorded under k, and whether anything is.
func (tx *Tx) Result(k Key) (Result, bool, error) {
	b, err := tx.get(bucketResults, resultVersion, k[:])
	if b == nil || err != nil {
		return Result{}, false, err
	}
	r, ok := decodeResult(b)
	return r, ok, nil
}

// PutResult records what k came to.
func (tx *Tx) PutResult(k Key, r Result) error {
	b, err := encodeResult(r)
	if err != nil {
		return err
	}
	return tx.put(bucketResults, resultVersion, k[:], b)
}

// DeleteResult forgets k.
func (tx *Tx) DeleteResult(k Key) error { return tx.delete(bucketResults, k[:]) }

// EachResult calls f for all results, by key.
func (tx *Tx) EachResult(f func(Key, Result) error) error {
	return tx.each(bucketResults, resultVersion, []byte{}, func(key, payload []byte) error {
		r, ok := decodeResult(payload)
		if !ok || len(key) != len(Key{}) {
			return nil
		}
		return f(Key(key), r)
	})
}

const (
	durationVersion = 1
	// lastDurations are kept: enough for a median that one slow run does not
	// move, few enough to follow a stage that has grown.
	lastDurations = 5
)

// AddDuration records how long a stage took, under its address and its block.
func (tx *Tx) AddDuration(a addr.Address, d time.Duration) error {
	keys := []string{a.String()}
	if block := a.Block(); block != a {
		keys = append(keys, block.String())
	}
	for _, k := range keys {
		key := []byte(k)
		b, err := tx.get(bucketDurations, durationVersion, key)
		if err != nil {
			return err
		}
		ds := append(decodeDurations(b), max(d, 0))
		b = nil
		for _, d := range ds[max(0, len(ds)-lastDurations):] {
			b = binary.AppendUvarint(b, uint64(d))
		}
		if err := tx.put(bucketDurations, durationVersion, key, b); err != nil {
			return err
		}
	}
	return nil
}

// MoveDurations gives a stage that has another name now the times that it took
// under the old one, unless it has some of its own.
func (tx *Tx) MoveDurations(from, to addr.Address) error {
	move := func(from, to addr.Address) error {
		b, err := tx.get(bucketDurations, durationVersion, []byte(from.String()))
		if err != nil || b == nil {
			return err
		}
		if has, err := tx.get(bucketDurations, durationVersion, []byte(to.String())); err != nil || has != nil {
			return err
		}
		return tx.put(bucketDurations, durationVersion, []byte(to.String()), b)
	}
	if err := move(from, to); err != nil {
		return err
	}
	if from.Block() != to.Block() {
		// Others of the old block may still be there.
		if err := move(from.Block(), to.Block()); err != nil {
			return err
		}
	}
	return tx.delete(bucketDurations, []byte(from.String()))
}

// Duration returns the usual time of a stage, the median of its last runs, or
// else that of the other instances of its block.
func (tx *Tx) Duration(a addr.Address) (d time.Duration, known bool) {
	for _, key := range []string{a.String(), a.Block().String()} {
		b, err := tx.get(bucketDurations, durationVersion, []byte(key))
		if ds := decodeDurations(b); err == nil && len(ds) > 0 {
			slices.Sort(ds)
			return ds[len(ds)/2], true
		}
	}
	return 0, false
}

func decodeDurations(b []byte) []time.Duration {
	var ds []time.Duration
	for len(b) > 0 {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return nil
		}
		ds, b = append(ds, time.Duration(v)), b[n:]
	}
	return ds
}
