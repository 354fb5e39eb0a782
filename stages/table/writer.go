package table

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// encoder writes one format. Cells arrive converted to their column's type.
type encoder interface {
	encode(row []Value) error
	// finish writes what is still held back; the file stays open.
	finish() error
}

// Writer writes one table. Nothing is at its path until Close returns nil. It
// is not safe for concurrent use.
type Writer struct {
	path    string
	columns []Column
	temp    *os.File
	out     *bufio.Writer
	enc     encoder
	row     []Value
	rows    int64
	err     error
}

// Create begins the table at path, whose format is that of the extension; .gz
// is for reading only, as compressors differ from machine to machine. The
// directory must exist. Text columns are written to JSON Lines and Parquet with
// the type that all their cells turn out to have, for which the rows are kept
// in a file beside path until Close.
func Create(path string, columns []Column) (*Writer, error) {
	format, gzipped, err := formatOfName(path)
	if err != nil {
		return nil, err
	}
	if gzipped {
		return nil, fmt.Errorf("%s: .gz tables can be read, not written", path)
	}
	if err := checkNames(columns); err != nil {
		return nil, fmt.Errorf("create %s: %w", path, err)
	}
	columns = append([]Column(nil), columns...)
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return nil, fmt.Errorf("create table: %w", err)
	}
	w := &Writer{path: path, columns: columns, temp: temp, row: make([]Value, len(columns))}
	w.out = bufio.NewWriterSize(temp, 256<<10)
	if w.enc, err = newEncoder(w.out, path, format, columns); err != nil {
		return nil, errors.Join(err, w.Abort())
	}
	return w, nil
}

func newEncoder(out *bufio.Writer, path string, format Format, columns []Column) (encoder, error) {
	typed := format == JSONLines || format == Parquet
	for _, c := range columns {
		if typed && c.Type == Text {
			return newSpool(out, path, format, columns)
		}
	}
	switch format {
	case JSONLines:
		return newJSONEncoder(out, columns), nil
	case Parquet:
		return newParquetEncoder(out, columns), nil
	case CSV, TSV:
	}
	return newCSVEncoder(out, delimiter(format), columns), nil
}

// Rows returns how many rows were written so far.
func (w *Writer) Rows() int64 { return w.rows }

// Write adds a row, one cell for each column. Each cell must be missing or
// convert to its column's type without being parsed: an Int fits a Float
// column, and everything fits a Text or String column. A Text cell is parsed to
// fit its column. row is not kept.
func (w *Writer) Write(row []Value) error {
	if len(row) != len(w.columns) {
		panic(fmt.Sprintf("BUG: table.Writer.Write of %d cells, want %d", len(row), len(w.columns)))
	}
	if w.err != nil {
		return w.err
	}
	for i, v := range row {
		if t := w.columns[i].Type; v.typ != t && v.typ != Missing && t != Text {
			converted, ok := v.Convert(t)
			if !ok {
				w.err = fmt.Errorf("write %s: row %d: column %q: %q is no %s", w.path, w.rows+1, w.columns[i].Name, v.Text(), t)
				return w.err
			}
			v = converted
		}
		w.row[i] = v
	}
	if err := w.enc.encode(w.row); err != nil {
		w.err = fmt.Errorf("write %s: row %d: %w", w.path, w.rows+1, err)
		return w.err
	}
	w.rows++
	return nil
}

// Close makes the table durable and visible at its path.
func (w *Writer) Close() error {
	if w.temp == nil {
		return w.err
	}
	err := w.err
	if err == nil {
		err = w.publish()
	}
	if err != nil {
		w.err = err
		return errors.Join(err, w.Abort())
	}
	w.temp, w.err = nil, os.ErrClosed
	return nil
}

func (w *Writer) publish() error {
	if err := w.enc.finish(); err != nil {
		return fmt.Errorf("write %s: %w", w.path, err)
	}
	if err := w.out.Flush(); err != nil {
		return fmt.Errorf("write %s: %w", w.path, err)
	}
	// CreateTemp makes files for their owner alone.
	if err := w.temp.Chmod(0o644); err != nil {
		return fmt.Errorf("write %s: %w", w.path, err)
	}
	if err := w.temp.Sync(); err != nil {
		return fmt.Errorf("write %s: %w", w.path, err)
	}
	if err := w.temp.Close(); err != nil {
		return fmt.Errorf("write %s: %w", w.path, err)
	}
	if err := os.Rename(w.temp.Name(), w.path); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	return nil
}

// Abort drops the table. After Close it does nothing, so that it can be
// deferred.
func (w *Writer) Abort() error {
	if w.temp == nil {
		return nil
	}
	temp := w.temp
	w.temp = nil
	if w.err == nil {
		w.err = os.ErrClosed
	}
	if s, ok := w.enc.(*spool); ok {
		s.drop()
	}
	_ = temp.Close() // publish may have closed it
	if err := os.Remove(temp.Name()); err != nil {
		return fmt.Errorf("abort table: %w", err)
	}
	return nil
}
