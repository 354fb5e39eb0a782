package evaluate

import (
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/stages/table"
)

// input is a table that is read once, whose mistakes are problems of the
// argument that named it.
type input struct {
	*table.Reader
	role string
	row  []table.Value
}

func open(role, path string) (*input, error) {
	r, err := table.Open(path)
	if err != nil {
		return nil, stage.Problemf(role, "The table cannot be read", "%v.", err)
	}
	return &input{Reader: r, role: role, row: make([]table.Value, len(r.Columns()))}, nil
}

// column finds a column; argument is the one that named it.
func (in *input) column(argument, name string) (int, error) {
	at, err := table.Index(in.Columns(), name)
	if err != nil {
		return 0, noColumn(argument, name, err)
	}
	return at, nil
}

func noColumn(argument, name string, err error) *stage.Problem {
	return stage.Problemf(argument, fmt.Sprintf("No column %q", name), "The table has %v.", err)
}

// next returns the next row, which is valid until the next call, or io.EOF.
func (in *input) next() ([]table.Value, error) {
	err := in.Read(in.row)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, stage.Problemf(in.role, "The table cannot be read", "%v.", err)
	}
	return in.row, err
}

// problem is about the row that was read last.
func (in *input) problem(summary, detail string, args ...any) error {
	return stage.Problemf(in.role, summary, "%s: %s.", in.Position(), fmt.Sprintf(detail, args...))
}

func (in *input) missing(v table.Value, column string) error {
	if v.IsMissing() || v.Text() == "" {
		return in.problem("A value is missing", "the row has no %q, so there is nothing to compare; drop such rows before the split", column)
	}
	return nil
}

// label is the cell as the name of a class.
func (in *input) label(v table.Value, column string) (string, error) {
	return v.Text(), in.missing(v, column)
}

// number is the cell as a finite number; truth values are 1 and 0, as they are
// to stages/train.
func (in *input) number(v table.Value, column string) (float64, error) {
	if err := in.missing(v, column); err != nil {
		return 0, err
	}
	f, ok := v.Float()
	if b, isBool := v.Bool(); isBool {
		f, ok = 0, true
		if b {
			f = 1
		}
	}
	if !ok || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, in.problem("A value is not a number", "column %q has %q; for classes write task = \"classification\"", column, v.Text())
	}
	return f, nil
}
