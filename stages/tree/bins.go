package tree

import (
	"math"
	"slices"

	"github.com/flow-pipelines/flow/stages/nn/philox"
)

// mostBins is how many bins of values fit in a byte beside the one for missing.
const mostBins = 255

// sampleRows is how many rows decide where a column is cut.
const sampleRows = 200_000

// Source gives features, a column at a time, so that no more than one is needed
// in memory as numbers.
type Source interface {
	Rows() int
	Cols() int
	// Column fills into, of Rows length, with column j; NaN is missing. It is
	// called by several goroutines at once.
	Column(j int, into []float32)
}

// column is a feature as bins.
type column struct {
	// bounds are thresholds in ascending order: bin i holds the values v with
	// bounds[i-1] < v ≤ bounds[i], the last bin what is above all of them. They
	// are float32, as values are, so that whoever compares v ≤ bound with the
	// original numbers, a runtime of ONNX for one, goes the same way.
	bounds []float32
	codes  []uint8
}

// values is the number of bins of values; missing is the code after them.
func (c *column) values() int    { return len(c.bounds) + 1 }
func (c *column) missing() uint8 { return uint8(c.values()) }

// bins is how many codes there can be.
func (c *column) bins() int { return c.values() + 1 }

// threshold is the largest value of the bins up to b.
func (c *column) threshold(b int) float32 {
	if b == len(c.bounds) {
		return math.MaxFloat32
	}
	return c.bounds[b]
}

// encode gives each value its code.
func (c *column) encode(values []float32) {
	c.codes = make([]uint8, len(values))
	for i, v := range values {
		c.codes[i] = c.code(v)
	}
}

func (c *column) code(v float32) uint8 {
	if v != v {
		return c.missing()
	}
	low, high := 0, len(c.bounds)
	for low < high {
		middle := int(uint(low+high) >> 1)
		if c.bounds[middle] < v {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return uint8(low)
}

// binned reads all columns of a source. With like, they are cut as those are.
func binned(x Source, o Options, like []column) []column {
	out := make([]column, x.Cols())
	sample := sampleOf(x.Rows(), o.Seed)
	share(o.Threads, x.Cols(), func(j int) {
		values := make([]float32, x.Rows())
		x.Column(j, values)
		if like != nil {
			out[j].bounds = like[j].bounds
		} else {
			out[j].bounds = cut(values, sample, o.MaxBins)
		}
		out[j].encode(values)
	})
	return out
}

// sampleOf returns the rows that decide about bins; nil if all do.
func sampleOf(rows int, seed uint64) []int {
	if rows <= sampleRows {
		return nil
	}
	// One row of each of as many equal pieces: as random as needed, in order.
	s := philox.New(seed, purposeSample, 0)
	out := make([]int, sampleRows)
	for i := range out {
		from, to := i*rows/sampleRows, (i+1)*rows/sampleRows
		out[i] = from + s.IntN(to-from)
	}
	return out
}

// cut chooses bounds: between all values if they are few, else so that bins hold
// about the same number of rows, and a value with more rows than that has a bin
// of its own.
func cut(values []float32, sample []int, most int) []float32 {
	var sorted []float32
	if sample == nil {
		sorted = slices.Clone(values)
	} else {
		sorted = make([]float32, len(sample))
		for i, row := range sample {
			sorted[i] = values[row]
		}
	}
	sorted = slices.DeleteFunc(sorted, func(v float32) bool { return v != v })
	slices.Sort(sorted)
	var distinct []float32
	var counts []int
	for _, v := range sorted {
		if n := len(distinct); n > 0 && distinct[n-1] == v {
			counts[n-1]++
			continue
		}
		distinct, counts = append(distinct, v), append(counts, 1)
	}
	if len(distinct) <= most {
		bounds := make([]float32, 0, max(0, len(distinct)-1))
		for i := 1; i < len(distinct); i++ {
			bounds = append(bounds, between(distinct[i-1], distinct[i]))
		}
		return bounds
	}
	return cutByCount(distinct, counts, len(sorted), most)
}

func cutByCount(distinct []float32, counts []int, rows, most int) []float32 {
	mean := float64(rows) / float64(most)
	big := func(i int) bool { return float64(counts[i]) >= mean }
	restBins, restRows := most, rows
	for i, n := range counts {
		if big(i) {
			restBins--
			restRows -= n
		}
	}
	size := mean
	if restBins > 0 {
		size = float64(restRows) / float64(restBins)
	}
	var bounds []float32
	for i, held := 0, 0; i < len(distinct)-1 && len(bounds) < most-1; i++ {
		held += counts[i]
		if !big(i) {
			restRows -= counts[i]
		}
		if big(i) || float64(held) >= size || big(i+1) && float64(held) >= size/2 {
			bounds = append(bounds, between(distinct[i], distinct[i+1]))
			held = 0
			if !big(i) {
				restBins--
				size = float64(restRows) / float64(max(1, restBins))
			}
		}
	}
	return bounds
}

// between is a float32 with a ≤ it < b, the middle if there is one.
func between(a, b float32) float32 {
	m := float32((float64(a) + float64(b)) / 2)
	if m < a || m >= b {
		return a
	}
	return m
}
