package preprocess

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/stages/table"
)

// concatenate appends the rows of other inputs. Their columns are brought into
// the order of the first; a type that differs is widened.
func (p *pipe) concatenate(s *Concatenate, at string, in rows) (rows, error) {
	c := &chain{parts: []part{{rows: in}}, cols: slices.Clone(in.columns())}
	for i, name := range s.Inputs {
		at := fmt.Sprintf("%s.inputs[%d]", at, i)
		other, err := p.other(name, at)
		if err != nil {
			return nil, err
		}
		order := make([]int, len(c.cols))
		for j := range c.cols {
			k, err := table.Index(other.columns(), c.cols[j].Name)
			if err != nil {
				return nil, stage.Problemf(at, fmt.Sprintf("Input %q has no column %q", name, c.cols[j].Name),
					"Tables below one another have the same columns. This one has: %s.", quoted(table.Names(other.columns())))
			}
			order[j] = k
			c.cols[j].Type = wider(c.cols[j].Type, other.columns()[k].Type)
		}
		for _, have := range other.columns() {
			if _, err := table.Index(c.cols, have.Name); err != nil {
				return nil, stage.Problemf(at, fmt.Sprintf("Input %q has another column, %q", name, have.Name),
					"Tables below one another have the same columns. The rows so far have: %s.", quoted(table.Names(c.cols)))
			}
		}
		c.parts = append(c.parts, part{rows: other, order: order})
	}
	c.row = make([]table.Value, len(c.cols))
	return c, nil
}

// wider is the type that holds cells of both tables.
func wider(a, b table.Type) table.Type {
	switch {
	case a == b:
		return a
	case a == table.Text || b == table.Text:
		return table.Text
	case a.Numeric() && b.Numeric():
		return table.Float
	}
	return table.String
}

// chain is several streams after one another.
type chain struct {
	parts []part
	cols  []table.Column
	row   []table.Value
	at    int
}

type part struct {
	rows
	order []int // of the chain's columns in the part; nil: the same
}

func (c *chain) columns() []table.Column { return c.cols }
func (c *chain) position() string        { return c.parts[c.at].position() }

func (c *chain) next() ([]table.Value, error) {
	for {
		p := c.parts[c.at]
		row, err := p.next()
		if errors.Is(err, io.EOF) && c.at+1 < len(c.parts) {
			c.at++
			continue
		}
		if err != nil {
			return nil, err
		}
		for i := range c.row {
			j := i
			if p.order != nil {
				j = p.order[i]
			}
			c.row[i], _ = row[j].Convert(c.cols[i].Type) // to a wider type: never fails
		}
		return c.row, nil
	}
}

// join appends the columns of the other input's matching rows, which are all
// held in memory, by the text of the columns they are joined on.
func (p *pipe) join(s *Join, at string, in rows) (rows, error) {
	right, err := p.other(s.Input, at)
	if err != nil {
		return nil, err
	}
	left, err := indexes(in, s.On, at+".on")
	if err != nil {
		return nil, err
	}
	on, err := indexes(right, s.On, at+".on")
	if err != nil {
		var problem *stage.Problem
		if errors.As(err, &problem) {
			problem.Summary += fmt.Sprintf(" in input %q", s.Input)
		}
		return nil, err
	}
	j := &joined{rows: in, left: left, keep: s.How == "left", matches: map[string][][]table.Value{}, cols: slices.Clone(in.columns())}
	var added []int
	for i, c := range right.columns() {
		if slices.Contains(on, i) {
			continue
		}
		if _, err := table.Index(j.cols, c.Name); err == nil {
			return nil, stage.Problemf(at, fmt.Sprintf("Both tables have a column %q", c.Name),
				"Add it to `on` if the rows must agree in it, or rename or drop it before the join.")
		}
		j.cols = append(j.cols, c)
		added = append(added, i)
	}
	if !j.keep {
		j.dropped = p.drops("join")
	}
	j.row = make([]table.Value, len(j.cols))
	return j, j.load(right, on, added)
}

// joined is the result of a join.
type joined struct {
	rows
	cols    []table.Column
	left    []int
	keep    bool   // rows without a match
	dropped *int64 // nil if keep
	matches map[string][][]table.Value
	row     []table.Value
	key     []byte
	current []table.Value   // the left row
	pending [][]table.Value // right rows that the current one is still to meet
}

// load reads the right-hand table.
func (j *joined) load(right rows, on, added []int) error {
	for {
		row, err := right.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if !j.keyOf(row, on) {
			continue
		}
		cells := make([]table.Value, len(added))
		for i, from := range added {
			cells[i] = row[from]
		}
		j.matches[string(j.key)] = append(j.matches[string(j.key)], cells)
	}
}

// keyOf sets j.key to what the row is joined by; false if part of it is missing.
func (j *joined) keyOf(row []table.Value, on []int) bool {
	j.key = j.key[:0]
	for _, i := range on {
		if row[i].IsMissing() {
			return false
		}
		j.key = row[i].AppendKey(j.key)
	}
	return true
}

func (j *joined) columns() []table.Column { return j.cols }

func (j *joined) next() ([]table.Value, error) {
	for len(j.pending) == 0 {
		row, err := j.rows.next()
		if err != nil {
			return nil, err
		}
		j.current = row
		if j.keyOf(row, j.left) {
			j.pending = j.matches[string(j.key)]
		}
		if len(j.pending) > 0 {
			break
		}
		if j.keep {
			copy(j.row, row)
			clear(j.row[len(row):])
			return j.row, nil
		}
		*j.dropped++
	}
	copy(j.row, j.current)
	copy(j.row[len(j.current):], j.pending[0])
	j.pending = j.pending[1:]
	return j.row, nil
}
