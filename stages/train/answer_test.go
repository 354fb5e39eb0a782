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

// rare writes train.csv and validation.csv, in which one of five rows or so is a
// yes, and how sure that is depends on the columns; w is a weight.
func rare(t *testing.T) {
	t.Helper()
	s := philox.New(21, 0, 0)
	for _, file := range []struct {
		name string
		rows int
	}{{"train.csv", 600}, {"validation.csv", 400}} {
		var b strings.Builder
		b.WriteString("a,b,w,y\n")
		for range file.rows {
			a, c, noise := s.Float32()*4-2, s.Float32()*4-2, s.Float32()*4-2
			y := map[bool]string{false: "no", true: "yes"}[a+0.5*c+noise > 2]
			fmt.Fprintf(&b, "%v,%v,%d,%s\n", a, c, s.IntN(4), y)
		}
		write(t, file.name, b.String())
	}
}

// ways are families with what makes their probabilities too sure or not.
func ways() map[string]object {
	return map[string]object{
		"logistic": {"logistic": object{}}, "gbdt": {"gbdt": object{"rounds": 60}}, "mlp": {"mlp": object{"hidden": []int{64, 64}}},
	}
}

func TestACalibrationIsPartOfTheModel(t *testing.T) {
	t.Chdir(t.TempDir())
	rare(t)
	for family, block := range ways() {
		args := func() object {
			return object{
				"data": "train.csv", "validation": "validation.csv", "target": "y", "model": block, "epochs": 60,
				"features": object{"numeric": []object{{"columns": "a"}, {"columns": "b"}}}, "optimizer": optimizerOf(family),
			}
		}
		plain := mustRun(t, args())
		for _, how := range []string{"sigmoid", "temperature", "isotonic"} {
			t.Run(family+"/"+how, func(t *testing.T) {
				a := args()
				a["calibration"] = how
				r := mustRun(t, a)
				before, after := plain.metric(t, "validation.log_loss"), r.metric(t, "validation.log_loss")
				t.Logf("log loss %.4f → %.4f, %v", before, after, r.metrics["calibration"])
				// No temperature is better. Platt's targets are not quite 0 and 1, so that a
				// sigmoid pulls in scores that are very sure.
				worse := map[string]float64{"temperature": 1e-6, "sigmoid": 0.01, "isotonic": 1e-6}[how]
				if after > before+worse {
					t.Errorf("log loss of the validation part: %v, and %v calibrated", before, after)
				}
				if how == "temperature" && family != "logistic" && r.metric(t, "calibration.temperature") < 1.1 {
					t.Errorf("temperature %v: the model was too sure", r.metric(t, "calibration.temperature"))
				}
				if got, want := r.metric(t, "validation.auc"), plain.metric(t, "validation.auc"); math.Abs(got-want) > 1e-6 && how != "isotonic" {
					t.Errorf("AUC %v, and %v calibrated: the order of rows is another", want, got)
				}
			})
		}
	}
}

func optimizerOf(family string) object {
	if family == "mlp" {
		return object{"adam": object{"learning_rate": 0.01}}
	}
	return object{}
}

// judgeAnswer compares with scikit-learn's calibration of its own logistic
// regression, with the F1 of the threshold it tunes, and with onnxruntime's labels.
const judgeAnswer = `
import csv, json, sys
import numpy as np, onnx, onnxruntime
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, make_scorer
from sklearn.model_selection import TunedThresholdClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
path, threshold, method = sys.argv[1], float(sys.argv[2]), sys.argv[3]
def table(name):
    rows = list(csv.DictReader(open(name + ".csv")))
    return (np.array([[float(r[c]) for c in "ab"] for r in rows]), np.array([r["y"] for r in rows]), np.array([float(r["w"]) for r in rows]))
x, y, w = table("train")
xv, yv, _ = table("validation")
m = onnx.load(path)
onnx.checker.check_model(m, full_check=True)
s = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
p, label = s.run(["probabilities", "label"], {"numeric": xv.astype(np.float32)})
own = make_pipeline(StandardScaler(), LogisticRegression(C=2, tol=1e-8))
own.fit(x, y, logisticregression__sample_weight=w)
calibrated = CalibratedClassifierCV(FrozenEstimator(own), method=method).fit(xv, yv)
tuned = TunedThresholdClassifierCV(FrozenEstimator(calibrated), scoring=make_scorer(f1_score, pos_label="yes"), cv="prefit", refit=False, thresholds=400, response_method="predict_proba").fit(xv, yv)
json.dump({
    "difference": float(np.max(np.abs(p - calibrated.predict_proba(xv)))),
    "f1": f1_score(yv, label, pos_label="yes"), "tuned": f1_score(yv, tuned.predict(xv), pos_label="yes"),
    "labels": bool(np.all((label == "yes") == (p[:, 1] >= np.float32(threshold)))),
}, sys.stdout)
`

// Weights of rows, a calibration and a threshold, all three at once, as
// scikit-learn has them.
func TestAnswersAreThoseOfScikitLearn(t *testing.T) {
	oracle.Python(t)
	t.Chdir(t.TempDir())
	rare(t)
	for _, how := range []string{"sigmoid", "isotonic"} {
		t.Run(how, func(t *testing.T) {
			r := mustRun(t, object{
				"data": "train.csv", "validation": "validation.csv", "target": "y", "model": object{"logistic": object{}},
				"row_weight": "w", "calibration": how, "threshold": "f1",
			})
			var j struct {
				Difference, F1, Tuned float64
				Labels                bool
			}
			out := oracle.Run(t, judgeAnswer, nil, filepath.Join(r.dir, "model.onnx"), fmt.Sprint(r.metric(t, "threshold")), how)
			if err := json.Unmarshal(out, &j); err != nil {
				t.Fatal(err)
			}
			t.Logf("%+v, threshold %v", j, r.metric(t, "threshold"))
			if j.Difference > 1e-4 {
				t.Errorf("probabilities differ by up to %v from scikit-learn's", j.Difference)
			}
			if j.F1 < j.Tuned || math.Abs(j.F1-r.metric(t, "validation.f1")) > 1e-12 {
				t.Errorf("F1 %v by onnxruntime, %v by flow, %v at the threshold of scikit-learn", j.F1, r.metric(t, "validation.f1"), j.Tuned)
			}
			if !j.Labels {
				t.Error("labels of model.onnx are not by the threshold")
			}
		})
	}
}

func TestAThresholdIsAtLeastAsGoodAsAHalf(t *testing.T) {
	t.Chdir(t.TempDir())
	rare(t)
	for family, block := range ways() {
		for _, metric := range []string{"accuracy", "balanced_accuracy", "f1", "mcc"} {
			args := func() object {
				return object{
					"data": "train.csv", "validation": "validation.csv", "target": "y", "model": block, "epochs": 5,
					"features": object{"numeric": []object{{"columns": "a"}, {"columns": "b"}}},
				}
			}
			plain := mustRun(t, args()).metric(t, "validation."+metric)
			a := args()
			a["threshold"] = metric
			if got := mustRun(t, a).metric(t, "validation."+metric); got < plain {
				t.Errorf("%s of %s: %v, and %v by a threshold", metric, family, plain, got)
			}
		}
	}
	r := mustRun(t, object{"data": "train.csv", "target": "y", "threshold": 0.9, "positive": "no", "model": object{"logistic": object{}}})
	card, err := os.ReadFile(filepath.Join(r.dir, "README.md"))
	if err != nil || !strings.Contains(string(card), "The answer is `no` from a probability of 0.9 on.") {
		t.Errorf("model card %s, %v", card, err)
	}
}

// Rows that are told apart without a mistake become certain, and nothing that is no
// number.
func TestIsotonicProbabilitiesAreNumbers(t *testing.T) {
	t.Chdir(t.TempDir())
	s := philox.New(5, 0, 0)
	for _, noise := range []float32{0, 0.2, 1} {
		var b strings.Builder
		b.WriteString("x,y\n")
		for range 300 {
			x := s.Float32() * 3
			fmt.Fprintf(&b, "%v,%t\n", x, x+noise*(s.Float32()-0.5) > 1.7)
		}
		write(t, "t.csv", b.String())
		for _, block := range ways() {
			r := mustRun(t, object{"data": "t.csv", "validation": "t.csv", "target": "y", "model": block, "epochs": 3, "calibration": "isotonic"})
			if got := r.metric(t, "validation.log_loss"); math.IsNaN(got) || got > 0.6 {
				t.Errorf("log loss %v with noise %v", got, noise)
			}
			if noise == 0 && r.metric(t, "validation.accuracy") != 1 {
				t.Errorf("accuracy %v of what is told apart", r.metric(t, "validation.accuracy"))
			}
		}
	}
}

// A row with the weight 3 is that row three times, one with 0 is none.
func TestAWeightIsHowOftenARowCounts(t *testing.T) {
	t.Chdir(t.TempDir())
	s := philox.New(4, 0, 0)
	var weighted, repeated strings.Builder
	weighted.WriteString("x,c,w,y\n")
	repeated.WriteString("x,c,y\n")
	for range 300 {
		x, c, w := s.IntN(8), s.IntN(3), s.IntN(4)
		y := (x+c+s.IntN(6))/2 + 1
		fmt.Fprintf(&weighted, "%d,%d,%d,%d\n", x, c, w, y)
		for range w {
			fmt.Fprintf(&repeated, "%d,%d,%d\n", x, c, y)
		}
	}
	write(t, "weighted.csv", weighted.String())
	write(t, "repeated.csv", repeated.String())
	for family, block := range map[string]object{
		"logistic": {"logistic": object{}}, "gbdt": {"gbdt": object{"rounds": 20, "min_rows": 1}},
	} {
		t.Run(family, func(t *testing.T) {
			loss := func(data string, more object) float64 {
				args := object{
					"data": data, "validation": "repeated.csv", "target": "y", "task": "classification", "model": block,
					"features": object{"numeric": []object{{"columns": "x", "scale": "none"}, {"columns": "c", "scale": "none"}}},
				}
				for k, v := range more {
					args[k] = v
				}
				return mustRun(t, args).metric(t, "validation.loss")
			}
			got, want := loss("weighted.csv", object{"row_weight": "w"}), loss("repeated.csv", nil)
			if math.Abs(got-want) > 1e-3 {
				t.Errorf("loss %v with weights, %v with repeated rows", got, want)
			}
			if other := loss("weighted.csv", nil); math.Abs(other-want) < 5e-3 {
				t.Errorf("loss %v without weights: the test shows nothing", other)
			}
		})
	}
}

func TestAnswersThatCannotBe(t *testing.T) {
	t.Chdir(t.TempDir())
	rare(t)
	write(t, "three.csv", "x,y\n1,a\n2,b\n3,c\n")
	write(t, "yes.csv", "a,b,w,y\n1,2,3,yes\n")
	write(t, "weights.csv", "x,y,w,v,u\n1,no,,-1,0\n2,yes,1,2,0\n")
	held := object{"data": "train.csv", "validation": "validation.csv", "target": "y", "model": object{"logistic": object{}}}
	for _, row := range []struct {
		change     object
		path, want string
	}{
		{object{"threshold": "f2"}, "threshold", `"f2" is no such metric. Did you mean "f1"?`},
		{object{"threshold": 1}, "threshold", "1 is not between 0 and 1"},
		{object{"threshold": []int{1}}, "threshold", "[1] is neither"},
		{object{"threshold": "f1", "validation": ""}, "threshold", "No validation part"},
		{object{"calibration": "sigmoid", "validation": ""}, "calibration", "No validation part"},
		{object{"calibration": "sigmoid", "target": "a", "model": object{"linear": object{}}}, "calibration", "A regression has no classes"},
		{object{"threshold": 0.5, "target": "a", "model": object{"mlp": object{}}}, "threshold", "A regression has no classes"},
		{object{"data": "three.csv", "validation": "three.csv", "threshold": "f1"}, "threshold", "There are 3"},
		{object{"data": "three.csv", "validation": "three.csv", "calibration": "sigmoid"}, "calibration", `use calibration = "temperature"`},
		{object{"data": "three.csv", "validation": "three.csv", "calibration": "isotonic"}, "calibration", `"isotonic" calibrates two classes`},
		{object{"validation": "yes.csv", "threshold": "f1"}, "validation", "Only one class"},
		{object{"validation": "yes.csv", "calibration": "sigmoid"}, "validation", "Only one class"},
		{object{"row_weight": "ww"}, "row_weight", `No column "ww"`},
		{object{"row_weight": "y"}, "row_weight", "The target is no weight"},
		{object{"row_weight": "w", "features": object{"numeric": []object{{"columns": "w"}}}}, "features.numeric[0]", "The weight is not a feature"},
		{object{"data": "weights.csv", "validation": "", "row_weight": "w"}, "row_weight", "weights.csv:2: the weight is missing"},
		{object{"data": "weights.csv", "validation": "", "row_weight": "v"}, "row_weight", `weights.csv:2: the weight "-1" is negative`},
		{object{"data": "weights.csv", "validation": "", "row_weight": "u"}, "row_weight", "Every row has the weight 0"},
		{object{"row_weight": "y", "target": "a"}, "row_weight", `the weight "no" is not a number`},
	} {
		args := object{}
		for k, v := range held {
			args[k] = v
		}
		for k, v := range row.change {
			args[k] = v
		}
		_, err := run(t, args)
		p := problem(err)
		if p == nil || p.Path != row.path || !strings.Contains(p.Summary+": "+p.Detail, row.want) {
			t.Errorf("%v: error %v\nwant at %s: %s", row.change, err, row.path, row.want)
		}
	}
}
