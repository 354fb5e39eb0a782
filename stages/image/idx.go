package image

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// IDX is an array of bytes, the format of MNIST (http://yann.lecun.com/exdb/mnist):
// a first dimension of items, such as images or labels.
type IDX struct {
	Dims []int
	Data []byte
}

// mostIDX keeps a damaged header from taking all memory.
const mostIDX = 4 << 30

// ReadIDX reads an IDX file of bytes, compressed with gzip or not.
func ReadIDX(r io.Reader) (*IDX, error) {
	b := bufio.NewReader(r)
	if magic, err := b.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, fmt.Errorf("read IDX: %w", err)
		}
		b = bufio.NewReader(z)
	}
	var head [4]byte
	if _, err := io.ReadFull(b, head[:]); err != nil {
		return nil, fmt.Errorf("read IDX: %w", noEOF(err))
	}
	if head[0] != 0 || head[1] != 0 || head[2] != 8 || head[3] == 0 || head[3] > 4 {
		return nil, fmt.Errorf("read IDX: it starts with %x, and IDX files of bytes with 000008 and the number of dimensions", head)
	}
	x, size := &IDX{}, 1
	for range head[3] {
		var d uint32
		if err := binary.Read(b, binary.BigEndian, &d); err != nil {
			return nil, fmt.Errorf("read IDX: %w", noEOF(err))
		}
		if size *= int(d); size > mostIDX {
			return nil, fmt.Errorf("read IDX: it has dimensions %v and more", x.Dims)
		}
		x.Dims = append(x.Dims, int(d))
	}
	data, err := io.ReadAll(io.LimitReader(b, int64(size)+1))
	if err != nil {
		return nil, fmt.Errorf("read IDX: %w", err)
	}
	if len(data) != size {
		return nil, fmt.Errorf("read IDX: dimensions %v need %d bytes, and it has %d", x.Dims, size, len(data))
	}
	x.Data = data
	return x, nil
}

// noEOF says that the end came too early.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Item returns item i.
func (x *IDX) Item(i int) []byte {
	n := len(x.Data) / max(1, x.Dims[0])
	return x.Data[i*n : (i+1)*n]
}
