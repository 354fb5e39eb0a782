package metric_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/flow-pipelines/flow/internal/oracle"
	"github.com/flow-pipelines/flow/stages/metric"
)

// classified is one set of predictions, judged on both sides.
type classified struct {
	Name          string      `json:"name"`
	Classes       int         `json:"classes"`
	Truth         []int       `json:"truth"`
	Predicted     []int       `json:"predicted"`
	Probabilities [][]float64 `json:"probabilities"`
}

type regressed struct {
	Name      string    `json:"name"`
	Truth     []float64 `json:"truth"`
	Predicted []float64 `json:"predicted"`
}

// judge is the other side. Undefined values come back as null.
const judge = `
import json, math, sys, warnings
import numpy as np
import sklearn.metrics as m
warnings.simplefilter("ignore")
cases = json.load(sys.stdin)

def num(x):
    x = float(x)
    return x if math.isfinite(x) else None

def prf(t, p, out, name, **kw):
    for beta in (0.5, 1.0, 2.0):
        pr, rc, f, _ = m.precision_recall_fscore_support(t, p, beta=beta, **kw)
        out[f"{name}.precision"], out[f"{name}.recall"], out[f"{name}.f{beta:g}"] = num(pr), num(rc), num(f)

def classified(c):
    k, t, p, q = c["classes"], np.array(c["truth"]), np.array(c["predicted"]), np.array(c["probabilities"])
    labels = list(range(k))
    out = {
        "accuracy": num(m.accuracy_score(t, p)),
        "balanced_accuracy": num(m.balanced_accuracy_score(t, p)),
        "mcc": num(m.matthews_corrcoef(t, p)),
        "log_loss": num(m.log_loss(t, q, labels=labels)),
        "brier_multiclass": num(np.mean(np.sum((q - np.eye(k)[t]) ** 2, axis=1))),
    }
    for avg in ("macro", "micro", "weighted"):
        prf(t, p, out, avg, average=avg)
    auc, ap = [], []
    for i in labels:
        prf(t == i, p == i, out, f"class{i}", average="binary", pos_label=True)
        auc.append(m.roc_auc_score(t == i, q[:, i]))
        ap.append(m.average_precision_score(t == i, q[:, i]))
        out[f"class{i}.auc"], out[f"class{i}.pr_auc"] = num(auc[-1]), num(ap[-1])
        out[f"class{i}.brier"] = num(m.brier_score_loss(t == i, q[:, i], pos_label=True))
    seen = sorted(set(t))
    if len(seen) == k and k > 2:
        for avg in ("macro", "weighted"):
            out[f"ovr.{avg}"] = num(m.roc_auc_score(t, q, multi_class="ovr", average=avg))
    out["confusion"] = m.confusion_matrix(t, p, labels=labels).tolist()
    fpr, tpr, th = m.roc_curve(t == 1, q[:, 1])
    out["roc"] = [[num(a), num(b), num(c)] for a, b, c in zip(fpr, tpr, th)]
    pr, rc, th = m.precision_recall_curve(t == 1, q[:, 1])
    out["pr"] = [[num(a), num(b), num(c)] for a, b, c in zip(pr[::-1], rc[::-1], np.r_[th, np.inf][::-1])]
    return out

def regressed(c):
    t, p = np.array(c["truth"]), np.array(c["predicted"])
    rmse = m.root_mean_squared_error(t, p)
    with np.errstate(all="ignore"):
        return {
            "mae": num(m.mean_absolute_error(t, p)),
            "mse": num(m.mean_squared_error(t, p)),
            "rmse": num(rmse),
            "nrmse": num(rmse / np.ptp(t)),
            "nrmse.mean": num(rmse / abs(np.mean(t))),
            "nrmse.sd": num(rmse / np.std(t)),
            "nrmse.iqr": num(rmse / np.subtract(*np.percentile(t, [75, 25]))),
            "median_ae": num(m.median_absolute_error(t, p)),
            "mape": num(m.mean_absolute_percentage_error(t, p)),
            "r2": num(m.r2_score(t, p)),
            "max_error": num(m.max_error(t, p)),
        }

json.dump({
    "classified": [classified(c) for c in cases["classified"]],
    "regressed": [regressed(c) for c in cases["regressed"]],
}, sys.stdout)
`

func TestMetricsEqualScikitLearns(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 11))
	cases := struct {
		Classified []classified `json:"classified"`
		Regressed  []regressed  `json:"regressed"`
	}{classifications(random), regressions(random)}
	in, err := json.Marshal(cases)
	if err != nil {
		t.Fatal(err)
	}
	var want struct{ Classified, Regressed []map[string]any }
	if err := json.Unmarshal(oracle.Run(t, judge, in), &want); err != nil {
		t.Fatal(err)
	}
	for i, c := range cases.Classified {
		t.Run("classification/"+c.Name, func(t *testing.T) { compare(t, judgeClasses(c), want.Classified[i]) })
	}
	for i, c := range cases.Regressed {
		t.Run("regression/"+c.Name, func(t *testing.T) { compare(t, judgeNumbers(c), want.Regressed[i]) })
	}
}

// classifications are random predictions and the corners: ties in the scores,
// classes that are missing from truth or predictions, one class alone.
func classifications(random *rand.Rand) []classified {
	var all []classified
	make1 := func(name string, classes, n int, truth, predicted func() int, decimals int) {
		c := classified{Name: name, Classes: classes}
		for range n {
			c.Truth = append(c.Truth, truth())
			row := make([]float64, classes)
			left := 1.0
			for i := range classes - 1 {
				row[i] = left * random.Float64()
				if decimals > 0 {
					scale := math.Pow10(decimals)
					row[i] = math.Floor(row[i]*scale) / scale
				}
				left -= row[i]
			}
			row[classes-1] = left
			random.Shuffle(classes, func(a, b int) { row[a], row[b] = row[b], row[a] })
			c.Probabilities = append(c.Probabilities, row)
			c.Predicted = append(c.Predicted, predicted())
		}
		all = append(all, c)
	}
	some := func(classes int) func() int { return func() int { return random.IntN(classes) } }
	only := func(class int) func() int { return func() int { return class } }
	rare := func() int {
		if random.IntN(50) == 0 {
			return 1
		}
		return 0
	}
	for _, n := range []int{1, 2, 3, 10, 1000} {
		for _, classes := range []int{2, 3, 7} {
			make1(fmt.Sprintf("random/%d/%d", classes, n), classes, n, some(classes), some(classes), 0)
			make1(fmt.Sprintf("ties/%d/%d", classes, n), classes, n, some(classes), some(classes), 1)
		}
	}
	make1("rare", 2, 500, rare, some(2), 2)
	make1("never predicted", 2, 100, some(2), only(0), 2)
	make1("always predicted", 2, 100, some(2), only(1), 2)
	make1("one class", 2, 50, only(0), some(2), 2)
	make1("the other class", 2, 50, only(1), some(2), 2)
	make1("one class, right", 2, 50, only(1), only(1), 2)
	make1("all wrong", 2, 50, only(0), only(1), 2)
	make1("a class nobody has", 3, 200, some(2), some(2), 2)
	make1("a class nobody predicts", 4, 200, some(4), some(3), 2)
	make1("a class nobody is", 4, 200, some(3), some(4), 2)
	certain := classified{Name: "certain", Classes: 2}
	for i := range 40 {
		c := i % 2
		row := []float64{0, 0}
		row[(i/2)%2] = 1
		certain.Truth, certain.Predicted = append(certain.Truth, c), append(certain.Predicted, (i/2)%2)
		certain.Probabilities = append(certain.Probabilities, row)
	}
	return append(all, certain)
}

func regressions(random *rand.Rand) []regressed {
	make1 := func(name string, n int, truth, noise func(i int) float64) regressed {
		c := regressed{Name: name}
		for i := range n {
			y := truth(i)
			c.Truth = append(c.Truth, y)
			c.Predicted = append(c.Predicted, y+noise(i))
		}
		return c
	}
	normal := func(scale float64) func(int) float64 {
		return func(int) float64 { return scale * random.NormFloat64() }
	}
	constant := func(v float64) func(int) float64 { return func(int) float64 { return v } }
	return []regressed{
		make1("random", 1000, normal(3), normal(1)),
		make1("odd count", 101, normal(3), normal(1)),
		make1("far from zero", 1000, func(int) float64 { return 1e6 + random.NormFloat64() }, normal(0.1)),
		make1("tiny", 1000, normal(1e-12), normal(1e-13)),
		make1("exact", 20, normal(1), constant(0)),
		make1("constant truth", 20, constant(5), normal(1)),
		make1("constant and exact", 20, constant(5), constant(0)),
		make1("zeros in the truth", 20, func(i int) float64 { return float64(i % 2) }, normal(1)),
		make1("two rows", 2, normal(1), normal(1)),
		make1("one row", 1, normal(1), normal(1)),
	}
}

func judgeClasses(c classified) map[string]any {
	out := map[string]any{}
	counts := metric.Confuse(c.Classes, c.Truth, c.Predicted)
	var flat []float64
	for _, row := range c.Probabilities {
		flat = append(flat, row...)
	}
	out["accuracy"] = counts.Accuracy()
	out["balanced_accuracy"] = counts.BalancedAccuracy()
	out["mcc"] = counts.MCC()
	out["log_loss"] = metric.LogLoss(c.Classes, c.Truth, flat)
	out["brier_multiclass"] = metric.BrierMulticlass(c.Classes, c.Truth, flat)
	for _, beta := range []float64{0.5, 1, 2} {
		put := func(name string, s metric.Scores) {
			out[name+".precision"], out[name+".recall"] = s.Precision, s.Recall
			out[fmt.Sprintf("%s.f%g", name, beta)] = s.FBeta
		}
		put("macro", counts.Macro(beta))
		put("micro", counts.Micro(beta))
		put("weighted", counts.Weighted(beta))
		for class := range c.Classes {
			put(fmt.Sprintf("class%d", class), counts.Class(class, beta))
		}
	}
	auc := metric.OneVsRest(c.Classes, c.Truth, flat, metric.ROCAUC)
	ap := metric.OneVsRest(c.Classes, c.Truth, flat, metric.AveragePrecision)
	brier := metric.OneVsRest(c.Classes, c.Truth, flat, metric.Brier)
	all := c.Classes > 2
	support := make([]int, c.Classes)
	var confusion []any
	for i := range c.Classes {
		out[fmt.Sprintf("class%d.auc", i)] = auc[i]
		out[fmt.Sprintf("class%d.pr_auc", i)] = ap[i]
		out[fmt.Sprintf("class%d.brier", i)] = brier[i]
		support[i] = counts.Support(i)
		all = all && support[i] > 0
		var row []any
		for j := range c.Classes {
			row = append(row, float64(counts.Count(i, j)))
		}
		confusion = append(confusion, row)
	}
	out["confusion"] = confusion
	if all {
		out["ovr.macro"] = metric.MeanOfClasses(auc, nil)
		out["ovr.weighted"] = metric.MeanOfClasses(auc, support)
	}
	positive := make([]bool, len(c.Truth))
	score := make([]float64, len(c.Truth))
	for i, t := range c.Truth {
		positive[i], score[i] = t == 1, c.Probabilities[i][1]
	}
	var roc, pr []any
	for _, p := range metric.ROC(positive, score) {
		roc = append(roc, []any{p.FalsePositiveRate, p.TruePositiveRate, p.Threshold})
	}
	for _, p := range metric.PR(positive, score) {
		pr = append(pr, []any{p.Precision, p.Recall, p.Threshold})
	}
	out["roc"], out["pr"] = roc, pr
	return out
}

func judgeNumbers(c regressed) map[string]any {
	return map[string]any{
		"mae":        metric.MAE(c.Truth, c.Predicted),
		"mse":        metric.MSE(c.Truth, c.Predicted),
		"rmse":       metric.RMSE(c.Truth, c.Predicted),
		"nrmse":      metric.NRMSE(c.Truth, c.Predicted, metric.ByRange),
		"nrmse.mean": metric.NRMSE(c.Truth, c.Predicted, metric.ByMean),
		"nrmse.sd":   metric.NRMSE(c.Truth, c.Predicted, metric.ByDeviation),
		"nrmse.iqr":  metric.NRMSE(c.Truth, c.Predicted, metric.ByQuartiles),
		"median_ae":  metric.MedianAE(c.Truth, c.Predicted),
		"mape":       metric.MAPE(c.Truth, c.Predicted),
		"r2":         metric.R2(c.Truth, c.Predicted),
		"max_error":  metric.MaxError(c.Truth, c.Predicted),
	}
}

// compare checks that both sides know the same metrics, equal to 1e-9
// relative, or to the last bit of 1 near zero. Undefined and infinite are one thing to JSON.
func compare(t *testing.T, got, want map[string]any) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("got %d metrics, want %d", len(got), len(want))
	}
	for name, w := range want {
		equal(t, name, got[name], w)
	}
}

func equal(t *testing.T, name string, got, want any) {
	t.Helper()
	switch want := want.(type) {
	case []any:
		list, _ := got.([]any)
		if len(list) != len(want) {
			t.Errorf("%s: got %d values, want %d: %v and %v", name, len(list), len(want), got, want)
			return
		}
		for i := range want {
			equal(t, fmt.Sprintf("%s[%d]", name, i), list[i], want[i])
		}
	case nil:
		if g, ok := got.(float64); !ok || !math.IsNaN(g) && !math.IsInf(g, 0) {
			t.Errorf("%s: got %v, want it undefined", name, got)
		}
	case float64:
		g, ok := got.(float64)
		if !ok || !(math.Abs(g-want) <= 1e-9*math.Abs(want)+1e-15) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}
