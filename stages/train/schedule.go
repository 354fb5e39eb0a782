package train

import (
	"math"

	"github.com/flow-pipelines/flow/stages/model"
	"github.com/flow-pipelines/flow/stages/nn"
)

func (c *Config) checkSchedule(add addProblem) {
	notNegative := func(path string, v float64) {
		if !(v >= 0) || math.IsInf(v, 0) {
			add(path, "A negative number", "It is %v, and must not be negative.", v)
		}
	}
	factor := func(path string, v float64) {
		if !(v > 0 && v <= 1) {
			add(path, "Not in the range", "It is %v, and must be above 0 and at most 1.", v)
		}
	}
	positive := func(path string, v int) {
		if v < 1 {
			add(path, "Not a positive number", "It is a number of epochs: at least 1, not %d.", v)
		}
	}
	kind, warmup := c.Schedule.warmup()
	notNegative("schedule."+kind+".warmup", warmup)
	switch s := c.Schedule; {
	case s.Step != nil:
		positive("schedule.step.every", s.Step.Every)
		factor("schedule.step.factor", s.Step.Factor)
	case s.Cosine != nil:
		notNegative("schedule.cosine.over", float64(s.Cosine.Over))
		if m := s.Cosine.Minimum; !(m >= 0 && m <= 1) {
			add("schedule.cosine.minimum", "Not in the range", "It is %v, and must be from 0 to 1.", m)
		}
	case s.Plateau != nil:
		positive("schedule.plateau.patience", s.Plateau.Patience)
		factor("schedule.plateau.factor", s.Plateau.Factor)
		if c.Validation == "" {
			add("schedule.plateau", "No validation part", "A plateau is one of the loss of rows that are not trained on: add validation = … with a part of the split, or choose another schedule.")
		}
	}
	if clip := c.ClipGradient; clip != nil {
		notNegative("clip_gradient.norm", clip.Norm)
		notNegative("clip_gradient.value", clip.Value)
		if clip.Norm == 0 && clip.Value == 0 {
			add("clip_gradient", "No limit", "Give norm, the largest length of all gradients, or value, the largest number among them.")
		}
	}
}

func (c *Config) checkLoss(add addProblem) {
	classifies := c.Task == string(model.Classification) || c.Model.Logistic != nil
	regression := c.Task == string(model.Regression) || c.Model.Linear != nil
	switch {
	case classifies && c.Loss != "" && c.Loss != "cross_entropy":
		add("loss", "A loss of regressions", "A classification is trained on cross_entropy: leave loss out.")
	case regression && c.Loss == "cross_entropy":
		add("loss", "A loss of classifications", "A regression is trained on squared or huber.")
	}
}

// warmup is that of the schedule there is, which kind names.
func (s Schedule) warmup() (kind string, epochs float64) {
	switch {
	case s.Constant != nil:
		return "constant", s.Constant.Warmup
	case s.Step != nil:
		return "step", s.Step.Warmup
	case s.Cosine != nil:
		return "cosine", s.Cosine.Warmup
	case s.Plateau != nil:
		return "plateau", s.Plateau.Warmup
	}
	return "", 0
}

// schedule is the schedule as the trainer takes it. A plateau is not known
// before the epochs are: see plateau.
func (c *Config) schedule() nn.Schedule {
	_, warmup := c.Schedule.warmup()
	out := nn.Schedule{Warmup: warmup}
	switch s := c.Schedule; {
	case s.Step != nil:
		out.Every, out.Factor = s.Step.Every, s.Step.Factor
	case s.Cosine != nil:
		out.Cosine, out.Minimum = s.Cosine.Over, s.Cosine.Minimum
		if out.Cosine == 0 {
			out.Cosine = c.Epochs
		}
	}
	return out
}

func (c *Config) clip() nn.Clip {
	if c.ClipGradient == nil {
		return nn.Clip{}
	}
	return nn.Clip{Norm: c.ClipGradient.Norm, Value: c.ClipGradient.Value}
}

// plateau watches the loss of the validation part for one.
type plateau struct {
	Plateau
	best   float64
	waited int
}

func newPlateau(p *Plateau) *plateau {
	if p == nil {
		return nil
	}
	return &plateau{Plateau: *p, best: math.Inf(1)}
}

// see reports whether the rate is to be smaller from now on.
func (p *plateau) see(loss float64) bool {
	if loss < p.best {
		p.best, p.waited = loss, 0
		return false
	}
	p.waited++
	if p.waited < p.Patience {
		return false
	}
	p.waited = 0
	return true
}
