package metric_test

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flow-pipelines/flow/stages/metric"
)

func TestKnownMetricsHaveAKnownDirection(t *testing.T) {
	for name, want := range map[string]metric.Direction{
		"f1": metric.Max, "validation.f1": metric.Max, "auc": metric.Max, "r2": metric.Max,
		"loss": metric.Min, "validation.log_loss": metric.Min, "val_loss": metric.Min,
		"MAE": metric.Min, "test.rmse": metric.Min, "nrmse": metric.Min, "brier": metric.Min,
		"loss.recall": metric.Max, "closs": metric.Max, "reward": metric.Max,
	} {
		if got := metric.DirectionOf(name); got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

func TestNothingUndefinedIsBetter(t *testing.T) {
	nan := math.NaN()
	for _, d := range []metric.Direction{metric.Max, metric.Min} {
		if d.Better(nan, 1) || d.Better(nan, nan) || d.Better(1, 1) || !d.Better(1, nan) {
			t.Errorf("%v: NaN or an equal value was better", d)
		}
	}
	if !metric.Min.Better(1, 2) || metric.Max.Better(1, 2) {
		t.Error("the directions are the wrong way round")
	}
}

func TestASummaryIsAboutThePositiveClass(t *testing.T) {
	c := metric.Classification{
		Classes:       []string{"benign", "malignant"},
		Truth:         []int{0, 0, 0, 1},
		Predicted:     []int{0, 0, 1, 1},
		Probabilities: []float64{0.9, 0.1, 0.8, 0.2, 0.3, 0.7, 0.4, 0.6},
		Positive:      1,
		Beta:          2,
	}
	got := c.Detail()
	for name, want := range map[string]float64{"accuracy": 0.75, "precision": 0.5, "recall": 1, "f_beta": 5.0 / 6, "auc": 2.0 / 3} {
		if v, _ := got[name].(float64); math.Abs(v-want) > 1e-15 {
			t.Errorf("%s: got %v, want %v", name, got[name], want)
		}
	}
	wantConfusion := map[string]any{
		"benign":    map[string]any{"benign": 2, "malignant": 1},
		"malignant": map[string]any{"benign": 0, "malignant": 1},
	}
	if diff := cmp.Diff(wantConfusion, got["confusion"]); diff != "" {
		t.Errorf("confusion, want then got:\n%s", diff)
	}
	perClass, _ := got["per_class"].(map[string]any)
	benign, _ := perClass["benign"].(map[string]any)
	if benign["support"] != 3 || benign["precision"] != 1.0 {
		t.Errorf("benign: got %v", benign)
	}
}

func TestWhatIsUndefinedIsLeftOut(t *testing.T) {
	c := metric.Classification{
		Classes:       []string{"a", "b"},
		Truth:         []int{0, 0},
		Predicted:     []int{0, 1},
		Probabilities: []float64{1, 0, 0, 1},
		Positive:      1,
	}
	if auc, ok := c.Headline()["auc"]; ok {
		t.Errorf("got an AUC of %v from one class", auc)
	}
	if got := (metric.Classification{Classes: []string{"a"}}).Detail(); len(got) != 0 {
		t.Errorf("got %v from no rows", got)
	}
	if got := metric.Regression([]float64{1}, []float64{2}); got["mae"] != 1 || got["r2"] != 0 {
		t.Errorf("got %v", got)
	} else if _, ok := got["nrmse"]; ok {
		t.Error("got an NRMSE from a range of 0")
	}
}

func TestTheOrderOfTiedScoresDoesNotMatter(t *testing.T) {
	score := []float64{0.5, 0.5, 0.5, 0.5}
	first := metric.ROCAUC([]bool{true, true, false, false}, score)
	last := metric.ROCAUC([]bool{false, true, false, true}, score)
	if first != 0.5 || last != 0.5 {
		t.Errorf("got %v and %v, want 0.5", first, last)
	}
}
