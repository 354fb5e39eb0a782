package metric

import (
	"cmp"
	"math"
	"slices"
)

// ROCPoint is a point of the receiver operating characteristic: the rates when
// everything with a score of at least Threshold is called positive.
type ROCPoint struct {
	Threshold, FalsePositiveRate, TruePositiveRate float64
}

// PRPoint is a point of the precision-recall curve: both when everything with
// a score of at least Threshold is called positive.
type PRPoint struct {
	Threshold, Precision, Recall float64
}

// step holds the counts at a threshold. Rows of equal score are one step:
// their order must not matter.
type step struct {
	threshold    float64
	hits, alarms int // true and false positives
}

// steps returns the counts at each distinct score, from the highest down.
func steps(positive []bool, score []float64) []step {
	mustMatch("rank scores", len(positive), len(score))
	order := make([]int, len(score))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(score[b], score[a]) })
	var all []step
	now := step{}
	for i, row := range order {
		if positive[row] {
			now.hits++
		} else {
			now.alarms++
		}
		now.threshold = score[row]
		if i+1 == len(order) || score[order[i+1]] != score[row] {
			all = append(all, now)
		}
	}
	return all
}

// ROCAUC is the area under the ROC curve by the trapezoidal rule: the
// probability that a random positive row scores higher than a random negative
// one, ties counting half (Hanley and McNeil, Radiology 143, 1982). It is NaN
// if one of the two does not occur. The area is a sum of integers, so it is
// exact up to the final division.
func ROCAUC(positive []bool, score []float64) float64 {
	all := steps(positive, score)
	if len(all) == 0 {
		return math.NaN()
	}
	last := all[len(all)-1]
	if last.hits == 0 || last.alarms == 0 {
		return math.NaN()
	}
	var doubled int64
	before := step{}
	for _, s := range all {
		doubled += int64(s.alarms-before.alarms) * int64(s.hits+before.hits)
		before = s
	}
	return float64(doubled) / 2 / float64(last.hits) / float64(last.alarms)
}

// AveragePrecision summarises the precision-recall curve as Σ (Rₙ−Rₙ₋₁)·Pₙ
// without interpolation (Zhu, Recall, Precision and Average Precision, 2004;
// scikit-learn's average_precision_score). It is 0 if nothing is positive.
func AveragePrecision(positive []bool, score []float64) float64 {
	all := steps(positive, score)
	if len(all) == 0 {
		return math.NaN()
	}
	var sum total
	before := 0
	for _, s := range all {
		if s.hits > before {
			sum.add(float64(float64(s.hits-before) * (float64(s.hits) / float64(s.hits+s.alarms))))
		}
		before = s.hits
	}
	return ratio(sum.value(), float64(before))
}

// ROC returns the ROC curve from (0, 0) at threshold +Inf to (1, 1), without
// the points that lie on the line between their neighbours: the same curve as
// scikit-learn's roc_curve. A rate whose class does not occur is NaN.
func ROC(positive []bool, score []float64) []ROCPoint {
	all := append([]step{{threshold: math.Inf(1)}}, steps(positive, score)...)
	last := all[len(all)-1]
	points := make([]ROCPoint, 0, len(all))
	for i, s := range all {
		// Corners are found on the counts before the origin is added, as
		// scikit-learn does; so the first real point always stays.
		if i > 1 && i+1 < len(all) && onLine(all[i-1], s, all[i+1]) {
			continue
		}
		points = append(points, ROCPoint{
			Threshold:         s.threshold,
			FalsePositiveRate: share(s.alarms, last.alarms),
			TruePositiveRate:  share(s.hits, last.hits),
		})
	}
	return points
}

// onLine reports whether the steps from a to b and from b to c are equal.
func onLine(a, b, c step) bool {
	return b.hits-a.hits == c.hits-b.hits && b.alarms-a.alarms == c.alarms-b.alarms
}

func share(part, whole int) float64 {
	if whole == 0 {
		return math.NaN()
	}
	return float64(part) / float64(whole)
}

// PR returns the precision-recall curve from recall 0 (precision 1, threshold
// +Inf, by convention) to recall 1: scikit-learn's precision_recall_curve in
// the order of falling thresholds. If nothing is positive, recall is 1
// everywhere but at the first point, as there.
func PR(positive []bool, score []float64) []PRPoint {
	all := steps(positive, score)
	points := make([]PRPoint, 0, len(all)+1)
	points = append(points, PRPoint{Threshold: math.Inf(1), Precision: 1, Recall: 0})
	for _, s := range all {
		recall := 1.0
		if hits := all[len(all)-1].hits; hits > 0 {
			recall = float64(s.hits) / float64(hits)
		}
		points = append(points, PRPoint{
			Threshold: s.threshold,
			Precision: float64(s.hits) / float64(s.hits+s.alarms),
			Recall:    recall,
		})
	}
	return points
}

// OneVsRest calls a metric of a ranking once a class, with that class against
// the rest and its column of the row-major probabilities as the score.
func OneVsRest(classes int, truth []int, probabilities []float64, f func(positive []bool, score []float64) float64) []float64 {
	mustMatch("compare each class with the rest", len(truth)*classes, len(probabilities))
	positive := make([]bool, len(truth))
	score := make([]float64, len(truth))
	values := make([]float64, classes)
	for class := range classes {
		for i, t := range truth {
			positive[i] = t == class
			score[i] = probabilities[i*classes+class]
		}
		values[class] = f(positive, score)
	}
	return values
}

// MeanOfClasses averages values of classes with the given weights, or equally
// if weights is nil, leaving out what is NaN. scikit-learn instead gives NaN
// as soon as one class does not occur; with all classes there, both agree.
func MeanOfClasses(values []float64, weights []int) float64 {
	var sum total
	n := 0
	for class, v := range values {
		if math.IsNaN(v) {
			continue
		}
		w := 1
		if weights != nil {
			w = weights[class]
		}
		sum.add(float64(float64(w) * v))
		n += w
	}
	if n == 0 {
		return math.NaN()
	}
	return sum.value() / float64(n)
}
