package train

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

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
	features *model.Features
	// validation is nil if there is no such part; x are its features.
	validation *scored
	x          nn.Matrix
	// checkpoint is the directory for what an interrupted training goes on from;
	// "" is none. of identifies this training.
	checkpoint, of string
	progress       func(stage.Progress)
	log            io.Writer
}

// fitted is the outcome of a fitting.
type fitted struct {
	parameters []nn.Parameter
	// best is the epoch whose parameters they are, counted from 1.
	epochs, best int
	// stopped says that early stopping has ended it.
	stopped bool
}

// run trains until the epochs are over or early stopping ends it. With early
// stopping the parameters are those of the epoch with the best metric (of
// equals, the one with the smallest validation loss), else of the last epoch.
func (f *fitting) run(ctx context.Context) (*fitted, error) {
	out := &fitted{}
	watch, plateau := newWatch(f.config.EarlyStopping), newPlateau(f.config.Schedule.Plateau)
	started, err := f.resume(out, watch, plateau)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	told := begin
	for epoch := started + 1; epoch <= f.config.Epochs && !out.stopped; epoch++ {
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
		p := stage.Progress{Step: int64(epoch), Total: int64(f.config.Epochs), Unit: "epoch", Metrics: values}
		if time.Since(told) > paceEvery && epoch < f.config.Epochs {
			told = time.Now()
			p.Message = f.pace(epoch-started, f.config.Epochs-epoch, time.Since(begin))
		}
		f.progress(p)
		out.epochs = epoch
		if watch != nil {
			keep, stop, err := watch.see(metrics)
			if err != nil {
				return nil, err
			}
			if keep {
				out.best, out.parameters = epoch, f.trainer.Parameters()
			}
			out.stopped = stop
		}
		if plateau != nil && plateau.see(metrics[lossMetric]) {
			f.trainer.Slow(plateau.Factor)
		}
		if err := f.save(out, watch, plateau); err != nil {
			return nil, err
		}
	}
	if out.stopped {
		note(f.log, "stopped after epoch %d: %s was best in epoch %d\n", out.epochs, watch.name, out.best)
	}
	if out.parameters == nil {
		out.best, out.parameters = out.epochs, f.trainer.Parameters()
	}
	return out, nil
}

// paceEvery is how often training says how fast it is.
const paceEvery = 10 * time.Second

// pace says how fast training is and how long it takes yet.
func (f *fitting) pace(done, left int, since time.Duration) string {
	rows := float64(done*f.examples.X.Rows) / since.Seconds()
	return fmt.Sprintf("%.0f rows/s, %v left", rows, (since * time.Duration(left) / time.Duration(done)).Round(time.Second))
}

// epochError makes a broken loss a problem of the pipeline.
func (f *fitting) epochError(err error) error {
	var broken *nn.NonFiniteError
	if !errors.As(err, &broken) {
		return err
	}
	if broken.Feature >= 0 {
		return stage.Problemf("features", fmt.Sprintf("A feature is not finite in epoch %d", broken.Epoch),
			"Column %q has a value in step %d that is infinite or no number once it is scaled: check its range, or scale it otherwise.",
			f.features.Feature(broken.Feature).Column, broken.Step)
	}
	name, rate := f.config.optimizer()
	where := fmt.Sprintf("It became %v in step %d", broken.Loss, broken.Step)
	if broken.Parameter != "" {
		where += fmt.Sprintf(", and so did parameter %s", broken.Parameter)
	}
	return stage.Problemf("optimizer", fmt.Sprintf("The loss is not finite in epoch %d", broken.Epoch),
		"%s: the steps are too large. Lower the learning_rate of %s, now %v, or scale the features.", where, name, rate)
}

// watch is early stopping: it sees the metrics of each epoch.
type watch struct {
	name      string
	direction metric.Direction
	minDelta  float64
	patience  int

	watched
}

// watched is what a watch has seen.
type watched struct {
	best, bestLoss float64
	waited         int
}

func newWatch(e *EarlyStopping) *watch {
	if e == nil {
		return nil
	}
	return &watch{
		name: e.metric(), direction: e.direction(), minDelta: e.MinDelta, patience: e.Patience,
		watched: watched{best: math.NaN(), bestLoss: math.NaN()},
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

// optimizerOptions are the optimizer's, Adam's defaults if there is no block.
func (c *Config) optimizerOptions() nn.Optimizer {
	adam := func(method nn.Method, a *Adam) nn.Optimizer {
		return nn.Optimizer{Method: method, LearningRate: a.LearningRate, Beta1: a.Beta1, Beta2: a.Beta2, Epsilon: a.Epsilon, WeightDecay: a.WeightDecay}
	}
	switch {
	case c.Optimizer.SGD != nil:
		s := c.Optimizer.SGD
		return nn.Optimizer{Method: nn.SGD, LearningRate: s.LearningRate, Momentum: s.Momentum, Nesterov: s.Nesterov, WeightDecay: s.WeightDecay}
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
