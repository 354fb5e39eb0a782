package table

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// parquetReader reads flat Parquet files. Dates and times become their ISO 8601
// text and decimals floats, since a table has no such types.
type parquetReader struct {
	name   string
	file   *os.File
	groups []parquet.RowGroup // that are still to be read
	rows   parquet.Rows
	cols   []Column
	decode []func(parquet.Value) (Value, bool)
	widen  []Type // wanted type, where it is not the file's own
	batch  []parquet.Row
	have   int // rows in batch
	at     int // the next one
	n      int64
}

func openParquet(name string, file *os.File, want []Column) (_ *parquetReader, err error) {
	defer func() {
		if err != nil {
			_ = file.Close()
		}
	}()
	defer damaged(name, &err)
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("open table: %w", err)
	}
	p, err := parquet.OpenFile(file, info.Size(), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	r := &parquetReader{name: name, file: file, batch: make([]parquet.Row, 256)}
	for _, g := range p.RowGroups() {
		if g.NumRows() > 0 { // Arrow writes an empty group for an empty table, without pages to read
			r.groups = append(r.groups, g)
		}
	}
	for _, field := range p.Schema().Fields() {
		t, decode, err := parquetColumn(field)
		if err != nil {
			return nil, fmt.Errorf("%s: column %q: %w", name, field.Name(), err)
		}
		r.cols = append(r.cols, Column{Name: field.Name(), Type: t})
		r.decode = append(r.decode, decode)
	}
	if err := checkNames(r.cols); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	r.widen = make([]Type, len(r.cols))
	for i := range want {
		if i < len(r.cols) && want[i].Type != r.cols[i].Type {
			r.widen[i] = want[i].Type
		}
	}
	return r, nil
}

// damaged makes an error of a panic, which is how parquet-go answers some files
// that are cut off or overwritten.
func damaged(name string, err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%s: damaged: %v", name, p)
	}
}

func (r *parquetReader) columns() []Column { return r.cols }
func (r *parquetReader) position() int64   { return r.n }

func (r *parquetReader) close() error {
	var err error
	if r.rows != nil {
		err = r.rows.Close()
		r.rows = nil
	}
	return errors.Join(err, r.file.Close())
}

func (r *parquetReader) read(row []Value) error {
	if r.at == r.have {
		if err := r.fill(); err != nil {
			return err
		}
	}
	cells := r.batch[r.at]
	r.at++
	r.n++
	if len(cells) != len(r.cols) {
		return fmt.Errorf("%s: damaged: row %d has %d cells, want %d", r.name, r.n, len(cells), len(r.cols))
	}
	for i, cell := range cells {
		if cell.IsNull() {
			row[i] = Value{}
			continue
		}
		v, ok := r.decode[i](cell)
		if !ok {
			return fmt.Errorf("%s: row %d: column %q: %v has no place in 64 bits", r.name, r.n, r.cols[i].Name, cell)
		}
		if r.widen[i] != Missing {
			v, _ = v.Convert(r.widen[i])
		}
		row[i] = v
	}
	return nil
}

// fill reads the next batch of rows, from the next row group when one ends.
func (r *parquetReader) fill() (err error) {
	defer damaged(r.name, &err)
	for {
		if r.rows == nil {
			if len(r.groups) == 0 {
				return io.EOF
			}
			r.rows, r.groups = r.groups[0].Rows(), r.groups[1:]
		}
		n, err := r.rows.ReadRows(r.batch)
		if n > 0 {
			r.have, r.at = n, 0
			return nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("%s: after row %d: %w", r.name, r.n, err)
		}
		err = r.rows.Close()
		r.rows = nil
		if err != nil {
			return fmt.Errorf("%s: after row %d: %w", r.name, r.n, err)
		}
	}
}

// parquetColumn decides what a column's cells become.
func parquetColumn(f parquet.Field) (Type, func(parquet.Value) (Value, bool), error) {
	if !f.Leaf() || f.Repeated() {
		return Missing, nil, fmt.Errorf("nested and repeated columns are not supported")
	}
	if logical := f.Type().LogicalType(); logical != nil {
		switch l := logical.Value.(type) {
		case *format.DateType:
			return String, decodeDate, nil
		case *format.TimestampType:
			return timestampColumn(l)
		case *format.DecimalType:
			return decimalColumn(f.Type().Kind(), l)
		case *format.TimeType, *format.UUIDType, *format.Float16Type, *format.VariantType:
			return Missing, nil, fmt.Errorf("columns of type %s are not supported", f.Type())
		case *format.IntType:
			if !l.IsSigned {
				return Int, decodeUnsigned(f.Type().Kind()), nil
			}
		case *format.NullType:
			return String, func(parquet.Value) (Value, bool) { return Value{}, true }, nil
		case *format.JsonType:
			return JSON, func(v parquet.Value) (Value, bool) { return JSONValue(string(v.ByteArray())), true }, nil
		}
	}
	return plainColumn(f.Type())
}

func plainColumn(t parquet.Type) (Type, func(parquet.Value) (Value, bool), error) {
	switch t.Kind() {
	case parquet.Boolean:
		return Bool, func(v parquet.Value) (Value, bool) { return BoolValue(v.Boolean()), true }, nil
	case parquet.Int32:
		return Int, func(v parquet.Value) (Value, bool) { return IntValue(int64(v.Int32())), true }, nil
	case parquet.Int64:
		return Int, func(v parquet.Value) (Value, bool) { return IntValue(v.Int64()), true }, nil
	case parquet.Float:
		return Float, func(v parquet.Value) (Value, bool) { return FloatValue(float64(v.Float())), true }, nil
	case parquet.Double:
		return Float, func(v parquet.Value) (Value, bool) { return FloatValue(v.Double()), true }, nil
	case parquet.ByteArray, parquet.FixedLenByteArray:
		return String, func(v parquet.Value) (Value, bool) { return StringValue(string(v.ByteArray())), true }, nil
	}
	return Missing, nil, fmt.Errorf("columns of type %s are not supported", t)
}

func decodeUnsigned(kind parquet.Kind) func(parquet.Value) (Value, bool) {
	if kind == parquet.Int32 {
		return func(v parquet.Value) (Value, bool) { return IntValue(int64(v.Uint32())), true }
	}
	return func(v parquet.Value) (Value, bool) { return IntValue(v.Int64()), v.Int64() >= 0 }
}

func decodeDate(v parquet.Value) (Value, bool) {
	day := time.Unix(int64(v.Int32())*24*60*60, 0).UTC()
	return StringValue(day.Format(time.DateOnly)), true
}

func timestampColumn(l *format.TimestampType) (Type, func(parquet.Value) (Value, bool), error) {
	layout := "2006-01-02T15:04:05"
	at := time.UnixMilli
	switch l.Unit.Value.(type) {
	case *format.MilliSeconds:
		layout += ".000"
	case *format.MicroSeconds:
		layout, at = layout+".000000", time.UnixMicro
	case *format.NanoSeconds:
		layout, at = layout+".000000000", func(n int64) time.Time { return time.Unix(0, n) }
	default:
		return Missing, nil, fmt.Errorf("a timestamp of an unknown unit")
	}
	if l.IsAdjustedToUTC {
		layout += "Z"
	}
	return String, func(v parquet.Value) (Value, bool) {
		return StringValue(at(v.Int64()).UTC().Format(layout)), true
	}, nil
}

func decimalColumn(kind parquet.Kind, l *format.DecimalType) (Type, func(parquet.Value) (Value, bool), error) {
	power := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(l.Scale, 0))), nil)
	return Float, func(v parquet.Value) (Value, bool) {
		f, _ := new(big.Rat).SetFrac(unscaled(kind, v), power).Float64()
		return FloatValue(f), true
	}, nil
}

// unscaled returns a decimal's integer: big-endian two's complement where it
// is stored as bytes.
func unscaled(kind parquet.Kind, v parquet.Value) *big.Int {
	switch kind {
	case parquet.Int32:
		return big.NewInt(int64(v.Int32()))
	case parquet.Int64:
		return big.NewInt(v.Int64())
	default:
	}
	b := v.ByteArray()
	if len(b) == 8 {
		return big.NewInt(int64(binary.BigEndian.Uint64(b)))
	}
	n := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return n
}

var _ source = (*parquetReader)(nil)
