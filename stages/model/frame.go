package model

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/flow-pipelines/flow/engine/suggest"
)

// Kind says how the cells of a column are read.
type Kind int

const (
	// Number is a float64; a missing cell is NaN, true is 1 and false 0.
	Number Kind = iota
	// String is the cell's canonical text; a missing cell is "".
	String
	// Date is a date or a time of ISO 8601, such as 2026-03-01 or
	// 2026-03-01T09:30:00Z; a missing cell is NaN.
	Date
)

// Column is a column that a model reads.
type Column struct {
	Name string
	Kind Kind
}

// Cell is one cell of a table, as table.Value has it.
type Cell interface {
	IsMissing() bool
	// Float and Bool report whether the cell reads as one.
	Float() (float64, bool)
	Bool() (value, ok bool)
	Text() string
}

// Frame holds some columns of some rows, column by column. Make it with
// NewFrame, fill it with Append, empty it with Reset. It is not safe for
// concurrent use while rows are appended.
type Frame struct {
	columns []Column
	index   map[Column]int // position of each column in columns
	at      []int          // and in an appended row
	width   int            // cells of an appended row
	number  [][]float64
	text    [][]string
	// texts holds each distinct text once: columns of text have few, and a cell
	// of a table may share memory with its whole row, which is not to be kept.
	texts interner
	rows  int
	// held are numbers of categorical columns by name that Fit has learned for each
	// row without that row, for training; a model predicts without them.
	held map[string][]float32
}

// interner returns one copy of equal strings.
type interner map[string]string

func (in interner) of(s string) string {
	if own, ok := in[s]; ok {
		return own
	}
	own := strings.Clone(s)
	in[own] = own
	return own
}

// MissingColumnsError says which columns a table lacks.
type MissingColumnsError struct {
	Missing []string
	// Have are the columns that there are.
	Have []string
}

func (e *MissingColumnsError) Error() string {
	parts := make([]string, len(e.Missing))
	for i, name := range e.Missing {
		parts[i] = strconv.Quote(name)
		if s := suggest.Nearest(name, e.Have); s != "" {
			parts[i] += fmt.Sprintf(" (did you mean %q?)", s)
		}
	}
	word := "column"
	if len(parts) > 1 {
		word = "columns"
	}
	return "no " + word + " " + strings.Join(parts, ", ")
}

// CellError says that a cell has no value of its column's kind.
type CellError struct {
	Column string
	// Row is the row of the frame, counted from 1; after Reset from 1 again.
	Row  int
	Text string
	Why  string
}

func (e *CellError) Error() string {
	return fmt.Sprintf("column %q, row %d: %q %s", e.Column, e.Row, clip(e.Text), e.Why)
}

func clip(s string) string {
	const most = 40
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// NewFrame returns a frame for rows of a table with the columns in have. A
// *MissingColumnsError names all wanted columns that the table has not.
func NewFrame(columns []Column, have []string) (*Frame, error) {
	position := make(map[string]int, len(have))
	for i, name := range have {
		position[name] = i
	}
	f := &Frame{
		columns: columns, index: make(map[Column]int, len(columns)), width: len(have),
		number: make([][]float64, len(columns)), text: make([][]string, len(columns)), texts: interner{},
	}
	var missing []string
	for j, c := range columns {
		f.index[c] = j
		i, ok := position[c.Name]
		if !ok {
			missing = append(missing, c.Name)
		}
		f.at = append(f.at, i)
	}
	if missing != nil {
		return nil, &MissingColumnsError{Missing: missing, Have: have}
	}
	return f, nil
}

// Append adds a row of the table; a *CellError leaves the frame as it was.
func Append[C Cell](f *Frame, row []C) error {
	if len(row) != f.width {
		return fmt.Errorf("append row %d: it has %d cells, want %d", f.rows+1, len(row), f.width)
	}
	for i, c := range f.columns {
		cell := row[f.at[i]]
		if c.Kind == String {
			f.text[i] = append(f.text[i][:f.rows], f.texts.of(cell.Text()))
			continue
		}
		v, why := number(cell)
		if c.Kind == Date {
			v, why = date(cell)
		}
		if why != "" {
			return &CellError{Column: c.Name, Row: f.rows + 1, Text: cell.Text(), Why: why}
		}
		f.number[i] = append(f.number[i][:f.rows], v)
	}
	f.rows++
	return nil
}

func number(c Cell) (v float64, why string) {
	if c.IsMissing() {
		return math.NaN(), ""
	}
	if v, ok := c.Float(); ok {
		// Features are float32: what overflows there is as bad as infinite.
		if math.IsInf(float64(float32(v)), 0) {
			return 0, "is infinite or beyond the range of a float32"
		}
		return v, ""
	}
	if b, ok := c.Bool(); ok {
		if b {
			return 1, ""
		}
		return 0, ""
	}
	return 0, "is not a number"
}

func date(c Cell) (v float64, why string) {
	if c.IsMissing() || c.Text() == "" {
		return math.NaN(), ""
	}
	v, ok := parseDate(c.Text())
	if !ok {
		return 0, "is not a date such as 2026-03-01 or 2026-03-01T09:30:00"
	}
	return v, ""
}

// Rows returns the number of rows.
func (f *Frame) Rows() int { return f.rows }

// Reset empties the frame and keeps the memory of its columns.
func (f *Frame) Reset() {
	f.rows, f.held = 0, nil
	clear(f.texts)
}

// Permuted returns a frame of the same rows but that a column has in row i the
// cell of row order[i]. It shares all else with f, which must not change.
func (f *Frame) Permuted(c Column, order []int) *Frame {
	out := *f
	out.held = nil
	at := f.mustFind(c)
	if c.Kind == String {
		out.text = slices.Clone(f.text)
		out.text[at] = permuted(f.text[at], order)
	} else {
		out.number = slices.Clone(f.number)
		out.number[at] = permuted(f.number[at], order)
	}
	return &out
}

func permuted[T any](cells []T, order []int) []T {
	out := make([]T, len(order))
	for i, from := range order {
		out[i] = cells[from]
	}
	return out
}

// Constant returns the columns that have the same cell in every row, of which
// nothing can be learned.
func (f *Frame) Constant() (names []string) {
	for i, c := range f.columns {
		same := false
		if c.Kind == String {
			same = allSame(f.text[i][:f.rows], func(a, b string) bool { return a == b })
		} else {
			same = allSame(f.number[i][:f.rows], func(a, b float64) bool { return a == b || a != a && b != b })
		}
		if same {
			names = append(names, c.Name)
		}
	}
	return names
}

func allSame[T any](cells []T, equal func(a, b T) bool) bool {
	for _, c := range cells {
		if !equal(c, cells[0]) {
			return false
		}
	}
	return true
}

// numbers returns a column of numbers by name.
func (f *Frame) numbers(name string) []float64 {
	return f.number[f.mustFind(Column{name, Number})][:f.rows]
}

// dates returns a column of dates by name.
func (f *Frame) dates(name string) []float64 {
	return f.number[f.mustFind(Column{name, Date})][:f.rows]
}

// strings returns a column of text by name.
func (f *Frame) strings(name string) []string {
	return f.text[f.mustFind(Column{name, String})][:f.rows]
}

func (f *Frame) mustFind(c Column) int {
	i, ok := f.index[c]
	if !ok {
		panic(fmt.Sprintf("BUG: model: the frame has no column %q of kind %d", c.Name, c.Kind))
	}
	return i
}
