package evaluate_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/internal/oracle"
	"github.com/flow-pipelines/flow/stages/evaluate"
	"github.com/flow-pipelines/flow/stages/model"
)

// outputs are where a run wrote.
type outputs struct{ report, predictions, curves, importance string }

func run(t *testing.T, cfg evaluate.Config) (stage.Metrics, outputs, error) {
	t.Helper()
	return runWith(t, cfg, 1)
}

func runWith(t *testing.T, cfg evaluate.Config, cpus int) (stage.Metrics, outputs, error) {
	t.Helper()
	args, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	out := outputs{filepath.Join(dir, "report.json"), filepath.Join(dir, "predictions.csv"), filepath.Join(dir, "curves"), filepath.Join(dir, "importance.csv")}
	if _, err := (evaluate.Type{}).Job(&stage.Request{Args: args}); err != nil {
		return nil, out, err
	}
	m, err := evaluate.Type{}.Run(t.Context(), &stage.Run{
		Spec: stage.Spec{
			Type: "evaluate", Args: args, CPUs: cpus,
			Outputs: map[string]string{"report": out.report, "predictions": out.predictions, "curves": out.curves, "importance": out.importance},
		},
		Log: io.Discard,
	})
	return m, out, err
}

func file(t *testing.T, name, content string) stage.Artifact {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return stage.Artifact(path)
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// newModel writes a model of columns x and y: of classes with the logits x, y
// and, for three, 0; of a regression 2x.
func newModel(t *testing.T, task model.Task, classes ...string) stage.Artifact {
	t.Helper()
	column := func(name string) model.Numeric {
		return model.Numeric{Column: name, Impute: model.ImputeMean, Scale: model.ScaleNone, Factor: 1}
	}
	m := &model.Model{
		Task: task, Target: "label", Classes: classes, Family: "linear", TargetScale: 1,
		Features: model.Features{Format: model.FeaturesFormat, Numeric: []model.Numeric{column("x"), column("y")}, Categorical: []model.Categorical{}},
		Layers: []model.Layer{{
			Inputs: 2, Units: 1, Weight: []float32{2, 0}, Bias: []float32{0}, Activation: "identity",
		}},
	}
	switch len(classes) {
	case 2:
		m.Layers[0] = model.Layer{Inputs: 2, Units: 2, Weight: []float32{1, 0, 0, 1}, Bias: []float32{0, 0}, Activation: "identity"}
	case 3:
		m.Layers[0] = model.Layer{Inputs: 2, Units: 3, Weight: []float32{1, 0, 0, 0, 1, 0}, Bias: []float32{0, 0, 0}, Activation: "identity"}
	}
	dir := filepath.Join(t.TempDir(), "model")
	if err := model.Write(dir, m); err != nil {
		t.Fatal(err)
	}
	return stage.Artifact(dir)
}

const cases = `id,x,y,label
1,2,0,benign
2,1,0,benign
3,0,1,benign
4,0,3,malignant
5,0,2,malignant
`

func TestAModelIsEvaluatedOnRows(t *testing.T) {
	m, out, err := run(t, evaluate.Config{Model: newModel(t, model.Classification, "benign", "malignant"), Data: file(t, "d.csv", cases), Beta: 2})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{"accuracy": 0.8, "precision": 2.0 / 3, "recall": 1, "auc": 1, "f_beta": 10.0 / 11} {
		if got, _ := m[name].(float64); math.Abs(got-want) > 1e-12 {
			t.Errorf("%s: got %v, want %v", name, m[name], want)
		}
	}
	if diff := cmp.Diff(map[string]any{"accuracy": 0.6}, m["baseline"]); diff != "" {
		t.Errorf("baseline, want then got:\n%s", diff)
	}
	var report struct {
		Format, Positive string
		Rows             int
		Metrics          map[string]any
	}
	if err := json.Unmarshal([]byte(read(t, out.report)), &report); err != nil {
		t.Fatal(err)
	}
	if report.Format != evaluate.Format || report.Positive != "malignant" || report.Rows != 5 || report.Metrics["accuracy"] != 0.8 {
		t.Errorf("got %+v", report)
	}
	if got, want := read(t, filepath.Join(out.curves, "confusion.csv")), "truth,prediction,count\nbenign,benign,2\nbenign,malignant,1\nmalignant,malignant,2\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := read(t, out.predictions), "row,truth,prediction,probability_benign,probability_malignant\n1,benign,benign,0.88"; !strings.HasPrefix(got, want) {
		t.Errorf("got %q, want it to begin with %q", got, want)
	}
	if got, want := read(t, filepath.Join(out.curves, "roc.csv")), "class,threshold,false_positive_rate,true_positive_rate\nmalignant,,0,0\n"; !strings.HasPrefix(got, want) {
		t.Errorf("got %q, want it to begin with %q", got, want)
	}
}

func TestPredictionsOfOthersAreEvaluatedAlike(t *testing.T) {
	want, out, err := run(t, evaluate.Config{Model: newModel(t, model.Classification, "benign", "malignant"), Data: file(t, "d.csv", cases)})
	if err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]evaluate.Config{
		"all columns": {Target: "truth", Probabilities: map[string]string{"benign": "probability_benign", "malignant": "probability_malignant"}},
		"one column":  {Target: "truth", Probabilities: map[string]string{"malignant": "probability_malignant"}},
		"named":       {Target: "truth", Prediction: "prediction", Probabilities: map[string]string{"benign": "probability_benign"}, Positive: "malignant"},
	} {
		cfg.Predictions = stage.Artifact(out.predictions)
		got, _, err := run(t, cfg)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		// 1 − p is not the model's own p to the last bit of a float32.
		near := cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < 1e-6 })
		if diff := cmp.Diff(want, got, near); diff != "" {
			t.Errorf("%s, want then got:\n%s", name, diff)
		}
	}
}

func TestTheMostProbableClassIsThePrediction(t *testing.T) {
	m, _, err := run(t, evaluate.Config{
		Predictions: file(t, "p.csv", "y,a,b\na,0.9,0.1\nb,0.5,0.5\nb,0.2,0.8\n"),
		Target:      "y", Probabilities: map[string]string{"a": "a", "b": "b"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := m["confusion"], (map[string]any{"a": map[string]any{"a": 1, "b": 0}, "b": map[string]any{"a": 1, "b": 1}}); !cmp.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestTheTaskIsToldFromTheValues(t *testing.T) {
	for content, want := range map[string]string{
		"y,prediction\n0,0\n1,0\n":              "accuracy",
		"y,prediction\n1,3\n2,2\n3,1\n":         "accuracy",
		"y,prediction\nyes,no\nno,no\n":         "accuracy",
		"y,prediction\n0,0.5\n1,0\n":            "rmse",
		"y,prediction\n10,12\n20,18\n":          "rmse",
		"y,prediction\n0.5,1\n2,2\n":            "rmse",
		"y,prediction\ntrue,true\nfalse,true\n": "accuracy",
	} {
		m, _, err := run(t, evaluate.Config{Predictions: file(t, "p.csv", content), Target: "y"})
		if err != nil {
			t.Errorf("%q: %v", content, err)
			continue
		}
		if _, ok := m[want]; !ok {
			t.Errorf("%q: got %v, want %s", content, m, want)
		}
	}
}

func TestARegressionIsEvaluated(t *testing.T) {
	m, out, err := run(t, evaluate.Config{Model: newModel(t, model.Regression), Data: file(t, "d.csv", "x,y,label\n1,0,2\n2,0,5\n3,0,5\n")})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{"mae": 2.0 / 3, "max_error": 1, "rmse": math.Sqrt(2.0 / 3), "nrmse": math.Sqrt(2.0/3) / 3, "r2": 1 - 2.0/6}
	for name, want := range want {
		if got, _ := m[name].(float64); math.Abs(got-want) > 1e-12 {
			t.Errorf("%s: got %v, want %v", name, m[name], want)
		}
	}
	baseline, _ := m["baseline"].(map[string]any)
	if got, _ := baseline["rmse"].(float64); math.Abs(got-math.Sqrt(2)) > 1e-12 {
		t.Errorf("baseline: got %v", baseline)
	}
	if got := read(t, out.predictions); got != "row,truth,prediction\n1,2,2\n2,5,4\n3,5,6\n" && got != "row,truth,prediction\n1,2.0,2.0\n2,5.0,4.0\n3,5.0,6.0\n" {
		t.Errorf("got %q", got)
	}
	if got := read(t, filepath.Join(out.curves, "residuals.csv")); strings.Count(got, "\n") != 102 || !strings.HasPrefix(got, "percentile,error\n0,-1") {
		t.Errorf("got %q", got)
	}
}

func TestManyRowsAreReadInChunks(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var data strings.Builder
	data.WriteString("x,y,label\n")
	for range 10_000 {
		fmt.Fprintf(&data, "%g,%g,%s\n", random.NormFloat64(), random.NormFloat64(), []string{"a", "b", "c"}[random.IntN(3)])
	}
	cfg := evaluate.Config{Model: newModel(t, model.Classification, "a", "b", "c"), Data: file(t, "d.csv", data.String())}
	m, out, err := run(t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if m["rows"] != 10_000 {
		t.Errorf("got %v rows", m["rows"])
	}
	again, outAgain, err := run(t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if !cmp.Equal(m, again) || read(t, out.predictions) != read(t, outAgain.predictions) || read(t, out.report) != read(t, outAgain.report) {
		t.Error("two runs differ")
	}
	if got := strings.Count(read(t, filepath.Join(out.curves, "pr.csv")), "\n"); got != 3*1000+1 {
		t.Errorf("got %d lines of curves, want 1000 a class and a header", got)
	}
	const script = `
import csv, json, sys
import numpy as np, sklearn.metrics as m
rows = list(csv.DictReader(open(sys.argv[1])))
t, p = [r["truth"] for r in rows], [r["prediction"] for r in rows]
q = np.array([[float(r["probability_" + c]) for c in "abc"] for r in rows])
y = np.array(["abc".index(c) for c in t])
out = {"accuracy": m.accuracy_score(t, p), "f1": m.f1_score(t, p, average="macro"), "mcc": m.matthews_corrcoef(t, p),
       "auc": np.mean([m.roc_auc_score(y == i, q[:, i]) for i in range(3)]),
       "pr_auc": np.mean([m.average_precision_score(y == i, q[:, i]) for i in range(3)]), "log_loss": m.log_loss(y, q)}
json.dump({k: float(v) for k, v in out.items()}, sys.stdout)
`
	var want map[string]float64
	if err := json.Unmarshal(oracle.Run(t, script, nil, out.predictions), &want); err != nil {
		t.Fatal(err)
	}
	for name, w := range want {
		if got, _ := m[name].(float64); math.Abs(got-w) > 1e-9 {
			t.Errorf("%s: got %v, want %v", name, m[name], w)
		}
	}
}

func TestMistakesAreExplained(t *testing.T) {
	classes := newModel(t, model.Classification, "benign", "malignant")
	predictions := func(content string) stage.Artifact { return file(t, "p.csv", content) }
	for _, row := range []struct {
		cfg  evaluate.Config
		want string
	}{
		{evaluate.Config{}, "There is nothing to evaluate"},
		{evaluate.Config{Model: "m"}, "There are no rows to evaluate on"},
		{evaluate.Config{Model: "m", Data: "d", Predictions: "p", Target: "t"}, "predictions: Both a model and predictions are given"},
		{evaluate.Config{Predictions: "p"}, "The column with the truth is not named"},
		{evaluate.Config{Predictions: "p", Target: "t", Data: "d"}, "data: Both data and predictions are given"},
		{evaluate.Config{Model: "m", Data: "d", Prediction: "p"}, "prediction: The argument is for predictions only"},
		{evaluate.Config{Model: "m", Data: "d", Task: "regression", Positive: "p"}, "positive: The argument is for a classification"},
		{evaluate.Config{Model: "m", Data: "d", Beta: -1}, "beta: beta is negative"},
		{evaluate.Config{Model: stage.Artifact(t.TempDir()), Data: file(t, "d.csv", cases)}, "model: Not a model of flow"},
		{evaluate.Config{Model: classes, Data: file(t, "d.csv", cases), Target: "lable"}, `target: No column "lable": The table has no column "lable"; did you mean "label"?`},
		{evaluate.Config{Model: classes, Data: file(t, "d.csv", cases), Positive: "malignent"}, `positive: No class "malignent": Did you mean "malignant"?`},
		{evaluate.Config{Model: classes, Data: file(t, "d.csv", cases), Task: "regression"}, "task: The model has another task"},
		{evaluate.Config{Model: classes, Data: file(t, "d.csv", "x,label\n1,benign\n")}, `data: A column that the model needs is missing: The table has no column "y"`},
		{evaluate.Config{Model: classes, Data: file(t, "d.csv", "x,y,label\n1,2,benign\n1,2,\n")}, `d.csv:3: the row has no "label"`},
		{evaluate.Config{Model: classes, Data: file(t, "d.csv", "x,y,label\n1,2,odd\n")}, `data: Class "odd" is not one of the model's: `},
		{evaluate.Config{Model: classes, Data: file(t, "d.csv", "x,y,label\n1,abc,benign\n")}, `d.csv:2: column "y": "abc" `},
		{evaluate.Config{Model: classes, Data: file(t, "d.csv", "x,y,label\n")}, "data: There are no rows"},
		{evaluate.Config{Model: classes, Data: file(t, "d.csv", "x,y,label\n1,2\n")}, "data: The table cannot be read"},
		{evaluate.Config{Predictions: predictions("y,p\na,b\n"), Target: "y"}, `prediction: No column "prediction"`},
		{evaluate.Config{Predictions: predictions("y,prediction\na,b\n"), Target: "prediction"}, "target: The truth is the prediction"},
		{evaluate.Config{Predictions: predictions("y,a,b\na,0.5,0.1\n"), Target: "y", Probabilities: map[string]string{"a": "a", "b": "b"}}, "p.csv:2: their sum is 0.6"},
		{evaluate.Config{Predictions: predictions("y,a\na,1.5\n"), Target: "y", Probabilities: map[string]string{"a": "a"}}, `column "a" has 1.5, want a number from 0 to 1`},
		{evaluate.Config{Predictions: predictions("y,a,b\nc,0.5,0.5\n"), Target: "y", Probabilities: map[string]string{"a": "a", "b": "b"}}, "probabilities: Not every class has a probability: There is none for c."},
		{evaluate.Config{Predictions: predictions("y,a\na,1\n"), Target: "y", Probabilities: map[string]string{"a": "q"}}, `probabilities.a: No column "q"`},
		{evaluate.Config{Predictions: predictions("y,prediction\n1,x\n"), Target: "y", Task: "regression"}, `Row 1, column "prediction" has "x"`},
		{evaluate.Config{Predictions: predictions("y,prediction\na,a\n"), Target: "y", Positive: "b"}, `positive: No class "b"`},
	} {
		_, _, err := run(t, row.cfg)
		var problems stage.Problems
		var problem *stage.Problem
		if !errors.As(err, &problems) && !errors.As(err, &problem) {
			t.Errorf("want %q: got %v, want a problem", row.want, err)
			continue
		}
		if !strings.Contains(err.Error(), row.want) {
			t.Errorf("got  %s\nwant %s", err, row.want)
		}
	}
}

func TestManyClassesDoNotFloodTheLock(t *testing.T) {
	var content strings.Builder
	content.WriteString("y,prediction\n")
	for i := range 30 {
		fmt.Fprintf(&content, "c%d,c%d\n", i, i%7)
	}
	m, out, err := run(t, evaluate.Config{Predictions: file(t, "p.csv", content.String()), Target: "y"})
	if err != nil {
		t.Fatal(err)
	}
	if m["per_class"] != nil || m["confusion"] != nil || m["macro"] == nil {
		t.Errorf("got %v", m)
	}
	if !strings.Contains(read(t, out.report), `"per_class"`) {
		t.Error("the report has no scores of each class")
	}
}
