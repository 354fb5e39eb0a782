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
	case len(raw) == 0 || string(raw) == "null":
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
	if n := len(t.classes); n > 2 && c.Calibration == calibrationSigmoid {
		return stage.Problemf("calibration", "A sigmoid calibrates two classes", "There are %d: use calibration = %q.", n, calibrationTemperature)
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

// calibrate adds the layer that makes probabilities of the model's scores, and
// returns its numbers.
func calibrate(how string, m *model.Model, in *inputs, log io.Writer) (map[string]any, error) {
	scores, err := model.Scores(m, in.frames[roleValidation])
	if err != nil {
		return nil, err
	}
	truth, k := in.validation.truth, len(m.Classes)
	layer := model.Layer{Inputs: k, Units: k, Weight: make([]float32, k*k), Bias: make([]float32, k), Activation: string(nn.Identity)}
	numbers := map[string]any{}
	if how == calibrationTemperature {
		t := calibration.Temperature(k, truth, scores)
		if t == 1 {
			note(log, "every row of validation is predicted right: there is nothing to calibrate a temperature by\n")
		}
		for i := range k {
			layer.Weight[i*k+i] = float32(1 / t)
		}
		numbers["temperature"] = t
	} else {
		// The softmax of 0 and a score is its sigmoid.
		margins, positive := make([]float64, len(truth)), make([]bool, len(truth))
		seen := [2]bool{}
		for i, c := range truth {
			margins[i], positive[i] = scores[2*i+1]-scores[2*i], c == 1
			seen[c] = true
		}
		if seen != [2]bool{true, true} {
			return nil, stage.Problemf(roleValidation, "Only one class", "A calibration tells the classes apart, and every row of validation has the same one. Stratify the split.")
		}
		slope, intercept := calibration.Sigmoid(margins, positive)
		layer.Weight[1], layer.Weight[3], layer.Bias[1] = float32(-slope), float32(slope), float32(intercept)
		numbers["slope"], numbers["intercept"] = slope, intercept
	}
	m.Layers = append(m.Layers, layer)
	return numbers, nil
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
