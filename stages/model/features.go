package model

import (
	"fmt"
	"math"
	"slices"
	"sort"
)

// FeaturesFormat names the format of features.json.
const FeaturesFormat = "flow.features/1"

// Features are fitted transforms: from named columns to the numbers that a
// network takes, the numeric columns first, then the categories of each
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
	// Impute and Scale are what Fit was asked for.
	Impute Impute `json:"impute"`
	Scale  Scale  `json:"scale"`
	// Fill, Shift and Factor are exact in float32. Factor is 0 for a column
	// that was constant: training cannot have learned what another value means.
	Fill   float32 `json:"fill"`
	Shift  float32 `json:"shift"`
	Factor float32 `json:"factor"`
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

// Categorical is a column of text. It becomes one number a category: 1 for the
// cell's, 0 for the others; a cell of an unknown category is all zeros. Missing
// is the category "" if it was missing in a row that Fit saw.
type Categorical struct {
	Column     string   `json:"column"`
	Categories []string `json:"categories"`
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
)

// NumericSpec and CategoricalSpec say what Fit is to fit.
type NumericSpec struct {
	Column string
	Impute Impute
	// Constant is the number for ImputeConstant.
	Constant float64
	Scale    Scale
}

// CategoricalSpec is a column to encode with a number for each category.
type CategoricalSpec struct {
	Column string
	// MaxCategories is an error to exceed; 0 is no limit.
	MaxCategories int
}

// TooManyCategoriesError says that a column has more distinct texts than
// allowed: most often an identifier or free text.
type TooManyCategoriesError struct {
	Column     string
	Have, Most int
}

func (e *TooManyCategoriesError) Error() string {
	return fmt.Sprintf("column %q has %d distinct values, more than %d", e.Column, e.Have, e.Most)
}

// Fit learns transforms from the rows of f, which has the columns of both
// specs: numbers for numeric ones, text for categorical ones.
func Fit(f *Frame, numeric []NumericSpec, categorical []CategoricalSpec, text ...TextSpec) (*Features, error) {
	out := &Features{Format: FeaturesFormat, Numeric: []Numeric{}, Categorical: []Categorical{}}
	for _, s := range numeric {
		out.Numeric = append(out.Numeric, fitNumeric(s, f.numbers(s.Column)))
	}
	scaleJointly(out.Numeric, f)
	for _, s := range categorical {
		seen := map[string]bool{}
		for _, v := range f.strings(s.Column) {
			seen[v] = true
		}
		if s.MaxCategories > 0 && len(seen) > s.MaxCategories {
			return nil, &TooManyCategoriesError{Column: s.Column, Have: len(seen), Most: s.MaxCategories}
		}
		categories := make([]string, 0, len(seen))
		for v := range seen {
			categories = append(categories, v)
		}
		sort.Strings(categories)
		out.Categorical = append(out.Categorical, Categorical{Column: s.Column, Categories: categories})
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
	n := Numeric{Column: s.Column, Impute: s.Impute, Scale: s.Scale, Factor: 1}
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
	}
	n.Factor = float32(1 / spread)
	if low == high || math.IsInf(float64(n.Factor), 0) {
		n.Factor = 0
	}
	return n
}

// scaleJointly gives all columns with ScaleJoint the range of all their values.
func scaleJointly(numeric []Numeric, f *Frame) {
	low, high := math.Inf(1), math.Inf(-1)
	for _, n := range numeric {
		if n.Scale != ScaleJoint {
			continue
		}
		for _, v := range f.numbers(n.Column) {
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
	for _, n := range f.Numeric {
		out = append(out, Column{n.Column, Number})
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

// Names are the columns that the numbers of a transformed row come from.
func (f *Features) Names() []string {
	var out []string
	for _, n := range f.Numeric {
		out = append(out, n.Column)
	}
	for _, c := range f.Categorical {
		for range c.Categories {
			out = append(out, c.Column)
		}
	}
	for i := range f.Text {
		for range f.Text[i].width() {
			out = append(out, f.Text[i].Column)
		}
	}
	return out
}

// Width is the number of transformed numbers of a row.
func (f *Features) Width() int {
	width := len(f.Numeric)
	for _, c := range f.Categorical {
		width += len(c.Categories)
	}
	return width + f.textWidth()
}

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
	for j, n := range f.Numeric {
		for i, v := range frame.numbers(n.Column) {
			out[i*width+j] = n.apply(float32(v))
		}
	}
	at := len(f.Numeric)
	for _, c := range f.Categorical {
		index := make(map[string]int, len(c.Categories))
		for j, category := range c.Categories {
			index[category] = at + j
		}
		for i, v := range frame.strings(c.Column) {
			if j, ok := index[v]; ok {
				out[i*width+j] = 1
			}
		}
		at += len(c.Categories)
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
	seen := map[string]bool{}
	for _, c := range f.Columns() {
		if seen[c.Name] {
			return fmt.Errorf("column %q is there twice", c.Name)
		}
		seen[c.Name] = true
	}
	return nil
}
