package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/flow-pipelines/flow/engine/digest"
)

// PackSize is the size from which an object is a file of its own. Smaller ones
// are never linked out, and 100,000 of 1 KB take 6 to 10 s as files and less
// than 1 s in a pack.
const PackSize = 128 << 10

const (
	packMagic = "flow pack 1\n\x00\x00\x00\x00"
	packExt   = ".pack"
	indexExt  = ".idx"
	deadExt   = ".dead"
	newExt    = ".new" // of a file that is being made

	// recordHead is a record's digest, the size of its bytes, and the checksum
	// of these two.
	recordHead = digest.Size + 4 + 4

	// sealSize is where a pack is full. Each one costs every look-up 0.1 µs,
	// and compaction its size in free space.
	sealSize = 1 << 30
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// span is where a record lies in a pack.
type span struct {
	at   int64  // of its head
	size uint32 // of the object
}

func (s span) end() int64 { return s.at + recordHead + int64(s.size) }

// appendRecord appends a record to b.
func appendRecord(b []byte, d digest.Digest, object []byte) []byte {
	head := len(b)
	b = append(b, d[:]...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(object)))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[head:], castagnoli))
	return append(b, object...)
}

// parseHead reads a record's head.
func parseHead(b []byte) (d digest.Digest, size uint32, ok bool) {
	if len(b) < recordHead || crc32.Checksum(b[:digest.Size+4], castagnoli) != binary.LittleEndian.Uint32(b[digest.Size+4:]) {
		return d, 0, false
	}
	size = binary.LittleEndian.Uint32(b[digest.Size:])
	return digest.Digest(b), size, size < PackSize
}

// pack is a file of records. What is known of it is guarded by the lock of the
// packs that it belongs to.
type pack struct {
	path string // without an extension
	f    *os.File

	index *index                 // of the records before end at the time it was written; may be nil
	tail  map[digest.Digest]span // of the records behind it
	end   int64                  // behind the last record that is known
	dead  map[int64]bool         // records that do not count, by their place
	last  int64                  // the last of them
	read  int64                  // bytes of the list of them that are in dead
}

// openPack opens a pack for reading and looks through what its index lacks.
func openPack(path string) (*pack, error) {
	f, err := os.Open(path + packExt)
	if err != nil {
		return nil, err
	}
	p := &pack{path: path, f: f}
	if err := p.load(); err != nil {
		_ = f.Close()
		return nil, err
	}
	return p, nil
}

func (p *pack) load() error {
	p.tail, p.end = map[digest.Digest]span{}, int64(len(packMagic))
	p.index = openIndex(p.path + indexExt)
	if p.index != nil {
		p.end = p.index.covers
	}
	if err := p.readDead(); err != nil {
		return err
	}
	return p.scan()
}

// scan looks for records behind the end. A record counts if all its bytes are
// there and are right, since nothing else tells what a crash has left of the
// last ones, or what another process is about to write. One with other bytes was
// whole once if a good one follows: whoever reads it learns that it is damaged.
func (p *pack) scan() error {
	info, err := p.f.Stat()
	if err != nil || info.Size() <= p.end {
		return err
	}
	if p.end == int64(len(packMagic)) {
		magic := make([]byte, len(packMagic))
		if _, err := p.f.ReadAt(magic, 0); err != nil || string(magic) != packMagic {
			return ignoreEnd(err)
		}
	}
	r := newRecordReader(p.f, p.end, info.Size())
	var doubtful []placed
	for {
		d, s, object, err := r.next()
		if err != nil {
			return ignoreEnd(err)
		}
		if digest.OfBytes(object) != d {
			doubtful = append(doubtful, placed{d, s})
			continue
		}
		for _, e := range doubtful {
			if _, known := p.tail[e.Digest]; !known {
				p.tail[e.Digest] = e.span
			}
		}
		doubtful = nil
		p.tail[d], p.end = s, s.end()
	}
}

func ignoreEnd(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// recordReader reads the records of a pack one after the other.
type recordReader struct {
	r   io.Reader
	at  int64
	buf []byte
}

func newRecordReader(f *os.File, from, to int64) *recordReader {
	const ahead = 1 << 20
	return &recordReader{r: newBuffered(io.NewSectionReader(f, from, to-from), int(min(ahead, to-from))), at: from, buf: make([]byte, PackSize)}
}

// next returns the next record; object is valid until the next call. The end is
// io.EOF, whatever it looks like.
func (r *recordReader) next() (d digest.Digest, s span, object []byte, err error) {
	head := r.buf[:recordHead]
	if _, err := io.ReadFull(r.r, head); err != nil {
		return d, s, nil, err
	}
	d, size, ok := parseHead(head)
	if !ok {
		return d, s, nil, io.EOF
	}
	object = r.buf[:size]
	if _, err := io.ReadFull(r.r, object); err != nil {
		return d, s, nil, err
	}
	s = span{r.at, size}
	r.at = s.end()
	return d, s, object, nil
}

// find returns where an object lies. When it lies there twice, the later one
// counts: the earlier may have been found damaged.
func (p *pack) find(d digest.Digest) (span, bool) {
	if s, ok := p.tail[d]; ok && !p.dead[s.at] {
		return s, true
	}
	if p.index == nil {
		return span{}, false
	}
	for _, s := range p.index.find(d) {
		if !p.dead[s.at] {
			return s, true
		}
	}
	return span{}, false
}

// durable reports whether a record is known to have reached the disk.
func (p *pack) durable(s span) bool { return p.index != nil && s.end() <= p.index.covers }

// all returns the records that count, in the order of their digests.
func (p *pack) all() ([]placed, error) {
	var all []placed
	if p.index != nil {
		var err error
		if all, err = p.index.all(); err != nil {
			if err := p.unindex(); err != nil {
				return nil, err
			}
		}
	}
	for d, s := range p.tail {
		all = append(all, placed{d, s})
	}
	live := all[:0]
	for _, e := range all {
		if !p.dead[e.at] {
			live = append(live, e)
		}
	}
	sortPlaced(live)
	return live, nil
}

// unindex drops an index that turned out to be damaged and looks through the
// whole pack instead.
func (p *pack) unindex() error {
	end := p.end
	p.index, p.end = nil, int64(len(packMagic))
	err := p.scan()
	p.end = max(end, p.end)
	return err
}

// readRecord reads the object in a record into b, which is large enough, and
// checks that it is d's record. It does not check the object.
func readRecord(f *os.File, d digest.Digest, s span, b []byte) ([]byte, error) {
	b = b[:recordHead+int(s.size)]
	if _, err := f.ReadAt(b, s.at); err != nil {
		return nil, err
	}
	got, size, ok := parseHead(b)
	if !ok || got != d || size != s.size {
		return nil, errors.New("its place in the pack holds something else")
	}
	return b[recordHead:], nil
}

// The list of dead records is lines of text that are only ever appended, by any
// process: the place of a record, in decimal. A line that a crash has cut off
// ends at the newline that starts the next one.

// readDead reads what the list has got since it was last read.
func (p *pack) readDead() error {
	b, err := readFrom(p.path+deadExt, p.read)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	b = b[:bytes.LastIndexByte(b, '\n')+1]
	for line := range bytes.Lines(b) {
		at, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 10, 64)
		if err == nil {
			p.bury(at)
		}
	}
	p.read += int64(len(b))
	return nil
}

func (p *pack) bury(at int64) {
	if p.dead == nil {
		p.dead = map[int64]bool{}
	}
	p.dead[at] = true
	p.last = max(p.last, at)
}

// appendDead adds records to the list.
func appendDead(path string, durable bool, at ...int64) error {
	f, err := os.OpenFile(path+deadExt, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666)
	if err != nil {
		return err
	}
	var lines strings.Builder
	for _, a := range at {
		fmt.Fprintf(&lines, "\n%d\n", a)
	}
	_, err = f.WriteString(lines.String())
	if err == nil && durable {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

func readFrom(name string, at int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := f.Seek(at, io.SeekStart); err != nil {
		return nil, err
	}
	return io.ReadAll(f)
}

// removePack deletes a pack and what belongs to it.
func removePack(path string) error {
	err := os.Remove(path + packExt)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	_ = os.Remove(path + indexExt)
	_ = os.Remove(path + indexExt + newExt)
	_ = os.Remove(path + deadExt)
	return err
}

// lockPack opens a pack for writing and locks it. A pack that another process
// writes to is unix.EWOULDBLOCK, one that is gone fs.ErrNotExist.
func lockPack(path string) (*os.File, error) {
	f, err := os.OpenFile(path+packExt, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	if err := lock(f, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func (p *pack) close() {
	_ = p.f.Close()
	if p.index != nil {
		_ = p.index.f.Close()
	}
}
