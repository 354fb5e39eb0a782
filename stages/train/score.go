package train

import (
	"math"

	"github.com/flow-pipelines/flow/stages/metric"
	"github.com/flow-pipelines/flow/stages/model"
	"github.com/flow-pipelines/flow/stages/nn"
	"github.com/flow-pipelines/flow/stages/nn/kernel"
)

// lossMetric is the name of the loss among metrics: the mean over rows, without
// class weights and dropout, so that parts and runs can be compared.
const lossMetric = "loss"

// scored is a part with what its predictions are compared with.
type scored struct {
	y      nn.Matrix
	truth  []int
	values []float64
	// weights are of the rows themselves; nil is 1 each.
	weights []float32
}

// outputMetrics are the metrics of a network's outputs for a part: logits for
// classes and labels, scaled values for a regression.
func (t *target) outputMetrics(outputs nn.Matrix, s *scored) map[string]float64 {
	if t.task == model.Regression {
		predicted := make([]float64, outputs.Rows)
		for i, v := range outputs.Data {
			predicted[i] = float64(float32(v*t.scale) + t.shift)
		}
		return t.regressionMetrics(predicted, s.values)
	}
	if t.task == model.Multilabel {
		p := &model.Prediction{Probabilities: make([]float64, len(outputs.Data)), Labels: make([]bool, len(outputs.Data))}
		for i, v := range outputs.Data {
			probability := kernel.Sigmoid(v)
			p.Probabilities[i], p.Labels[i] = float64(probability), probability >= 0.5
		}
		return t.labelMetrics(p, s)
	}
	p := &model.Prediction{Class: make([]int, outputs.Rows), Probabilities: make([]float64, len(outputs.Data))}
	row := make([]float32, outputs.Cols)
	for i := range outputs.Rows {
		kernel.Softmax(row, outputs.Row(i))
		for j, v := range row {
			p.Probabilities[i*outputs.Cols+j] = float64(v)
			if v > row[p.Class[i]] {
				p.Class[i] = j
			}
		}
	}
	return t.classMetrics(p, s.truth)
}

// predictionMetrics are the metrics of a model's answers for a part.
func (t *target) predictionMetrics(p *model.Prediction, s *scored) map[string]float64 {
	switch t.task {
	case model.Regression:
		return t.regressionMetrics(p.Values, s.values)
	case model.Multilabel:
		return t.labelMetrics(p, s)
	case model.Classification:
	}
	return t.classMetrics(p, s.truth)
}

func (t *target) labelMetrics(p *model.Prediction, s *scored) map[string]float64 {
	truth := make([]bool, len(s.y.Data))
	for i, v := range s.y.Data {
		truth[i] = v == 1
	}
	m := metric.Multilabel{Labels: t.classes, Truth: truth, Predicted: p.Labels, Probabilities: p.Probabilities}.Headline()
	m[lossMetric] = m["log_loss"]
	return finite(m)
}

func (t *target) regressionMetrics(predicted, values []float64) map[string]float64 {
	m := metric.Regression(values, predicted)
	m[lossMetric] = m["mse"] / (float64(t.scale) * float64(t.scale))
	return finite(m)
}

func (t *target) classMetrics(p *model.Prediction, truth []int) map[string]float64 {
	m := metric.Classification{
		Classes: t.classes, Truth: truth, Predicted: p.Class, Probabilities: p.Probabilities, Positive: t.positive,
	}.Headline()
	m[lossMetric] = m["log_loss"]
	return finite(m)
}

// finite drops what JSON cannot say.
func finite(m map[string]float64) map[string]float64 {
	for name, v := range m {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			delete(m, name)
		}
	}
	return m
}
