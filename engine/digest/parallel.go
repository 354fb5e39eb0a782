package digest

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"sync"

	"lukechampine.com/blake3/guts"
)

// BLAKE3 is a tree: a piece of 2^n chunks at a place that is a multiple of its
// size has a value of its own, and the values of two neighbours make that of the
// two together. So pieces can be hashed by several cores and come to the digest
// that a stream of the same bytes has. zeebo/blake3, which is the faster one for
// a stream and for small files, keeps to one core.
const (
	groupSize  = guts.MaxSIMD * guts.ChunkSize // what one call compresses
	pieceSize  = 256 << 10                     // fits a core's cache; measured best of 128 KB to 4 MB
	pieceLevel = 4                             // pieceSize is 2^4 groups
)

// Parallel is the size from which OfReaderAt pays.
const Parallel = 4 << 20

// OfReaderAt returns the digest of the first size bytes of r, read by as many
// goroutines as there are cores, each with 256 KB of memory. If r has fewer, it
// returns io.ErrUnexpectedEOF.
func OfReaderAt(ctx context.Context, r io.ReaderAt, size int64) (Digest, error) {
	if size < Parallel {
		d, n, err := OfReader(io.NewSectionReader(r, 0, size))
		if err == nil && n < size {
			err = io.ErrUnexpectedEOF
		}
		return d, err
	}
	// The last piece may be short, and is merged in another way even if it is not.
	p := &pieces{r: r, count: (size - 1) / pieceSize, done: map[int64][8]uint32{}}
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() { p.work(ctx) })
	}
	wg.Wait()
	if p.err != nil {
		return Digest{}, p.err
	}
	last := make([]byte, size-p.count*pieceSize)
	if err := readFullAt(r, last, p.count*pieceSize); err != nil {
		return Digest{}, err
	}
	return p.tree.finish(last), nil
}

// pieces are shared by those who hash them.
type pieces struct {
	r     io.ReaderAt
	count int64

	mu   sync.Mutex
	next int64               // the piece that nobody has taken yet
	done map[int64][8]uint32 // those that one before them is missing for
	tree subtrees
	err  error
}

func (p *pieces) work(ctx context.Context) {
	buf := make([]byte, pieceSize)
	for {
		i, ok := p.take(ctx)
		if !ok {
			return
		}
		err := readFullAt(p.r, buf, i*pieceSize)
		p.put(i, valueOf(buf, uint64(i)*(pieceSize/guts.ChunkSize)), err)
	}
}

func (p *pieces) take(ctx context.Context) (int64, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = ctx.Err()
	}
	if p.err != nil || p.next == p.count {
		return 0, false
	}
	p.next++
	return p.next - 1, true
}

func (p *pieces) put(i int64, value [8]uint32, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.err = err
		return
	}
	p.done[i] = value
	for {
		i := int64(p.tree.groups >> pieceLevel)
		value, ok := p.done[i]
		if !ok {
			return
		}
		delete(p.done, i)
		p.tree.push(value, pieceLevel)
	}
}

// readFullAt fills b.
func readFullAt(r io.ReaderAt, b []byte, at int64) error {
	n, err := r.ReadAt(b, at)
	switch {
	case n == len(b):
		return nil
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	}
	return err
}

// valueOf returns the chaining value of a whole piece that begins at a chunk.
func valueOf(piece []byte, chunk uint64) [8]uint32 {
	var values [1 << pieceLevel][8]uint32
	for i := range values {
		group := (*[groupSize]byte)(piece[i*groupSize:])
		values[i] = guts.ChainingValue(guts.CompressBuffer(group, groupSize, &guts.IV, chunk+uint64(i)*guts.MaxSIMD, 0))
	}
	for n := len(values) / 2; n > 0; n /= 2 {
		for i := range n {
			values[i] = parent(values[2*i], values[2*i+1])
		}
	}
	return values[0]
}

func parent(left, right [8]uint32) [8]uint32 {
	return guts.ChainingValue(guts.ParentNode(left, right, &guts.IV, 0))
}

// subtrees are the values of the complete subtrees so far, at most one of each
// height, in groups of chunks.
type subtrees struct {
	value  [64][8]uint32
	groups uint64 // so many; its bits say which heights there are
}

// push adds a subtree of 2^height groups on the right.
func (t *subtrees) push(value [8]uint32, height int) {
	i := height
	for ; t.groups&(1<<i) != 0; i++ {
		value = parent(t.value[i], value)
	}
	t.value[i] = value
	t.groups += 1 << height
}

// finish adds the last bytes, at least one, and returns the digest of all.
func (t *subtrees) finish(last []byte) Digest {
	var group [groupSize]byte
	for len(last) > groupSize {
		copy(group[:], last)
		t.push(guts.ChainingValue(guts.CompressBuffer(&group, groupSize, &guts.IV, t.groups*guts.MaxSIMD, 0)), 0)
		last = last[groupSize:]
	}
	group = [groupSize]byte{}
	copy(group[:], last)
	n := guts.CompressBuffer(&group, len(last), &guts.IV, t.groups*guts.MaxSIMD, 0)
	for i := range t.value {
		if t.groups&(1<<i) != 0 {
			n = guts.ParentNode(t.value[i], guts.ChainingValue(n), &guts.IV, 0)
		}
	}
	n.Flags |= guts.FlagRoot
	var d Digest
	for i, word := range guts.CompressNode(n) {
		if 4*i < Size {
			binary.LittleEndian.PutUint32(d[4*i:], word)
		}
	}
	return d
}
