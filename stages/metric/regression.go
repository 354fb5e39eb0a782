package metric

import (
	"math"
	"slices"
)

// MAE is the mean absolute error.
func MAE(truth, predicted []float64) float64 {
	mustMatch("compute the mean absolute error", len(truth), len(predicted))
	return meanOf(len(truth), func(i int) float64 { return math.Abs(truth[i] - predicted[i]) })
}

// MSE is the mean squared error.
func MSE(truth, predicted []float64) float64 {
	mustMatch("compute the mean squared error", len(truth), len(predicted))
	return meanOf(len(truth), func(i int) float64 {
		d := truth[i] - predicted[i]
		return float64(d * d)
	})
}

// RMSE is the square root of MSE, in the unit of the target.
func RMSE(truth, predicted []float64) float64 { return math.Sqrt(MSE(truth, predicted)) }

// Normalisation is what an NRMSE divides the RMSE by. There is no agreed
// standard, so a report should say which it used.
type Normalisation string

// The normalisations of NRMSE, all over the true values.
const (
	ByRange     Normalisation = "range" // max − min: the default of flow
	ByMean      Normalisation = "mean"  // |mean|, the coefficient of variation of the RMSE
	ByDeviation Normalisation = "sd"    // population standard deviation; then NRMSE² = 1 − R²
	ByQuartiles Normalisation = "iqr"   // third − first quartile, robust against outliers
)

// NRMSE is the RMSE divided by a measure of the true values' spread or size,
// so that it has no unit. It is NaN if that measure is 0.
func NRMSE(truth, predicted []float64, by Normalisation) float64 {
	rmse := RMSE(truth, predicted)
	if len(truth) == 0 {
		return rmse
	}
	var scale float64
	switch by {
	case ByRange:
		scale = slices.Max(truth) - slices.Min(truth)
	case ByMean:
		scale = math.Abs(Mean(truth))
	case ByDeviation:
		scale = math.Sqrt(variance(truth))
	case ByQuartiles:
		quartiles := Quantiles(truth, 0.25, 0.75)
		scale = quartiles[1] - quartiles[0]
	default:
		panic("BUG: normalise the RMSE by " + string(by))
	}
	if scale == 0 {
		return math.NaN()
	}
	return rmse / scale
}

// MedianAE is the median of the absolute errors.
func MedianAE(truth, predicted []float64) float64 {
	mustMatch("compute the median absolute error", len(truth), len(predicted))
	errors := make([]float64, len(truth))
	for i := range truth {
		errors[i] = math.Abs(truth[i] - predicted[i])
	}
	return Quantiles(errors, 0.5)[0]
}

// MAPE is the mean absolute error relative to the true value, as a fraction
// and not in percent. A true value of 0 counts as 2⁻⁵², as in scikit-learn, so
// one such row makes the result huge.
func MAPE(truth, predicted []float64) float64 {
	mustMatch("compute the mean absolute percentage error", len(truth), len(predicted))
	return meanOf(len(truth), func(i int) float64 {
		return math.Abs(truth[i]-predicted[i]) / max(math.Abs(truth[i]), epsilon)
	})
}

// R2 is the coefficient of determination, 1 − Σ(y−ŷ)²/Σ(y−ȳ)². For constant
// true values it is 1 if all predictions are exact and else 0, and for fewer
// than two rows NaN, as scikit-learn's r2_score.
func R2(truth, predicted []float64) float64 {
	mustMatch("compute R²", len(truth), len(predicted))
	if len(truth) < 2 {
		return math.NaN()
	}
	residual, spread := MSE(truth, predicted), variance(truth)
	switch {
	case spread != 0:
		return 1 - residual/spread
	case residual == 0:
		return 1
	default:
		return 0
	}
}

// MaxError is the largest absolute error.
func MaxError(truth, predicted []float64) float64 {
	mustMatch("compute the largest error", len(truth), len(predicted))
	if len(truth) == 0 {
		return math.NaN()
	}
	var worst float64
	for i := range truth {
		worst = max(worst, math.Abs(truth[i]-predicted[i]))
	}
	return worst
}

// variance is the population variance, in two passes so that large means do
// not cancel.
func variance(values []float64) float64 {
	center := Mean(values)
	return meanOf(len(values), func(i int) float64 {
		d := values[i] - center
		return float64(d * d)
	})
}
