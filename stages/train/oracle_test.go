package train_test

import (
	"encoding/json"
	"math"
	"path/filepath"
	"testing"

	"github.com/flow-pipelines/flow/internal/oracle"
)

// prepare writes a real data set of scikit-learn's as train.csv, validation.csv
// and test.csv, split by its own stratified split.
const prepare = `
import sys, csv
from sklearn import datasets
from sklearn.model_selection import train_test_split
name, seed = sys.argv[1], int(sys.argv[2])
d = getattr(datasets, "load_" + name)()
target = [d.target_names[i] for i in d.target] if name == "breast_cancer" else list(d.target)
stratify = None if name == "diabetes" else target
x, xt, y, yt = train_test_split(d.data, target, test_size=0.2, random_state=seed, stratify=stratify)
x, xv, y, yv = train_test_split(x, y, test_size=0.25, random_state=seed, stratify=None if name == "diabetes" else y)
for part, xs, ys in [("train", x, y), ("validation", xv, yv), ("test", xt, yt)]:
    with open(part + ".csv", "w", newline="") as f:
        w = csv.writer(f)
        w.writerow([str(n).replace(" ", "_") for n in d.feature_names] + ["target"])
        for a, b in zip(xs, ys):
            w.writerow([repr(float(v)) for v in a] + [b])
`

// judge scores model.onnx on test.csv by onnxruntime, and scikit-learn's own
// model of the kind, fitted on train.csv, by the same functions.
const judge = `
import sys, csv, json
import numpy as np, onnx, onnxruntime
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import f1_score, r2_score, accuracy_score
path, kind = sys.argv[1], sys.argv[2]
def table(name):
    rows = list(csv.DictReader(open(name + ".csv")))
    return rows, [r["target"] for r in rows]
m = onnx.load(path)
onnx.checker.check_model(m, full_check=True)
columns = json.loads({p.key: p.value for p in m.metadata_props}["flow.numeric"])
def matrix(rows):
    return np.array([[float(r[c]) for c in columns] for r in rows])
train, y = table("train")
test, yt = table("test")
session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
outputs = session.run(None, {"numeric": matrix(test).astype(np.float32)})
if kind == "linear":
    own = make_pipeline(StandardScaler(), LinearRegression()).fit(matrix(train), np.array(y, float))
    yt = np.array(yt, float)
    result = {"flow": r2_score(yt, outputs[0][:, 0]), "sklearn": r2_score(yt, own.predict(matrix(test))),
              "difference": float(np.max(np.abs(outputs[0][:, 0] - own.predict(matrix(test))) / np.std(yt)))}
else:
    score = accuracy_score if kind == "accuracy" else lambda a, b: f1_score(a, b, pos_label=kind)
    own = make_pipeline(StandardScaler(), LogisticRegression()).fit(matrix(train), y)
    result = {"flow": score(yt, outputs[1]), "sklearn": score(yt, own.predict(matrix(test)))}
json.dump(result, sys.stdout)
`

type judgement struct{ Flow, Sklearn, Difference float64 }

// judged trains on a data set and lets the oracle judge the model.
func judged(t *testing.T, data, seed, kind string, args object) judgement {
	t.Helper()
	oracle.Python(t)
	t.Chdir(t.TempDir())
	oracle.Run(t, prepare, nil, data, seed)
	args["data"], args["validation"], args["target"] = "train.csv", "validation.csv", "target"
	r := mustRun(t, args)
	var j judgement
	out := oracle.Run(t, judge, nil, filepath.Join(r.dir, "model.onnx"), kind)
	if err := json.Unmarshal(out, &j); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Logf("%s, seed %s: flow %.4f, scikit-learn %.4f", data, seed, j.Flow, j.Sklearn)
	return j
}

// Breast cancer by the settings of the example, over three splits: none of
// them tuned for.
func TestBreastCancerOnHeldOutRows(t *testing.T) {
	sum := 0.0
	for _, seed := range []string{"1", "2", "3"} {
		j := judged(t, "breast_cancer", seed, "malignant", object{
			"positive": "malignant", "model": object{"mlp": object{"hidden": []int{16}}},
			"optimizer":      object{"adam": object{"learning_rate": 0.01}},
			"early_stopping": object{"metric": "f1", "patience": 8}, "epochs": 60, "seed": 7,
		})
		if j.Flow < j.Sklearn-0.04 {
			t.Errorf("F1 of seed %s: %v, scikit-learn's logistic regression has %v", seed, j.Flow, j.Sklearn)
		}
		sum += j.Flow
	}
	if mean := sum / 3; mean < 0.95 {
		t.Errorf("mean F1 %v, want at least 0.95", mean)
	}
}

func TestDigitsOnHeldOutRows(t *testing.T) {
	j := judged(t, "digits", "1", "accuracy", object{"model": object{"mlp": object{}}, "epochs": 40})
	if j.Flow < 0.96 || j.Flow < j.Sklearn-0.01 {
		t.Errorf("accuracy %v, scikit-learn's logistic regression has %v", j.Flow, j.Sklearn)
	}
}

func TestLinearRegressionIsThatOfLeastSquares(t *testing.T) {
	j := judged(t, "diabetes", "1", "linear", object{"model": object{"linear": object{}}})
	if j.Difference > 1e-5 || math.Abs(j.Flow-j.Sklearn) > 1e-5 {
		t.Errorf("R² %v, scikit-learn has %v; predictions differ by up to %v deviations", j.Flow, j.Sklearn, j.Difference)
	}
}
