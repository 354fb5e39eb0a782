package model

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Feature is one number of a transformed row.
type Feature struct {
	// Column is the column it comes from, with the part of a date after a point.
	Column string
	// Value says which of the column's: a category, a term; "" if there is one.
	Value string
}

// Feature says what number i of a transformed row is.
func (f *Features) Feature(i int) Feature { return f.feature(f.numbers(), i) }

func (f *Features) feature(n numbers, i int) Feature {
	if i < n.width() {
		return n.feature(i)
	}
	i -= n.width()
	for _, c := range f.Categorical {
		if i >= c.width() {
			i -= c.width()
			continue
		}
		value := ""
		switch {
		case len(c.Unknown) == 0 && c.Categories[i] == "":
			value = "missing"
		case len(c.Unknown) == 0:
			value = c.Categories[i]
		case len(c.Unknown) > 1:
			value = strconv.Itoa(i)
		}
		return Feature{c.Column, value}
	}
	for k := range f.Text {
		t := &f.Text[k]
		switch {
		case i >= t.width():
			i -= t.width()
		case t.Buckets > 0:
			return Feature{t.Column, fmt.Sprintf("bucket %d", i)}
		default:
			return Feature{t.Column, strings.TrimSpace(t.Terms[i])}
		}
	}
	panic(fmt.Sprintf("BUG: model: a row has %d numbers and not %d more", f.Width(), i+1))
}

// coefficient is what a feature adds to the answer of a linear model.
type coefficient struct {
	class string
	Feature
	// weight is for one more of the feature as the model takes it, scaled; perUnit
	// for one more of the column, NaN if that says nothing.
	weight, perUnit float64
}

// intercept is the column of what is added to every row.
const intercept = "(intercept)"

// mostCoefficients is how many are written of a class, the largest ones. Those of
// text can be millions, nearly all of them near zero.
const mostCoefficients = 10_000

// coefficients are those of a linear model, class after class, the intercept first
// and then from the largest on; nil of other models. Of two classes there are those
// of the positive one, or the second, since the other's are the same with another
// sign.
func coefficients(m *Model) []coefficient {
	if m.Family != "logistic" && m.Family != "linear" || len(m.Layers) == 0 {
		return nil
	}
	l := m.Layers[0]
	weights := func(k int) func(i int) float64 {
		return func(i int) float64 {
			if i == l.Inputs {
				return float64(l.Bias[k])
			}
			return float64(l.Weight[i*l.Units+k])
		}
	}
	var out []coefficient
	switch {
	case m.Task == Regression:
		scale := float64(m.TargetScale)
		out = ranked("", func(i int) float64 { return weights(0)(i) * scale }, &m.Features)
		out[0].weight += float64(m.TargetShift)
	case binary(m):
		at := max(0, slices.Index(m.Classes, m.Positive))
		if m.Positive == "" {
			at = 1
		}
		of, other := weights(at), weights(1-at)
		out = ranked(m.Classes[at], func(i int) float64 { return of(i) - other(i) }, &m.Features)
	default:
		for k, class := range m.Classes {
			out = append(out, ranked(class, weights(k), &m.Features)...)
		}
	}
	return out
}

// binary reports whether the model tells two classes apart.
func binary(m *Model) bool { return m.Task == Classification && len(m.Classes) == 2 }

// ranked returns the intercept, which comes after the weights of all features, and
// the largest coefficients of a class.
func ranked(class string, weight func(i int) float64, f *Features) []coefficient {
	order := make([]int32, f.Width()) // terms of text are millions
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortStableFunc(order, func(a, b int32) int {
		return cmp.Compare(math.Abs(weight(int(b))), math.Abs(weight(int(a))))
	})
	n := f.numbers()
	out := []coefficient{{class, Feature{Column: intercept}, weight(len(order)), math.NaN()}}
	for _, i := range order[:min(len(order), mostCoefficients)] {
		c := coefficient{class, f.feature(n, int(i)), weight(int(i)), math.NaN()}
		if int(i) < len(n.plain) {
			c.perUnit = c.weight * float64(f.Numeric[n.plain[i]].Factor)
		}
		out = append(out, c)
	}
	return out
}

// coefficientTable is coefficients.csv.
func coefficientTable(all []coefficient) ([]byte, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	text := func(v float64) string {
		if math.IsNaN(v) {
			return ""
		}
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	records := [][]string{{"class", "feature", "value", "weight", "per_unit"}}
	for _, c := range all {
		records = append(records, []string{c.class, c.Column, c.Value, text(c.weight), text(c.perUnit)})
	}
	if err := w.WriteAll(records); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// mostShown is how many coefficients of a class the card has, shownInAll of all
// classes about.
const (
	mostShown  = 20
	shownInAll = 200
)

// writeCoefficients adds the largest ones to a card.
func writeCoefficients(b *strings.Builder, m *Model, all []coefficient) {
	if all == nil {
		return
	}
	what := "the score of the class, before the softmax"
	switch {
	case m.Task == Regression:
		what = "the prediction"
	case m.Task == Multilabel:
		what = "the log-odds of the label"
	case binary(m):
		what = fmt.Sprintf("the log-odds of `%s`", code(all[0].class))
	}
	most := min(mostShown, max(1, shownInAll/max(1, len(m.Classes))))
	fmt.Fprintf(b, "\n## Coefficients\n\nWhat one more of a feature adds to %s: of the feature as the model takes it (weight), and of the column as it is (per unit). The largest are here, and up to %d of a class in `%s`.\n\n", what, mostCoefficients, fileCoefficients)
	byClass := func(string) string { return "" }
	if len(m.Classes) > 0 && !binary(m) {
		byClass = func(class string) string { return "| " + cell(class) + " " }
	}
	b.WriteString(byClass("class") + "| feature | weight | per unit |\n" + byClass("---") + "|---|---|---|\n")
	shown := 0
	for i, c := range all {
		if i > 0 && all[i-1].class != c.class {
			shown = 0
		}
		if shown++; shown > most+1 { // the intercept and the others
			continue
		}
		name, unit := c.Column, ""
		if c.Value != "" {
			name += " = " + c.Value
		}
		if !math.IsNaN(c.perUnit) {
			unit = float(c.perUnit)
		}
		fmt.Fprintf(b, "%s| %s | %s | %s |\n", byClass(c.class), cell(name), float(c.weight), unit)
	}
}
