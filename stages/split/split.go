// Package split is the stage type "split": the rows of a table in named parts,
// such as train, validation and test.
//
// Every row is in exactly one part; inside a part rows keep their order. The
// same table, parts and seed give the same bytes on any machine. The package
// does not look at what the columns mean: leaks between rows that belong
// together (the scans of one patient) are the user's to avoid.
package split

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"path"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/stages/table"
)

// Config holds the arguments.
type Config struct {
	Input    stage.Artifact     `json:"input" kind:"table" flow:"required" doc:"The table to split."`
	Parts    map[string]float64 `json:"parts" flow:"required" doc:"The parts and their shares of the rows, which add up to 1."`
	Stratify string             `json:"stratify" doc:"A column: each part gets the same share of the rows of each of its values, a missing value being one of them."`
	Seed     int64              `json:"seed" default:"0" doc:"Another seed is another split."`
	Format   string             `json:"format" oneof:"csv tsv jsonl parquet" doc:"The format of the parts. Default: that of the input by its extension, csv if it has none."`
}

// Type is the stage type.
type Type struct{}

var _ stage.Runner = Type{}

// Schema describes the block.
func (Type) Schema() *stage.Schema {
	return &stage.Schema{
		Name:    "split",
		Version: 1,
		Summary: "The rows of a table in named parts, at random",
		Doc: `Each part is an output of the part's name: ` + "`split.holdout.train`" + `. Every row is in exactly one part, and rows keep their order inside a part. Name the part wherever a table is wanted: a split has several outputs, so ` + "`split.holdout`" + ` alone is no file.

The sizes of the parts differ from the shares by less than one row. With ` + "`stratify`" + ` that holds for the rows of each value of the column as well: a value with fewer rows than there are parts is missing from some of them.`,
		Example: `split "holdout" {
  input    = dataset.scans
  parts    = { train = 0.6, validation = 0.2, test = 0.2 }
  stratify = "diagnosis"
  seed     = 7
}`,
		Body:    stage.BodyOf[Config](),
		Outputs: []stage.OutputDoc{{Name: "PART", Doc: "The rows of the part, one output for each."}},
		Metrics: "`rows`: the number of rows of each part. With `stratify`, `classes`: for each part, the number of rows of each value.",
	}
}

// Job checks the parts and names an output for each.
func (Type) Job(req *stage.Request) (*stage.Job, error) {
	cfg, err := stage.Decode[Config](req.Args)
	if err != nil {
		return nil, err
	}
	if req.IsUnknown("parts") {
		return nil, stage.Problemf("parts", "The parts must be known before anything runs",
			"They depend on the metrics of a stage, and they are the outputs of this one. Write them down.")
	}
	if err := checkParts(cfg.Parts); err != nil {
		return nil, err
	}
	ext := cfg.extension(req.Inputs)
	var outputs []stage.Output
	for _, name := range slices.Sorted(maps.Keys(cfg.Parts)) {
		outputs = append(outputs, stage.Output{Name: name, Path: name + ext, Kind: stage.Table})
	}
	return req.Job(outputs...), nil
}

// maxParts is what a byte for each row can tell apart.
const maxParts = 256

func checkParts(parts map[string]float64) error {
	var ps stage.Problems
	sum := 0.0
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		at := "parts." + name
		share := parts[name]
		sum += share
		switch {
		case !hclsyntax.ValidIdentifier(name):
			ps = append(ps, stage.Problemf(at, fmt.Sprintf("%q is no name for a part", name), "A part is referred to by its name, so it is an identifier: letters, digits and underscores, beginning with a letter."))
		case slices.Contains([]string{"path", "outputs", "metrics", "address"}, name):
			ps = append(ps, stage.Problemf(at, fmt.Sprintf("A part cannot be called %q", name), "Every stage has something of this name already. Choose another."))
		case !(share > 0 && share <= 1):
			ps = append(ps, stage.Problemf(at, fmt.Sprintf("The share of part %q is %v", name, share), "A share is greater than 0 and at most 1: 0.2 is a fifth of the rows."))
		}
	}
	if len(parts) > maxParts {
		ps = append(ps, stage.Problemf("parts", fmt.Sprintf("%d parts are too many", len(parts)), "There can be %d.", maxParts))
	}
	if len(ps) == 0 && math.Abs(sum-1) > 1e-9 {
		ps = append(ps, stage.Problemf("parts", fmt.Sprintf("The shares of the parts add up to %s", table.AppendFloat(nil, sum)), "Every row is in exactly one part, so they must add up to 1."))
	}
	return ps.Err()
}

// extension is that of the outputs. Which format a directory has is not known
// while planning.
func (c *Config) extension(inputs []stage.Input) string {
	if c.Format != "" {
		return "." + c.Format
	}
	for _, in := range inputs {
		name := strings.TrimSuffix(in.Path, ".gz")
		if f, err := table.FormatOf(name); in.Role == "input" && path.Ext(name) != "" && err == nil {
			return "." + f.String()
		}
	}
	return ".csv"
}

// Run reads the table twice: once to count, once to write.
func (Type) Run(ctx context.Context, run *stage.Run) (stage.Metrics, error) {
	cfg, err := stage.Decode[Config](run.Args)
	if err != nil {
		return nil, err
	}
	s := &splitting{cfg: cfg, run: run, parts: slices.Sorted(maps.Keys(cfg.Parts)), classes: map[string]int{}}
	for _, name := range s.parts {
		s.shares = append(s.shares, cfg.Parts[name])
	}
	if err := s.count(ctx); err != nil {
		return nil, err
	}
	if len(s.class) == 0 {
		return nil, stage.Problemf("input", "The table has no rows", "There is nothing to split.")
	}
	s.part = assign(s.class, len(s.names), s.shares, uint64(cfg.Seed))
	if err := s.write(ctx); err != nil {
		return nil, err
	}
	return s.metrics(), nil
}

type splitting struct {
	cfg     Config
	run     *stage.Run
	parts   []string // sorted
	shares  []float64
	class   []int32 // of each row
	part    []uint8 // of each row
	classes map[string]int
	names   []string // of the classes, by first appearance
}

// count finds the class of each row; without stratify all have one.
func (s *splitting) count(ctx context.Context) (err error) {
	r, err := table.Open(string(s.cfg.Input))
	if err != nil {
		return problem(err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	column := -1
	if s.cfg.Stratify != "" {
		if column, err = table.Index(r.Columns(), s.cfg.Stratify); err != nil {
			return noColumn(s.cfg.Stratify, table.Names(r.Columns()))
		}
	} else {
		s.names = []string{""}
	}
	return eachRow(ctx, r, func(row []table.Value) error {
		id := 0
		if column >= 0 {
			id = s.classOf(row[column])
		}
		s.class = append(s.class, int32(id))
		return nil
	})
}

func (s *splitting) classOf(v table.Value) int {
	name := "(missing)"
	if !v.IsMissing() {
		name = v.Text()
	}
	id, ok := s.classes[name]
	if !ok {
		id = len(s.names)
		s.classes[name] = id
		s.names = append(s.names, name)
	}
	return id
}

func (s *splitting) write(ctx context.Context) (err error) {
	r, err := table.Open(string(s.cfg.Input))
	if err != nil {
		return problem(err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	columns, err := s.columns(ctx, r.Columns())
	if err != nil {
		return err
	}
	var writers []*table.Writer
	defer func() {
		if err != nil {
			for _, w := range writers {
				err = errors.Join(err, w.Abort())
			}
		}
	}()
	for _, name := range s.parts {
		w, err := table.Create(s.run.Output(name), columns)
		if err != nil {
			return err
		}
		writers = append(writers, w)
	}
	i := 0
	err = eachRow(ctx, r, func(row []table.Value) error {
		if i == len(s.part) {
			return fmt.Errorf("split %s: the table grew while it was read", s.cfg.Input)
		}
		w := writers[s.part[i]]
		i++
		return w.Write(row)
	})
	if err != nil {
		return err
	}
	for _, w := range writers {
		if err := w.Close(); err != nil {
			return err
		}
	}
	writers = nil
	return nil
}

// columns are the parts'. Where CSV becomes a format with types, these are taken
// from the whole table: one part alone may lack the 2.5 that makes a column of
// whole numbers one of floats.
func (s *splitting) columns(ctx context.Context, columns []table.Column) ([]table.Column, error) {
	format, err := table.FormatOf(s.run.Output(s.parts[0]))
	if err != nil {
		return nil, err
	}
	text := func(c table.Column) bool { return c.Type == table.Text }
	if (format != table.JSONLines && format != table.Parquet) || !slices.ContainsFunc(columns, text) {
		return columns, nil
	}
	summary, err := table.Describe(ctx, string(s.cfg.Input))
	if err != nil {
		return nil, problem(err)
	}
	return summary.Columns, nil
}

func (s *splitting) metrics() stage.Metrics {
	rows := make(map[string]any, len(s.parts))
	counts := make([]map[string]int, len(s.parts))
	totals := make([]int, len(s.parts))
	for i := range counts {
		counts[i] = map[string]int{}
	}
	for i, p := range s.part {
		totals[p]++
		counts[p][s.names[s.class[i]]]++
	}
	m := stage.Metrics{"rows": rows}
	for i, name := range s.parts {
		rows[name] = totals[i]
	}
	// A column with many values would fill flow.lock.
	if s.cfg.Stratify != "" && len(s.names) <= 50 {
		classes := make(map[string]any, len(s.parts))
		for i, name := range s.parts {
			classes[name] = counts[i]
		}
		m["classes"] = classes
	}
	return m
}

// eachRow calls f for all rows; the row is valid during the call.
func eachRow(ctx context.Context, r *table.Reader, f func([]table.Value) error) error {
	row := make([]table.Value, len(r.Columns()))
	for n := 0; ; n++ {
		if n%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		switch err := r.Read(row); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return problem(err)
		}
		if err := f(row); err != nil {
			return err
		}
	}
}

func noColumn(name string, have []string) *stage.Problem {
	return &stage.Problem{Path: "stratify", Summary: fmt.Sprintf("No column %q", name), Detail: table.Hint(name, have)}
}

// problem makes the user's mistake of a table that cannot be read.
func problem(err error) error {
	return stage.Problemf("input", "The table cannot be read", "%v.", err)
}
