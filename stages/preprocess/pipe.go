package preprocess

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/engine/suggest"
	"github.com/flow-pipelines/flow/stages/table"
)

// rows is a stream of rows: the input, or the result of a step on another.
type rows interface {
	columns() []table.Column
	// next returns the next row or io.EOF. The caller may change it, and
	// must copy it to keep it beyond the following call.
	next() ([]table.Value, error)
	// position names the place of the last row in the files.
	position() string
}

// pipe builds the chain of steps and owns what they have open.
type pipe struct {
	ctx     context.Context // of Run, which the pipe does not outlive
	cfg     Config
	readers []*table.Reader
	counts  map[string]*int64 // rows read of each input
	dropped map[string]*int64 // rows dropped by each step
	// look stands for reading: it tells the columns of a file, or errNotKnown.
	// nil: files are read.
	look func(file, role string, options table.Options) ([]table.Column, error)
}

func (p *pipe) close() error {
	var errs []error
	for _, r := range p.readers {
		errs = append(errs, r.Close())
	}
	return errors.Join(errs...)
}

// build opens the input and puts the steps on top.
func (p *pipe) build() (rows, error) {
	at, name := "input", "input"
	file := p.cfg.Input
	if file == "" {
		name = p.cfg.first()
		at, file = of("inputs", name), p.cfg.Inputs[name]
	}
	out, err := p.open(string(file), name, at, p.cfg.Header.options())
	if err != nil {
		return nil, err
	}
	for i, s := range p.cfg.Steps {
		at := fmt.Sprintf("steps[%d].%s", i, s.name())
		if c := s.Concatenate; c != nil && i == 0 && p.cfg.Input == "" && len(p.cfg.Inputs) > 1 {
			s.Concatenate = &Concatenate{Inputs: c.Inputs[1:]} // the first is what the rows begin with
		}
		if out, err = p.step(s, at, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// open starts to read one input.
func (p *pipe) open(file, name, at string, options table.Options) (rows, error) {
	if p.look != nil {
		columns, err := p.look(file, at, options)
		return head(columns), err
	}
	r, err := table.OpenWith(file, options)
	if err != nil {
		return nil, stage.Problemf(at, "The table cannot be read", "%v.", err)
	}
	p.readers = append(p.readers, r)
	if p.counts[name] == nil {
		p.counts[name] = new(int64)
	}
	return &input{ctx: p.ctx, r: r, at: at, n: p.counts[name], row: make([]table.Value, len(r.Columns()))}, nil
}

// other opens a named input for a step.
func (p *pipe) other(name, at string) (rows, error) {
	file, ok := p.cfg.Inputs[name]
	if !ok {
		return nil, p.cfg.checkInput(name, at)
	}
	return p.open(string(file), name, of("inputs", name), table.Options{})
}

// drops returns a new counter of dropped rows for a step.
func (p *pipe) drops(step string) *int64 {
	name := step
	for i := 2; p.dropped[name] != nil; i++ {
		name = step + "_" + strconv.Itoa(i)
	}
	n := new(int64)
	p.dropped[name] = n
	return n
}

// input reads a table.
type input struct {
	ctx context.Context
	r   *table.Reader
	at  string
	n   *int64
	row []table.Value
}

func (in *input) columns() []table.Column { return in.r.Columns() }
func (in *input) position() string        { return in.r.Position() }

func (in *input) next() ([]table.Value, error) {
	if *in.n&0xfff == 0 && in.ctx.Err() != nil {
		return nil, in.ctx.Err()
	}
	if err := in.r.Read(in.row); errors.Is(err, io.EOF) {
		return nil, io.EOF
	} else if err != nil {
		return nil, stage.Problemf(in.at, "The table cannot be read", "%v.", err)
	}
	*in.n++
	return in.row, nil
}

// step puts one step on top of a stream.
func (p *pipe) step(s Step, at string, in rows) (rows, error) {
	switch {
	case s.Select != nil:
		return selectColumns(s.Select, at, in)
	case s.Drop != nil:
		return dropColumns(s.Drop, at, in)
	case s.Rename != nil:
		return rename(s.Rename, at, in)
	case s.Cast != nil:
		return cast(s.Cast, at, in)
	case s.Filter != nil:
		return filter(s.Filter, at, in, p.drops("filter"))
	case s.Derive != nil:
		return derive(s.Derive, at, in)
	case s.Recode != nil:
		return recode(s.Recode, at, in)
	case s.DropMissing != nil:
		return dropMissing(s.DropMissing, at, in, p.drops("drop_missing"))
	case s.Fill != nil:
		return fill(s.Fill, at, in)
	case s.Deduplicate != nil:
		return deduplicate(s.Deduplicate, at, in, p.drops("deduplicate"))
	case s.Concatenate != nil:
		return p.concatenate(s.Concatenate, at, in)
	case s.Join != nil:
		return p.join(s.Join, at, in)
	}
	return in, nil
}

// index finds a column of a step's input; a name that it lacks is the user's
// mistake at the argument.
func index(in rows, name, at string) (int, error) {
	i, err := table.Index(in.columns(), name)
	if err != nil {
		return 0, missing(err, at)
	}
	return i, nil
}

func indexes(in rows, names []string, at string) ([]int, error) {
	out := make([]int, len(names))
	for i, name := range names {
		at := fmt.Sprintf("%s[%d]", at, i)
		j, err := index(in, name, at)
		if err != nil {
			return nil, err
		}
		out[i] = j
	}
	return out, nil
}

// missing is the problem of a column that is not there.
func missing(err error, at string) *stage.Problem {
	var m *table.MissingColumnError
	if !errors.As(err, &m) {
		return stage.Problemf(at, "The column cannot be used", "%v.", err)
	}
	if s := suggest.Nearest(m.Name, m.Have); s != "" {
		return stage.Problemf(at, fmt.Sprintf("No column %q", m.Name), "Did you mean %q?", s)
	}
	return stage.Problemf(at, fmt.Sprintf("No column %q", m.Name), "At this step, the rows have: %s.", quoted(m.Have))
}

// mapped is a step that changes rows in place, or drops them.
type mapped struct {
	rows
	cols []table.Column
	// apply changes the row; keep false drops it.
	apply func(row []table.Value) (out []table.Value, keep bool, err error)
}

func (m *mapped) columns() []table.Column { return m.cols }

func (m *mapped) next() ([]table.Value, error) {
	for {
		row, err := m.rows.next()
		if err != nil {
			return nil, err
		}
		out, keep, err := m.apply(row)
		if err != nil || keep {
			return out, err
		}
	}
}
