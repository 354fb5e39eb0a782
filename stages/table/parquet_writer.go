package table

import (
	"bufio"
	"math"
	"reflect"
	"unsafe"

	"github.com/parquet-go/parquet-go"
)

// A row group is closed after so many rows or bytes of cells, whichever comes
// first. Both depend on the rows alone, so that the same rows make the same
// file; the bytes bound the writer's memory.
const (
	parquetRowGroupRows  = 128 << 10
	parquetRowGroupBytes = 64 << 20
)

// parquetEncoder writes optional columns, plainly encoded and compressed with
// zstd, whose encoder gives the same bytes with and without its assembly; a
// test pins them.
type parquetEncoder struct {
	out   *parquet.GenericWriter[any]
	row   [1]parquet.Row // an array, so that writing it needs no new slice
	rows  int
	bytes int
}

func newParquetEncoder(out *bufio.Writer, columns []Column) *parquetEncoder {
	fields := make([]parquet.Field, len(columns))
	for i, c := range columns {
		fields[i] = &parquetField{Node: parquet.Optional(parquetNode(c.Type)), name: c.Name}
	}
	schema := parquet.NewSchema("table", &orderedGroup{fields: fields})
	e := &parquetEncoder{
		out: parquet.NewGenericWriter[any](out, schema,
			parquet.Compression(&parquet.Zstd),
			parquet.CreatedBy("flow", "1", ""),
			parquet.PageBufferSize(256<<10),
		),
	}
	e.row[0] = make(parquet.Row, len(columns))
	return e
}

func parquetNode(t Type) parquet.Node {
	switch t {
	case Int:
		return parquet.Int(64)
	case Float:
		return parquet.Leaf(parquet.DoubleType)
	case Bool:
		return parquet.Leaf(parquet.BooleanType)
	case JSON:
		return parquet.JSON()
	case Missing, Text, String:
	}
	return parquet.String()
}

func (e *parquetEncoder) encode(row []Value) error {
	for i, v := range row {
		cell, defined := parquet.NullValue(), 1
		switch v.typ {
		case Missing:
			defined = 0
		case Text, String, JSON:
			// WriteRows copies the bytes and changes none.
			cell = parquet.ByteArrayValue(unsafe.Slice(unsafe.StringData(v.text), len(v.text)))
		case Int:
			cell = parquet.Int64Value(int64(v.bits))
		case Float:
			cell = parquet.DoubleValue(math.Float64frombits(v.bits))
		case Bool:
			cell = parquet.BooleanValue(v.bits == 1)
		}
		e.row[0][i] = cell.Level(0, defined, i)
		e.bytes += 8 + len(v.text)
	}
	if _, err := e.out.WriteRows(e.row[:]); err != nil {
		return err
	}
	if e.rows++; e.rows == parquetRowGroupRows || e.bytes >= parquetRowGroupBytes {
		e.rows, e.bytes = 0, 0
		return e.out.Flush()
	}
	return nil
}

func (e *parquetEncoder) finish() error { return e.out.Close() }

// orderedGroup is a group whose columns keep their order; parquet.Group sorts
// them by name.
type orderedGroup struct {
	parquet.Group
	fields []parquet.Field
}

func (g *orderedGroup) Fields() []parquet.Field { return g.fields }

// String prints the group as a schema does.
func (g *orderedGroup) String() string { return parquet.NewSchema("", g).String() }

// GoType is a struct with the fields in order; the writer is only given rows,
// never Go values, so the names do not matter.
func (g *orderedGroup) GoType() reflect.Type { return reflect.TypeFor[struct{}]() }

type parquetField struct {
	parquet.Node
	name string
}

func (f *parquetField) Name() string { return f.name }

// Value is for writing Go values, which the encoder never does.
func (f *parquetField) Value(reflect.Value) reflect.Value {
	panic("BUG: table rows are written as cells")
}

var _ encoder = (*parquetEncoder)(nil)
