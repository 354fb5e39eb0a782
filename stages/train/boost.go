package train

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/stages/model"
	"github.com/flow-pipelines/flow/stages/nn"
	"github.com/flow-pipelines/flow/stages/nn/kernel"
	"github.com/flow-pipelines/flow/stages/portable"
	"github.com/flow-pipelines/flow/stages/tree"
)

// GBDT is the block model "gbdt".
type GBDT struct {
	Rounds         int     `json:"rounds" default:"200" doc:"How many trees there are at most; of more than two classes, for each class."`
	LearningRate   float64 `json:"learning_rate" default:"0.1" doc:"Factor of what each tree adds. Smaller is better and needs more rounds."`
	MaxLeaves      int     `json:"max_leaves" default:"31" doc:"Leaves of a tree, at most. The leaf whose split gains most is split first."`
	MaxDepth       int     `json:"max_depth" default:"0" doc:"Splits from the root to a leaf, at most; 0 is no limit."`
	MinRows        int     `json:"min_rows" default:"20" doc:"Rows of a leaf, at least."`
	MinWeight      float64 `json:"min_weight" default:"0.001" doc:"Sum of the second derivatives of a leaf, at least (min_child_weight)."`
	MinGain        float64 `json:"min_gain" default:"0" doc:"What a split gains, at least."`
	L2             float64 `json:"l2" default:"1" doc:"Pulls the values of leaves to zero."`
	RowFraction    float64 `json:"row_fraction" default:"1" doc:"Share of the rows that each tree sees."`
	ColumnFraction float64 `json:"column_fraction" default:"1" doc:"Share of the features that each tree sees."`
	MaxBins        int     `json:"max_bins" default:"255" doc:"Bins that the values of a feature are cut into, at most. Missing values have a bin of their own."`
	Loss           string  `json:"loss" default:"squared" oneof:"squared absolute huber" doc:"Loss of a regression. absolute and huber mind single far-off values less."`
	HuberDelta     float64 `json:"huber_delta" default:"1" doc:"Error from which huber counts linearly, in deviations of the target."`
}

func (m *GBDT) check(add addProblem) {
	whole := func(name string, v, least, most int) {
		if v < least || most > 0 && v > most {
			add("model.gbdt."+name, "Not in the range", "It is %d, and must be at least %d%s.", v, least, upTo(most))
		}
	}
	fraction := func(name string, v float64) {
		if !(v > 0 && v <= 1) {
			add("model.gbdt."+name, "Not a share", "It is %v, and must be more than 0 and at most 1.", v)
		}
	}
	notNegative := func(name string, v float64) {
		if !(v >= 0 && v <= 1e300) {
			add("model.gbdt."+name, "Not in the range", "It is %v, and must be 0 or more.", v)
		}
	}
	whole("rounds", m.Rounds, 1, 0)
	whole("max_leaves", m.MaxLeaves, 2, 0)
	whole("max_depth", m.MaxDepth, 0, 0)
	whole("min_rows", m.MinRows, 1, 0)
	whole("max_bins", m.MaxBins, 2, 255)
	if !(m.LearningRate > 0 && m.LearningRate <= 1) {
		add("model.gbdt.learning_rate", "Not in the range", "It is %v, and must be more than 0 and at most 1; 0.1 is usual.", m.LearningRate)
	}
	if !(m.HuberDelta > 0 && m.HuberDelta <= 1e300) {
		add("model.gbdt.huber_delta", "Not a positive number", "It is %v; 1 is usual.", m.HuberDelta)
	}
	notNegative("min_weight", m.MinWeight)
	notNegative("min_gain", m.MinGain)
	notNegative("l2", m.L2)
	fraction("row_fraction", m.RowFraction)
	fraction("column_fraction", m.ColumnFraction)
}

func upTo(most int) string {
	if most == 0 {
		return ""
	}
	return fmt.Sprintf(" and at most %d", most)
}

// boosting is one run of the rounds.
type boosting struct {
	config *Config
	target *target
	// validation is nil if there is no such part.
	validation *scored
	follower   *tree.Follower
	progress   func(stage.Progress)
	log        io.Writer
}

// boost grows the trees. With early stopping they are those up to the round
// with the best metric, else all.
func boost(ctx context.Context, c *Config, in *inputs, run *stage.Run) (*trained, error) {
	booster, err := tree.NewBooster(c.boostOptions(in.target, run.CPUs), tree.Examples{
		X: in.features.Source(in.frames[roleData]), Y: in.data.y.Data, Weight: in.target.rowWeights(in.data),
	})
	if err != nil {
		return nil, err
	}
	b := &boosting{config: c, target: in.target, validation: in.validation, progress: run.Progress, log: run.Log}
	if in.validation != nil {
		if b.follower, err = booster.Follow(in.features.Source(in.frames[roleValidation])); err != nil {
			return nil, err
		}
	}
	rounds, best, err := b.run(ctx, booster)
	if err != nil {
		return nil, err
	}
	return &trained{trees: booster.Ensemble(best), metrics: map[string]any{"rounds_run": rounds, "best_round": best}}, nil
}

func (b *boosting) run(ctx context.Context, booster *tree.Booster) (rounds, best int, err error) {
	watch := newWatch(b.config.EarlyStopping)
	total := b.config.Model.GBDT.Rounds
	for round := 1; round <= total; round++ {
		loss, err := booster.Round(ctx)
		if err != nil {
			return 0, 0, b.roundError(err)
		}
		values := map[string]float64{"train." + lossMetric: loss}
		var metrics map[string]float64
		if b.validation != nil {
			metrics = b.metrics(watch)
			for name, v := range metrics {
				values["validation."+name] = v
			}
		}
		b.progress(stage.Progress{Step: int64(round), Total: int64(total), Unit: "round", Metrics: values})
		rounds = round
		if watch == nil {
			best = round
			continue
		}
		keep, stop, err := watch.see(metrics)
		if err != nil {
			return 0, 0, err
		}
		if keep {
			best = round
		}
		if stop {
			note(b.log, "stopped after round %d: %s was best in round %d\n", round, watch.name, best)
			break
		}
	}
	return rounds, best, nil
}

func (b *boosting) roundError(err error) error {
	var broken *tree.NonFiniteError
	if !errors.As(err, &broken) {
		return err
	}
	return stage.Problemf("model.gbdt.learning_rate", fmt.Sprintf("The loss is not finite in round %d", broken.Round),
		"It became %v. Lower the learning_rate, now %v, or the class weights.", broken.Loss, b.config.Model.GBDT.LearningRate)
}

// metrics are those of the validation part that a round is judged by: the loss,
// and the others only if one of them is watched, since some cost more than the
// round.
func (b *boosting) metrics(watch *watch) map[string]float64 {
	outputs := b.outputs()
	if watch != nil && watch.name != lossMetric {
		return b.target.outputMetrics(outputs, b.validation)
	}
	var sum float64
	for i := range outputs.Rows {
		row := outputs.Row(i)
		if b.target.task == model.Regression {
			d := float64(row[0]) - float64(b.validation.y.Data[i])
			sum += float64(d * d)
			continue
		}
		top, terms := kernel.SoftmaxTerms(row)
		sum += float64(top) - float64(row[b.validation.truth[i]]) + portable.Log(terms)
	}
	return map[string]float64{lossMetric: sum / float64(outputs.Rows)}
}

// outputs are the validation part's scores as a network would give them.
func (b *boosting) outputs() nn.Matrix {
	out := nn.NewMatrix(b.validation.y.Rows, b.target.outputs())
	first := 0
	if b.target.binaryTrees() {
		first = 1 // the first class has the score 0
	}
	for k := first; k < out.Cols; k++ {
		for i, v := range b.follower.Scores(k - first) {
			out.Data[i*out.Cols+k] = float32(v)
		}
	}
	return out
}

// binaryTrees reports whether trees score the second of two classes alone.
func (t *target) binaryTrees() bool { return len(t.classes) == 2 }

func (c *Config) boostOptions(t *target, threads int) tree.Options {
	m := c.Model.GBDT
	o := tree.Options{
		Loss: tree.Loss(m.Loss), HuberDelta: m.HuberDelta, LearningRate: m.LearningRate,
		MaxLeaves: m.MaxLeaves, MaxDepth: m.MaxDepth, MinRows: m.MinRows, MinWeight: m.MinWeight, L2: m.L2, MinGain: m.MinGain,
		MaxBins: m.MaxBins, RowFraction: m.RowFraction, ColumnFraction: m.ColumnFraction, Seed: uint64(c.Seed), Threads: threads,
	}
	switch {
	case t.binaryTrees():
		o.Loss = tree.Logistic
	case t.task == model.Classification:
		o.Loss, o.Classes = tree.Softmax, len(t.classes)
	}
	return o
}
