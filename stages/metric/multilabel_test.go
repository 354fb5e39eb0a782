package metric_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/flow-pipelines/flow/internal/oracle"
	"github.com/flow-pipelines/flow/stages/metric"
)

// judgeLabels is scikit-learn's side; undefined values come back as null.
const judgeLabels = `
import json, math, sys, warnings
import numpy as np
import sklearn.metrics as m
warnings.simplefilter("ignore")
def num(x):
    x = float(x)
    return x if math.isfinite(x) else None
out = []
for c in json.load(sys.stdin):
    k = c["labels"]
    t, p, q = (np.array(c[n]).reshape(-1, k) for n in ("truth", "predicted", "probabilities"))
    r = {
        "subset_accuracy": num(m.accuracy_score(t, p)), "hamming_loss": num(m.hamming_loss(t, p)),
        "brier": num(np.mean((q - t) ** 2)),
        "log_loss": num(np.mean([m.log_loss(t[:, j], q[:, j], labels=[0, 1]) for j in range(k)])),
        "pr_auc": num(np.mean([m.average_precision_score(t[:, j], q[:, j]) for j in range(k)])),
    }
    aucs = [m.roc_auc_score(t[:, j], q[:, j]) for j in range(k) if 0 < t[:, j].sum() < len(t)]
    if aucs:
        r["auc"] = num(np.mean(aucs))
    for avg in ("macro", "micro"):
        pr, rc, f, _ = m.precision_recall_fscore_support(t, p, average=avg)
        prefix = "" if avg == "macro" else "micro."
        r[prefix + "precision"], r[prefix + "recall"], r[prefix + "f1"] = num(pr), num(rc), num(f)
    for j in range(k):
        r[f"{j}.f1"], r[f"{j}.support"] = num(m.f1_score(t[:, j], p[:, j])), num(t[:, j].sum())
    out.append(r)
json.dump(out, sys.stdout)
`

func TestMetricsOfLabelsEqualScikitLearns(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 5))
	type labelled struct {
		Labels        int       `json:"labels"`
		Truth         []bool    `json:"truth"`
		Predicted     []bool    `json:"predicted"`
		Probabilities []float64 `json:"probabilities"`
	}
	var cases []labelled
	for _, shape := range [][2]int{{1, 3}, {40, 2}, {500, 7}, {3, 20}} {
		c := labelled{Labels: shape[1]}
		for range shape[0] * shape[1] {
			p := float64(random.IntN(11)) / 10
			c.Truth = append(c.Truth, random.Float64() < (p+0.3)/2)
			c.Predicted, c.Probabilities = append(c.Predicted, p >= 0.5), append(c.Probabilities, p)
		}
		cases = append(cases, c)
	}
	in, err := json.Marshal(cases)
	if err != nil {
		t.Fatal(err)
	}
	var want []map[string]any
	if err := json.Unmarshal(oracle.Run(t, judgeLabels, in), &want); err != nil {
		t.Fatal(err)
	}
	for i, c := range cases {
		m := metric.Multilabel{Truth: c.Truth, Predicted: c.Predicted, Probabilities: c.Probabilities}
		for j := range c.Labels {
			m.Labels = append(m.Labels, fmt.Sprint(j))
		}
		got := map[string]any{}
		for name, v := range m.Headline() {
			got[name] = v
		}
		detail := m.Detail()
		for name, v := range detail["micro"].(map[string]any) {
			got["micro."+name] = v
		}
		for label, of := range detail["per_label"].(map[string]any) {
			one := of.(map[string]any)
			got[label+".f1"], got[label+".support"] = one["f1"], float64(one["support"].(int))
		}
		t.Run(fmt.Sprintf("%d labels", c.Labels), func(t *testing.T) { compare(t, got, want[i]) })
	}
}
