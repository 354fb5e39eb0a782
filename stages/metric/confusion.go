package metric

import (
	"fmt"
	"math"
)

// Confusion counts predictions by true and predicted class. The zero value has
// no classes; Confuse makes one.
type Confusion struct {
	counts    [][]int // [truth][predicted]
	truth     []int   // rows by true class
	predicted []int   // rows by predicted class
	rows      int
	correct   int
}

// Confuse counts pairs of class indexes in [0, classes).
func Confuse(classes int, truth, predicted []int) *Confusion {
	mustMatch("count a confusion matrix", len(truth), len(predicted))
	cells := make([]int, classes*classes)
	c := &Confusion{
		counts:    make([][]int, classes),
		truth:     make([]int, classes),
		predicted: make([]int, classes),
		rows:      len(truth),
	}
	for i := range classes {
		c.counts[i] = cells[i*classes : (i+1)*classes : (i+1)*classes]
	}
	for i, t := range truth {
		p := predicted[i]
		if t < 0 || t >= classes || p < 0 || p >= classes {
			panic(fmt.Sprintf("BUG: count a confusion matrix: row %d has class %d and prediction %d of %d classes", i, t, p, classes))
		}
		c.counts[t][p]++
		c.truth[t]++
		c.predicted[p]++
		if t == p {
			c.correct++
		}
	}
	return c
}

// Count returns how many rows of a true class were predicted as another.
func (c *Confusion) Count(truth, predicted int) int { return c.counts[truth][predicted] }

// Support returns how many rows truly are of a class.
func (c *Confusion) Support(class int) int { return c.truth[class] }

// present reports whether a class occurs as truth or as prediction.
func (c *Confusion) present(class int) bool { return c.truth[class]+c.predicted[class] > 0 }

// Accuracy is the share of right predictions.
func (c *Confusion) Accuracy() float64 {
	if c.rows == 0 {
		return math.NaN()
	}
	return float64(c.correct) / float64(c.rows)
}

// BalancedAccuracy is the mean recall of the classes that occur in the truth
// (Brodersen et al., The balanced accuracy and its posterior distribution,
// ICPR 2010; scikit-learn's balanced_accuracy_score).
func (c *Confusion) BalancedAccuracy() float64 {
	var sum total
	n := 0
	for class, support := range c.truth {
		if support > 0 {
			sum.add(c.Recall(class))
			n++
		}
	}
	if n == 0 {
		return math.NaN()
	}
	return sum.value() / float64(n)
}

// Precision is the share of right ones among the predictions of a class, 0 if
// there are none.
func (c *Confusion) Precision(class int) float64 {
	return ratio(float64(c.counts[class][class]), float64(c.predicted[class]))
}

// Recall is the share of a class's rows that were predicted as that class, 0
// if there are none.
func (c *Confusion) Recall(class int) float64 {
	return ratio(float64(c.counts[class][class]), float64(c.truth[class]))
}

// FBeta is the weighted harmonic mean of a class's precision and recall, in
// which recall counts beta times as much (van Rijsbergen, Information
// Retrieval, 1979): (1+β²)·TP / ((1+β²)·TP + β²·FN + FP).
func (c *Confusion) FBeta(class int, beta float64) float64 {
	return fBeta(c.counts[class][class], c.truth[class], c.predicted[class], beta)
}

// F1 is FBeta with beta 1.
func (c *Confusion) F1(class int) float64 { return c.FBeta(class, 1) }

func fBeta(hits, truth, predicted int, beta float64) float64 {
	b := float64(beta * beta)
	return ratio(float64((1+b)*float64(hits)), float64(b*float64(truth))+float64(predicted))
}

// Scores are the precision, recall and F-scores of one class or of an average
// over classes. FBeta is F1 unless another beta was asked for.
type Scores struct {
	Precision, Recall, F1, FBeta float64
}

// Class returns the scores of one class against the rest.
func (c *Confusion) Class(class int, beta float64) Scores {
	return Scores{c.Precision(class), c.Recall(class), c.F1(class), c.FBeta(class, beta)}
}

// Macro is the unweighted mean over the classes that occur as truth or as
// prediction, as scikit-learn averages when it is given no labels: a class
// that nothing has to do with does not lower the score.
func (c *Confusion) Macro(beta float64) Scores {
	return c.average(beta, func(class int) int {
		if c.present(class) {
			return 1
		}
		return 0
	})
}

// Weighted is the mean over classes, each weighted with its support.
func (c *Confusion) Weighted(beta float64) Scores {
	return c.average(beta, c.Support)
}

// Micro counts hits and misses over all classes together. With one label a
// row, all four scores are the accuracy.
func (c *Confusion) Micro(beta float64) Scores {
	share := ratio(float64(c.correct), float64(c.rows))
	return Scores{share, share, fBeta(c.correct, c.rows, c.rows, 1), fBeta(c.correct, c.rows, c.rows, beta)}
}

func (c *Confusion) average(beta float64, weight func(class int) int) Scores {
	var precision, recall, f1, f total
	weights := 0
	for class := range c.counts {
		w := weight(class)
		if w == 0 {
			continue
		}
		weights += w
		s := c.Class(class, beta)
		precision.add(float64(float64(w) * s.Precision))
		recall.add(float64(float64(w) * s.Recall))
		f1.add(float64(float64(w) * s.F1))
		f.add(float64(float64(w) * s.FBeta))
	}
	n := float64(weights)
	return Scores{ratio(precision.value(), n), ratio(recall.value(), n), ratio(f1.value(), n), ratio(f.value(), n)}
}

// MCC is the Matthews correlation coefficient, for any number of classes by
// Gorodkin's R_K (Computational Biology and Chemistry 28, 2004), as
// scikit-learn's matthews_corrcoef: 0 if truth or predictions are constant.
func (c *Confusion) MCC() float64 {
	n := float64(c.rows)
	var both, truths, predictions float64 // integers below 2^53 up to 94 million rows
	for class := range c.counts {
		t, p := float64(c.truth[class]), float64(c.predicted[class])
		both += float64(t * p)
		truths += float64(t * t)
		predictions += float64(p * p)
	}
	square := float64(n * n)
	covariance := float64(float64(c.correct)*n) - both
	return ratio(covariance, math.Sqrt(square-truths)*math.Sqrt(square-predictions))
}
