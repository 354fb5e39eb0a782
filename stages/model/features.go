package model

import (
	"fmt"
	"math"
	"slices"
)

// FeaturesFormat names the format of features.json.
const FeaturesFormat = "flow.features/1"

// Features are fitted transforms: from named columns to the numbers that a
// network takes, the numeric columns first (see numbers), then the categories of each
// categorical one, then the terms of each column of text, all in order.
type Features struct {
	Format      string        `json:"format"`
	Numeric     []Numeric     `json:"numeric"`
	Categorical []Categorical `json:"categorical"`
	Text        []Text        `json:"text,omitempty"`
}

// Numeric is a column of numbers. It becomes (x - Shift)·Factor, in float32,
// with Fill for x if it is missing.
type Numeric struct {
	Column string `json:"column"`
	// Part, if any, says which part of a date in Column is the number.
	Part DatePart `json:"part,omitempty"`
	// Impute and Scale are what Fit was asked for.
	Impute Impute `json:"impute"`
	Scale  Scale  `json:"scale"`
	// Fill, Shift and Factor are exact in float32. Factor is 0 for a column
	// that was constant: training cannot have learned what another value means.
	Fill   float32 `json:"fill"`
	Shift  float32 `json:"shift"`
	Factor float32 `json:"factor"`
	// Bins, if not 0, is how many quantile bins Fit was asked for: the column becomes
	// one number for each of them, 1 for the one that it is in. There are fewer of
	// them, one more than Edges, if quantiles are equal. A missing number that stays
	// so is in none.
	Bins  int       `json:"bins,omitempty"`
	Edges []float32 `json:"edges,omitempty"`
	// Degree 2 adds the products of all columns that have it, each with itself and
	// with each other, as they are after scaling.
	Degree int `json:"degree,omitempty"`
}

// fill is what a missing number becomes.
func (n Numeric) fill() float32 {
	if n.Impute == ImputeNone {
		return float32(math.NaN())
	}
	return n.Fill
}

// apply transforms a number.
func (n Numeric) apply(x float32) float32 {
	if x != x {
		x = n.fill()
	}
	return (x - n.Shift) * n.Factor
}

// Impute is what stands for a missing number.
type Impute string

// The ways to impute; all but ImputeConstant are of the rows that Fit saw.
// ImputeNone leaves it missing, which trees can take and layers cannot.
const (
	ImputeNone     Impute = "none"
	ImputeMean     Impute = "mean"
	ImputeMedian   Impute = "median"
	ImputeConstant Impute = "constant"
)

// Scale is how a number is scaled.
type Scale string

// The scales: to mean 0 and deviation 1, to the range of 0 to 1, or not at all.
const (
	ScaleStandard Scale = "standard"
	ScaleMinMax   Scale = "minmax"
	ScaleNone     Scale = "none"
	// ScaleJoint is one range of 0 to 1 for all columns that have it, such as the
	// pixels of an image.
	ScaleJoint Scale = "joint"
	// ScaleRobust is to median 0 and a distance of 1 between the quartiles, which
	// single values far off do not move.
	ScaleRobust Scale = "robust"
)

// NumericSpec says what Fit is to fit on a column of numbers, or on a part of
// one of dates.
type NumericSpec struct {
	Column string
	Part   DatePart
	Impute Impute
	// Constant is the number for ImputeConstant.
	Constant float64
	Scale    Scale
	// Bins and Degree are those of Numeric. A column has one of both.
	Bins, Degree int
}

// Fit learns transforms from the rows of f, which has the columns of both
// specs: numbers for numeric ones, text for categorical ones. What it encodes by
// the target out of fold it leaves with f: see Frame.
func Fit(f *Frame, numeric []NumericSpec, categorical []CategoricalSpec, text ...TextSpec) (*Features, error) {
	out := &Features{Format: FeaturesFormat, Numeric: []Numeric{}, Categorical: []Categorical{}}
	for _, s := range numeric {
		out.Numeric = append(out.Numeric, fitNumeric(s, columnOf(f, s.Column, s.Part, 0, f.rows)))
	}
	scaleJointly(out.Numeric, f)
	for _, s := range categorical {
		c, err := fitCategorical(s, f)
		if err != nil {
			return nil, err
		}
		out.Categorical = append(out.Categorical, c)
	}
	for _, s := range text {
		out.Text = append(out.Text, fitText(s, f.strings(s.Column)))
	}
	return out, nil
}

// fitNumeric computes over the values as float32, which is what prediction
// sees; otherwise a column that is constant in float32 could have a deviation.
func fitNumeric(s NumericSpec, values []float64) Numeric {
	present := make([]float64, 0, len(values))
	for _, v := range values {
		if !math.IsNaN(v) {
			present = append(present, float64(float32(v)))
		}
	}
	n := Numeric{Column: s.Column, Part: s.Part, Impute: s.Impute, Scale: s.Scale, Factor: 1, Bins: s.Bins, Degree: s.Degree}
	switch s.Impute {
	case ImputeConstant:
		n.Fill = float32(s.Constant)
	case ImputeMean:
		n.Fill = float32(mean(present))
	case ImputeMedian:
		n.Fill = float32(median(present))
	}
	// The statistics of the scale are of what comes out of imputation.
	filled := make([]float64, 0, len(values))
	for _, v := range values {
		switch {
		case !math.IsNaN(v):
			filled = append(filled, float64(float32(v)))
		case s.Impute != ImputeNone:
			filled = append(filled, float64(n.Fill))
		}
	}
	if len(filled) == 0 {
		return n
	}
	if s.Bins > 0 {
		n.Edges = quantileEdges(filled, s.Bins)
		return n
	}
	low, high := slices.Min(filled), slices.Max(filled)
	var spread float64
	switch s.Scale {
	case ScaleNone, ScaleJoint:
		return n
	case ScaleMinMax:
		n.Shift, spread = float32(low), high-low
	case ScaleStandard:
		m := mean(filled)
		n.Shift, spread = float32(m), deviation(filled, m)
	case ScaleRobust:
		slices.Sort(filled)
		n.Shift, spread = float32(quantile(filled, 0.5)), quantile(filled, 0.75)-quantile(filled, 0.25)
		if spread == 0 { // half of the values are one: keep the unit, as scikit-learn does
			spread = 1
		}
	}
	n.Factor = float32(1 / spread)
	if low == high || math.IsInf(float64(n.Factor), 0) {
		n.Factor = 0
	}
	return n
}

// quantileEdges are the quantiles that part values into so many bins, each once, as
// scikit-learn's KBinsDiscretizer has them: one that is the least value parts
// nothing.
func quantileEdges(values []float64, bins int) (edges []float32) {
	slices.Sort(values)
	last := float32(values[0])
	for k := 1; k < bins; k++ {
		edge := float32(quantile(values, float64(k)/float64(bins)))
		if edge > last && edge < float32(values[len(values)-1]) {
			edges = append(edges, edge)
			last = edge
		}
	}
	return edges
}

// scaleJointly gives all columns with ScaleJoint the range of all their values.
func scaleJointly(numeric []Numeric, f *Frame) {
	low, high := math.Inf(1), math.Inf(-1)
	for _, n := range numeric {
		if n.Scale != ScaleJoint {
			continue
		}
		for _, v := range columnOf(f, n.Column, n.Part, 0, f.rows) {
			x := float64(float32(v))
			if math.IsNaN(x) {
				x = float64(n.fill())
			}
			if x < low {
				low = x
			}
			if x > high {
				high = x
			}
		}
	}
	for i, n := range numeric {
		if n.Scale != ScaleJoint || low > high {
			continue
		}
		numeric[i].Shift, numeric[i].Factor = float32(low), float32(1/(high-low))
		if low == high || math.IsInf(float64(numeric[i].Factor), 0) {
			numeric[i].Factor = 0
		}
	}
}

// quantile of sorted values, between neighbours in proportion, as NumPy has it.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 == len(sorted) {
		return sorted[i]
	}
	return sorted[i] + float64((at-float64(i))*(sorted[i+1]-sorted[i]))
}

func mean(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	var sum float64
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// deviation is the population's, as scikit-learn's StandardScaler has it.
func deviation(values []float64, mean float64) float64 {
	var sum float64
	for _, v := range values {
		d := v - mean
		sum += float64(d * d)
	}
	return math.Sqrt(sum / float64(len(values)))
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}

// Columns returns the columns that the transforms read.
func (f *Features) Columns() []Column {
	var out []Column
	for i, n := range f.Numeric {
		switch {
		case n.Part == "":
			out = append(out, Column{n.Column, Number})
		case i == 0 || f.Numeric[i-1].Part == "" || f.Numeric[i-1].Column != n.Column:
			out = append(out, Column{n.Column, Date})
		}
	}
	for _, c := range f.Categorical {
		out = append(out, Column{c.Column, String})
	}
	for i, t := range f.Text {
		// A column may have n-grams of words and of characters.
		if i == 0 || f.Text[i-1].Column != t.Column {
			out = append(out, Column{t.Column, String})
		}
	}
	return out
}

// Width is the number of transformed numbers of a row.
func (f *Features) Width() int {
	width := f.numbers().width()
	for _, c := range f.Categorical {
		width += c.width()
	}
	return width + f.textWidth()
}

// Numbers is how many of the transformed numbers of a row come from columns of
// numbers: they are rarely zero.
func (f *Features) Numbers() int { return f.numbers().width() }

func (f *Features) textWidth() int {
	width := 0
	for i := range f.Text {
		width += f.Text[i].width()
	}
	return width
}

// Transform returns the transformed rows in row-major order, Width a row. The
// graph of model.onnx does the same, to the bit.
func (f *Features) Transform(frame *Frame) []float32 {
	width := f.Width()
	out := make([]float32, frame.rows*width)
	n, column := f.numbers(), make([]float32, frame.rows)
	at := n.width()
	for j := range at {
		n.column(frame, j, column)
		for i, v := range column {
			out[i*width+j] = v
		}
	}
	for _, c := range f.Categorical {
		e := c.encode(frame)
		for i := range frame.rows {
			e.row(i, out[i*width+at:i*width+at+c.width()])
		}
		at += c.width()
	}
	if len(f.Text) == 0 {
		return out
	}
	bags := f.vectorizers().bags(frame, 0, frame.rows)
	for i := range frame.rows {
		for n := bags.Start[i]; n < bags.Start[i+1]; n++ {
			out[i*width+at+int(bags.Index[n])] = bags.Value[n]
		}
	}
	return out
}

// check refuses what Fit cannot have made.
func (f *Features) check() error {
	if f.Format != FeaturesFormat {
		return fmt.Errorf("format %q is not %q", f.Format, FeaturesFormat)
	}
	if f.Width() == 0 {
		return fmt.Errorf("it has no features")
	}
	for _, t := range f.Text {
		if t.From < 1 || t.To < t.From || t.Unit != Word && t.Unit != Character || t.Buckets == 0 && len(t.Terms) != len(t.Weights) || t.Buckets > 0 && t.Buckets != len(t.Weights) {
			return fmt.Errorf("column %q has %d to %d-grams of %q with %d weights", t.Column, t.From, t.To, t.Unit, len(t.Weights))
		}
	}
	for _, n := range f.Numeric {
		if len(n.Edges) > max(0, n.Bins-1) || !slices.IsSorted(n.Edges) || n.Bins > 0 && n.Degree == 2 {
			return fmt.Errorf("column %q has %d bins of degree %d with the edges %v", n.Column, n.Bins, n.Degree, n.Edges)
		}
	}
	for _, c := range f.Categorical {
		if len(c.Values) != len(c.Categories)*len(c.Unknown) {
			return fmt.Errorf("column %q has %d numbers for %d categories", c.Column, len(c.Values), len(c.Categories))
		}
	}
	seen := map[string]bool{}
	for _, c := range f.Columns() {
		if seen[c.Name] {
			return fmt.Errorf("column %q is there twice", c.Name)
		}
		seen[c.Name] = true
	}
	return nil
}
