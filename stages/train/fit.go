package train

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/stages/metric"
	"github.com/flow-pipelines/flow/stages/model"
	"github.com/flow-pipelines/flow/stages/nn"
)

// fitting is one run of the epochs.
type fitting struct {
	config   *Config
	target   *target
	trainer  *nn.Trainer
	examples nn.Examples
	// validation is nil if there is no such part; x are its features.
	validation *scored
	x          nn.Matrix
	progress   func(stage.Progress)
	log        io.Writer
}

// fitted is the outcome of a fitting.
type fitted struct {
	parameters []nn.Parameter
	// best is the epoch whose parameters they are, counted from 1.
	epochs, best int
}

// run trains until the epochs are over or early stopping ends it. With early
// stopping the parameters are those of the epoch with the best metric (of
// equals, the one with the smallest validation loss), else of the last epoch.
func (f *fitting) run(ctx context.Context) (*fitted, error) {
	out := &fitted{}
	watch := newWatch(f.config.EarlyStopping)
	for epoch := 1; epoch <= f.config.Epochs; epoch++ {
		loss, err := f.trainer.Epoch(ctx, f.examples)
		if err != nil {
			return nil, f.epochError(err)
		}
		values := map[string]float64{"train." + lossMetric: loss}
		var metrics map[string]float64
		if f.validation != nil {
			outputs, err := f.trainer.Outputs(f.x)
			if err != nil {
				return nil, err
			}
			metrics = f.target.outputMetrics(outputs, f.validation)
			for name, v := range metrics {
				values["validation."+name] = v
			}
		}
		f.progress(stage.Progress{Step: int64(epoch), Total: int64(f.config.Epochs), Unit: "epoch", Metrics: values})
		out.epochs = epoch
		if watch == nil {
			continue
		}
		keep, stop, err := watch.see(metrics)
		if err != nil {
			return nil, err
		}
		if keep {
			out.best, out.parameters = epoch, f.trainer.Parameters()
		}
		if stop {
			note(f.log, "stopped after epoch %d: %s was best in epoch %d\n", epoch, watch.name, out.best)
			break
		}
	}
	if out.parameters == nil {
		out.best, out.parameters = out.epochs, f.trainer.Parameters()
	}
	return out, nil
}

// epochError makes a broken loss a problem of the pipeline.
func (f *fitting) epochError(err error) error {
	var broken *nn.NonFiniteError
	if !errors.As(err, &broken) {
		return err
	}
	name, rate := f.config.optimizer()
	return stage.Problemf("optimizer", fmt.Sprintf("The loss is not finite in epoch %d", broken.Epoch),
		"It became %v in step %d: the steps are too large. Lower the learning_rate of %s, now %v, or scale the features.",
		broken.Loss, broken.Step, name, rate)
}

// watch is early stopping: it sees the metrics of each epoch.
type watch struct {
	name      string
	direction metric.Direction
	minDelta  float64
	patience  int

	best, bestLoss float64
	waited         int
}

func newWatch(e *EarlyStopping) *watch {
	if e == nil {
		return nil
	}
	return &watch{
		name: e.metric(), direction: e.direction(), minDelta: e.MinDelta, patience: e.Patience,
		best: math.NaN(), bestLoss: math.NaN(),
	}
}

// see says whether this epoch is the best so far and whether it is the last.
func (w *watch) see(metrics map[string]float64) (keep, stop bool, err error) {
	value, ok := metrics[w.name]
	if !ok { // read has checked the name
		return false, false, stage.Problemf("early_stopping.metric", fmt.Sprintf("Metric %q has no value", w.name),
			"It is not defined for the predictions of the validation part: perhaps that has a single class, or a single row. Watch the loss, or stratify the split.")
	}
	loss, ok := metrics[lossMetric]
	if !ok {
		loss = math.NaN()
	}
	threshold := w.best + w.minDelta
	if w.direction == metric.Min {
		threshold = w.best - w.minDelta
	}
	if w.direction.Better(value, threshold) {
		w.best, w.bestLoss, w.waited = value, loss, 0
		return true, false, nil
	}
	w.waited++
	if value == w.best && metric.Min.Better(loss, w.bestLoss) {
		w.bestLoss, keep = loss, true
	}
	return keep, w.waited >= w.patience, nil
}

// network is the layers that the configuration asks for.
func (c *Config) network(inputs, outputs int) nn.Network {
	n := nn.Network{Inputs: inputs}
	if m := c.Model.MLP; m != nil {
		for _, units := range m.Hidden {
			n.Layers = append(n.Layers, nn.Layer{Units: units, Activation: nn.Activation(m.Activation), Dropout: m.Dropout})
		}
	}
	n.Layers = append(n.Layers, nn.Layer{Units: outputs, Activation: nn.Identity})
	return n
}

// optimizerOptions are the optimizer's, Adam's defaults if there is no block.
func (c *Config) optimizerOptions() nn.Optimizer {
	adam := func(method nn.Method, a *Adam) nn.Optimizer {
		return nn.Optimizer{Method: method, LearningRate: a.LearningRate, Beta1: a.Beta1, Beta2: a.Beta2, Epsilon: a.Epsilon, WeightDecay: a.WeightDecay}
	}
	switch {
	case c.Optimizer.SGD != nil:
		s := c.Optimizer.SGD
		return nn.Optimizer{Method: nn.SGD, LearningRate: s.LearningRate, Momentum: s.Momentum, WeightDecay: s.WeightDecay}
	case c.Optimizer.AdamW != nil:
		return adam(nn.AdamW, c.Optimizer.AdamW)
	case c.Optimizer.Adam != nil:
		return adam(nn.Adam, c.Optimizer.Adam)
	}
	return nn.Optimizer{Method: nn.Adam, LearningRate: 0.001}
}

// optimizer names the method and its learning rate, for messages.
func (c *Config) optimizer() (name string, rate float64) {
	o := c.optimizerOptions()
	return string(o.Method), o.LearningRate
}

// layersOf turns parameters into the layers of a model.
func layersOf(n nn.Network, parameters []nn.Parameter) []model.Layer {
	var out []model.Layer
	for i, l := range n.Layers {
		w, b := parameters[2*i], parameters[2*i+1]
		out = append(out, model.Layer{Inputs: w.Rows, Units: w.Cols, Weight: w.Data, Bias: b.Data, Activation: string(l.Activation)})
	}
	return out
}
