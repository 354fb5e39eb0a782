package evaluate_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/stages/evaluate"
	"github.com/flow-pipelines/flow/stages/model"
)

// labeller gives the label hot where x is positive and wet where y is.
func labeller(t *testing.T, separator string) stage.Artifact {
	t.Helper()
	column := func(name string) model.Numeric {
		return model.Numeric{Column: name, Impute: model.ImputeMean, Scale: model.ScaleNone, Factor: 1}
	}
	m := &model.Model{
		Task: model.Multilabel, Separator: separator, Classes: []string{"hot", "wet"}, Family: "logistic", TargetScale: 1,
		Features: model.Features{Format: model.FeaturesFormat, Numeric: []model.Numeric{column("x"), column("y")}, Categorical: []model.Categorical{}},
		Layers:   []model.Layer{{Inputs: 2, Units: 2, Weight: []float32{1, 0, 0, 1}, Bias: []float32{0, 0}, Activation: "identity"}},
	}
	if separator != "" {
		m.Target = "tags"
	}
	dir := filepath.Join(t.TempDir(), "model")
	if err := model.Write(dir, m); err != nil {
		t.Fatal(err)
	}
	return stage.Artifact(dir)
}

const weather = `x,y,tags,hot,wet
1,-1,hot,1,0
2,3,"wet, hot",1,1
-1,2,wet,0,1
-1,1,,0,0
`

// Both forms of the truth are one: labels in a cell, and a column for each.
func TestAModelOfLabelsIsEvaluated(t *testing.T) {
	var reports []string
	for _, separator := range []string{",", ""} {
		m, out, err := run(t, evaluate.Config{
			Model: labeller(t, separator), Data: file(t, "d.csv", weather),
			Importance: &evaluate.Importance{Repeats: 3, Rows: 100},
		})
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]float64{"subset_accuracy": 0.75, "hamming_loss": 1.0 / 8, "f1": (1 + 0.8) / 2, "rows": 4} {
			got, ok := m[name].(float64)
			if n, isInt := m[name].(int); isInt {
				got, ok = float64(n), true
			}
			if !ok || math.Abs(got-want) > 1e-12 {
				t.Errorf("%s: got %v, want %v", name, m[name], want)
			}
		}
		if b := m["baseline"].(map[string]any)["hamming_loss"]; b != 0.5 {
			t.Errorf("baseline %v, want one half of all labels wrong", b)
		}
		var report struct{ Labels []string }
		if err := json.Unmarshal([]byte(read(t, out.report)), &report); err != nil || strings.Join(report.Labels, " ") != "hot wet" {
			t.Errorf("labels %v, %v", report.Labels, err)
		}
		predictions := read(t, out.predictions)
		if !strings.HasPrefix(predictions, "row,truth_hot,prediction_hot,probability_hot,truth_wet,") || !strings.Contains(predictions, "\n4,false,false,0.2689") {
			t.Errorf("predictions %s", predictions)
		}
		roc, err := os.ReadFile(filepath.Join(out.curves, "roc.csv"))
		if err != nil || !strings.Contains(string(roc), "\nhot,") || !strings.Contains(string(roc), "\nwet,") {
			t.Errorf("curves %s, %v", roc, err)
		}
		reports = append(reports, predictions+string(roc)+read(t, out.importance))
	}
	if reports[0] != reports[1] {
		t.Errorf("the two forms of the same truth give\n%s\n%s", reports[0], reports[1])
	}
}

func TestLabelsThatAModelDoesNotKnow(t *testing.T) {
	for _, row := range []struct {
		cfg        evaluate.Config
		path, want string
	}{
		{evaluate.Config{Model: labeller(t, ","), Data: file(t, "d.csv", "x,y,tags\n1,1,cold\n")}, "data", `Label "cold" is not one of the model's: `},
		{evaluate.Config{Model: labeller(t, ""), Data: file(t, "d.csv", "x,y,hot,wet\n1,1,2,0\n")}, "data", `column "hot" has "2", which is neither 0 nor 1`},
		{evaluate.Config{Model: labeller(t, ""), Data: file(t, "d.csv", "x,y,hot\n1,1,1\n")}, "target", `No column "wet"`},
		{evaluate.Config{Model: labeller(t, ""), Data: file(t, "d.csv", weather), Positive: "hot"}, "positive", "leave positive out"},
		{evaluate.Config{Model: labeller(t, ""), Data: file(t, "d.csv", weather), Target: "tags"}, "target", "leave target out"},
	} {
		_, _, err := run(t, row.cfg)
		p := stage.ProblemsIn(err)
		if len(p) != 1 || p[0].Path != row.path || !strings.Contains(p[0].Summary+": "+p[0].Detail, row.want) {
			t.Errorf("error %v\nwant at %s: %s", err, row.path, row.want)
		}
	}
}
