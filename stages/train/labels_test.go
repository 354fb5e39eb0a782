package train_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flow-pipelines/flow/internal/oracle"
	"github.com/flow-pipelines/flow/stages/nn/philox"
)

// tagged writes tables of the same rows: columns.csv, in which each label is a
// column, and tags.csv, in which one column has them all.
func tagged(t *testing.T, rows int) {
	t.Helper()
	s := philox.New(31, 0, 0)
	columns, tags := strings.Builder{}, strings.Builder{}
	columns.WriteString("a,b,hot,wet,far\n")
	tags.WriteString("a,b,tags\n")
	for range rows {
		a, b, noise := s.Float32()*4-2, s.Float32()*4-2, s.Float32()-0.5
		has := []bool{a+noise > 0.5, b-a+noise > 0, a+b+noise > 2}
		var names []string
		fmt.Fprintf(&columns, "%v,%v", a, b)
		for k, name := range []string{"hot", "wet", "far"} {
			fmt.Fprintf(&columns, ",%t", has[k])
			if has[k] {
				names = append(names, " "+name)
			}
		}
		columns.WriteString("\n")
		fmt.Fprintf(&tags, "%v,%v,%s\n", a, b, strings.Join(names, " |"))
	}
	write(t, "columns.csv", columns.String())
	write(t, "tags.csv", tags.String())
}

func columnsArgs(model object) object {
	return object{"data": "columns.csv", "validation": "columns.csv", "targets": []string{"hot", "wet", "far"}, "model": model}
}

func tagsArgs(model object) object {
	return object{"data": "tags.csv", "validation": "tags.csv", "target": "tags", "separator": "|", "model": model}
}

// judgeLabels compares with scikit-learn's logistic regression of each label, by
// the probabilities that onnxruntime computes.
const judgeLabels = `
import csv, json, sys
import numpy as np, onnx, onnxruntime
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
rows = list(csv.DictReader(open("columns.csv")))
m = onnx.load(sys.argv[1])
onnx.checker.check_model(m, full_check=True)
meta = {p.key: p.value for p in m.metadata_props}
labels = json.loads(meta["flow.labels"])
x = np.array([[float(r["a"]), float(r["b"])] for r in rows])
y = np.array([[r[l] == "true" for l in labels] for r in rows]).astype(int)
p = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"]).run(["probabilities"], {"numeric": x.astype(np.float32)})[0]
own = make_pipeline(StandardScaler(), OneVsRestClassifier(LogisticRegression(tol=1e-8))).fit(x, y)
json.dump({
    "labels": labels, "difference": float(np.max(np.abs(p - own.predict_proba(x)))),
    "subset_accuracy": accuracy_score(y, p >= 0.5), "f1": f1_score(y, p >= 0.5, average="macro"),
}, sys.stdout)
`

func TestLabelsAreThoseOfScikitLearn(t *testing.T) {
	oracle.Python(t)
	t.Chdir(t.TempDir())
	tagged(t, 800)
	for name, args := range map[string]object{"columns": columnsArgs(object{"logistic": object{}}), "tags": tagsArgs(object{"logistic": object{}})} {
		t.Run(name, func(t *testing.T) {
			r := mustRun(t, args)
			var j struct {
				Labels         []string
				Difference, F1 float64
				SubsetAccuracy float64 `json:"subset_accuracy"`
			}
			if err := json.Unmarshal(oracle.Run(t, judgeLabels, nil, filepath.Join(r.dir, "model.onnx")), &j); err != nil {
				t.Fatal(err)
			}
			want := map[string]string{"columns": "hot wet far", "tags": "far hot wet"}[name]
			if got := strings.Join(j.Labels, " "); got != want {
				t.Errorf("labels %q, want %q", got, want)
			}
			if j.Difference > 2e-3 { // the minimum is found to a gradient of 1e-4
				t.Errorf("probabilities differ by up to %v from scikit-learn's", j.Difference)
			}
			for metric, want := range map[string]float64{"subset_accuracy": j.SubsetAccuracy, "f1": j.F1} {
				if got := r.metric(t, "validation."+metric); math.Abs(got-want) > 1e-9 {
					t.Errorf("%s: %v, scikit-learn has %v for model.onnx", metric, got, want)
				}
			}
		})
	}
}

func TestANetworkLearnsLabels(t *testing.T) {
	t.Chdir(t.TempDir())
	tagged(t, 800)
	for name, block := range map[string]object{"mlp": {"mlp": object{"hidden": []int{16}}}, "logistic by epochs": {"logistic": object{}}} {
		t.Run(name, func(t *testing.T) {
			args := tagsArgs(block)
			args["optimizer"] = object{"adam": object{"learning_rate": 0.01}}
			args["early_stopping"] = object{"metric": "subset_accuracy", "patience": 10}
			r := mustRun(t, args)
			if got := r.metric(t, "validation.subset_accuracy"); got < 0.75 {
				t.Errorf("subset accuracy %v", got)
			}
			// The last epoch's metrics are computed by the network, these by the model.
			best := r.events[int(r.metric(t, "best_epoch"))-1].Metrics["validation.log_loss"]
			if got := r.metric(t, "validation.log_loss"); math.Abs(got-best) > 1e-6 {
				t.Errorf("log loss %v of the model, %v of the network", got, best)
			}
		})
	}
}

// Categories are encoded by each label.
func TestCategoriesAreEncodedByLabels(t *testing.T) {
	t.Chdir(t.TempDir())
	var b strings.Builder
	b.WriteString("c,tags\n")
	for i := range 300 {
		fmt.Fprintf(&b, "c%d,%s\n", i%30, map[bool]string{true: "low", false: "high|odd"}[i%30 < 15])
	}
	write(t, "t.csv", b.String())
	r := mustRun(t, object{
		"data": "t.csv", "target": "tags", "separator": "|", "model": object{"logistic": object{}},
		"features": object{"categorical": []object{{"columns": "c", "encoding": "target"}}},
	})
	if got := r.metric(t, "train.subset_accuracy"); got != 1 {
		t.Errorf("subset accuracy %v", got)
	}
	features, err := os.ReadFile(filepath.Join(r.dir, "coefficients.csv"))
	if err != nil || strings.Count(string(features), "\n") != 1+3*4 {
		t.Errorf("coefficients %s, %v", features, err)
	}
}

func TestLabelsThatCannotBe(t *testing.T) {
	t.Chdir(t.TempDir())
	tagged(t, 20)
	write(t, "more.csv", "a,b,tags\n1,2,hot|cold\n")
	write(t, "two.csv", "a,b,hot,wet,far\n1,2,true,2,0\n")
	write(t, "gap.csv", "a,b,hot,wet,far\n1,2,true,,0\n")
	write(t, "none.csv", "a,b,tags,hot,wet,far\n1,2,,0,0,0\n")
	for _, row := range []struct {
		base       func(object) object
		change     object
		path, want string
	}{
		{columnsArgs, object{"targets": nil}, "", "Nothing to predict"},
		{columnsArgs, object{"target": "hot"}, "targets", "Both target and targets"},
		{columnsArgs, object{"separator": "|"}, "separator", "Each target is one label"},
		{columnsArgs, object{"targets": []string{"hot", "hot"}}, "targets[1]", "there twice"},
		{columnsArgs, object{"targets": []string{"hot", "what"}}, "targets", `No column "what"`},
		{columnsArgs, object{"validation": "tags.csv"}, "validation", `No column "hot"`},
		{columnsArgs, object{"model": object{"gbdt": object{}}}, "model", "The model has one answer"},
		{columnsArgs, object{"model": object{"linear": object{}}}, "model", "The model has one answer"},
		{tagsArgs, object{"positive": "hot"}, "positive", "Not for several labels"},
		{tagsArgs, object{"calibration": "temperature"}, "calibration", "Not for several labels"},
		{tagsArgs, object{"threshold": "f1"}, "threshold", "Not for several labels"},
		{tagsArgs, object{"class_weights": "balanced"}, "class_weights", "Not for several labels"},
		{tagsArgs, object{"validation": "more.csv"}, "validation", `Label "cold" is not in the training part`},
		{columnsArgs, object{"data": "two.csv"}, "data", `two.csv:2: the target in column "wet", "2", is neither 0 nor 1`},
		{columnsArgs, object{"data": "gap.csv"}, "data", `gap.csv:2: the target in column "wet", "", is missing`},
		{tagsArgs, object{"data": "none.csv"}, "target", "No row of data has a label"},
		{columnsArgs, object{"data": "none.csv"}, "targets", "No row of data has a label"},
		{tagsArgs, object{"early_stopping": object{"metric": "accuracy"}}, "early_stopping.metric", `No metric "accuracy"`},
		{columnsArgs, object{"features": object{"numeric": []object{{"columns": "wet"}}}}, "features.numeric[0]", "The target is not a feature"},
	} {
		args := row.base(object{"logistic": object{}})
		for k, v := range row.change {
			args[k] = v
		}
		_, err := run(t, args)
		p := problem(err)
		if p == nil || p.Path != row.path || !strings.Contains(p.Summary+": "+p.Detail, row.want) {
			t.Errorf("%v: error %v\nwant at %q: %s", row.change, err, row.path, row.want)
		}
	}
}
