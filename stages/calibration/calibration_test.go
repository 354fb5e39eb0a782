package calibration

import (
	"encoding/json"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/flow-pipelines/flow/internal/oracle"
	"github.com/flow-pipelines/flow/stages/nn/philox"
)

// scored are rows with scores that are too sure by a factor.
func scored(rows, classes int, factor float64) (truth []int, scores []float64) {
	s := philox.New(11, 0, uint32(classes))
	for range rows {
		t := s.IntN(classes)
		truth = append(truth, t)
		for c := range classes {
			v := 4 * (float64(s.Float32()) - 0.5)
			if c == t {
				v++
			}
			scores = append(scores, factor*v)
		}
	}
	return truth, scores
}

// calibrate is scikit-learn's calibration of the same scores by a sigmoid, and
// scipy's minimum over temperatures.
const calibrate = `
import json, sys
import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.calibration import _SigmoidCalibration
from sklearn.isotonic import IsotonicRegression
d = json.load(sys.stdin)
truth, k = np.array(d["truth"]), d["classes"]
z = np.array(d["scores"]).reshape(-1, k)
out = {}
if k == 2:
    c = _SigmoidCalibration().fit(z[:, 1] - z[:, 0], truth)
    out["sigmoid"] = [-c.a_, -c.b_]
    f = IsotonicRegression(out_of_bounds="clip", y_min=0, y_max=1).fit(z[:, 1] - z[:, 0], truth)
    out["isotonic"] = f.predict(np.array(d["asked"])).tolist()
loss = lambda t: -log_softmax(z / np.exp(t), axis=1)[np.arange(len(truth)), truth].mean()
out["temperature"] = float(np.exp(minimize_scalar(loss, bounds=(-10, 10), method="bounded", options={"xatol": 1e-10}).x))
json.dump(out, sys.stdout)
`

func TestCalibrationIsThatOfScikitLearn(t *testing.T) {
	oracle.Python(t)
	for _, c := range []struct {
		rows, classes int
		factor        float64
	}{{50, 2, 1}, {2000, 2, 7}, {2000, 2, 0.01}, {900, 3, 4}, {500, 10, 0.3}} {
		truth, scores := scored(c.rows, c.classes, c.factor)
		in, err := json.Marshal(map[string]any{"truth": truth, "classes": c.classes, "scores": scores, "asked": asked(c.factor)})
		if err != nil {
			t.Fatal(err)
		}
		var want struct {
			Sigmoid, Isotonic []float64
			Temperature       float64
		}
		if err := json.Unmarshal(oracle.Run(t, calibrate, in), &want); err != nil {
			t.Fatal(err)
		}
		if got := Temperature(c.classes, truth, scores); math.Abs(got-want.Temperature) > 1e-5*want.Temperature {
			t.Errorf("%+v: temperature %v, scipy has %v", c, got, want.Temperature)
		}
		if c.classes != 2 {
			continue
		}
		margin, positive := make([]float64, c.rows), make([]bool, c.rows)
		for i := range margin {
			margin[i], positive[i] = scores[2*i+1]-scores[2*i], truth[i] == 1
		}
		x, y := Isotonic(margin, positive)
		for i, at := range asked(c.factor) {
			if got := line(x, y, at); math.Abs(got-want.Isotonic[i]) > 1e-9 {
				t.Errorf("%+v: isotonic of %v is %v, scikit-learn has %v", c, at, got, want.Isotonic[i])
			}
		}
		slope, intercept := Sigmoid(margin, positive)
		// scikit-learn stops at a gradient of 1e-6 or so.
		for i, got := range []float64{slope * c.factor, intercept} {
			w := want.Sigmoid[i]
			if i == 0 {
				w *= c.factor
			}
			if math.Abs(got-w) > 1e-3*max(1, math.Abs(w)) {
				t.Errorf("%+v: sigmoid %v and %v, scikit-learn has %v", c, slope, intercept, want.Sigmoid)
			}
		}
	}
}

// asked are scores from below all to above all.
func asked(factor float64) (out []float64) {
	for i := range 101 {
		out = append(out, factor*float64(i-50)/8)
	}
	return out
}

// line is the value of a line with knots.
func line(x, y []float64, at float64) float64 {
	for i := range x {
		switch {
		case at > x[i]:
		case i == 0:
			return y[0]
		default:
			return y[i-1] + (y[i]-y[i-1])*(at-x[i-1])/(x[i]-x[i-1])
		}
	}
	return y[len(y)-1]
}

func TestTiedScoresAreOneKnot(t *testing.T) {
	x, y := Isotonic([]float64{1, 1, 2, 0, 0}, []bool{true, false, true, false, false})
	if !slices.Equal(x, []float64{0, 1, 2}) || !slices.Equal(y, []float64{0, 0.5, 1}) {
		t.Errorf("knots %v and %v", x, y)
	}
}

// The minimum is one: no other slope or intercept nearby has a smaller loss.
func TestASigmoidIsAMinimum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 40).Draw(t, "rows")
		scores := rapid.SliceOfN(rapid.Float64Range(-50, 50), n, n).Draw(t, "scores")
		positive := rapid.SliceOfN(rapid.Bool(), n, n).Draw(t, "positive")
		positive[0], positive[1] = true, false
		a, b := Sigmoid(scores, positive)
		f := sigmoid{scores: scores}
		count := 0.0
		for _, is := range positive {
			if is {
				count++
			}
		}
		for _, is := range positive {
			v := 1 / (float64(n) - count + 2)
			if is {
				v = (count + 1) / (count + 2)
			}
			f.targets = append(f.targets, v)
		}
		least := f.loss(a, b)
		for _, d := range [][2]float64{{1e-3, 0}, {-1e-3, 0}, {0, 1e-3}, {0, -1e-3}, {1e-3, 1e-3}, {-1e-3, -1e-3}} {
			if near := f.loss(a+d[0], b+d[1]); near < least-1e-9 || math.IsNaN(least) {
				t.Fatalf("slope %v, intercept %v: loss %v, and %v beside it", a, b, least, near)
			}
		}
	})
}

func TestRowsThatAreAllRightTeachNoTemperature(t *testing.T) {
	if got := Temperature(2, []int{0, 1}, []float64{3, 1, 0, 0.5}); got != 1 {
		t.Errorf("temperature %v", got)
	}
	if got := Temperature(2, []int{0, 1}, []float64{3, 1, 0.5, 0.5}); got != 1 {
		t.Errorf("temperature %v with a tie", got)
	}
	if got := Temperature(2, []int{0, 1}, []float64{3, 1, 0.6, 0.5}); got == 1 {
		t.Errorf("temperature %v with a mistake", got)
	}
}
