package nn

import (
	"fmt"
	"math"

	"github.com/flow-pipelines/flow/stages/nn/kernel"
)

// Optimizer is a rule that turns gradients into steps, and its constants.
type Optimizer struct {
	Method       Method
	LearningRate float64
	// Momentum is SGD's share of the last step, in [0, 1).
	Momentum float64
	// Nesterov looks ahead: the step is of where the momentum will lead
	// (Sutskever et al., 2013, in the form of PyTorch's).
	Nesterov bool
	// Beta1, Beta2 and Epsilon are Adam's; zero takes 0.9, 0.999 and 1e-8.
	Beta1, Beta2, Epsilon float64
	// WeightDecay is added to the gradient, times the weight (L2
	// regularisation, as in PyTorch's SGD and Adam); AdamW subtracts it from
	// the weight itself. Biases do not decay.
	WeightDecay float64
}

// Method is the name of an optimizer.
type Method string

// The optimizers.
const (
	SGD   Method = "sgd"
	Adam  Method = "adam"  // Kingma and Ba, 2015
	AdamW Method = "adamw" // Loshchilov and Hutter, 2019
)

// Methods lists the optimizers.
func Methods() []Method { return []Method{Adam, AdamW, SGD} }

func (o Optimizer) check() error {
	inUnit := func(v float64) bool { return v >= 0 && v < 1 }
	switch {
	case o.Method != SGD && o.Method != Adam && o.Method != AdamW:
		return fmt.Errorf("make optimizer: %q is not one of %v", o.Method, Methods())
	case !(o.LearningRate > 0) || math.IsInf(o.LearningRate, 0):
		return fmt.Errorf("make optimizer: learning rate %v is not positive", o.LearningRate)
	case !inUnit(o.Momentum) || !inUnit(o.Beta1) || !inUnit(o.Beta2):
		return fmt.Errorf("make optimizer: momentum %v, beta1 %v, beta2 %v: each must be at least 0 and below 1", o.Momentum, o.Beta1, o.Beta2)
	case !(o.Epsilon >= 0) || !(o.WeightDecay >= 0):
		return fmt.Errorf("make optimizer: epsilon %v and weight decay %v must not be negative", o.Epsilon, o.WeightDecay)
	}
	return nil
}

// optimizer is an Optimizer with its memory of past steps.
type optimizer struct {
	Optimizer
	// first and second are the running means of gradients and of their
	// squares, one slice a parameter; SGD has the first alone.
	first, second [][]float32
	parameters    []Parameter
	// gradients are those of the step, one slice a parameter.
	gradients [][]float32
	// blocks are the parameters in pieces that fit into the innermost cache.
	blocks []block
	adam   kernel.AdamStep
	// power1 and power2 are beta^t, multiplied up one step at a time: Pow of
	// package math need not give the same bits everywhere.
	power1, power2 float64
}

// block is the elements [from, to) of a parameter.
type block struct{ parameter, from, to int }

const blockSize = 2048

func newOptimizer(o Optimizer, parameters []Parameter) *optimizer {
	if o.Beta1 == 0 {
		o.Beta1 = 0.9
	}
	if o.Beta2 == 0 {
		o.Beta2 = 0.999
	}
	if o.Epsilon == 0 {
		o.Epsilon = 1e-8
	}
	s := &optimizer{Optimizer: o, parameters: parameters, gradients: make([][]float32, len(parameters)), power1: 1, power2: 1}
	for i, p := range parameters {
		for from := 0; from < len(p.Data); from += blockSize {
			s.blocks = append(s.blocks, block{i, from, min(from+blockSize, len(p.Data))})
		}
		s.first = append(s.first, make([]float32, len(p.Data)))
		if o.Method != SGD {
			s.second = append(s.second, make([]float32, len(p.Data)))
		}
	}
	return s
}

// begin starts a step with the gradients of all parameters; the units of update
// are then done once each, in any order.
func (o *optimizer) begin() {
	o.power1 = float64(o.power1 * o.Beta1) // rounded before it is subtracted
	o.power2 = float64(o.power2 * o.Beta2)
	// m/(1-b1^t) and sqrt(v/(1-b2^t)) are scaled together.
	o.adam = kernel.AdamStep{
		Beta1: float32(o.Beta1), Rest1: float32(1 - o.Beta1), Beta2: float32(o.Beta2), Rest2: float32(1 - o.Beta2),
		Rate: float32(o.LearningRate / (1 - o.power1)), Correction: float32(1 / math.Sqrt(1-o.power2)), Epsilon: float32(o.Epsilon),
	}
}

// update changes the blocks [from, to) of the parameters by their gradients.
func (o *optimizer) update(from, to int) {
	for _, b := range o.blocks[from:to] {
		p := o.parameters[b.parameter]
		decay := float32(o.WeightDecay)
		if p.isBias() {
			decay = 0
		}
		values, gradient := p.Data[b.from:b.to], o.gradients[b.parameter][b.from:b.to]
		first := o.first[b.parameter][b.from:b.to]
		if o.Method == SGD {
			s := kernel.SGDStep{Rate: float32(o.LearningRate), Momentum: float32(o.Momentum), Decay: decay, Nesterov: o.Nesterov}
			s.Update(values, gradient, first)
			continue
		}
		s := o.adam
		if o.Method == AdamW {
			s.Shrink = float32(o.LearningRate) * decay
		} else {
			s.Decay = decay
		}
		s.Update(values, gradient, first, o.second[b.parameter][b.from:b.to])
	}
}
