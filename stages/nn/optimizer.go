package nn

import (
	"fmt"
	"math"
	"slices"

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
	// squares are the sums of squares of the gradients of each block.
	squares []float64
	clip    Clip
	// rate and factor are those of the step: of learning, and of the gradients.
	rate   float64
	factor float32
	adam   kernel.AdamStep
	// power1 and power2 are beta^t, multiplied up one step at a time: Pow of
	// package math need not give the same bits everywhere.
	power1, power2 float64
}

// block is the elements [from, to) of a parameter.
type block struct{ parameter, from, to int }

const blockSize = 2048

func newOptimizer(o Optimizer, clip Clip, all []Parameter) *optimizer {
	parameters := slices.DeleteFunc(slices.Clone(all), func(p Parameter) bool { return p.Fixed })
	if o.Beta1 == 0 {
		o.Beta1 = 0.9
	}
	if o.Beta2 == 0 {
		o.Beta2 = 0.999
	}
	if o.Epsilon == 0 {
		o.Epsilon = 1e-8
	}
	s := &optimizer{Optimizer: o, clip: clip, parameters: parameters, gradients: make([][]float32, len(parameters)), power1: 1, power2: 1}
	for i, p := range parameters {
		for from := 0; from < len(p.Data); from += blockSize {
			s.blocks = append(s.blocks, block{i, from, min(from+blockSize, len(p.Data))})
		}
		s.first = append(s.first, make([]float32, len(p.Data)))
		if o.Method != SGD {
			s.second = append(s.second, make([]float32, len(p.Data)))
		}
	}
	s.squares = make([]float64, len(s.blocks))
	return s
}

// limit is the first part of a step with Clip.Value, or measures for Clip.Norm.
// Its units are the blocks.
func (o *optimizer) limit(from, to int) {
	most := float32(o.clip.Value)
	for i, b := range o.blocks[from:to] {
		var sum float64
		gradient := o.gradients[b.parameter][b.from:b.to]
		for j, g := range gradient {
			if most > 0 {
				g = max(-most, min(most, g))
				gradient[j] = g
			}
			sum += float64(float64(g) * float64(g))
		}
		o.squares[from+i] = sum
	}
}

// shorten returns the factor for all gradients that Clip.Norm asks for.
func (o *optimizer) shorten() float32 {
	var sum float64
	for _, s := range o.squares {
		sum += s
	}
	if norm := math.Sqrt(sum); o.clip.Norm > 0 && norm > o.clip.Norm {
		return float32(o.clip.Norm / norm)
	}
	return 1
}

// begin starts a step with the gradients of all parameters and a share of the
// learning rate; the units of update are then done once each, in any order.
func (o *optimizer) begin(share float64, factor float32) {
	o.rate, o.factor = o.LearningRate*share, factor
	o.power1 = float64(o.power1 * o.Beta1) // rounded before it is subtracted
	o.power2 = float64(o.power2 * o.Beta2)
	// m/(1-b1^t) and sqrt(v/(1-b2^t)) are scaled together.
	o.adam = kernel.AdamStep{
		Beta1: float32(o.Beta1), Rest1: float32(1 - o.Beta1), Beta2: float32(o.Beta2), Rest2: float32(1 - o.Beta2),
		Rate: float32(o.rate / (1 - o.power1)), Correction: float32(1 / math.Sqrt(1-o.power2)), Epsilon: float32(o.Epsilon),
	}
}

// update changes the blocks [from, to) of the parameters by their gradients.
func (o *optimizer) update(from, to int) {
	for _, b := range o.blocks[from:to] {
		p := o.parameters[b.parameter]
		decay := float32(o.WeightDecay)
		if !p.decays() {
			decay = 0
		}
		values, gradient := p.Data[b.from:b.to], o.gradients[b.parameter][b.from:b.to]
		if o.factor != 1 {
			for i, g := range gradient {
				gradient[i] = g * o.factor
			}
		}
		first := o.first[b.parameter][b.from:b.to]
		if o.Method == SGD {
			s := kernel.SGDStep{Rate: float32(o.rate), Momentum: float32(o.Momentum), Decay: decay, Nesterov: o.Nesterov}
			s.Update(values, gradient, first)
			continue
		}
		s := o.adam
		if o.Method == AdamW {
			s.Shrink = float32(o.rate) * decay
		} else {
			s.Decay = decay
		}
		s.Update(values, gradient, first, o.second[b.parameter][b.from:b.to])
	}
}
