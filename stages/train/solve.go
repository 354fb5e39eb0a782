package train

import (
	"context"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/stages/linear"
	"github.com/flow-pipelines/flow/stages/model"
)

// Logistic is the block model "logistic".
type Logistic struct {
	L2         float64 `json:"l2" default:"1" doc:"Pulls weights, not biases, to zero: half of this times their squares is added to the sum of the rows' losses. It is scikit-learn's 1/C, and of two classes 2/C, since each has weights of its own here. With an optimizer block, use its weight_decay."`
	Iterations int     `json:"iterations" default:"200" doc:"Steps to the minimum, at most."`
}

func (m *Logistic) check(add addProblem) { checkSteps(add, "model.logistic", m.L2, m.Iterations, 200) }

// Linear is the block model "linear".
type Linear struct {
	L2         float64 `json:"l2" default:"0" doc:"Pulls weights, not the bias, to zero: this times their squares is added to the sum of the rows' squared errors (scikit-learn's alpha of Ridge). With an optimizer block, use its weight_decay."`
	Iterations int     `json:"iterations" default:"1000" doc:"Steps to the minimum, at most."`
}

func (m *Linear) check(add addProblem) { checkSteps(add, "model.linear", m.L2, m.Iterations, 1000) }

// checkSteps judges what the way to a minimum depends on.
func checkSteps(add addProblem, block string, l2 float64, iterations, usual int) {
	if !(l2 >= 0 && l2 <= 1e300) {
		add(block+".l2", "Not in the range", "It is %v, and must be 0 or more.", l2)
	}
	if iterations < 1 {
		add(block+".iterations", "Not a positive number", "It is %d; %d is usual.", iterations, usual)
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
	switch m := c.Model.Logistic; {
	case m == nil:
		m := c.Model.Linear
		options.L2, options.Iterations, options.Tolerance = m.L2, m.Iterations, toleranceSquares
		s, err = linear.Squares(ctx, x, in.data.y.Data, weight, options)
	case in.target.task == model.Multilabel:
		options.L2, options.Iterations, options.Tolerance = m.L2, m.Iterations, toleranceLogistic
		s, err = solveLabels(ctx, x, in.data, options)
	default:
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

// solveLabels finds the minimum of a logistic regression for each label: of the two
// classes that it is there and that it is not.
func solveLabels(ctx context.Context, x *linear.Rows, data *scored, o linear.Options) (*linear.Solution, error) {
	labels := data.y.Cols
	out := &linear.Solution{Weight: make([]float32, x.Cols*labels), Bias: make([]float32, labels), Converged: true}
	// The weights of the two classes are opposite, w/2 and -w/2, so that the sum of
	// their squares is half of that of w.
	o.Classes, o.L2 = 2, 2*o.L2
	truth := make([]int, data.y.Rows)
	for k := range labels {
		for i := range truth {
			truth[i] = int(data.y.Row(i)[k])
		}
		s, err := linear.Logistic(ctx, x, truth, data.weights, o)
		if err != nil {
			return nil, err
		}
		for j := range x.Cols {
			out.Weight[j*labels+k] = s.Weight[2*j+1] - s.Weight[2*j]
		}
		out.Bias[k] = s.Bias[1] - s.Bias[0]
		out.Iterations, out.Converged = max(out.Iterations, s.Iterations), out.Converged && s.Converged
	}
	return out, nil
}
