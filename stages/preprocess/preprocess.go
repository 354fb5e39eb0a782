// Package preprocess is the stage type "preprocess": steps that a table's rows
// pass through in the order in which they are written.
//
// Rows are streamed. Memory holds the right-hand tables of joins and one key
// for each row that deduplicate has let through; everything else is flat. The
// same inputs and arguments give the same bytes on any machine. Nothing here is
// fitted to the data: a mean that fills gaps or a scale belongs into train's
// features, which learn it from the training part alone.
package preprocess

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/stages/table"
)

// Type is the stage type.
type Type struct{}

var _ stage.Runner = Type{}

// Schema describes the block.
func (Type) Schema() *stage.Schema {
	return &stage.Schema{
		Name:    "preprocess",
		Version: 1,
		Summary: "Rows of tables, selected, cleaned, derived and joined, step by step",
		Doc:     documentation(),
		Example: example,
		Body:    stage.BodyOf[Config](),
		Outputs: []stage.OutputDoc{{Name: "data", Doc: "The table that comes out."}},
		Metrics: "`rows` and `columns` of the output, `rows_in` of each table that was read, and `dropped`: for each step that can drop rows, how many it dropped (the second filter is `filter_2`).",
	}
}

// Job names the output.
func (Type) Job(req *stage.Request) (*stage.Job, error) {
	cfg, err := stage.Decode[Config](req.Args)
	if err != nil {
		return nil, err
	}
	if err := cfg.check(req); err != nil {
		return nil, err
	}
	return req.Job(stage.Output{Name: "data", Path: "data" + cfg.extension(req.Inputs), Kind: stage.Table}), nil
}

// extension is that of the output. Which format a directory has is not known
// while planning.
func (c *Config) extension(inputs []stage.Input) string {
	if c.Format != "" {
		return "." + c.Format
	}
	first := "input"
	if c.Input == "" {
		if name := c.first(); name != "" {
			first = "inputs." + name
		}
	}
	for _, in := range inputs {
		name := strings.TrimSuffix(in.Path, ".gz")
		if in.Role != first || path.Ext(name) == "" {
			continue
		}
		if f, err := table.FormatOf(name); err == nil {
			return "." + f.String()
		}
	}
	return ".csv"
}

// Run streams the rows through the steps.
func (Type) Run(ctx context.Context, run *stage.Run) (_ stage.Metrics, err error) {
	cfg, err := stage.Decode[Config](run.Args)
	if err != nil {
		return nil, err
	}
	p := &pipe{ctx: ctx, cfg: cfg, counts: map[string]*int64{}, dropped: map[string]*int64{}}
	defer func() { err = errors.Join(err, p.close()) }()
	out, err := p.build()
	if err != nil {
		return nil, err
	}
	rows, err := p.write(run, out)
	if err != nil {
		return nil, err
	}
	m := stage.Metrics{"rows": rows, "columns": len(out.columns()), "rows_in": numbers(p.counts)}
	if len(p.dropped) > 0 {
		m["dropped"] = numbers(p.dropped)
	}
	return m, nil
}

func numbers(counts map[string]*int64) map[string]any {
	m := make(map[string]any, len(counts))
	for name, n := range counts {
		m[name] = *n
	}
	return m
}

// write drains the last step into the output.
func (p *pipe) write(run *stage.Run, out rows) (n int64, err error) {
	w, err := table.Create(run.Output("data"), out.columns())
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, w.Abort()) }()
	for {
		row, err := out.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, err
		}
		if err := w.Write(row); err != nil {
			return 0, err
		}
		if n := w.Rows(); n%100_000 == 0 {
			run.Progress(stage.Progress{Step: n, Unit: "row"})
		}
	}
	return w.Rows(), w.Close()
}

// check finds the mistakes that show without reading a row.
func (c *Config) check(req *stage.Request) error {
	var ps stage.Problems
	if c.Input == "" && len(c.Inputs) == 0 && !req.IsUnknown("input") && !req.IsUnknown("inputs") {
		ps = append(ps, stage.Problemf("", "No input", "Say which table the rows come from: input = dataset.NAME."))
	}
	if c.Input == "" && len(c.Inputs) > 1 && c.first() == "" {
		ps = append(ps, stage.Problemf("inputs", "Which table do the rows come from?",
			"There are several inputs. Name the one that the first step gets as `input`, or begin with concatenate { inputs = [%s] }.", quoted(slices.Sorted(maps.Keys(c.Inputs)))))
	}
	if c.Input != "" && c.Inputs["input"] != "" {
		ps = append(ps, stage.Problemf("inputs.input", `Two inputs are called "input"`, "Give this one another name."))
	}
	if h := c.Header; h != nil {
		ps = append(ps, h.check()...)
	}
	if req.IsUnknown("inputs") {
		return ps.Err()
	}
	for i, s := range c.Steps {
		if err := s.check(c, fmt.Sprintf("steps[%d].%s", i, s.name())); err != nil {
			ps = append(ps, err)
		}
	}
	return ps.Err()
}

// first is the name of the input that the rows begin with, if it is not
// `input`: the only one, or the first of a leading concatenate.
func (c *Config) first() string {
	if len(c.Inputs) == 1 {
		for name := range c.Inputs {
			return name
		}
	}
	if len(c.Steps) > 0 && c.Steps[0].Concatenate != nil && len(c.Steps[0].Concatenate.Inputs) > 0 {
		if name := c.Steps[0].Concatenate.Inputs[0]; c.Inputs[name] != "" {
			return name
		}
	}
	return ""
}

// quoted lists the first few of many names.
func quoted(names []string) string {
	q := make([]string, len(names))
	for i, n := range names {
		q[i] = fmt.Sprintf("%q", n)
	}
	return table.List(q)
}
