package metric

import (
	"cmp"
	"math"
	"slices"
)

// ThresholdNames are the metrics that a threshold can be chosen by: those that
// are neither largest when every row is positive, as recall, nor when few are, as
// precision.
func ThresholdNames() []string { return []string{"accuracy", "balanced_accuracy", "f1", "mcc"} }

// Threshold returns the score from which on rows are to be taken as positive for a
// metric of ThresholdNames to be as large as it can be: halfway between two
// neighbouring scores, where new rows are least likely to fall on the wrong side.
// Of several that are equally good it is the one nearest to a half. Scores are
// numbers from 0 to 1 that are exact in a float32, as the threshold is.
func Threshold(name string, positive []bool, score []float64) float32 {
	mustMatch("choose a threshold", len(positive), len(score))
	order := make([]int, len(score))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(score[b], score[a]) })
	// All rows are negative at first, and become positive from the highest score on.
	counts := Confuse(2, nil, nil)
	for _, is := range positive {
		counts.add(is, false, 1)
	}
	best, at := math.Inf(-1), float32(0.5)
	see := func(high, low float64) {
		t, ok := between(high, low)
		if !ok {
			return
		}
		v := counts.named(name)
		if v > best || v == best && distance(t) < distance(at) {
			best, at = v, t
		}
	}
	see(1, score[order[0]])
	for n, i := range order {
		counts.add(positive[i], false, -1)
		counts.add(positive[i], true, 1)
		next := 0.0
		if n+1 < len(order) {
			next = score[order[n+1]]
		}
		if next < score[i] || n+1 == len(order) {
			see(score[i], next)
		}
	}
	return at
}

// between is halfway between two scores, above the lower and at most the higher
// one; ok is false if there is no such number that is a threshold.
func between(high, low float64) (t float32, ok bool) {
	t = float32((high + low) / 2)
	if float64(t) <= low {
		t = float32(high)
	}
	return t, float64(t) > low && t > 0 && t < 1
}

func distance(t float32) float64 { return math.Abs(float64(t) - 0.5) }

func (c *Confusion) named(name string) float64 {
	switch name {
	case "accuracy":
		return c.Accuracy()
	case "balanced_accuracy":
		return c.BalancedAccuracy()
	case "mcc":
		return c.MCC()
	}
	return c.F1(1)
}

// add counts n more rows of a confusion of two classes.
func (c *Confusion) add(truth, predicted bool, n int) {
	t, p := index(truth), index(predicted)
	c.counts[t][p] += n
	c.truth[t] += n
	c.predicted[p] += n
	c.rows += n
	if t == p {
		c.correct += n
	}
}

func index(is bool) int {
	if is {
		return 1
	}
	return 0
}
