package train

import (
	"context"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/stages/linear"
	"github.com/flow-pipelines/flow/stages/model"
)

// Logistic is the block model "logistic".
type Logistic struct {
	L2         float64 `json:"l2" default:"1" doc:"Pulls weights, not biases, to zero: half of this times their squares is added to the sum of the rows' losses (scikit-learn's 1/C). With an optimizer block, use its weight_decay."`
	Iterations int     `json:"iterations" default:"200" doc:"Steps to the minimum, at most."`
}

func (m *Logistic) check(add addProblem) {
	if !(m.L2 >= 0 && m.L2 <= 1e300) {
		add("model.logistic.l2", "Not in the range", "It is %v, and must be 0 or more.", m.L2)
	}
	if m.Iterations < 1 {
		add("model.logistic.iterations", "Not a positive number", "It is %d; 200 is usual.", m.Iterations)
	}
}

// Linear is the block model "linear".
type Linear struct {
	L2         float64 `json:"l2" default:"0" doc:"Pulls weights, not the bias, to zero: this times their squares is added to the sum of the rows' squared errors (scikit-learn's alpha of Ridge). With an optimizer block, use its weight_decay."`
	Iterations int     `json:"iterations" default:"1000" doc:"Steps to the minimum, at most."`
}

func (m *Linear) check(add addProblem) {
	if !(m.L2 >= 0 && m.L2 <= 1e300) {
		add("model.linear.l2", "Not in the range", "It is %v, and must be 0 or more.", m.L2)
	}
	if m.Iterations < 1 {
		add("model.linear.iterations", "Not a positive number", "It is %d; 1000 is usual.", m.Iterations)
	}
}

// solved reports whether the minimum is found directly: without what only makes
// sense with epochs.
func (c *Config) solved() bool {
	direct := c.Model.Logistic != nil || c.Model.Linear != nil && c.Loss != "huber"
	return direct && c.Optimizer == (Optimizer{}) && c.Schedule == (Schedule{}) && c.ClipGradient == nil && c.EarlyStopping == nil
}

// How small a gradient ends the steps: for a logistic regression scikit-learn's
// default for the same method.
const (
	toleranceLogistic = 1e-4
	toleranceSquares  = 1e-9
)

// solve finds the minimum of a logistic or linear regression.
func solve(ctx context.Context, c *Config, in *inputs, run *stage.Run) (*trained, error) {
	x := in.features.Sparse(in.frames[roleData])
	weight := in.target.rowWeights(in.data)
	options := linear.Options{Threads: run.CPUs}
	options.Progress = func(iteration int, loss float64) {
		run.Progress(stage.Progress{Step: int64(iteration), Total: int64(options.Iterations), Unit: "iteration", Metrics: map[string]float64{"train." + lossMetric: loss}})
	}
	var s *linear.Solution
	var err error
	if m := c.Model.Linear; m != nil {
		options.L2, options.Iterations, options.Tolerance = m.L2, m.Iterations, toleranceSquares
		s, err = linear.Squares(ctx, x, in.data.y.Data, weight, options)
	} else {
		m := c.Model.Logistic
		options.Classes, options.L2, options.Iterations, options.Tolerance = in.target.outputs(), m.L2, m.Iterations, toleranceLogistic
		s, err = linear.Logistic(ctx, x, in.data.truth, weight, options)
	}
	if err != nil {
		return nil, err
	}
	if !s.Converged {
		note(run.Log, "the minimum was not reached in %d iterations; raise iterations or l2\n", s.Iterations)
	}
	return &trained{
		layers:  []model.Layer{{Inputs: x.Cols, Units: in.target.outputs(), Weight: s.Weight, Bias: s.Bias, Activation: "identity"}},
		metrics: map[string]any{"iterations": s.Iterations},
	}, nil
}
