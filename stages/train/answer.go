package train

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/engine/suggest"
	"github.com/flow-pipelines/flow/stages/calibration"
	"github.com/flow-pipelines/flow/stages/metric"
	"github.com/flow-pipelines/flow/stages/model"
	"github.com/flow-pipelines/flow/stages/nn"
)

// What is done with the scores of a finished classifier, by the validation part
// alone: first they are calibrated, then a threshold is chosen. Both are part of
// the model and of its graph.

// The calibrations.
const (
	calibrationSigmoid     = "sigmoid"
	calibrationTemperature = "temperature"
	calibrationIsotonic    = "isotonic"
)

// threshold is the argument threshold.
type threshold struct {
	at float32 // 0 is not given
	// metric is what it is to make large.
	metric string
}

func parseThreshold(raw json.RawMessage) (t threshold, err error) {
	var at float64
	switch {
	case !isGiven(raw):
		return t, nil
	case json.Unmarshal(raw, &t.metric) == nil:
		if !slices.Contains(metric.ThresholdNames(), t.metric) {
			hint := ""
			if s := suggest.Nearest(t.metric, metric.ThresholdNames()); s != "" {
				hint = fmt.Sprintf(" Did you mean %q?", s)
			}
			return t, fmt.Errorf("%q is no such metric.%s", t.metric, hint)
		}
		return t, nil
	case json.Unmarshal(raw, &at) != nil:
		return t, fmt.Errorf("%s is neither", raw)
	}
	if t.at = float32(at); !(t.at > 0 && t.at < 1) {
		return t, fmt.Errorf("%v is not between 0 and 1", at)
	}
	return t, nil
}

// checkAnswer finds the mistakes in calibration and threshold that show in the
// arguments alone.
func (c *Config) checkAnswer(unknown func(string) bool, add addProblem) {
	t, err := parseThreshold(c.Threshold)
	if err != nil {
		add("threshold", "Not a threshold", "Write the probability from which on the positive class is the answer, such as 0.3, or a metric that it is to make large: %s. %v", strings.Join(metric.ThresholdNames(), ", "), err)
	}
	for _, a := range []struct {
		name                string
		given, needsHeldOut bool
	}{{"calibration", c.Calibration != "", true}, {"threshold", err == nil && t != threshold{}, t.metric != ""}} {
		switch {
		case !a.given:
		case c.Task == string(model.Regression) || c.Model.Linear != nil:
			add(a.name, "A regression has no classes", "It predicts no probabilities: leave %s out, or choose a model that classifies.", a.name)
		case a.needsHeldOut && c.Validation == "" && !unknown("validation"):
			add(a.name, "No validation part", "It is fitted on rows that the model was not trained on: add validation = … with a part of the split.")
		}
	}
}

// checkAnswer finds the mistakes that show once the classes are known.
func (t *target) checkAnswer(c *Config) error {
	given, err := parseThreshold(c.Threshold)
	if err != nil {
		return err // Job has checked it
	}
	for _, a := range []struct {
		name  string
		given bool
	}{{"calibration", c.Calibration != ""}, {"threshold", given != threshold{}}} {
		if a.given && t.task == model.Regression {
			return stage.Problemf(a.name, "A regression has no classes", "The target is a number, of which there are no probabilities: leave %s out, or write task = \"classification\".", a.name)
		}
	}
	if n := len(t.classes); n > 2 && given != (threshold{}) {
		return stage.Problemf("threshold", "A threshold is one of two classes", "There are %d: of more than two, the most probable one is the answer.", n)
	}
	if n := len(t.classes); n > 2 && c.Calibration != "" && c.Calibration != calibrationTemperature {
		return stage.Problemf("calibration", fmt.Sprintf("%q calibrates two classes", c.Calibration), "There are %d: use calibration = %q.", n, calibrationTemperature)
	}
	return nil
}

// answer calibrates a model and gives it a threshold, as far as that is asked for.
func answer(run *stage.Run, c *Config, m *model.Model, in *inputs, metrics map[string]any) (err error) {
	if c.Calibration != "" {
		if metrics["calibration"], err = calibrate(c.Calibration, m, in, run.Log); err != nil {
			return err
		}
	}
	t, err := parseThreshold(c.Threshold)
	if err != nil {
		return err // Job has checked it
	}
	if m.Threshold = t.at; t.metric != "" {
		if m.Threshold, err = chooseThreshold(t.metric, m, in); err != nil {
			return err
		}
	}
	if m.Threshold > 0 {
		metrics["threshold"] = float64(m.Threshold)
	}
	return nil
}

// calibrate adds the layers that make probabilities of the model's scores, and
// returns their numbers.
func calibrate(how string, m *model.Model, in *inputs, log io.Writer) (map[string]any, error) {
	scores, err := model.Scores(m, in.frames[roleValidation])
	if err != nil {
		return nil, err
	}
	truth := in.validation.truth
	if how == calibrationTemperature {
		t := calibration.Temperature(len(m.Classes), truth, scores)
		if t == 1 {
			note(log, "every row of validation is predicted right: there is nothing to calibrate a temperature by\n")
		}
		m.Layers = append(m.Layers, temperatureLayer(len(m.Classes), t))
		return map[string]any{"temperature": t}, nil
	}
	// By how much the second class has a higher score than the first, which are its
	// log-odds.
	margins, positive := make([]float64, len(truth)), make([]bool, len(truth))
	for i, c := range truth {
		margins[i], positive[i] = scores[2*i+1]-scores[2*i], c == 1
	}
	if !slices.Contains(positive, true) || !slices.Contains(positive, false) {
		return nil, stage.Problemf(roleValidation, "Only one class", "A calibration tells the classes apart, and every row of validation has the same one. Stratify the split.")
	}
	if how == calibrationIsotonic {
		x, y := calibration.Isotonic(margins, positive)
		m.Layers = append(m.Layers, isotonicLayers(x, y)...)
		return map[string]any{"knots": len(x)}, nil
	}
	slope, intercept := calibration.Sigmoid(margins, positive)
	// The softmax of 0 and a score is its sigmoid.
	m.Layers = append(m.Layers, dense(2, 2, nn.Identity, []float64{0, -slope, 0, slope}, []float64{0, intercept}))
	return map[string]any{"slope": slope, "intercept": intercept}, nil
}

func temperatureLayer(classes int, t float64) model.Layer {
	weight := make([]float64, classes*classes)
	for i := range classes {
		weight[i*classes+i] = 1 / t
	}
	return dense(classes, classes, nn.Identity, weight, make([]float64, classes))
}

// isotonicLayers are a line with knots as layers: how far the margin has come from
// each knot to the next, from 0 to 1; the probabilities that it adds up to, which
// rounding must not leave below 0; and their logarithms, whose softmax they are.
func isotonicLayers(x, y []float64) []model.Layer {
	n := max(1, len(x)-1) // a line with one knot is level
	steps, bias := make([]float64, 2*n), make([]float64, n)
	rises, first := make([]float64, 2*n), []float64{1 - y[0], y[0]}
	for i := range len(x) - 1 {
		width := x[i+1] - x[i]
		steps[i], steps[n+i], bias[i] = -1/width, 1/width, -x[i]/width
		rises[2*i], rises[2*i+1] = y[i]-y[i+1], y[i+1]-y[i]
	}
	return []model.Layer{dense(2, n, "clip", steps, bias), dense(n, 2, "clip", rises, first), {Inputs: 2, Units: 2, Activation: "log"}}
}

// dense is a layer of a model with these numbers.
func dense(inputs, units int, activation nn.Activation, weight, bias []float64) model.Layer {
	l := model.Layer{Inputs: inputs, Units: units, Activation: string(activation)}
	for _, v := range weight {
		l.Weight = append(l.Weight, float32(v))
	}
	for _, v := range bias {
		l.Bias = append(l.Bias, float32(v))
	}
	return l
}

// chooseThreshold returns the threshold of a model by its probabilities for the
// validation part.
func chooseThreshold(name string, m *model.Model, in *inputs) (float32, error) {
	predictor, err := model.New(m)
	if err != nil {
		return 0, err
	}
	p, err := predictor.Predict(in.frames[roleValidation])
	if err != nil {
		return 0, err
	}
	positive, score := metric.Classification{Classes: m.Classes, Truth: in.validation.truth, Probabilities: p.Probabilities}.Against(in.target.positive)
	if !slices.Contains(positive, true) || !slices.Contains(positive, false) {
		return 0, stage.Problemf(roleValidation, "Only one class", "A threshold tells the classes apart, and every row of validation has the same one. Stratify the split.")
	}
	return metric.Threshold(name, positive, score), nil
}
