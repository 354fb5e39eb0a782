// Package metric computes the numbers by which predictions are judged: of
// classifiers, of rankings and of regressions. Each function names the source
// of its formula; where scikit-learn has the same metric, the result is equal
// to its to 1e-9, ties, missing classes and divisions by zero included.
//
// The functions are pure and deterministic: sums run in the order of the rows
// with compensation, counts are integers, and no product is fused into a sum,
// so that the same predictions give the same bits on every machine; only log
// loss leans on the platform's logarithm, and so on its last bit. They take
// O(n log n) time at most.
//
// A metric that is not defined for its input (the ROC AUC of a single class, R²
// of one row) is NaN; summaries leave it out, because JSON has no NaN and a
// zero would be a lie.
//
// It reads no tables, knows no column names and checks no user input: callers
// (the evaluate, train and select stages) hand it class indexes and finite
// numbers. Slices of different lengths are a bug of the caller and panic.
package metric

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Direction says which way a metric is better.
type Direction int

// The directions of a metric.
const (
	Max Direction = iota // higher is better
	Min                  // lower is better
)

// String returns "max" or "min", as the configuration spells them.
func (d Direction) String() string {
	if d == Min {
		return "min"
	}
	return "max"
}

// Better reports whether a is strictly better than b. NaN is never better, and
// anything is better than NaN.
func (d Direction) Better(a, b float64) bool {
	switch {
	case math.IsNaN(a):
		return false
	case math.IsNaN(b):
		return true
	case d == Min:
		return a < b
	default:
		return a > b
	}
}

// lowerIsBetter lists the names, as the last part of a dotted path, that are
// known to be better when lower. What is not listed is better when higher.
var lowerIsBetter = []string{
	"brier", "cost", "error", "hinge", "log_loss", "loss", "mae", "mape",
	"max_error", "median_ae", "mse", "nrmse", "perplexity", "rmse", "cer", "wer",
}

// DirectionOf returns the direction in which a metric of this name is better.
// The name may be a dotted path; its last part decides. Names that are, or end
// in "_" and then, a known loss or error are Min ("validation.log_loss",
// "val_loss"); everything else is Max.
func DirectionOf(name string) Direction {
	last := strings.ToLower(name[strings.LastIndexByte(name, '.')+1:])
	for _, known := range lowerIsBetter {
		if last == known || strings.HasSuffix(last, "_"+known) {
			return Min
		}
	}
	return Max
}

// total adds numbers with Neumaier's compensation (Zeitschrift für angewandte
// Mathematik und Mechanik 54, 1974), so that a sum over millions of rows loses
// no digits and depends on their order only.
type total struct {
	sum, lost float64
}

func (t *total) add(x float64) {
	next := t.sum + x
	if math.Abs(t.sum) >= math.Abs(x) {
		t.lost += (t.sum - next) + x
	} else {
		t.lost += (x - next) + t.sum
	}
	t.sum = next
}

func (t *total) value() float64 {
	// The compensation of an infinite sum is NaN; the sum itself is right.
	if math.IsInf(t.sum, 0) {
		return t.sum
	}
	return t.sum + t.lost
}

// meanOf returns the mean of f(0) … f(n-1), NaN for n = 0.
func meanOf(n int, f func(i int) float64) float64 {
	if n == 0 {
		return math.NaN()
	}
	var sum total
	for i := range n {
		sum.add(f(i))
	}
	return sum.value() / float64(n)
}

// ratio is a/b, and 0 for b = 0: scikit-learn's zero_division default.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// Mean is the arithmetic mean, NaN of nothing.
func Mean(values []float64) float64 {
	return meanOf(len(values), func(i int) float64 { return values[i] })
}

// Quantiles returns the q-quantiles of values by linear interpolation (Hyndman
// and Fan, Sample Quantiles in Statistical Packages, 1996, type 7; numpy's
// default), for each q in [0, 1]. Of no values they are NaN.
func Quantiles(values []float64, qs ...float64) []float64 {
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	out := make([]float64, len(qs))
	for i, q := range qs {
		out[i] = quantile(sorted, q)
	}
	return out
}

func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	position := q * float64(len(sorted)-1)
	low := int(math.Floor(position))
	high := min(low+1, len(sorted)-1)
	step := float64((sorted[high] - sorted[low]) * (position - float64(low)))
	return sorted[low] + step
}

func mustMatch(operation string, a, b int) {
	if a != b {
		panic(fmt.Sprintf("BUG: %s: %d and %d values", operation, a, b))
	}
}
