package model

import (
	"hash/fnv"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/flow-pipelines/flow/stages/linear"
	"github.com/flow-pipelines/flow/stages/portable"
)

// Text is a column of text as a bag of n-grams. It becomes one number a term:
// how often it occurs (with Sublinear 1 + ln of that), times the term's weight,
// and all of them divided by their Euclidean length (TF-IDF; Salton and Buckley
// 1988). Terms that Fit has not kept count nothing.
//
// Text is lower-cased rune by rune. A word is a run of letters, marks, digits
// and _. N-grams of words are joined by one space; those of characters are taken
// from each word with a space before and after it.
type Text struct {
	Column    string `json:"column"`
	Unit      Unit   `json:"unit"`
	From      int    `json:"from"`
	To        int    `json:"to"`
	Sublinear bool   `json:"sublinear"`
	// Terms are sorted. With Buckets they are not kept: the bucket of a term is
	// its 64-bit FNV-1a hash modulo Buckets.
	Terms   []string `json:"terms,omitempty"`
	Buckets int      `json:"buckets,omitempty"`
	// Weights are ln((1+rows)/(1+rows with the term)) + 1.
	Weights []float32 `json:"weights"`
}

// Unit is what n-grams are made of.
type Unit string

// The units.
const (
	Word      Unit = "word"
	Character Unit = "character"
)

// TextSpec says what Fit is to fit.
type TextSpec struct {
	Column   string
	Unit     Unit
	From, To int
	// MinRows is in how many rows a term must be, MaxTerms how many of the most
	// frequent are kept; of equally frequent ones the first in order.
	MinRows, MaxTerms int
	Buckets           int
	Sublinear         bool
}

func (t *Text) width() int { return len(t.Weights) }

// grams calls each for every n-gram of a text, in order.
func (t *Text) grams(text string, each func(term string)) {
	words, buffer := split(text)
	if t.Unit == Word {
		for i := range words {
			for n := t.From; n <= t.To && i+n <= len(words); n++ {
				each(buffer[words[i][0]:words[i+n-1][1]])
			}
		}
		return
	}
	var starts []int
	for _, w := range words {
		// The buffer has a space on both sides of each word.
		padded := buffer[w[0]-1 : w[1]+1]
		starts = starts[:0]
		for i := range padded {
			starts = append(starts, i)
		}
		starts = append(starts, len(padded))
		for n := t.From; n <= t.To; n++ {
			for i := 0; i+n < len(starts); i++ {
				each(padded[starts[i]:starts[i+n]])
			}
		}
	}
}

// split returns the lower-cased words, each with a space on both sides, and
// where they are.
func split(text string) (words [][2]int, buffer string) {
	var b strings.Builder
	b.Grow(len(text) + 2)
	b.WriteByte(' ')
	start := -1
	end := func() {
		if start >= 0 {
			words = append(words, [2]int{start, b.Len()})
			b.WriteByte(' ')
			start = -1
		}
	}
	for _, r := range text {
		if r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) || r == utf8.RuneError {
			end()
			continue
		}
		if start < 0 {
			start = b.Len()
		}
		b.WriteRune(unicode.ToLower(r))
	}
	end()
	return words, b.String()
}

// fitText learns terms and weights.
func fitText(s TextSpec, rows []string) Text {
	t := Text{Column: s.Column, Unit: s.Unit, From: s.From, To: s.To, Sublinear: s.Sublinear, Buckets: s.Buckets}
	type seen struct{ rows, last int }
	counts := map[string]*seen{}
	buckets := make([]seen, s.Buckets)
	for i, text := range rows {
		t.grams(text, func(term string) {
			var c *seen
			if s.Buckets > 0 {
				c = &buckets[bucket(term, s.Buckets)]
			} else if c = counts[term]; c == nil {
				c = &seen{}
				counts[strings.Clone(term)] = c
			}
			if c.last != i+1 {
				c.rows, c.last = c.rows+1, i+1
			}
		})
	}
	weight := func(n int) float32 { return float32(portable.Log(float64(1+len(rows))/float64(1+n)) + 1) }
	if s.Buckets > 0 {
		for _, c := range buckets {
			t.Weights = append(t.Weights, weight(c.rows))
		}
		return t
	}
	for term, c := range counts {
		if c.rows >= s.MinRows {
			t.Terms = append(t.Terms, term)
		}
	}
	slices.Sort(t.Terms)
	if s.MaxTerms > 0 && len(t.Terms) > s.MaxTerms {
		slices.SortStableFunc(t.Terms, func(a, b string) int { return counts[b].rows - counts[a].rows })
		t.Terms = t.Terms[:s.MaxTerms]
		slices.Sort(t.Terms)
	}
	t.Weights = make([]float32, len(t.Terms))
	for i, term := range t.Terms {
		t.Weights[i] = weight(counts[term].rows)
	}
	return t
}

func bucket(term string, buckets int) int {
	h := fnv.New64a()
	_, _ = h.Write([]byte(term))
	return int(h.Sum64() % uint64(buckets))
}

// vectorizer gives rows of text their numbers. It is not safe for concurrent
// use.
type vectorizer struct {
	text  *Text
	index map[string]int32
	found []int32
}

func newVectorizer(t *Text) *vectorizer {
	v := &vectorizer{text: t, index: make(map[string]int32, len(t.Terms))}
	for i, term := range t.Terms {
		v.index[term] = int32(i)
	}
	return v
}

// add appends the numbers of a text, whose columns begin at offset.
func (v *vectorizer) add(text string, offset int, index []int32, value []float32) ([]int32, []float32) {
	v.found = v.found[:0]
	v.text.grams(text, func(term string) {
		if n := v.text.Buckets; n > 0 {
			v.found = append(v.found, int32(bucket(term, n)))
		} else if i, ok := v.index[term]; ok {
			v.found = append(v.found, i)
		}
	})
	slices.Sort(v.found)
	from := len(value)
	var squares float64
	for i := 0; i < len(v.found); {
		j := i + 1
		for j < len(v.found) && v.found[j] == v.found[i] {
			j++
		}
		count := float64(j - i)
		if v.text.Sublinear {
			count = 1 + portable.Log(count)
		}
		x := float64(count * float64(v.text.Weights[v.found[i]]))
		squares += float64(x * x)
		index, value = append(index, int32(offset)+v.found[i]), append(value, float32(x))
		i = j
	}
	length := math.Sqrt(squares)
	for i := from; i < len(value); i++ {
		value[i] = float32(float64(value[i]) / length)
	}
	return index, value
}

// vectorizers are those of all columns of text.
type vectorizers []*vectorizer

func (f *Features) vectorizers() vectorizers {
	var out vectorizers
	for i := range f.Text {
		out = append(out, newVectorizer(&f.Text[i]))
	}
	return out
}

// bags returns the text columns of rows [from, to) alone, counted from 0.
func (vs vectorizers) bags(f *Frame, from, to int) *linear.Rows {
	out := &linear.Rows{Start: make([]int, 1, to-from+1)}
	columns := make([][]string, len(vs))
	for k, v := range vs {
		columns[k] = f.strings(v.text.Column)
		out.Cols += v.text.width()
	}
	for i := from; i < to; i++ {
		offset := 0
		for k, v := range vs {
			out.Index, out.Value = v.add(columns[k][i], offset, out.Index, out.Value)
			offset += v.text.width()
		}
		out.Start = append(out.Start, len(out.Index))
	}
	return out
}

// Sparse returns what Transform returns, without its zeros.
func (f *Features) Sparse(frame *Frame) *linear.Rows {
	dense := &Features{Numeric: f.Numeric, Categorical: f.Categorical}
	source, width := dense.Source(frame), dense.Width()
	bags := f.vectorizers().bags(frame, 0, frame.rows)
	numbers := make([][]float32, source.numbers.width())
	for j := range numbers {
		numbers[j] = make([]float32, frame.rows)
		source.Column(j, numbers[j])
	}
	out := &linear.Rows{Cols: f.Width(), Start: make([]int, 1, frame.rows+1)}
	for i := range frame.rows {
		for j, column := range numbers {
			if column[i] != 0 {
				out.Index, out.Value = append(out.Index, int32(j)), append(out.Value, column[i])
			}
		}
		at := len(numbers)
		for k := range source.categorical {
			e := &source.categorical[k]
			switch code := e.code[i]; {
			case len(e.Unknown) > 0:
				for j := range e.Unknown {
					out.Index, out.Value = append(out.Index, int32(at+j)), append(out.Value, e.number(i, j))
				}
			case code >= 0:
				out.Index, out.Value = append(out.Index, int32(at)+code), append(out.Value, 1)
			}
			at += e.width()
		}
		for n := bags.Start[i]; n < bags.Start[i+1]; n++ {
			out.Index, out.Value = append(out.Index, int32(width)+bags.Index[n]), append(out.Value, bags.Value[n])
		}
		out.Start = append(out.Start, len(out.Index))
	}
	return out
}
