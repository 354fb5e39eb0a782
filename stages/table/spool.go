package table

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// spool is the encoder for Text columns in formats with types. Their types are
// known after the last row, so it keeps the rows in a private file, in an
// encoding that loses nothing, and writes them out at the end.
type spool struct {
	out     *bufio.Writer
	path    string
	format  Format
	columns []Column
	seen    []inference
	file    *os.File
	rows    int64
	buffer  *bufio.Writer
	scratch []byte
}

func newSpool(out *bufio.Writer, path string, format Format, columns []Column) (*spool, error) {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".spool.*")
	if err != nil {
		return nil, fmt.Errorf("create table: %w", err)
	}
	return &spool{
		out: out, path: path, format: format, columns: columns,
		seen: make([]inference, len(columns)), file: file, buffer: bufio.NewWriterSize(file, 256<<10),
	}, nil
}

func (s *spool) encode(row []Value) error {
	b := s.scratch[:0]
	for i, v := range row {
		s.seen[i].add(v)
		b = append(b, byte(v.typ))
		switch v.typ {
		case Text, String, JSON:
			b = binary.AppendUvarint(b, uint64(len(v.text)))
			b = append(b, v.text...)
		case Int, Float, Bool:
			b = binary.LittleEndian.AppendUint64(b, v.bits)
		case Missing:
		}
	}
	s.scratch = b
	s.rows++
	_, err := s.buffer.Write(b)
	return err
}

func (s *spool) finish() error {
	columns := append([]Column(nil), s.columns...)
	for i := range columns {
		if columns[i].Type == Text {
			columns[i].Type = s.seen[i].columnType()
		}
	}
	enc, err := newEncoder(s.out, s.path, s.format, columns)
	if err != nil {
		return err
	}
	if err := s.replay(enc, columns); err != nil {
		return err
	}
	s.drop()
	return enc.finish()
}

func (s *spool) replay(enc encoder, columns []Column) error {
	if err := s.buffer.Flush(); err != nil {
		return err
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	in := bufio.NewReaderSize(s.file, 256<<10)
	row := make([]Value, len(columns))
	for range s.rows {
		for i := range row {
			v, err := readSpooled(in)
			if err != nil {
				return err
			}
			converted, ok := v.Convert(columns[i].Type)
			if !ok {
				panic(fmt.Sprintf("BUG: column %q was found to be %s, but holds %q", columns[i].Name, columns[i].Type, v.Text()))
			}
			row[i] = converted
		}
		if err := enc.encode(row); err != nil {
			return err
		}
	}
	return nil
}

func readSpooled(in *bufio.Reader) (Value, error) {
	typ, err := in.ReadByte()
	if err != nil {
		return Value{}, err
	}
	v := Value{typ: Type(typ)}
	switch v.typ {
	case Text, String, JSON:
		n, err := binary.ReadUvarint(in)
		if err != nil {
			return Value{}, err
		}
		text := make([]byte, n)
		if _, err := io.ReadFull(in, text); err != nil {
			return Value{}, err
		}
		v.text = string(text)
	case Int, Float, Bool:
		bits, err := in.Peek(8)
		if err != nil {
			return Value{}, err
		}
		v.bits = binary.LittleEndian.Uint64(bits)
		_, _ = in.Discard(len(bits))
	case Missing:
	}
	return v, nil
}

// drop removes the private file; it may be called twice.
func (s *spool) drop() {
	if s.file == nil {
		return
	}
	// A file that cannot be removed is litter, not a wrong table.
	_ = errors.Join(s.file.Close(), os.Remove(s.file.Name()))
	s.file = nil
}

var _ encoder = (*spool)(nil)
