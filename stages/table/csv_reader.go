package table

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// csvReader reads RFC 4180 with any one-byte delimiter. encoding/csv is not
// used because it cannot tell a quoted field from a bare one (NA), rewrites
// \r\n inside quotes, and drops empty lines of one-column files.
type csvReader struct {
	name    string
	in      *lines
	stream  io.Closer
	delim   byte
	missing map[string]bool // nil: the built-in words
	cols    []Column
	start   int64 // line at which the last record began

	// The slow path's record: the fields' characters without their quotes,
	// and where each field ends.
	record []byte
	fields []csvField
}

type csvField struct {
	end    int
	quoted bool
}

func newCSVReader(name string, stream *stream, options Options) (*csvReader, error) {
	in, err := newLines(name, stream)
	if err != nil {
		return nil, err
	}
	r := &csvReader{name: name, in: in, stream: stream, delim: options.Delimiter}
	if options.Missing != nil {
		r.missing = make(map[string]bool, len(options.Missing))
		for _, word := range options.Missing {
			r.missing[word] = true
		}
	}
	for range options.Skip {
		if _, err := in.next(); err != nil {
			if errors.Is(err, io.EOF) {
				return nil, fmt.Errorf("%s: %d lines, but %d are to be skipped", name, in.n, options.Skip)
			}
			return nil, err
		}
	}
	names := options.Names
	if len(names) == 0 {
		if names, err = r.header(); err != nil {
			return nil, err
		}
	}
	r.cols = make([]Column, len(names))
	for i, n := range names {
		r.cols[i] = Column{Name: n, Type: Text}
	}
	if err := checkNames(r.cols); err != nil {
		if len(options.Names) == 0 {
			return nil, fmt.Errorf("%s:%d: header: %w; if this line is data, the columns need names: preprocess's header block gives them", name, r.start, err)
		}
		return nil, fmt.Errorf("%s: names: %w", name, err)
	}
	return r, nil
}

// header reads the columns' names. Blanks around them go, and a column without
// a name (an index that pandas wrote) gets one from its position.
func (r *csvReader) header() ([]string, error) {
	fields, err := r.parse()
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: empty, want a header line", r.name)
	}
	if err != nil {
		return nil, err
	}
	names := make([]string, len(fields))
	at := 0
	for i, f := range fields {
		names[i] = strings.TrimSpace(string(r.record[at:f.end]))
		if names[i] == "" {
			names[i] = fmt.Sprintf("column_%d", i+1)
		}
		at = f.end
	}
	return names, nil
}

func (r *csvReader) columns() []Column { return r.cols }
func (r *csvReader) position() int64   { return r.start }
func (r *csvReader) close() error      { return r.stream.Close() }

func (r *csvReader) read(row []Value) error {
	line, err := r.line()
	if err != nil {
		return err
	}
	if bytes.IndexByte(line, '"') >= 0 {
		return r.readQuoted(line, row)
	}
	if !utf8.Valid(line) {
		return r.notUTF8()
	}
	// One allocation a record; cells are parts of it.
	rest := string(line)
	for i := range row {
		field := rest
		at := strings.IndexByte(rest, r.delim)
		if last := i == len(row)-1; (at < 0) != last {
			return r.ragged(bytes.Count(line, []byte{r.delim}) + 1)
		}
		if at >= 0 {
			field, rest = rest[:at], rest[at+1:]
		}
		row[i] = r.cell(field, false)
	}
	return nil
}

// line returns the first line of the next record, without its line break.
// Empty lines are no records.
func (r *csvReader) line() ([]byte, error) {
	for {
		line, err := r.in.next()
		if err != nil {
			return nil, err
		}
		if len(line) > 0 {
			r.start = r.in.n
			return line, nil
		}
	}
}

func (r *csvReader) readQuoted(line []byte, row []Value) error {
	fields, err := r.split(line)
	if err != nil {
		return err
	}
	if len(fields) != len(row) {
		return r.ragged(len(fields))
	}
	text, at := string(r.record), 0
	for i, f := range fields {
		row[i] = r.cell(text[at:f.end], f.quoted)
		at = f.end
	}
	return nil
}

func (r *csvReader) cell(field string, quoted bool) Value {
	if field == "" {
		return Value{}
	}
	if !quoted && len(field) <= longestMissing && r.missing == nil && isMissingWord(field) {
		return Value{}
	}
	if !quoted && r.missing != nil && r.missing[field] {
		return Value{}
	}
	return TextValue(field)
}

const longestMissing = 4

func isMissingWord(s string) bool {
	switch s {
	case "NA", "N/A", "NaN", "nan", "null", "NULL":
		return true
	}
	return false
}

// parse reads a record by the slow path, whether it has quotes or not.
func (r *csvReader) parse() ([]csvField, error) {
	line, err := r.line()
	if err != nil {
		return nil, err
	}
	return r.split(line)
}

// split takes a record that may have quotes apart into r.record and r.fields,
// reading on where a quoted field holds a line break. line lacks its own break.
func (r *csvReader) split(line []byte) ([]csvField, error) {
	r.record, r.fields = r.record[:0], r.fields[:0]
	for {
		if len(line) == 0 || line[0] != '"' {
			at := bytes.IndexByte(line, r.delim)
			field := line
			if at >= 0 {
				field, line = line[:at], line[at+1:]
			}
			// A quote inside a bare field is just a character: 5" pipe.
			r.record = append(r.record, field...)
			r.fields = append(r.fields, csvField{end: len(r.record)})
			if at < 0 {
				break
			}
			continue
		}
		rest, err := r.quoted(line[1:])
		if err != nil {
			return nil, err
		}
		r.fields = append(r.fields, csvField{end: len(r.record), quoted: true})
		if len(rest) == 0 {
			break
		}
		if rest[0] != r.delim {
			return nil, fmt.Errorf("%s:%d: field %d goes on after its closing quote; a quote inside a quoted field is written twice",
				r.name, r.in.n, len(r.fields))
		}
		line = rest[1:]
	}
	if !utf8.Valid(r.record) {
		return nil, r.notUTF8()
	}
	return r.fields, nil
}

// quoted appends a quoted field's characters to the record, given the line
// after the opening quote, and returns the line after the closing one.
func (r *csvReader) quoted(line []byte) ([]byte, error) {
	opened := r.in.n
	for {
		at := bytes.IndexByte(line, '"')
		switch {
		case at >= 0 && at+1 < len(line) && line[at+1] == '"':
			r.record = append(r.record, line[:at+1]...)
			line = line[at+2:]
			continue
		case at >= 0:
			r.record = append(r.record, line[:at]...)
			return line[at+1:], nil
		}
		r.record = append(r.record, line...)
		if len(r.record) > maxRecord {
			return nil, fmt.Errorf("%s:%d: a quoted field opens here and is not closed within %d MiB", r.name, opened, maxRecord>>20)
		}
		r.record = append(r.record, r.in.ending...)
		next, err := r.in.next()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%s:%d: a quoted field opens here and is never closed", r.name, opened)
		}
		if err != nil {
			return nil, err
		}
		line = next
	}
}

func (r *csvReader) ragged(got int) error {
	return &RaggedError{File: r.name, Line: r.start, Got: got, Want: len(r.cols)}
}

func (r *csvReader) notUTF8() error {
	return fmt.Errorf("%s:%d: bytes that are not UTF-8; iconv -f LATIN1 -t UTF-8 converts a file in the usual Western encoding", r.name, r.start)
}

// RaggedError says that a record has too many or too few fields.
type RaggedError struct {
	File      string
	Line      int64 // at which the record begins
	Got, Want int
}

func (e *RaggedError) Error() string {
	return fmt.Sprintf("%s:%d: %d fields, want %d", e.File, e.Line, e.Got, e.Want)
}
