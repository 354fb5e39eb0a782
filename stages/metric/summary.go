package metric

import (
	"maps"
	"math"
	"slices"
)

// NoPositive says that no class of a classification is the positive one.
const NoPositive = -1

// Classification is what a classifier predicted and what was true, with
// classes as indexes in [0, len(Classes)).
type Classification struct {
	Classes   []string
	Truth     []int
	Predicted []int

	// Probabilities are row-major, len(Classes) a row; nil if the classifier
	// gives none, and then the metrics of rankings and probabilities are left
	// out.
	Probabilities []float64

	// Positive is the class that precision, recall, F1, AUC and PR AUC are
	// about, against the rest; NoPositive makes them macro averages. The zero
	// value is the first class, so set it.
	Positive int

	// Beta, if not 0, adds "f_beta" with this beta.
	Beta float64
}

// Headline returns the metrics that one number each describes the classifier
// with: accuracy, balanced_accuracy, precision, recall, f1, f_beta, mcc, and
// with probabilities auc, pr_auc, log_loss, brier. Undefined ones are absent.
func (c Classification) Headline() map[string]float64 {
	m := map[string]float64{}
	if len(c.Truth) == 0 {
		return m
	}
	counts := Confuse(len(c.Classes), c.Truth, c.Predicted)
	m["accuracy"] = counts.Accuracy()
	m["balanced_accuracy"] = counts.BalancedAccuracy()
	m["mcc"] = counts.MCC()
	scores := counts.Macro(c.beta())
	if c.Positive != NoPositive {
		scores = counts.Class(c.Positive, c.beta())
	}
	c.put(m, scores)
	if c.Probabilities == nil {
		return m
	}
	k := len(c.Classes)
	m["log_loss"] = LogLoss(k, c.Truth, c.Probabilities)
	if c.Positive == NoPositive {
		m["brier"] = BrierMulticlass(k, c.Truth, c.Probabilities)
		set(m, "auc", MeanOfClasses(OneVsRest(k, c.Truth, c.Probabilities, ROCAUC), nil))
		set(m, "pr_auc", MeanOfClasses(OneVsRest(k, c.Truth, c.Probabilities, AveragePrecision), nil))
		return m
	}
	positive, score := c.Against(c.Positive)
	m["brier"] = Brier(positive, score)
	set(m, "auc", ROCAUC(positive, score))
	set(m, "pr_auc", AveragePrecision(positive, score))
	return m
}

// mostConfused is up to how many classes Detail holds a confusion matrix, whose
// cells grow with their square.
const mostConfused = 100

// Detail returns Headline's metrics and, nested, "macro", "micro", "weighted",
// "per_class" (by name, with "support") and, up to 100 classes, "confusion" (by
// true, then by predicted class). Values are float64, int or such maps again.
func (c Classification) Detail() map[string]any {
	m := map[string]any{}
	for name, value := range c.Headline() {
		m[name] = value
	}
	if len(c.Truth) == 0 {
		return m
	}
	counts := Confuse(len(c.Classes), c.Truth, c.Predicted)
	macro, micro, weighted := map[string]float64{}, map[string]float64{}, map[string]float64{}
	c.put(macro, counts.Macro(c.beta()))
	c.put(micro, counts.Micro(c.beta()))
	c.put(weighted, counts.Weighted(c.beta()))

	var auc, precision []float64
	if c.Probabilities != nil {
		auc = OneVsRest(len(c.Classes), c.Truth, c.Probabilities, ROCAUC)
		precision = OneVsRest(len(c.Classes), c.Truth, c.Probabilities, AveragePrecision)
		set(macro, "auc", MeanOfClasses(auc, nil))
		set(macro, "pr_auc", MeanOfClasses(precision, nil))
		set(weighted, "auc", MeanOfClasses(auc, counts.truth))
		set(weighted, "pr_auc", MeanOfClasses(precision, counts.truth))
	}

	perClass := map[string]any{}
	for class, name := range c.Classes {
		scores := map[string]float64{}
		c.put(scores, counts.Class(class, c.beta()))
		if c.Probabilities != nil {
			set(scores, "auc", auc[class])
			set(scores, "pr_auc", precision[class])
		}
		one := nest(scores)
		one["support"] = counts.Support(class)
		perClass[name] = one
	}
	if len(c.Classes) <= mostConfused {
		m["confusion"] = c.confusion(counts)
	}
	m["macro"], m["micro"], m["weighted"] = nest(macro), nest(micro), nest(weighted)
	m["per_class"] = perClass
	return m
}

func (c Classification) confusion(counts *Confusion) map[string]any {
	m := map[string]any{}
	for truth, name := range c.Classes {
		row := map[string]any{}
		for predicted, other := range c.Classes {
			row[other] = counts.Count(truth, predicted)
		}
		m[name] = row
	}
	return m
}

// Against returns which rows truly are of a class, and the probability that
// each was given for it: what rankings and curves are computed from. It needs
// Probabilities.
func (c Classification) Against(class int) (positive []bool, score []float64) {
	mustMatch("take one class's probabilities", len(c.Truth)*len(c.Classes), len(c.Probabilities))
	positive = make([]bool, len(c.Truth))
	score = make([]float64, len(c.Truth))
	for i, t := range c.Truth {
		positive[i] = t == class
		score[i] = c.Probabilities[i*len(c.Classes)+class]
	}
	return positive, score
}

func (c Classification) beta() float64 {
	if c.Beta == 0 {
		return 1
	}
	return c.Beta
}

func (c Classification) put(m map[string]float64, s Scores) {
	m["precision"], m["recall"], m["f1"] = s.Precision, s.Recall, s.F1
	if c.Beta != 0 {
		m["f_beta"] = s.FBeta
	}
}

// Regression returns mae, mse, rmse, nrmse (by the range of the true values),
// median_ae, mape, r2 and max_error. Undefined and infinite ones are absent.
func Regression(truth, predicted []float64) map[string]float64 {
	m := map[string]float64{}
	set(m, "mae", MAE(truth, predicted))
	set(m, "mse", MSE(truth, predicted))
	set(m, "rmse", RMSE(truth, predicted))
	set(m, "nrmse", NRMSE(truth, predicted, ByRange))
	set(m, "median_ae", MedianAE(truth, predicted))
	set(m, "mape", MAPE(truth, predicted))
	set(m, "r2", R2(truth, predicted))
	set(m, "max_error", MaxError(truth, predicted))
	return m
}

// HeadlineNames are the names of Headline's metrics but f_beta, sorted.
func HeadlineNames() []string {
	return slices.Sorted(maps.Keys(Classification{
		Classes: []string{"a", "b"}, Truth: []int{0, 1, 1}, Predicted: []int{0, 1, 0},
		Probabilities: []float64{0.8, 0.2, 0.3, 0.7, 0.6, 0.4}, Positive: 1,
	}.Headline()))
}

// RegressionNames are the names of Regression's metrics, sorted.
func RegressionNames() []string {
	return slices.Sorted(maps.Keys(Regression([]float64{1, 2, 3}, []float64{1, 2, 4})))
}

func set(m map[string]float64, name string, value float64) {
	if !math.IsNaN(value) && !math.IsInf(value, 0) {
		m[name] = value
	}
}

func nest(m map[string]float64) map[string]any {
	nested := make(map[string]any, len(m))
	for name, value := range m {
		nested[name] = value
	}
	return nested
}
