package nn

import (
	"fmt"
	"math"
)

// Optimizer is a rule that turns gradients into steps, and its constants.
type Optimizer struct {
	Method       Method
	LearningRate float64
	// Momentum is SGD's share of the last step, in [0, 1).
	Momentum float64
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
	// power1 and power2 are beta^t, multiplied up one step at a time: Pow of
	// package math need not give the same bits everywhere.
	power1, power2 float64
}

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
	s := &optimizer{Optimizer: o, power1: 1, power2: 1}
	for _, p := range parameters {
		s.first = append(s.first, make([]float32, len(p.Data)))
		if o.Method != SGD {
			s.second = append(s.second, make([]float32, len(p.Data)))
		}
	}
	return s
}

// begin starts a step; update is then called once for each parameter.
func (o *optimizer) begin() {
	o.power1 *= o.Beta1
	o.power2 *= o.Beta2
}

// update changes parameter i by its gradient.
func (o *optimizer) update(i int, p Parameter, gradient []float32) {
	decay := float32(o.WeightDecay)
	if p.isBias() {
		decay = 0
	}
	if o.Method == SGD {
		o.sgd(p.Data, gradient, o.first[i], decay)
		return
	}
	o.adam(p.Data, gradient, o.first[i], o.second[i], decay)
}

// sgd is v = momentum·v + g, p = p - rate·v.
func (o *optimizer) sgd(p, gradient, v []float32, decay float32) {
	rate, momentum := float32(o.LearningRate), float32(o.Momentum)
	for i, g := range gradient {
		g += float32(decay * p[i])
		v[i] = float32(momentum*v[i]) + g
		p[i] -= float32(rate * v[i])
	}
}

// adam is m = b1·m + (1-b1)·g, v = b2·v + (1-b2)·g²,
// p = p - rate·(m/(1-b1^t)) / (sqrt(v/(1-b2^t)) + epsilon).
func (o *optimizer) adam(p, gradient, m, v []float32, decay float32) {
	b1, b2 := float32(o.Beta1), float32(o.Beta2)
	rest1, rest2 := float32(1-o.Beta1), float32(1-o.Beta2)
	rate := float32(o.LearningRate / (1 - o.power1))
	correction := float32(1 / math.Sqrt(1-o.power2))
	epsilon := float32(o.Epsilon)
	var shrink float32
	if o.Method == AdamW {
		shrink, decay = float32(o.LearningRate)*decay, 0
	}
	for i, g := range gradient {
		g += float32(decay * p[i])
		m[i] = float32(b1*m[i]) + float32(rest1*g)
		v[i] = float32(b2*v[i]) + float32(rest2*float32(g*g))
		root := float32(math.Sqrt(float64(v[i])))
		change := float32(rate*m[i]) / (float32(root*correction) + epsilon)
		p[i] -= float32(shrink*p[i]) + change
	}
}
