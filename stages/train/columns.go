package train

import (
	"fmt"
	"io"
	"strings"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/stages/model"
	"github.com/flow-pipelines/flow/stages/table"
)

// defaultFeatures is what a pipeline without a features block means.
func defaultFeatures() *Features {
	return &Features{
		Numeric:     []Numeric{{Columns: "*"}},
		Categorical: []Categorical{{Columns: "*", MaxCategories: 1000}},
	}
}

// selection is which columns are features and what is fitted on them.
type selection struct {
	numeric     []model.NumericSpec
	categorical []model.CategoricalSpec
	text        []model.TextSpec
}

func (s *selection) columns() []model.Column {
	var out []model.Column
	for i, n := range s.numeric {
		switch {
		case n.Part == "":
			out = append(out, model.Column{Name: n.Column, Kind: model.Number})
		case i == 0 || s.numeric[i-1].Column != n.Column:
			out = append(out, model.Column{Name: n.Column, Kind: model.Date})
		}
	}
	for _, c := range s.categorical {
		out = append(out, model.Column{Name: c.Column, Kind: model.String})
	}
	for i, t := range s.text {
		if i == 0 || s.text[i-1].Column != t.Column {
			out = append(out, model.Column{Name: t.Column, Kind: model.String})
		}
	}
	return out
}

// selectFeatures gives each column but the target to the block that matches it
// best: one with exactly its name, else the pattern with the most characters
// that are not *, numeric before categorical before date before text. A numeric
// pattern takes columns of numbers and truth values alone. What no block takes is
// not used, and log says so.
func selectFeatures(c *Config, f *Features, columns []table.Column, log io.Writer) (*selection, error) {
	target := c.Target
	if p := unmatchedLabels(f, columns, target); p != nil {
		return nil, p
	}
	out := &selection{}
	var unused []string
	impute, scale := c.numericDefaults()
	for _, c := range columns {
		if c.Name == target || matchesAny(f.Ignore, c.Name) {
			continue
		}
		numeric, n := bestNumeric(f.Numeric, c)
		categorical, k := bestCategorical(f.Categorical, c)
		date, d := bestDate(f.Date, c)
		text, p := bestText(f.Text, c)
		switch {
		case text != nil && p > max(n, k, d):
			out.text = append(out.text, textSpecs(text, c.Name)...)
		case date != nil && d > max(n, k):
			for _, part := range date.Parts {
				out.numeric = append(out.numeric, model.NumericSpec{Column: c.Name, Part: model.DatePart(part), Impute: impute, Scale: scale})
			}
		case numeric != nil && (categorical == nil || n >= k):
			out.numeric = append(out.numeric, model.NumericSpec{
				Column: c.Name, Impute: model.Impute(numeric.Impute), Constant: numeric.Fill, Scale: model.Scale(numeric.Scale),
			})
		case categorical != nil:
			spec := model.CategoricalSpec{Column: c.Name, Encoding: model.Encoding(categorical.Encoding), Order: categorical.Order, MaxCategories: categorical.MaxCategories}
			if spec.Encoding == model.Target {
				spec.Outcome = &model.Outcome{Smoothing: categorical.smoothing()}
			}
			out.categorical = append(out.categorical, spec)
		default:
			unused = append(unused, fmt.Sprintf("%s (%s)", c.Name, c.Type))
		}
	}
	if unused != nil {
		note(log, "columns that no block of features takes: %s\n", strings.Join(unused, ", "))
	}
	if len(out.numeric)+len(out.categorical)+len(out.text) == 0 {
		return nil, stage.Problemf("features", "No column is a feature", "The columns are %s.", table.List(table.Names(columns)))
	}
	return out, nil
}

// exact is the score of a label that is a column's name: more than any pattern.
const exact = 1 << 30

// score says how well a label matches a name: -1 not at all.
func score(label, name string) int {
	switch {
	case label == name:
		return exact
	case strings.Contains(label, "*") && glob(label, name):
		return len(label) - strings.Count(label, "*")
	}
	return -1
}

// glob reports whether name matches a pattern in which * stands for any
// characters, and every other character for itself.
func glob(pattern, name string) bool {
	parts := strings.Split(pattern, "*")
	first, last := parts[0], parts[len(parts)-1]
	if len(name) < len(first)+len(last) || !strings.HasPrefix(name, first) || !strings.HasSuffix(name, last) {
		return false
	}
	name = name[len(first) : len(name)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(name, part)
		if i < 0 {
			return false
		}
		name = name[i+len(part):]
	}
	return true
}

func matchesAny(labels []string, name string) bool {
	for _, l := range labels {
		if score(l, name) >= 0 {
			return true
		}
	}
	return false
}

func bestNumeric(blocks []Numeric, c table.Column) (best *Numeric, points int) {
	points = -1
	for i := range blocks {
		s := score(blocks[i].Columns, c.Name)
		if s > points && (s == exact || c.Type.Numeric() || c.Type == table.Bool) {
			best, points = &blocks[i], s
		}
	}
	return best, points
}

func bestCategorical(blocks []Categorical, c table.Column) (best *Categorical, points int) {
	points = -1
	for i := range blocks {
		s := score(blocks[i].Columns, c.Name)
		if s > points && c.Type != table.JSON {
			best, points = &blocks[i], s
		}
	}
	return best, points
}

func bestDate(blocks []Date, c table.Column) (best *Date, points int) {
	points = -1
	for i := range blocks {
		s := score(blocks[i].Columns, c.Name)
		if s > points && (s == exact || c.Type == table.Text || c.Type == table.String) {
			best, points = &blocks[i], s
		}
	}
	return best, points
}

func bestText(blocks []Text, c table.Column) (best *Text, points int) {
	points = -1
	for i := range blocks {
		s := score(blocks[i].Columns, c.Name)
		if s > points && (s == exact || c.Type == table.Text || c.Type == table.String) {
			best, points = &blocks[i], s
		}
	}
	return best, points
}

// textSpecs are n-grams of words, of characters or both.
func textSpecs(t *Text, column string) (out []model.TextSpec) {
	for _, of := range []struct {
		unit   model.Unit
		length []int
	}{{model.Word, t.Words}, {model.Character, t.Characters}} {
		if len(of.length) == 2 {
			out = append(out, model.TextSpec{
				Column: column, Unit: of.unit, From: of.length[0], To: of.length[1],
				MinRows: t.MinRows, MaxTerms: t.MaxTerms, Buckets: t.Buckets, Sublinear: t.Sublinear,
			})
		}
	}
	return out
}

// unmatchedLabels is the problem that a label names no column: most often a
// misspelling. A lone * may match nothing.
func unmatchedLabels(f *Features, columns []table.Column, target string) error {
	check := func(path, label string) error {
		if label == "*" {
			return nil
		}
		if label == target {
			return stage.Problemf(path, "The target is not a feature", "Column %q is what the model predicts; training on it would be a leak.", label)
		}
		for _, c := range columns {
			if score(label, c.Name) >= 0 {
				return nil
			}
		}
		if strings.Contains(label, "*") {
			return stage.Problemf(path, fmt.Sprintf("No column matches %q", label), "The columns are %s.", table.List(table.Names(columns)))
		}
		return missingColumn(path, label, columns)
	}
	for i, b := range f.Numeric {
		if err := check(fmt.Sprintf("features.numeric[%d]", i), b.Columns); err != nil {
			return err
		}
	}
	for i, b := range f.Categorical {
		if err := check(fmt.Sprintf("features.categorical[%d]", i), b.Columns); err != nil {
			return err
		}
	}
	for i, b := range f.Date {
		if err := check(fmt.Sprintf("features.date[%d]", i), b.Columns); err != nil {
			return err
		}
	}
	for i, b := range f.Text {
		if err := check(fmt.Sprintf("features.text[%d]", i), b.Columns); err != nil {
			return err
		}
	}
	for i, label := range f.Ignore {
		if label == target {
			continue
		}
		if err := check(fmt.Sprintf("features.ignore[%d]", i), label); err != nil {
			return err
		}
	}
	return nil
}

func missingColumn(path, name string, columns []table.Column) *stage.Problem {
	return &stage.Problem{Path: path, Summary: fmt.Sprintf("No column %q", name), Detail: table.Hint(name, table.Names(columns))}
}
