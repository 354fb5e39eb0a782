package model

import (
	"fmt"
	"slices"
)

// Categorical is a column of text. One-hot it becomes one number a category: 1
// for the cell's, 0 for the others; a cell of an unknown category is all zeros.
// In the other encodings it becomes the cell's category's Values, or Unknown.
// Missing is the category "" if it was missing in a row that Fit saw.
type Categorical struct {
	Column     string   `json:"column"`
	Encoding   Encoding `json:"encoding,omitempty"` // "" is OneHot
	Categories []string `json:"categories"`
	// Values are as many numbers a category as Unknown has, category after
	// category; none of both for OneHot.
	Values  []float32 `json:"values,omitempty"`
	Unknown []float32 `json:"unknown,omitempty"`
}

// Encoding is how a category becomes numbers.
type Encoding string

// The encodings.
const (
	OneHot Encoding = "one_hot"
	// Ordinal is from 0 for the first category to 1 for the last, evenly. Unknown
	// is the mean over the rows that Fit saw.
	Ordinal Encoding = "ordinal"
	// Target is the mean of what is to be predicted over the rows of the category,
	// pulled to the mean of all, which is also what unknown becomes (Micci-Barreca
	// 2001).
	Target Encoding = "target"
)

// CategoricalSpec is a column of text to encode.
type CategoricalSpec struct {
	Column   string
	Encoding Encoding // "" is OneHot
	// Order are the categories of an ordinal column from first to last; nil is the
	// order of their bytes.
	Order []string
	// MaxCategories is an error to exceed; 0 is no limit.
	MaxCategories int
	// Outcome is for Target.
	Outcome *Outcome
}

// Outcome is what is to be predicted, for Target.
type Outcome struct {
	// Values has one list a number of the encoding, each with an entry a row.
	Values [][]float64
	// Smoothing is how many rows with the mean of all are added to each category.
	Smoothing float64
	// Fold of each row. The rows of a fold are encoded by what the rows of the
	// others teach, so that training never sees a row's own answer in its features.
	Fold []int
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

// width is how many numbers a cell becomes.
func (c *Categorical) width() int {
	if len(c.Unknown) > 0 {
		return len(c.Unknown)
	}
	return len(c.Categories)
}

func fitCategorical(s CategoricalSpec, f *Frame) (Categorical, error) {
	rows := f.strings(s.Column)
	c := Categorical{Column: s.Column, Encoding: s.Encoding, Categories: slices.Clone(s.Order)}
	if s.Order == nil {
		c.Categories = distinct(rows)
	}
	if n := len(c.Categories); s.MaxCategories > 0 && n > s.MaxCategories {
		return c, &TooManyCategoriesError{Column: s.Column, Have: n, Most: s.MaxCategories}
	}
	switch s.Encoding {
	case Ordinal:
		c.fitOrdinal(rows)
	case Target:
		c.fitTarget(f, s.Outcome)
	case OneHot, "":
		c.Encoding = ""
	}
	return c, nil
}

func distinct(rows []string) []string {
	seen := map[string]bool{}
	for _, v := range rows {
		seen[v] = true
	}
	out := make([]string, 0, len(seen))
	for v := range seen {
		out = append(out, v)
	}
	slices.Sort(out)
	return out
}

func (c *Categorical) fitOrdinal(rows []string) {
	for i := range c.Categories {
		c.Values = append(c.Values, float32(float64(i)/float64(max(1, len(c.Categories)-1))))
	}
	var sum float64
	known := 0
	for _, code := range c.codes(rows) {
		if code >= 0 {
			sum += float64(c.Values[code])
			known++
		}
	}
	c.Unknown = []float32{float32(sum / float64(max(1, known)))}
}

// fitTarget learns the encoding from all rows, and leaves what each row is in
// training with the frame.
func (c *Categorical) fitTarget(f *Frame, o *Outcome) {
	codes := c.codes(f.strings(c.Column))
	width := len(o.Values)
	c.Values, c.Unknown = o.learn(codes, len(c.Categories), -1)
	held := make([]float32, f.rows*width)
	for fold := range slices.Max(o.Fold) + 1 {
		values, _ := o.learn(codes, len(c.Categories), fold)
		for i, own := range o.Fold {
			if own == fold {
				copy(held[i*width:(i+1)*width], values[int(codes[i])*width:])
			}
		}
	}
	if f.held == nil {
		f.held = map[string][]float32{}
	}
	f.held[c.Column] = held
}

// learn returns the encoding by the rows that are not in a fold.
func (o *Outcome) learn(codes []int32, categories, but int) (values, unknown []float32) {
	width := len(o.Values)
	values = make([]float32, categories*width)
	for k, outcome := range o.Values {
		sums, counts := make([]float64, categories), make([]float64, categories)
		var sum, count float64
		for i, v := range outcome {
			if o.Fold[i] != but {
				sums[codes[i]] += v
				counts[codes[i]]++
				sum += v
				count++
			}
		}
		mean := sum / max(1, count)
		for j := range sums {
			v := mean
			if n := counts[j] + o.Smoothing; n > 0 {
				v = (sums[j] + float64(o.Smoothing*mean)) / n
			}
			values[j*width+k] = float32(v)
		}
		unknown = append(unknown, float32(mean))
	}
	return values, unknown
}

// codes are the categories of cells, -1 for unknown.
func (c *Categorical) codes(rows []string) []int32 {
	index := make(map[string]int32, len(c.Categories))
	for j, category := range c.Categories {
		index[category] = int32(j)
	}
	out := make([]int32, len(rows))
	for i, v := range rows {
		code, ok := index[v]
		if !ok {
			code = -1
		}
		out[i] = code
	}
	return out
}

// encoded is a categorical column of a frame.
type encoded struct {
	*Categorical
	code []int32
	// held is what Fit has left with the frame, or nil.
	held []float32
}

func (c *Categorical) encode(f *Frame) encoded {
	return encoded{c, c.codes(f.strings(c.Column)), f.held[c.Column]}
}

// number is number k of row i.
func (e *encoded) number(i, k int) float32 {
	width, code := len(e.Unknown), int(e.code[i])
	switch {
	case width == 0 && code == k:
		return 1
	case width == 0:
		return 0
	case e.held != nil:
		return e.held[i*width+k]
	case code < 0:
		return e.Unknown[k]
	}
	return e.Values[code*width+k]
}

// row fills into with the numbers of row i.
func (e *encoded) row(i int, into []float32) {
	if len(e.Unknown) == 0 {
		if code := e.code[i]; code >= 0 {
			into[code] = 1
		}
		return
	}
	for k := range into {
		into[k] = e.number(i, k)
	}
}
