package table

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
)

// Options say how to read files that do not explain themselves. The zero value
// is what Open uses. They apply to CSV and TSV only; Open with other formats
// refuses them.
type Options struct {
	// Skip is the number of lines to pass over at the top of each file.
	Skip int
	// Names are the columns' names for files without a header line.
	Names []string
	// Delimiter separates fields; 0 is the format's own.
	Delimiter byte
	// Missing replaces the words that stand for missing values. Empty fields
	// are missing in any case. nil: see the package comment.
	Missing []string
}

func (o Options) zero() bool {
	return o.Skip == 0 && len(o.Names) == 0 && o.Delimiter == 0 && o.Missing == nil
}

// source reads one file.
type source interface {
	columns() []Column
	// read fills row, which has a place for each column, or returns io.EOF.
	read(row []Value) error
	// position is the line (text formats) or row of the last read, from 1.
	position() int64
	close() error
}

// Reader reads the rows of one table. It is not safe for concurrent use.
type Reader struct {
	columns []Column
	format  Format
	files   []string
	next    int // index in files of the file after the current one
	options Options
	current source
	err     error
}

// Open opens the table at path, a file or a directory. For JSON Lines this
// reads everything once, since only the whole file tells what its columns are.
func Open(path string) (*Reader, error) { return OpenWith(path, Options{}) }

// OpenWith is Open for files that need to be explained.
func OpenWith(path string, options Options) (*Reader, error) {
	files, err := filesOf(path)
	if err != nil {
		return nil, err
	}
	format, _, err := formatOfName(files[0])
	if err != nil {
		return nil, err
	}
	if format != CSV && format != TSV && !options.zero() {
		return nil, fmt.Errorf("open %s: header, delimiter and missing are for csv and tsv, this is %s", path, format)
	}
	r := &Reader{format: format, files: files, options: options}
	if r.columns, err = r.commonColumns(); err != nil {
		return nil, err
	}
	if err := r.advance(); err != nil {
		return nil, err
	}
	return r, nil
}

func filesOf(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open table: %w", err)
	}
	if info.IsDir() {
		return tableFiles(path)
	}
	return []string{path}, nil
}

// commonColumns are the columns of all files, whose names must agree and whose
// types are widened to hold every file's.
func (r *Reader) commonColumns() ([]Column, error) {
	if r.format == JSONLines {
		return scanJSONColumns(r.files)
	}
	var common []Column
	for i, file := range r.files {
		s, err := openSource(file, r.options, nil)
		if err != nil {
			return nil, err
		}
		columns := s.columns()
		if err := s.close(); err != nil {
			return nil, err
		}
		if i == 0 {
			common = append(common, columns...)
			continue
		}
		if diff := sameNames(columns, common); diff != "" {
			return nil, fmt.Errorf("%s: %s as in %s", file, diff, r.files[0])
		}
		for j := range common {
			common[j].Type = widen(common[j].Type, columns[j].Type)
		}
	}
	return common, nil
}

// widen returns the narrowest type that holds cells of both.
func widen(a, b Type) Type {
	switch {
	case a == b:
		return a
	case a.Numeric() && b.Numeric():
		return Float
	}
	return String
}

// Columns returns the table's columns. The caller must not change them.
func (r *Reader) Columns() []Column { return r.columns }

// Format returns the format of the table's files.
func (r *Reader) Format() Format { return r.format }

// Read fills row, which must have one place for each column, with the next row.
// It returns io.EOF after the last one. Errors name the file and the line, and
// repeat on every later call.
func (r *Reader) Read(row []Value) error {
	if len(row) != len(r.columns) {
		panic(fmt.Sprintf("BUG: table.Reader.Read into %d cells, want %d", len(row), len(r.columns)))
	}
	for r.err == nil {
		r.err = r.current.read(row)
		if r.err == nil {
			return nil
		}
		if errors.Is(r.err, io.EOF) && r.next < len(r.files) {
			r.err = r.advance()
		}
	}
	return r.err
}

func (r *Reader) advance() error {
	if r.current != nil {
		if err := r.current.close(); err != nil {
			return err
		}
		r.current = nil
	}
	s, err := openSource(r.files[r.next], r.options, r.columns)
	if err != nil {
		return err
	}
	r.current = s
	r.next++
	// Files were compared at Open; a file that changes under a run must not
	// shift cells into other columns.
	if diff := sameNames(s.columns(), r.columns); diff != "" {
		return fmt.Errorf("%s changed while it was read: %s", r.files[r.next-1], diff)
	}
	return nil
}

// Position names the place of the row that Read returned last, for messages:
// "data/housing.csv:17", or "data/housing.parquet: row 17".
func (r *Reader) Position() string {
	if r.current == nil {
		return r.files[0]
	}
	file := r.files[r.next-1]
	if r.format == Parquet {
		return fmt.Sprintf("%s: row %d", file, r.current.position())
	}
	return fmt.Sprintf("%s:%d", file, r.current.position())
}

// Close releases the current file.
func (r *Reader) Close() error {
	if r.current == nil {
		return nil
	}
	s := r.current
	r.current, r.err = nil, os.ErrClosed
	return s.close()
}

// openSource opens one file. columns are the table's if they are known, which
// JSON Lines needs, and to which Parquet widens its cells.
func openSource(file string, options Options, columns []Column) (source, error) {
	format, gzipped, err := formatOfName(file)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("open table: %w", err)
	}
	if format == Parquet {
		return openParquet(file, f, columns)
	}
	stream := &stream{file: f, Reader: f}
	if gzipped {
		z, err := gzip.NewReader(f)
		if err != nil {
			_ = f.Close()
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		stream.Reader = z
	}
	var s source
	if format == JSONLines {
		s = newJSONReader(file, stream, columns)
	} else {
		if options.Delimiter == 0 {
			options.Delimiter = delimiter(format)
		}
		s, err = newCSVReader(file, stream, options)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return s, nil
}

func delimiter(format Format) byte {
	if format == TSV {
		return '\t'
	}
	return ','
}

// stream is a file and what reads it, which may decompress.
type stream struct {
	io.Reader
	file *os.File
}

func (s *stream) Close() error { return s.file.Close() }
