// Package train is the stage type train: it fits a model on the rows of a table
// and writes a model directory (stages/model) as its output.
//
// A run goes one way, whatever the family:
//
//  1. read (rows.go, columns.go, target.go): the columns that are features, the
//     target as numbers, classes or sets of labels, and the weights of rows.
//     Transforms of features are fitted on the training part alone and become part
//     of the model.
//  2. fit: epochs of a network (fit.go), rounds of trees (boost.go), or a minimum
//     that is found directly (solve.go). The validation part is predicted after each
//     epoch or round; with early_stopping it decides which is kept.
//  3. answer (answer.go): probabilities are calibrated and a threshold is chosen on
//     the validation part alone. A calibration is one more layer, so that it is the
//     same for every family and needs no word in the graph of the model.
//  4. finish: the metrics of both parts are computed with the finished model, by the
//     code that later serves it, and the model is written.
//
// The same arguments and tables give the same files, to the bit, on any machine
// and with any number of CPUs; TestTheModelIsTheSameBits holds it to that. A
// change that gives other bits raises Version.
//
// It refuses, with one message each (check.go: what shows in the arguments alone): a
// target or feature that the table has not, rows without a label, text or infinity
// where a number is needed, a single class, a class that only the validation part
// has, features that would take all memory, and a loss that is not finite. It trains
// on tables that fit in memory.
//
// The engine calls it through stages/builtin.
package train

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/stages/model"
	"github.com/flow-pipelines/flow/stages/nn"
	"github.com/flow-pipelines/flow/stages/table"
	"github.com/flow-pipelines/flow/stages/tree"
)

// Version is part of every key of a train stage.
const Version = 5

// mostParameters keeps a mistyped layer from taking all memory: training holds
// about 20 bytes a parameter.
const mostParameters = 100_000_000

// mostBytes is how many bytes the features of the training part may have in the form
// that a family trains on.
const mostBytes = 16e9

// The arguments that name tables, and the output.
const (
	roleData       = "data"
	roleValidation = "validation"
	outputModel    = "model"
)

// Type is the stage type.
type Type struct{}

var _ stage.Runner = Type{}

// Schema describes the block.
func (Type) Schema() *stage.Schema {
	return &stage.Schema{
		Name:    "train",
		Version: Version,
		Summary: "Fit a model on a table, without Python",
		Doc:     doc,
		Example: example,
		Body:    stage.BodyOf[Config](),
		Outputs: []stage.OutputDoc{{Name: outputModel, Doc: "Model directory: model.onnx, features.json, model.json and a model card."}},
		Metrics: "train and, with a validation part, validation: loss, and accuracy, precision, recall, f1, auc and more for a classification or mae, rmse, r2 and more for a regression; epochs_run; best_epoch, whose parameters the model has; for trees rounds_run and best_round; for a logistic or linear regression that is solved directly iterations; threshold, and the numbers of calibration, if asked for.",
	}
}

const doc = `Logistic and linear regression, multilayer perceptrons, convolutional networks,
free stacks of layers and gradient-boosted trees for tables (CSV, JSON Lines,
Parquet; of images, see the stage type images). Features are imputed, scaled and
encoded; what that needs is fitted on ` + "`data`" + ` alone and stored in the model. A regression's target is
scaled to mean 0 and deviation 1 for training, and back in the model.

A training of a network that is interrupted or killed goes on after the last epoch
that it finished, and comes to the same bits.

The result is the same to the bit on every machine. Its model is an ONNX file
from raw columns to predictions, which any ONNX runtime can run.`

const example = `train "mlp" {
  data       = split.holdout.train
  validation = split.holdout.validation
  target     = "diagnosis"

  features {
    numeric "*" {
      impute = "median"
      scale  = "standard"
    }
  }
  model "mlp" { hidden = [64, 32] }
  optimizer "adam" { learning_rate = 0.01 }
  early_stopping {
    metric   = "f1"
    patience = 8
  }
  epochs = 60
  seed   = 7
}`

// Job checks what shows in the arguments alone.
func (Type) Job(req *stage.Request) (*stage.Job, error) {
	c, err := stage.Decode[Config](req.Args)
	if err != nil {
		return nil, err
	}
	if err := c.check(req.IsUnknown).Err(); err != nil {
		return nil, err
	}
	job := req.Job(stage.Output{Name: outputModel, Path: "model", Dir: true, Kind: stage.Model})
	if c.Model.GBDT == nil {
		job.Checkpoint, job.ResumeOver = path.Join(req.Dir, "checkpoint"), c.ResumeOver
	}
	return job, nil
}

// Run trains and writes the model.
func (Type) Run(ctx context.Context, run *stage.Run) (stage.Metrics, error) {
	c, err := stage.Decode[Config](run.Args)
	if err != nil {
		return nil, err
	}
	// Values that were unknown to Job are known now.
	if err := c.check(func(string) bool { return false }).Err(); err != nil {
		return nil, err
	}
	in, err := read(ctx, &c, run.Log)
	if err != nil {
		return nil, err
	}
	train := trainNetwork
	switch {
	case c.Model.GBDT != nil:
		train = boost
	case c.solved():
		train = solve
	}
	if err := c.checkSize(in); err != nil {
		return nil, err
	}
	result, err := train(ctx, &c, in, run)
	if err != nil {
		return nil, err
	}
	return finish(run, &c, in, result)
}

// checkSize refuses features that would take all memory: one for each of a hundred
// thousand categories, or products of hundreds of columns.
func (c *Config) checkSize(in *inputs) error {
	rows, width := float64(in.frames[roleData].Rows()), in.features.Width()
	bytes, instead := 4.0, `Lower max_terms, use buckets, or use model "logistic" without an optimizer, which needs no matrix.`
	switch {
	case c.Model.GBDT != nil: // a bin of each
		bytes, instead = 1, `Encode categories with encoding = "target", which is one number for all.`
	case c.solved(): // a column of each number, and twice where it is; those of categories and terms are mostly nowhere
		bytes, width, instead = 20, in.features.Numbers(), "Give bins or degree to fewer columns."
	}
	if need := bytes * float64(width) * rows; need > mostBytes {
		return stage.Problemf("features", "Too many features for this many rows", "%.0f rows of %d features take %.1f GB of memory; %.0f GB are possible. %s", rows, width, need/1e9, mostBytes/1e9, instead)
	}
	return nil
}

// trained is what training a family comes to: layers or trees, and metrics of
// the training itself.
type trained struct {
	layers  []model.Layer
	trees   *tree.Ensemble
	metrics map[string]any
}

// trainNetwork trains the families that are networks.
func trainNetwork(ctx context.Context, c *Config, in *inputs, run *stage.Run) (*trained, error) {
	network, err := c.network(in.features.Width(), in.target.outputs())
	if err != nil {
		return nil, err
	}
	if n := network.Size(); n > mostParameters {
		return nil, stage.Problemf("model", "The model is too large", "It would have %.3g parameters; %d are possible. Use fewer or smaller hidden layers, or fewer categories.", n, mostParameters)
	}
	x := in.matrix(roleData)
	trainer, err := nn.NewTrainer(nn.Options{
		Network: network, Loss: in.target.loss(), Optimizer: c.optimizerOptions(), Schedule: c.schedule(), Clip: c.clip(), Augment: c.augment(),
		BatchSize: min(c.BatchSize, x.Rows), Seed: uint64(c.Seed), Threads: run.CPUs,
	})
	if err != nil {
		return nil, err
	}
	fit := &fitting{
		config: c, target: in.target, trainer: trainer, validation: in.validation, progress: run.Progress, log: run.Log,
		features: in.features, checkpoint: run.Checkpoint,
		examples: nn.Examples{X: x, Y: in.data.y, Weight: in.target.rowWeights(in.data)},
	}
	if in.validation != nil {
		fit.x = in.matrix(roleValidation)
	}
	best, err := fit.run(ctx)
	if err != nil {
		return nil, err
	}
	return &trained{
		layers:  layersOf(network, best.parameters),
		metrics: map[string]any{"epochs_run": best.epochs, "best_epoch": best.best},
	}, nil
}

// note writes a line to the log. Training does not fail because a log does.
func note(log io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(log, format, args...)
}

// inputs are the parts in the form that training and scoring take.
type inputs struct {
	target     *target
	features   *model.Features
	data       *scored
	validation *scored // may be nil
	frames     map[string]*model.Frame
}

// read reads both parts and fits target and features on the training part.
func read(ctx context.Context, c *Config, log io.Writer) (*inputs, error) {
	about, err := table.Describe(ctx, string(c.Data))
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, unreadable(roleData, err)
	}
	a, err := answersIn(c, "", roleData, about.Columns)
	if err != nil {
		return nil, err
	}
	task, err := inferTask(ctx, c, about.Columns[a.targets[0]])
	if err != nil {
		return nil, err
	}
	if e := c.EarlyStopping; e != nil {
		if p := unknownMetric(e.metric(), metricNames(task)); p != nil {
			return nil, p
		}
	}
	note(log, "%d rows; %s of %s\n", about.Rows, task, strings.Join(c.predicted(), ", "))
	spec := c.Features
	if spec == nil {
		spec = defaultFeatures()
	}
	c.settle(spec)
	selected, err := selectFeatures(c, spec, about.Columns, log)
	if err != nil {
		return nil, err
	}
	data, err := readPart(ctx, c, roleData, string(c.Data), selected.columns(), task)
	if err != nil {
		return nil, err
	}
	if same := data.frame.Constant(); same != nil && data.rows() > 1 {
		note(log, "columns of which nothing can be learned, since every row has the same there: %s\n", table.List(same))
	}
	in := &inputs{frames: map[string]*model.Frame{roleData: data.frame}}
	if in.target, err = fitTarget(c, task, data); err != nil {
		return nil, err
	}
	if in.data, err = in.score(data); err != nil {
		return nil, err
	}
	if w := in.target.rowWeights(in.data); w != nil && !slices.ContainsFunc(w, func(v float32) bool { return v > 0 }) {
		return nil, stage.Problemf("row_weight", "No row counts", "Every row has the weight 0, so there is nothing to learn from.")
	}
	in.target.fillOutcomes(selected.categorical, in.data, c.Seed)
	if in.features, err = model.Fit(data.frame, selected.numeric, selected.categorical, selected.text...); err != nil {
		return nil, fitProblem(err)
	}
	if in.features.Width() == 0 {
		return nil, stage.Problemf("features", "No feature is left", "No term of the columns of text is in min_rows rows: lower min_rows, or give more rows.")
	}
	if c.Validation == "" {
		return in, nil
	}
	validation, err := readPart(ctx, c, roleValidation, string(c.Validation), selected.columns(), task)
	if err != nil {
		return nil, err
	}
	in.frames[roleValidation] = validation.frame
	in.validation, err = in.score(validation)
	return in, err
}

func (in *inputs) score(p *part) (*scored, error) {
	y, truth, err := in.target.encode(p)
	if err != nil {
		return nil, err
	}
	return &scored{y: y, truth: truth, values: p.values, weights: p.weights}, nil
}

// matrix is the transformed rows of a part.
func (in *inputs) matrix(role string) nn.Matrix {
	frame := in.frames[role]
	return nn.Matrix{Rows: frame.Rows(), Cols: in.features.Width(), Data: in.features.Transform(frame)}
}

func fitProblem(err error) error {
	var many *model.TooManyCategoriesError
	if errors.As(err, &many) {
		return stage.Problemf("features", fmt.Sprintf("Column %q has %d different values", many.Column, many.Have),
			"One feature for each is most likely not meant; the limit is %d. Leave the column out with ignore = [%q] in the features block, or raise max_categories of its categorical block.", many.Most, many.Column)
	}
	return err
}

// finish makes the model, measures it and writes it.
func finish(run *stage.Run, c *Config, in *inputs, result *trained) (stage.Metrics, error) {
	parameters, err := describe(run.Args)
	if err != nil {
		return nil, err
	}
	m := &model.Model{
		Task: in.target.task, Target: c.Target, Separator: c.Separator, Classes: in.target.classes, Family: c.family(),
		Features: *in.features, Layers: result.layers, Trees: result.trees,
		TargetScale: in.target.scale, TargetShift: in.target.shift,
		Parameters: parameters, Data: map[string]model.Data{}, Versions: map[string]int{"train": Version},
	}
	if in.target.positive >= 0 {
		m.Positive = in.target.classes[in.target.positive]
	}
	metrics := result.metrics
	if err := answer(run, c, m, in, metrics); err != nil {
		return nil, err
	}
	predictor, err := model.New(m)
	if err != nil {
		return nil, err
	}
	for name, s := range map[string]*scored{"train": in.data, "validation": in.validation} {
		if s == nil {
			continue
		}
		role := roleData
		if name == "validation" {
			role = roleValidation
		}
		frame := in.frames[role]
		m.Data[name] = model.Data{Rows: frame.Rows(), Digest: run.Inputs[role]}
		p, err := predictor.Predict(frame)
		if err != nil {
			return nil, err
		}
		metrics[name] = anyMap(in.target.predictionMetrics(p, s))
	}
	m.Metrics = metrics
	if err := model.Write(run.Output(outputModel), m); err != nil {
		return nil, err
	}
	return maps.Clone(metrics), nil
}

func anyMap(m map[string]float64) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}

// describe returns the arguments for the model card: without tables, which are
// paths, and without what was left out.
func describe(args json.RawMessage) (map[string]any, error) {
	var all map[string]any
	if err := json.Unmarshal(args, &all); err != nil {
		return nil, fmt.Errorf("describe arguments: %w", err)
	}
	delete(all, roleData)
	delete(all, roleValidation)
	prune(all)
	return all, nil
}

func prune(m map[string]any) {
	for k, v := range m {
		switch v := v.(type) {
		case nil:
			delete(m, k)
		case map[string]any:
			prune(v)
		}
	}
}
