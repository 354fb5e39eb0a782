package table

import (
	"bufio"
	"fmt"
	"math"
	"unicode/utf8"
)

// csvEncoder writes RFC 4180 with \n as the line break. It quotes only what
// would not read back otherwise.
type csvEncoder struct {
	out     *bufio.Writer
	delim   byte
	special [256]bool
	columns []Column // nil once the header is written
	buf     []byte
	single  bool
}

func newCSVEncoder(out *bufio.Writer, delim byte, columns []Column) *csvEncoder {
	e := &csvEncoder{out: out, delim: delim, columns: columns, single: len(columns) == 1}
	for _, c := range [...]byte{delim, '"', '\n', '\r'} {
		e.special[c] = true
	}
	return e
}

func (e *csvEncoder) header() error {
	row := make([]Value, len(e.columns))
	for i, c := range e.columns {
		row[i] = StringValue(c.Name)
	}
	e.columns = nil
	return e.encode(row)
}

func (e *csvEncoder) encode(row []Value) error {
	if e.columns != nil {
		if err := e.header(); err != nil {
			return err
		}
	}
	b := e.buf[:0]
	for i, v := range row {
		if i > 0 {
			b = append(b, e.delim)
		}
		switch v.typ {
		case Text, String, JSON:
			b = e.appendField(b, v.text)
		case Missing:
			if e.single { // an empty line is no record
				b = append(b, `""`...)
			}
		default:
			b = v.AppendText(b)
		}
	}
	e.buf = append(b, '\n')
	_, err := e.out.Write(e.buf)
	return err
}

func (e *csvEncoder) appendField(b []byte, s string) []byte {
	if s == "" || (len(s) <= longestMissing && isMissingWord(s)) {
		b = append(b, '"')
		b = append(b, s...)
		return append(b, '"')
	}
	special := s[0] == byteOrderMark[0] // may be a mark at the file's start
	for i := 0; i < len(s) && !special; i++ {
		special = e.special[s[i]]
	}
	if !special {
		return append(b, s...)
	}
	b = append(b, '"')
	for i := 0; i < len(s); i++ {
		if s[i] == '"' {
			b = append(b, '"')
		}
		b = append(b, s[i])
	}
	return append(b, '"')
}

func (e *csvEncoder) finish() error {
	if e.columns != nil {
		return e.header()
	}
	return nil
}

// jsonEncoder writes one object a line, with every key in every line, since a
// reader takes the columns from the keys.
type jsonEncoder struct {
	out  *bufio.Writer
	keys [][]byte // `{"name":`, `,"other":`
	buf  []byte
}

func newJSONEncoder(out *bufio.Writer, columns []Column) *jsonEncoder {
	e := &jsonEncoder{out: out}
	for i, c := range columns {
		key := []byte{'{'}
		if i > 0 {
			key[0] = ','
		}
		e.keys = append(e.keys, append(appendJSONString(key, c.Name), ':'))
	}
	return e
}

func (e *jsonEncoder) encode(row []Value) error {
	b := e.buf[:0]
	for i, v := range row {
		b = append(b, e.keys[i]...)
		switch v.typ {
		case Missing:
			b = append(b, "null"...)
		case Text, String:
			b = appendJSONString(b, v.text)
		case Float:
			f := math.Float64frombits(v.bits)
			if math.IsInf(f, 0) {
				return fmt.Errorf("JSON has no infinity")
			}
			at := len(b)
			b = AppendFloat(b, f)
			b = markFloat(b, at)
		case Int, Bool, JSON:
			b = v.AppendText(b)
		}
	}
	e.buf = append(b, '}', '\n')
	_, err := e.out.Write(e.buf)
	return err
}

func (e *jsonEncoder) finish() error { return nil }

// markFloat writes 3 as 3.0, so that a column of whole floats reads back as
// floats.
func markFloat(b []byte, from int) []byte {
	for _, c := range b[from:] {
		if c == '.' || c == 'e' {
			return b
		}
	}
	return append(b, ".0"...)
}

const hexDigits = "0123456789abcdef"

func appendJSONString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			// Parquet strings need not be UTF-8, JSON must.
			r, n := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r)
			i += n
			continue
		}
		i++
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c == '\r':
			b = append(b, '\\', 'r')
		case c == '\t':
			b = append(b, '\\', 't')
		case c < ' ':
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

var (
	_ encoder = (*csvEncoder)(nil)
	_ encoder = (*jsonEncoder)(nil)
)
