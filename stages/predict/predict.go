// Package predict answers the rows of a table with a model directory, a batch at
// a time: for the command flow predict.
//
// The answer is the table with columns added: "prediction", and for a
// classification "probability_CLASS" of each class, as evaluate names them; the
// prediction of several labels has all of them in one cell. Rows
// keep their order; columns that the model does not know are passed on. It
// refuses a table that lacks a column of the model, a cell that is no number
// where one is needed, and a table that has a column of an added name already.
package predict

import (
	"bufio"
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/flow-pipelines/flow/stages/model"
	"github.com/flow-pipelines/flow/stages/table"
)

// batch is how many rows are predicted at once; more are never in memory.
const batch = 4096

// Options say what is predicted, and to where.
type Options struct {
	// Model is a model directory, Input a table.
	Model, Input string
	// Output is the table to write, by its extension; "" is CSV to Stdout.
	Output string
	Stdout io.Writer
	// Only leaves the columns of the input out.
	Only bool
	// Progress is told the number of rows done after each batch.
	Progress func(rows int64)
}

// ClashError says that the input has a column that predictions would have.
type ClashError struct{ Column string }

func (e *ClashError) Error() string {
	return fmt.Sprintf("the input has a column %q already", e.Column)
}

// sink takes the rows of the answer.
type sink interface {
	Write(row []table.Value) error
	Close() error
	Abort() error
}

// Run predicts all rows and returns how many there were.
func Run(ctx context.Context, o Options) (rows int64, err error) {
	p, err := model.Load(o.Model)
	if err != nil {
		return 0, err
	}
	in, err := table.Open(o.Input)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	frame, err := p.NewFrame(table.Names(in.Columns()))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", o.Input, err)
	}
	columns, err := columnsOf(p, in.Columns(), o.Only)
	if err != nil {
		return 0, err
	}
	out, err := create(o, columns)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, out.Abort()) }()
	r := &run{predictor: p, in: in, frame: frame, out: out, only: o.Only}
	for ended := false; !ended; {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if ended, err = r.batch(); err != nil {
			return 0, err
		}
		o.Progress(r.rows)
	}
	return r.rows, out.Close()
}

// columnsOf are those of the answer.
func columnsOf(p *model.Predictor, in []table.Column, only bool) ([]table.Column, error) {
	added := []table.Column{{Name: "prediction", Type: table.Float}}
	if p.Task() != model.Regression {
		added[0].Type = table.String
		for _, class := range p.Classes() {
			added = append(added, table.Column{Name: "probability_" + class, Type: table.Float})
		}
	}
	if only {
		return added, nil
	}
	for _, c := range added {
		if slices.Contains(table.Names(in), c.Name) {
			return nil, &ClashError{c.Name}
		}
	}
	return append(slices.Clone(in), added...), nil
}

func create(o Options, columns []table.Column) (sink, error) {
	if o.Output != "" {
		return table.Create(o.Output, columns)
	}
	b := bufio.NewWriter(o.Stdout)
	s := &stream{csv: csv.NewWriter(b), out: b}
	return s, s.csv.Write(table.Names(columns))
}

// stream is CSV to a stream, which has no end to be complete at.
type stream struct {
	csv *csv.Writer
	out *bufio.Writer
}

func (s *stream) Write(row []table.Value) error {
	record := make([]string, len(row))
	for i, v := range row {
		record[i] = v.Text()
	}
	return s.csv.Write(record)
}

func (s *stream) Close() error {
	s.csv.Flush()
	return errors.Join(s.csv.Error(), s.out.Flush())
}

func (s *stream) Abort() error { return nil }

// run is one pass over the input.
type run struct {
	predictor *model.Predictor
	in        *table.Reader
	frame     *model.Frame
	out       sink
	only      bool
	kept      [][]table.Value
	rows      int64
}

// batch predicts the next rows.
func (r *run) batch() (ended bool, err error) {
	r.frame.Reset()
	r.kept = r.kept[:0]
	for r.frame.Rows() < batch {
		row := make([]table.Value, len(r.in.Columns()))
		if err := r.in.Read(row); errors.Is(err, io.EOF) {
			ended = true
			break
		} else if err != nil {
			return false, err
		}
		if err := model.Append(r.frame, row); err != nil {
			var cell *model.CellError
			if errors.As(err, &cell) {
				return false, fmt.Errorf("%s: column %q: %q %s", r.in.Position(), cell.Column, cell.Text, cell.Why)
			}
			return false, err
		}
		if r.only {
			row = nil
		}
		r.kept = append(r.kept, row)
	}
	answer, err := r.predictor.Predict(r.frame)
	if err != nil {
		return false, err
	}
	classes := r.predictor.Classes()
	for i, row := range r.kept {
		switch r.predictor.Task() {
		case model.Regression:
			row = append(row, table.FloatValue(answer.Values[i]))
		case model.Classification:
			row = append(row, table.StringValue(classes[answer.Class[i]]))
		case model.Multilabel:
			row = append(row, table.StringValue(r.labels(answer.Labels[i*len(classes):(i+1)*len(classes)])))
		}
		if len(classes) > 0 {
			for _, p := range answer.Probabilities[i*len(classes) : (i+1)*len(classes)] {
				row = append(row, table.FloatValue(p))
			}
		}
		if err := r.out.Write(row); err != nil {
			return false, err
		}
	}
	r.rows += int64(len(r.kept))
	return ended, nil
}

// labels are those that a row is predicted to have, separated as in the target.
func (r *run) labels(has []bool) string {
	var names []string
	for k, name := range r.predictor.Classes() {
		if has[k] {
			names = append(names, name)
		}
	}
	return strings.Join(names, cmp.Or(r.predictor.Separator(), defaultSeparator))
}

// defaultSeparator is for models whose labels are columns.
const defaultSeparator = ","
