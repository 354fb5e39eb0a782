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

// solved reports whether the minimum is found directly: without what only makes
// sense with epochs.
func (c *Config) solved() bool {
	return c.Model.Logistic != nil && c.Optimizer == (Optimizer{}) && c.EarlyStopping == nil
}

// tolerance is scikit-learn's default for the same method.
const tolerance = 1e-4

// solve finds the minimum of a logistic regression.
func solve(ctx context.Context, c *Config, in *inputs, run *stage.Run) (*trained, error) {
	m, classes := c.Model.Logistic, in.target.outputs()
	x := in.features.Sparse(in.frames[roleData])
	s, err := linear.Logistic(ctx, x, in.data.truth, in.target.rowWeights(in.data.truth), linear.Options{
		Classes: classes, L2: m.L2, Iterations: m.Iterations, Tolerance: tolerance, Threads: run.CPUs,
		Progress: func(iteration int, loss float64) {
			run.Progress(stage.Progress{Step: int64(iteration), Total: int64(m.Iterations), Unit: "iteration", Metrics: map[string]float64{"train." + lossMetric: loss}})
		},
	})
	if err != nil {
		return nil, err
	}
	if !s.Converged {
		note(run.Log, "the minimum was not reached in %d iterations; raise iterations or l2\n", s.Iterations)
	}
	return &trained{
		layers:  []model.Layer{{Inputs: x.Cols, Units: classes, Weight: s.Weight, Bias: s.Bias, Activation: "identity"}},
		metrics: map[string]any{"iterations": s.Iterations},
	}, nil
}
