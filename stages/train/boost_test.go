package train_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/flow-pipelines/flow/internal/oracle"
	"github.com/flow-pipelines/flow/stages/model"
	"github.com/flow-pipelines/flow/stages/table"
)

// housing writes each fifth row of the census table of the example to test.csv and
// the others to train.csv; strange.csv has rows beside those of test.csv that no
// training part has: missing everywhere, unknown categories, far-off numbers.
func housing(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(strings.TrimSpace(string(data))+"\n", "\n")
	var train, test strings.Builder
	train.WriteString(lines[0])
	test.WriteString(lines[0])
	for i, line := range lines[1:] {
		if i%5 == 0 {
			test.WriteString(line)
		} else {
			train.WriteString(line)
		}
	}
	write(t, "train.csv", train.String())
	write(t, "test.csv", test.String())
	write(t, "strange.csv", test.String()+",,,,,,,,0,\n"+
		strings.Repeat("1e30,", 8)+"0,MOON\n"+strings.Repeat("-1e30,", 4)+",,,,0,INLAND\n")
}

// rivals runs model.onnx by onnxruntime on strange.csv, and fits scikit-learn's
// own trees with like parameters.
const rivals = `
import sys, csv, json
import numpy as np, onnx, onnxruntime
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.metrics import r2_score
path, target = sys.argv[1], "median_house_value"
m = onnx.load(path)
onnx.checker.check_model(m, full_check=True)
meta = {p.key: json.loads(p.value) for p in m.metadata_props if p.key in ("flow.numeric", "flow.categorical")}
def number(v): return float(v) if v else float("nan")
rows = list(csv.DictReader(open("strange.csv")))
session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
out = session.run(None, {
    "numeric": np.array([[number(r[c]) for c in meta["flow.numeric"]] for r in rows], dtype=np.float32),
    "categorical": np.array([[r[c] for c in meta["flow.categorical"]] for r in rows], dtype=object)})[0][:, 0]
def xy(name):
    rows = list(csv.DictReader(open(name + ".csv")))
    kinds = ["<1H OCEAN", "INLAND", "ISLAND", "NEAR BAY", "NEAR OCEAN"]
    return (np.array([[number(r[c]) for c in meta["flow.numeric"]] + [r["ocean_proximity"] == k for k in kinds] for r in rows]),
            np.array([float(r[target]) for r in rows]))
x, y = xy("train")
xt, yt = xy("test")
own = HistGradientBoostingRegressor(max_iter=200, learning_rate=0.1, max_leaf_nodes=31, min_samples_leaf=20, l2_regularization=1, early_stopping=False).fit(x, y)
json.dump({"Flow": r2_score(yt, out[:len(yt)]), "Sklearn": r2_score(yt, own.predict(xt)), "Predictions": out.tolist()}, sys.stdout)
`

// predictions are those of a model directory for a table.
func predictions(t *testing.T, dir, path string) *model.Prediction {
	t.Helper()
	p, err := model.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	r, err := table.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	frame, err := p.NewFrame(table.Names(r.Columns()))
	if err != nil {
		t.Fatal(err)
	}
	row := make([]table.Value, len(r.Columns()))
	for r.Read(row) == nil {
		if err := model.Append(frame, row); err != nil {
			t.Fatal(err)
		}
	}
	out, err := p.Predict(frame)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTreesOnHousing(t *testing.T) {
	oracle.Python(t)
	data, err := filepath.Abs("../../examples/housing/data/housing.csv")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	housing(t, data)
	r := mustRun(t, object{"data": "train.csv", "target": "median_house_value", "model": object{"gbdt": object{}}})
	var answer struct {
		Flow, Sklearn float64
		Predictions   []float64
	}
	out := oracle.Run(t, rivals, nil, filepath.Join(r.dir, "model.onnx"))
	if err := json.Unmarshal(out, &answer); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Logf("R²: flow %.4f, scikit-learn %.4f", answer.Flow, answer.Sklearn)
	if answer.Flow < 0.83 || answer.Flow < answer.Sklearn-0.01 {
		t.Errorf("R² %v, scikit-learn's trees have %v", answer.Flow, answer.Sklearn)
	}
	got := predictions(t, r.dir, "strange.csv").Values
	if len(got) != len(answer.Predictions) {
		t.Fatalf("%d predictions, onnxruntime has %d", len(got), len(answer.Predictions))
	}
	for i, want := range answer.Predictions {
		if math.Abs(got[i]-want) > 1e-5*math.Abs(want) {
			t.Errorf("row %d: %v, onnxruntime has %v", i, got[i], want)
		}
	}
}

// rowsOf writes a table of some rows with a, b (sometimes missing), kind and y.
func rowsOf(t *testing.T, path string, rows int, label func(i int) string) {
	t.Helper()
	var b strings.Builder
	b.WriteString("a,b,kind,y\n")
	for i := range rows {
		second := fmt.Sprint(i % 17)
		if i%5 == 0 {
			second = ""
		}
		fmt.Fprintf(&b, "%d,%s,k%d,%s\n", i*37%101, second, i%3, label(i))
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o666); err != nil {
		t.Fatal(err)
	}
}

// As goldenModel.
const goldenTrees = "68755cce2ccc53fbf6cb8d673b4fda27b890d864ab1e3b2bc8b1cffbb53de668"

func TestTreesAreTheSameBitsWithAnyNumberOfCPUs(t *testing.T) {
	t.Chdir(t.TempDir())
	rowsOf(t, "train.csv", 3000, func(i int) string { return fmt.Sprint((i*37%101 + i%3) % 4) })
	rowsOf(t, "validation.csv", 500, func(i int) string { return fmt.Sprint((i*37%101 + i%3) % 4) })
	args := func() object {
		return object{
			"data": "train.csv", "validation": "validation.csv", "target": "y", "seed": 3,
			"model":          object{"gbdt": object{"rounds": 20, "row_fraction": 0.8, "column_fraction": 0.5}},
			"early_stopping": object{"metric": "f1", "patience": 3},
		}
	}
	for _, cpus := range []int{1, 2, 5} {
		r, err := runWith(t, args(), cpus)
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(r.dir, "model.onnx"))
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%x", sha256.Sum256(b)); got != goldenTrees {
			t.Errorf("%d CPUs: the model's digest is %s, want %s", cpus, got, goldenTrees)
		}
	}
}

func TestEarlyStoppingKeepsTheBestRound(t *testing.T) {
	t.Chdir(t.TempDir())
	// Nothing can be learned, so that more rounds do not help the other rows.
	rowsOf(t, "train.csv", 400, func(i int) string { return fmt.Sprint(i * 7919 % 1009 % 2) })
	rowsOf(t, "validation.csv", 400, func(i int) string { return fmt.Sprint(i * 104729 % 1013 % 2) })
	r := mustRun(t, object{
		"data": "train.csv", "validation": "validation.csv", "target": "y",
		"model": object{"gbdt": object{"min_rows": 2}}, "early_stopping": object{"patience": 5},
	})
	run, best := int(r.metric(t, "rounds_run")), int(r.metric(t, "best_round"))
	if run != best+5 || run >= 200 {
		t.Errorf("%d rounds run, the best %d, want 5 more than that", run, best)
	}
	if len(r.events) != run || r.events[0].Unit != "round" || r.events[0].Metrics["validation.loss"] == 0 {
		t.Errorf("%d events, the first %+v", len(r.events), r.events[0])
	}
	// The losses on the way are those of the models.
	best64 := r.events[best-1].Metrics["validation.loss"]
	if got := r.metric(t, "validation.loss"); math.Abs(got-best64) > 1e-5 {
		t.Errorf("the model's loss is %v, round %d had %v", got, best, best64)
	}
	losses := make([]float64, run)
	for i, e := range r.events {
		losses[i] = e.Metrics["validation.loss"]
	}
	if slices.Min(losses) != best64 {
		t.Errorf("round %d is not the best of %v", best, losses)
	}
}

func TestTreesWithBadArguments(t *testing.T) {
	t.Chdir(t.TempDir())
	rowsOf(t, "train.csv", 50, func(i int) string { return fmt.Sprint(i % 2) })
	for want, args := range map[string]object{
		"Trees have no optimizer": {"model": object{"gbdt": object{}}, "optimizer": object{"sgd": object{}}},
		"Not in the range":        {"model": object{"gbdt": object{"max_bins": 256}}},
		"Not a share":             {"model": object{"gbdt": object{"row_fraction": 0}}},
		"Missing numbers stay":    {"model": object{"mlp": object{}}, "features": object{"numeric": []object{{"columns": "*", "impute": "none"}}}},
		"Not a positive number":   {"model": object{"gbdt": object{"huber_delta": -1}}},
	} {
		args["data"], args["target"] = "train.csv", "y"
		if _, err := run(t, args); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v, want %q", args["model"], err, want)
		}
	}
}
