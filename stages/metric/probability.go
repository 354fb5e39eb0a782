package metric

import "math"

// epsilon is the smallest difference from 1 of a float64. Probabilities are
// kept this far from 0 and 1 in logarithms, as scikit-learn's log_loss does,
// so that one certain and wrong prediction costs 36 and not infinity.
const epsilon = 0x1p-52

// LogLoss is the mean negative logarithm of the probability of the true class
// (cross-entropy, in nats; Bishop, Pattern Recognition and Machine Learning,
// 2006, page 209). Probabilities are row-major, classes a row, and not
// normalised here.
func LogLoss(classes int, truth []int, probabilities []float64) float64 {
	mustMatch("compute the log loss", len(truth)*classes, len(probabilities))
	return meanOf(len(truth), func(i int) float64 {
		p := probabilities[i*classes+truth[i]]
		return -math.Log(min(max(p, epsilon), 1-epsilon))
	})
}

// Brier is the mean squared difference between the probability of the positive
// class and what happened (Brier, Monthly Weather Review 78, 1950, halved as
// is usual for two classes; scikit-learn's brier_score_loss).
func Brier(positive []bool, probability []float64) float64 {
	mustMatch("compute the Brier score", len(positive), len(probability))
	return meanOf(len(positive), func(i int) float64 {
		d := probability[i]
		if positive[i] {
			d--
		}
		return float64(d * d)
	})
}

// BrierMulticlass is Brier's original score: the mean over rows of the squared
// differences summed over classes, between 0 and 2. For two classes it is
// twice Brier.
func BrierMulticlass(classes int, truth []int, probabilities []float64) float64 {
	mustMatch("compute the Brier score", len(truth)*classes, len(probabilities))
	return meanOf(len(truth), func(i int) float64 {
		var sum total
		for class := range classes {
			d := probabilities[i*classes+class]
			if truth[i] == class {
				d--
			}
			sum.add(float64(d * d))
		}
		return sum.value()
	})
}
