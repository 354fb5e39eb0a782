package evaluate_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/internal/oracle"
	"github.com/flow-pipelines/flow/stages/evaluate"
	"github.com/flow-pipelines/flow/stages/model"
	"github.com/flow-pipelines/flow/stages/nn/philox"
)

// noisyRows has the label 2x, so that a regression of newModel is right and y
// tells nothing; of classes the label is about whether y is more than x.
func noisyRows(rows int, classes bool) string {
	s := philox.New(3, 0, 0)
	var b strings.Builder
	b.WriteString("x,y,label\n")
	for range rows {
		x, y, noise := s.Float32()-0.5, 3*(s.Float32()-0.5), s.Float32()-0.5
		label := strconv.FormatFloat(float64(2*x), 'g', -1, 32)
		if classes {
			label = map[bool]string{false: "no", true: "yes"}[y-x+noise > 0]
		}
		fmt.Fprintf(&b, "%v,%v,%s\n", x, y, label)
	}
	return b.String()
}

func importanceOf(t *testing.T, out outputs) map[string][2]float64 {
	t.Helper()
	records, err := csv.NewReader(strings.NewReader(read(t, out.importance))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][2]float64{}
	for _, r := range records[1:] {
		mean, _ := strconv.ParseFloat(r[1], 64)
		deviation, _ := strconv.ParseFloat(r[2], 64)
		got[r[0]] = [2]float64{mean, deviation}
	}
	return got
}

func TestImportanceIsWhatShufflingAColumnCosts(t *testing.T) {
	m, out, err := run(t, evaluate.Config{
		Model: newModel(t, model.Regression), Data: file(t, "d.csv", noisyRows(3000, false)),
		Importance: &evaluate.Importance{Repeats: 20, Rows: 10000},
	})
	if err != nil {
		t.Fatal(err)
	}
	// Of a model that is always right, R² falls from 1 to 1 - 2: the squared
	// difference of two rows is twice the variance.
	got := importanceOf(t, out)
	if x := got["x"][0]; math.Abs(x-2) > 0.02 {
		t.Errorf("importance of x: %v, want 2", x)
	}
	if y := got["y"]; y != [2]float64{} {
		t.Errorf("importance of a column without weight: %v", y)
	}
	if diff := cmp.Diff(map[string]any{"x": got["x"][0], "y": 0.0}, m["importance"]); diff != "" {
		t.Error(diff)
	}
	if lines := strings.Split(read(t, out.importance), "\n"); !strings.HasPrefix(lines[1], "x,") {
		t.Errorf("the first column is not the most important: %q", lines)
	}
}

func TestImportanceFollowsFromTheSeedAlone(t *testing.T) {
	cfg := func(seed int64, repeats int) evaluate.Config {
		return evaluate.Config{
			Model: classifier(t), Data: file(t, "d.csv", noisyRows(500, true)),
			Importance: &evaluate.Importance{Metric: "log_loss", Repeats: repeats, Rows: 200, Seed: seed},
		}
	}
	table := func(c evaluate.Config, cpus int) string {
		_, out, err := runWith(t, c, cpus)
		if err != nil {
			t.Fatal(err)
		}
		return read(t, out.importance)
	}
	want := table(cfg(1, 3), 1)
	if got := table(cfg(1, 3), 4); got != want {
		t.Errorf("another number of CPUs gives another importance:\n%s\n%s", want, got)
	}
	if got := table(cfg(2, 3), 1); got == want {
		t.Errorf("another seed gives the same importance:\n%s", want)
	}
}

// classifier has the logits x and y.
func classifier(t *testing.T) stage.Artifact { return newModel(t, model.Classification, "no", "yes") }

// permute is scikit-learn's permutation_importance of the same model.
const permute = `
import csv, json, sys
import numpy as np, onnxruntime
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.inspection import permutation_importance
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
rows = list(csv.DictReader(sys.stdin))
x = np.array([[float(r["x"]), float(r["y"])] for r in rows], dtype=np.float32)
y = np.array([r["label"] for r in rows])
class Model(ClassifierMixin, BaseEstimator):
    def fit(self, x, y):
        self.classes_ = np.array(["no", "yes"])
        return self
    def predict_proba(self, x):
        return session.run(["probabilities"], {"numeric": x.astype(np.float32)})[0]
    def predict(self, x):
        return self.classes_[np.argmax(self.predict_proba(x), axis=1)]
r = permutation_importance(Model().fit(x, y), x, y, scoring=sys.argv[2], n_repeats=100, random_state=1)
json.dump(r.importances_mean.tolist(), sys.stdout)
`

// Two ways of shuffling agree as far as means over a hundred shuffles do.
func TestImportanceIsThatOfScikitLearn(t *testing.T) {
	oracle.Python(t)
	data := noisyRows(1000, true)
	for metric, scoring := range map[string]string{"": "accuracy", "log_loss": "neg_log_loss", "auc": "roc_auc"} {
		t.Run(scoring, func(t *testing.T) {
			dir := classifier(t)
			_, out, err := run(t, evaluate.Config{
				Model: dir, Data: file(t, "d.csv", data),
				Importance: &evaluate.Importance{Metric: metric, Repeats: 100, Rows: 1000},
			})
			if err != nil {
				t.Fatal(err)
			}
			var want []float64
			answer := oracle.Run(t, permute, []byte(data), filepath.Join(string(dir), "model.onnx"), scoring)
			if err := json.Unmarshal(answer, &want); err != nil {
				t.Fatal(err)
			}
			got := importanceOf(t, out)
			for i, column := range []string{"x", "y"} {
				// 5 deviations of the difference of two means of 100.
				near := 5 * math.Sqrt2 * got[column][1] / 10
				if math.Abs(got[column][0]-want[i]) > near {
					t.Errorf("importance of %s: %v, scikit-learn has %v (±%.1g)", column, got[column][0], want[i], near)
				}
			}
		})
	}
}

func TestImportanceThatCannotBe(t *testing.T) {
	data := file(t, "d.csv", noisyRows(10, true))
	for _, row := range []struct {
		cfg        evaluate.Config
		path, want string
	}{
		{evaluate.Config{Model: classifier(t), Data: data, Importance: &evaluate.Importance{Metric: "auk", Repeats: 1, Rows: 2}}, "importance.metric", `Did you mean "auc"?`},
		{evaluate.Config{Model: classifier(t), Data: data, Importance: &evaluate.Importance{Metric: "r2", Repeats: 1, Rows: 2}}, "importance.metric", "not one of a classification"},
		{evaluate.Config{Model: classifier(t), Data: data, Importance: &evaluate.Importance{Repeats: 0, Rows: 2}}, "importance.repeats", "at least once"},
		{evaluate.Config{Model: classifier(t), Data: data, Importance: &evaluate.Importance{Repeats: 1, Rows: 1}}, "importance.rows", "less than 2 rows"},
		{evaluate.Config{Predictions: data, Target: "label", Importance: &evaluate.Importance{Repeats: 1, Rows: 2}}, "importance", "give model and data"},
	} {
		_, _, err := run(t, row.cfg)
		p := stage.ProblemsIn(err)
		if len(p) != 1 || p[0].Path != row.path || !strings.Contains(p[0].Summary+p[0].Detail, row.want) {
			t.Errorf("error %v\nwant at %s: %s", err, row.path, row.want)
		}
	}
}
