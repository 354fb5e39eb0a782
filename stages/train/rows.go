package train

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/stages/model"
	"github.com/flow-pipelines/flow/stages/table"
)

// part is a table in memory: the features as they are in the file, and the
// target as text or as numbers.
type part struct {
	// role is the argument that names the table.
	role   string
	frame  *model.Frame
	labels []string
	values []float64
	// many are the labels of each row, if it has any number of them.
	many [][]string
	// weights are those of the rows; nil if there is no such column.
	weights []float32
	// distinct has each label once, not sharing memory with a row of the table.
	distinct map[string]string
}

// addLabel appends a label.
func (p *part) addLabel(s string) { p.labels = append(p.labels, p.own(s)) }

func (p *part) own(s string) string {
	own, ok := p.distinct[s]
	if !ok {
		own = strings.Clone(s)
		p.distinct[own] = own
	}
	return own
}

func (p *part) rows() int { return p.frame.Rows() }

// answers says where the cells of a row are that are no features.
type answers struct {
	task model.Task
	// targets are the columns to predict; with a separator it is one.
	targets   []int
	names     []string
	separator string
	weight    int // -1 is none
}

// answersIn looks for the columns in a table.
func answersIn(c *Config, task model.Task, role string, columns []table.Column) (*answers, error) {
	a := &answers{task: task, names: c.predicted(), separator: c.Separator, weight: -1}
	for _, name := range a.names {
		at, err := table.Index(columns, name)
		if err != nil {
			return nil, missingColumn(c.targetPath(role), name, columns)
		}
		a.targets = append(a.targets, at)
	}
	if c.RowWeight != "" && role == roleData {
		var err error
		if a.weight, err = table.Index(columns, c.RowWeight); err != nil {
			return nil, missingColumn("row_weight", c.RowWeight, columns)
		}
	}
	return a, nil
}

// readPart reads the table at path. The target is read as labels for a
// classification, as numbers for a regression. Mistakes in the table are
// problems at the argument role.
func readPart(ctx context.Context, c *Config, role, path string, columns []model.Column, task model.Task) (p *part, err error) {
	r, err := table.Open(path)
	if err != nil {
		return nil, unreadable(role, err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	a, err := answersIn(c, task, role, r.Columns())
	if err != nil {
		return nil, err
	}
	p = &part{role: role, distinct: map[string]string{}}
	if p.frame, err = model.NewFrame(columns, table.Names(r.Columns())); err != nil {
		return nil, stage.Problemf(role, "A feature is missing", "The table has %v.", err)
	}
	missing, first := 0, ""
	row := make([]table.Value, len(r.Columns()))
	for {
		if p.rows()&0xfff == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err := r.Read(row); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, unreadable(role, err)
		}
		if task != model.Multilabel && isMissing(row[a.targets[0]]) {
			if missing++; first == "" {
				first = r.Position()
			}
			continue
		}
		if err := p.append(row, a); err != nil {
			return nil, stage.Problemf(role, "A value that cannot be used", "%s: %v.", r.Position(), err)
		}
		if a.weight >= 0 {
			if err := p.weigh(row[a.weight]); err != nil {
				return nil, stage.Problemf("row_weight", "A weight that cannot be used", "%s: %v.", r.Position(), err)
			}
		}
	}
	if missing > 0 {
		return nil, stage.Problemf(c.targetPath(role), "Missing labels",
			"%d of the rows of %s have no %q, the first is %s. Drop them in a preprocess stage, before the split.", missing, role, c.Target, first)
	}
	if p.rows() == 0 {
		return nil, stage.Problemf(role, "No rows", "The table has columns, but not a single row.")
	}
	return p, nil
}

// weigh appends the weight of a row.
func (p *part) weigh(cell table.Value) error {
	v, ok := cell.Float()
	w := float32(v)
	switch {
	case isMissing(cell):
		return errors.New("the weight is missing")
	case !ok:
		return fmt.Errorf("the weight %q is not a number", cell.Text())
	case !(w >= 0) || math.IsInf(float64(w), 0):
		return fmt.Errorf("the weight %q is negative or beyond the range of a float32", cell.Text())
	}
	p.weights = append(p.weights, w)
	return nil
}

// targetPath is where a problem with the target of a part is shown: the target
// itself, unless it is the validation part alone that is wrong.
func (c *Config) targetPath(role string) string {
	switch {
	case role == roleValidation:
		return roleValidation
	case len(c.Targets) > 0:
		return "targets"
	}
	return "target"
}

// isMissing takes an empty text for missing, which it is in CSV.
func isMissing(v table.Value) bool { return v.IsMissing() || v.Text() == "" }

func (p *part) append(row []table.Value, a *answers) error {
	target := row[a.targets[0]]
	switch a.task {
	case model.Classification:
		if err := model.Append(p.frame, row); err != nil {
			return cellError(err)
		}
		p.addLabel(target.Text())
		return nil
	case model.Multilabel:
		labels, err := p.labelsOf(row, a)
		if err != nil {
			return err
		}
		if err := model.Append(p.frame, row); err != nil {
			return cellError(err)
		}
		p.many = append(p.many, labels)
		return nil
	case model.Regression:
	}
	v, ok := target.Float()
	if b, isBool := target.Bool(); isBool {
		v, ok = 0, true
		if b {
			v = 1
		}
	}
	switch {
	case !ok:
		return fmt.Errorf("the target %q is not a number; to predict classes use a logistic model, or an mlp with task = \"classification\"", target.Text())
	case math.IsInf(float64(float32(v)), 0):
		return fmt.Errorf("the target %q is infinite or beyond the range of a float32", target.Text())
	}
	if err := model.Append(p.frame, row); err != nil {
		return cellError(err)
	}
	p.values = append(p.values, v)
	return nil
}

// labelsOf are the labels that a row has.
func (p *part) labelsOf(row []table.Value, a *answers) (labels []string, err error) {
	if a.separator != "" {
		for _, label := range model.SplitLabels(row[a.targets[0]].Text(), a.separator) {
			labels = append(labels, p.own(label))
		}
		return labels, nil
	}
	for i, at := range a.targets {
		has, why := model.HasLabel(row[at])
		if why != "" {
			return nil, fmt.Errorf("the target in column %q, %q, %s", a.names[i], row[at].Text(), why)
		}
		if has {
			labels = append(labels, a.names[i])
		}
	}
	return labels, nil
}

// cellError leaves out the row: the position before it names file and line.
func cellError(err error) error {
	var cell *model.CellError
	if errors.As(err, &cell) {
		return fmt.Errorf("column %q: %q %s", cell.Column, cell.Text, cell.Why)
	}
	return err
}

func unreadable(role string, err error) error {
	return stage.Problemf(role, "The table cannot be read", "%v.", err)
}

// inferTask decides what Config.Task leaves open; see its documentation.
func inferTask(ctx context.Context, c *Config, target table.Column) (model.Task, error) {
	switch {
	case c.multilabel():
		return model.Multilabel, nil
	case c.Task != "":
		return model.Task(c.Task), nil
	case c.Model.Logistic != nil || c.Positive != "" || isGiven(c.ClassWeights):
		return model.Classification, nil
	case c.Model.Linear != nil || target.Type == table.Float:
		return model.Regression, nil
	case target.Type != table.Int:
		return model.Classification, nil
	}
	distinct, err := distinctTarget(ctx, string(c.Data), c.Target)
	if err != nil {
		return "", err
	}
	if areCodes(distinct) {
		return model.Classification, nil
	}
	return model.Regression, nil
}

// mostCodes is how many whole numbers may still be codes of classes.
const mostCodes = 100

// areCodes reports whether the texts are the numbers 0, 1, 2, … or 1, 2, 3, ….
func areCodes(distinct []string) bool {
	if len(distinct) < 2 || len(distinct) > mostCodes {
		return false
	}
	numbers := make([]int, len(distinct))
	for i, s := range distinct {
		v, err := strconv.Atoi(s)
		if err != nil {
			return false
		}
		numbers[i] = v
	}
	slices.Sort(numbers)
	for i, v := range numbers {
		if v != numbers[0]+i {
			return false
		}
	}
	return numbers[0] == 0 || numbers[0] == 1
}

// distinctTarget reads up to mostCodes+1 distinct values of the target, which
// is enough for areCodes.
func distinctTarget(ctx context.Context, path, target string) (distinct []string, err error) {
	r, err := table.Open(path)
	if err != nil {
		return nil, unreadable(roleData, err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	at, err := table.Index(r.Columns(), target)
	if err != nil {
		return nil, missingColumn("target", target, r.Columns())
	}
	seen := map[string]bool{}
	row := make([]table.Value, len(r.Columns()))
	for n := 0; len(seen) <= mostCodes; n++ {
		if n&0xfff == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err := r.Read(row); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, unreadable(roleData, err)
		}
		if !isMissing(row[at]) {
			seen[row[at].Text()] = true
		}
	}
	return sortedClasses(seen), nil
}

// sortedClasses orders classes as numbers if all are, else as text.
func sortedClasses(seen map[string]bool) []string {
	type class struct {
		name  string
		value float64
	}
	var classes []class
	numbers := true
	for name := range seen {
		v, err := strconv.ParseFloat(name, 64)
		numbers = numbers && err == nil && !math.IsNaN(v)
		classes = append(classes, class{name, v})
	}
	slices.SortFunc(classes, func(a, b class) int {
		if numbers && a.value != b.value {
			if a.value < b.value {
				return -1
			}
			return 1
		}
		return strings.Compare(a.name, b.name)
	})
	out := make([]string, len(classes))
	for i, c := range classes {
		out[i] = c.name
	}
	return out
}
