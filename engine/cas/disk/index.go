package disk

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/bits"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/flow-pipelines/flow/engine/digest"
)

// The index of a pack is a file that is written whole, and replaced whole:
//
//	magic, the length of the pack that it covers, the number of entries, bits
//	for each value of the first bits of a digest, the number of entries before it
//	the entries: digest, place, size, sorted by digest and place
//	a checksum of all that
//
// Numbers are little endian. It has only what is durable in the pack, and the
// pack can be read without it.
const (
	indexMagic = "flow index 1\n\x00\x00\x00"
	indexHead  = len(indexMagic) + 8 + 4 + 4
	entrySize  = digest.Size + 8 + 4

	// bucket is how many entries share their first bits, about: 1.4 KB to read.
	bucket = 32

	// loadAfter look-ups of a read each, the index is read into memory: a plan
	// with nothing to do asks for few objects, a check-out for all of them.
	loadAfter = 64
)

// placed is an entry.
type placed struct {
	digest.Digest
	span
}

func sortPlaced(e []placed) {
	slices.SortFunc(e, func(a, b placed) int {
		if c := bytes.Compare(a.Digest[:], b.Digest[:]); c != 0 {
			return c
		}
		return int(a.at - b.at)
	})
}

// index is an open index.
type index struct {
	f      *os.File
	covers int64
	count  int
	bits   int

	asked atomic.Int32
	once  sync.Once
	bytes atomic.Pointer[[]byte] // the table and the entries, when loaded

	broken atomic.Bool // it turned out to be damaged when it was loaded
}

// openIndex opens an index. One that is not there, or is none, is nil: then the
// pack itself is looked through.
func openIndex(name string) *index {
	f, err := os.Open(name)
	if err != nil {
		return nil
	}
	head := make([]byte, indexHead)
	info, err := f.Stat()
	if err == nil {
		_, err = f.ReadAt(head, 0)
	}
	x := &index{f: f}
	if err == nil {
		n := len(indexMagic)
		x.covers = int64(binary.LittleEndian.Uint64(head[n:]))
		x.count = int(binary.LittleEndian.Uint32(head[n+8:]))
		x.bits = int(binary.LittleEndian.Uint32(head[n+12:]))
	}
	if err != nil || string(head[:len(indexMagic)]) != indexMagic || x.bits > 32 || info.Size() != x.size() {
		_ = f.Close()
		return nil
	}
	return x
}

func (x *index) tableSize() int { return 4 * (1<<x.bits + 1) }

func (x *index) size() int64 {
	return int64(indexHead) + int64(x.tableSize()) + int64(x.count)*entrySize + crc32.Size
}

// prefix is the first bits of a digest.
func (x *index) prefix(d digest.Digest) int {
	return int(binary.BigEndian.Uint32(d[:]) >> (32 - x.bits))
}

// find returns the places of an object, the last first. What cannot be read is
// not found.
func (x *index) find(d digest.Digest) []span {
	entries := x.bucket(d)
	n := len(entries) / entrySize
	lo, hi := 0, n
	for lo < hi {
		mid := (lo + hi) / 2
		if bytes.Compare(entries[mid*entrySize:mid*entrySize+digest.Size], d[:]) < 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	var found []span
	for ; lo < n; lo++ {
		e := parseEntry(entries[lo*entrySize:])
		if e.Digest != d {
			break
		}
		found = append(found, e.span)
	}
	slices.Reverse(found)
	return found
}

func parseEntry(b []byte) placed {
	return placed{digest.Digest(b), span{
		int64(binary.LittleEndian.Uint64(b[digest.Size:])),
		binary.LittleEndian.Uint32(b[digest.Size+8:]),
	}}
}

// bucket returns the entries with the same first bits.
func (x *index) bucket(d digest.Digest) []byte {
	if x.asked.Add(1) > loadAfter {
		x.once.Do(func() {
			b, err := x.load()
			x.broken.Store(err != nil)
			if err == nil {
				x.bytes.Store(&b)
			}
		})
	}
	at := 4 * x.prefix(d)
	if all := x.bytes.Load(); all != nil {
		from, to, ok := x.bounds((*all)[at:])
		if !ok {
			return nil
		}
		entries := (*all)[x.tableSize():]
		return entries[from*entrySize : to*entrySize]
	}
	var pair [8]byte
	if _, err := x.f.ReadAt(pair[:], int64(indexHead+at)); err != nil {
		return nil
	}
	from, to, ok := x.bounds(pair[:])
	if !ok {
		return nil
	}
	b := make([]byte, (to-from)*entrySize)
	if _, err := x.f.ReadAt(b, int64(indexHead+x.tableSize())+int64(from)*entrySize); err != nil {
		return nil
	}
	return b
}

func (x *index) bounds(pair []byte) (from, to int, ok bool) {
	from, to = int(binary.LittleEndian.Uint32(pair)), int(binary.LittleEndian.Uint32(pair[4:]))
	return from, to, from <= to && to <= x.count
}

// load reads the table and the entries, and checks them.
func (x *index) load() ([]byte, error) {
	b := make([]byte, x.size())
	if _, err := x.f.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	end := len(b) - crc32.Size
	if crc32.Checksum(b[:end], castagnoli) != binary.LittleEndian.Uint32(b[end:]) {
		return nil, fmt.Errorf("%s is damaged", x.f.Name())
	}
	return b[indexHead:end], nil
}

func (x *index) all() ([]placed, error) {
	b, err := x.load()
	if err != nil {
		return nil, err
	}
	b = b[x.tableSize():]
	all := make([]placed, 0, x.count)
	for ; len(b) > 0; b = b[entrySize:] {
		all = append(all, parseEntry(b))
	}
	return all, nil
}

// writeIndex writes the index of a pack, of which covers bytes are durable.
func writeIndex(name string, entries []placed, covers int64) error {
	x := &index{bits: bits.Len(uint(len(entries) / bucket)), count: len(entries)}
	tmp := name + newExt // whoever writes an index holds the pack's lock
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return err
	}
	sum := crc32.New(castagnoli)
	w := bufio.NewWriterSize(io.MultiWriter(f, sum), 256<<10)
	head := append(make([]byte, 0, indexHead), indexMagic...)
	head = binary.LittleEndian.AppendUint64(head, uint64(covers))
	head = binary.LittleEndian.AppendUint32(head, uint32(x.count))
	head = binary.LittleEndian.AppendUint32(head, uint32(x.bits))
	_, _ = w.Write(head) // a bufio.Writer keeps its first error for Flush
	var number [4]byte
	next := 0
	for prefix := range 1<<x.bits + 1 {
		for next < len(entries) && x.prefix(entries[next].Digest) < prefix {
			next++
		}
		binary.LittleEndian.PutUint32(number[:], uint32(next))
		_, _ = w.Write(number[:])
	}
	var b [entrySize]byte
	for _, e := range entries {
		copy(b[:], e.Digest[:])
		binary.LittleEndian.PutUint64(b[digest.Size:], uint64(e.at))
		binary.LittleEndian.PutUint32(b[digest.Size+8:], e.size)
		_, _ = w.Write(b[:])
	}
	err = w.Flush()
	if err == nil {
		binary.LittleEndian.PutUint32(number[:], sum.Sum32())
		_, err = f.Write(number[:])
	}
	// An index that a crash has left without some of its bytes would hide
	// objects that are there.
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp, name)
	}
	if err != nil {
		_ = os.Remove(tmp)
	}
	return err
}

func newBuffered(r io.Reader, size int) *bufio.Reader { return bufio.NewReaderSize(r, max(size, 16)) }
