package train_test

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/flow-pipelines/flow/internal/oracle"
)

// prepare writes real data sets of scikit-learn's, given as lists of a name and a
// seed, each in parts by its own stratified split: NAME-SEED-train.csv,
// NAME-SEED-validation.csv and NAME-SEED-test.csv.
const prepare = `
import sys, csv, json
from sklearn import datasets
from sklearn.model_selection import train_test_split
for name, seed in json.load(sys.stdin):
    d = getattr(datasets, "load_" + name)()
    target = [d.target_names[i] for i in d.target] if name == "breast_cancer" else list(d.target)
    def halves(x, y, size):
        return train_test_split(x, y, test_size=size, random_state=seed, stratify=None if name == "diabetes" else y)
    x, xt, y, yt = halves(d.data, target, 0.2)
    x, xv, y, yv = halves(x, y, 0.25)
    for part, xs, ys in [("train", x, y), ("validation", xv, yv), ("test", xt, yt)]:
        with open("%s-%d-%s.csv" % (name, seed, part), "w", newline="") as f:
            w = csv.writer(f)
            w.writerow([str(n).replace(" ", "_") for n in d.feature_names] + ["target"])
            for a, b in zip(xs, ys):
                w.writerow([repr(float(v)) for v in a] + [b])
`

// judge scores models, given as lists of a model.onnx, the parts' prefix and a kind,
// on the test part by onnxruntime, and scikit-learn's own linear model of the kind,
// fitted on the training part, by the same functions.
const judge = `
import sys, csv, json
import numpy as np, onnx, onnxruntime
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import f1_score, r2_score, accuracy_score
def judged(path, prefix, kind):
    m = onnx.load(path)
    onnx.checker.check_model(m, full_check=True)
    columns = json.loads({p.key: p.value for p in m.metadata_props}["flow.numeric"])
    def table(part):
        rows = list(csv.DictReader(open(prefix + "-" + part + ".csv")))
        return np.array([[float(r[c]) for c in columns] for r in rows]), [r["target"] for r in rows]
    (x, y), (xt, yt) = table("train"), table("test")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    outputs = session.run(None, {"numeric": xt.astype(np.float32)})
    if kind == "linear":
        own = make_pipeline(StandardScaler(), LinearRegression()).fit(x, np.array(y, float)).predict(xt)
        yt = np.array(yt, float)
        return {"flow": r2_score(yt, outputs[0][:, 0]), "sklearn": r2_score(yt, own),
                "difference": float(np.max(np.abs(outputs[0][:, 0] - own) / np.std(yt)))}
    score = accuracy_score if kind == "accuracy" else lambda a, b: f1_score(a, b, pos_label=kind)
    own = make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y)
    return {"flow": score(yt, outputs[1]), "sklearn": score(yt, own.predict(xt))}
json.dump([judged(*m) for m in json.load(sys.stdin)], sys.stdout)
`

// judgement is a score on the test part. Difference is, of a regression, the largest
// one between the predictions, in deviations of the target. Below is how much lower
// flow's score is, with several seeds at most.
type judgement struct{ Flow, Sklearn, Difference, Below float64 }

// heldOut is a training on real data whose model is judged by rows it has not seen.
type heldOut struct {
	// name of the test; a name may have several seeds, which count by their mean.
	name, data string
	seeds      []int
	// kind is the class whose F1 counts, accuracy or linear.
	kind  string
	args  object
	check func(t *testing.T, mean judgement)
}

// atLeast wants a score, and one not much lower than scikit-learn's linear model's.
func atLeast(least, below float64) func(*testing.T, judgement) {
	return func(t *testing.T, j judgement) {
		if j.Flow < least || j.Below > below {
			t.Errorf("%v, want at least %v; scikit-learn's logistic regression has %v, and up to %v more", j.Flow, least, j.Sklearn, j.Below)
		}
	}
}

// asSklearn wants the score of scikit-learn's solver, whose minimum is the same.
func asSklearn(t *testing.T, j judgement) {
	if math.Abs(j.Flow-j.Sklearn) > 0.003 {
		t.Errorf("%v, scikit-learn's logistic regression has %v", j.Flow, j.Sklearn)
	}
}

// No case is tuned for its data. Python imports its packages once for all of them,
// which takes longer than the trainings.
func TestHeldOutRowsArePredicted(t *testing.T) {
	cases := []heldOut{
		{
			name: "network", data: "breast_cancer", seeds: []int{1, 2, 3}, kind: "malignant",
			args: object{
				"positive": "malignant", "model": object{"mlp": object{"hidden": []int{16}}},
				"optimizer":      object{"adam": object{"learning_rate": 0.01}},
				"early_stopping": object{"metric": "f1", "patience": 8}, "epochs": 60, "seed": 7,
			},
			check: atLeast(0.95, 0.04),
		},
		// On the same rows scikit-learn's and LightGBM's trees have 0.952 and 0.956.
		{
			name: "trees", data: "breast_cancer", seeds: []int{1, 2, 3}, kind: "malignant",
			args: object{"positive": "malignant", "model": object{"gbdt": object{}}}, check: atLeast(0.94, 1),
		},
		{
			name: "logistic", data: "breast_cancer", seeds: []int{1}, kind: "malignant",
			args: object{"positive": "malignant", "model": object{"logistic": object{}}}, check: asSklearn,
		},
		{
			name: "network", data: "digits", seeds: []int{1}, kind: "accuracy",
			args: object{"model": object{"mlp": object{}}, "epochs": 40}, check: atLeast(0.96, 0.01),
		},
		{
			name: "trees", data: "digits", seeds: []int{1}, kind: "accuracy",
			args: object{"model": object{"gbdt": object{}}, "early_stopping": object{"patience": 10}}, check: atLeast(0.96, 1),
		},
		{
			name: "logistic", data: "digits", seeds: []int{1}, kind: "accuracy",
			args: object{"model": object{"logistic": object{}}}, check: asSklearn,
		},
		{
			name: "linear", data: "diabetes", seeds: []int{1}, kind: "linear", args: object{"model": object{"linear": object{}}},
			check: func(t *testing.T, j judgement) {
				if j.Difference > 1e-5 || math.Abs(j.Flow-j.Sklearn) > 1e-5 {
					t.Errorf("R² %v, scikit-learn has %v; predictions differ by up to %v deviations", j.Flow, j.Sklearn, j.Difference)
				}
			},
		},
	}
	oracle.Python(t)
	t.Chdir(t.TempDir())
	oracle.Run(t, prepare, mustJSON(t, []any{
		[]any{"breast_cancer", 1}, []any{"breast_cancer", 2}, []any{"breast_cancer", 3}, []any{"digits", 1}, []any{"diabetes", 1},
	}))
	var models []any
	for _, c := range cases {
		for _, seed := range c.seeds {
			prefix := c.data + "-" + string(rune('0'+seed))
			args := object{"data": prefix + "-train.csv", "validation": prefix + "-validation.csv", "target": "target"}
			for name, v := range c.args {
				args[name] = v
			}
			models = append(models, []any{mustRun(t, args).dir + "/model.onnx", prefix, c.kind})
		}
	}
	var all []judgement
	out := oracle.Run(t, judge, mustJSON(t, models))
	if err := json.Unmarshal(out, &all); err != nil || len(all) != len(models) {
		t.Fatalf("%v: %s", err, out)
	}
	for _, c := range cases {
		var mean judgement
		for range c.seeds {
			j, n := all[0], float64(len(c.seeds))
			all = all[1:]
			mean.Flow, mean.Sklearn = mean.Flow+j.Flow/n, mean.Sklearn+j.Sklearn/n
			mean.Difference, mean.Below = max(mean.Difference, j.Difference), max(mean.Below, j.Sklearn-j.Flow)
		}
		t.Run(c.data+" "+c.name, func(t *testing.T) {
			t.Logf("flow %.4f, scikit-learn %.4f", mean.Flow, mean.Sklearn)
			c.check(t, mean)
		})
	}
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
