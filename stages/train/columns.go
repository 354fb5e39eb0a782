package train

import (
	"fmt"
	"io"
	"slices"
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
	if p := c.unmatchedLabels(f, columns); p != nil {
		return nil, p
	}
	others := append([]string{c.RowWeight}, c.predicted()...)
	out := &selection{}
	var unused []string
	impute, scale := c.numericDefaults()
	for _, c := range columns {
		if slices.Contains(others, c.Name) || matchesAny(f.Ignore, c.Name) {
			continue
		}
		numeric, n := best(f.Numeric, c, isNumber)
		categorical, k := best(f.Categorical, c, isCategory)
		date, d := best(f.Date, c, isText)
		text, p := best(f.Text, c, isText)
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
				Bins: numeric.Bins, Degree: numeric.Degree,
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
	factors := 0
	for _, n := range out.numeric {
		if n.Degree == 2 {
			factors++
		}
	}
	if products := factors * (factors + 1) / 2; products > mostProducts {
		return nil, stage.Problemf("features", "Too many products", "%d columns with degree 2 have %d products; %d are possible. Give degree to fewer columns.", factors, products, mostProducts)
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

// best returns the block whose label fits the column best, and its score; a
// pattern, which is no exact name, takes only columns that suit. nil and -1: none.
func best[B block](blocks []B, c table.Column, suits func(table.Type) bool) (found *B, points int) {
	points = -1
	for i := range blocks {
		s := score(blocks[i].label(), c.Name)
		if s > points && (s == exact || suits(c.Type)) {
			found, points = &blocks[i], s
		}
	}
	return found, points
}

// block is a block of features, whose label names columns.
type block interface{ label() string }

func (b Numeric) label() string     { return b.Columns }
func (b Categorical) label() string { return b.Columns }
func (b Date) label() string        { return b.Columns }
func (b Text) label() string        { return b.Columns }

func isNumber(t table.Type) bool   { return t.Numeric() || t == table.Bool }
func isText(t table.Type) bool     { return t == table.Text || t == table.String }
func isCategory(t table.Type) bool { return t != table.JSON }

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

// labelled is a label of a block, or a name to ignore, and the argument it is.
type labelled struct{ path, label string }

func labelsOf[B block](kind string, blocks []B) (out []labelled) {
	for i, b := range blocks {
		out = append(out, labelled{fmt.Sprintf("features.%s[%d]", kind, i), b.label()})
	}
	return out
}

// unmatchedLabels is the problem that a label names no column: most often a
// misspelling. A lone * may match nothing.
func (c *Config) unmatchedLabels(f *Features, columns []table.Column) error {
	labels := slices.Concat(labelsOf("numeric", f.Numeric), labelsOf("categorical", f.Categorical), labelsOf("date", f.Date), labelsOf("text", f.Text))
	for _, l := range labels {
		switch {
		case slices.Contains(c.predicted(), l.label):
			return stage.Problemf(l.path, "The target is not a feature", "Column %q is what the model predicts; training on it would be a leak.", l.label)
		case l.label == c.RowWeight && l.label != "":
			return stage.Problemf(l.path, "The weight is not a feature", "Column %q says how much a row counts, which is not known of the rows to predict.", c.RowWeight)
		}
	}
	for i, name := range f.Ignore {
		if name != c.RowWeight && !slices.Contains(c.predicted(), name) {
			labels = append(labels, labelled{fmt.Sprintf("features.ignore[%d]", i), name})
		}
	}
	for _, l := range labels {
		matches := func(c table.Column) bool { return score(l.label, c.Name) >= 0 }
		switch {
		case l.label == "*" || slices.ContainsFunc(columns, matches):
		case strings.Contains(l.label, "*"):
			return stage.Problemf(l.path, fmt.Sprintf("No column matches %q", l.label), "The columns are %s.", table.List(table.Names(columns)))
		default:
			return missingColumn(l.path, l.label, columns)
		}
	}
	return nil
}

func missingColumn(path, name string, columns []table.Column) *stage.Problem {
	return &stage.Problem{Path: path, Summary: fmt.Sprintf("No column %q", name), Detail: table.Hint(name, table.Names(columns))}
}
