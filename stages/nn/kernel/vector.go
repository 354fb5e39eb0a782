package kernel

import "math"

// lanes is how many float32 an AVX2 register holds: the assembly takes the
// largest multiple of it, and Go the rest, with the same bits.
const lanes = 8

// ReLUGradient writes gradient where h, what ReLU gave, is positive and zero
// elsewhere. out may be gradient.
func ReLUGradient(out, h, gradient []float32) {
	h, gradient = h[:len(out)], gradient[:len(out)]
	n := vectorReLUGradient(out, h, gradient)
	reluGradient(out[n:], h[n:], gradient[n:])
}

func reluGradient(out, h, gradient []float32) {
	for i, v := range h {
		if v > 0 {
			out[i] = gradient[i]
		} else {
			out[i] = 0
		}
	}
}

// ColumnSums adds the rows of m, each as long as out, from the first to the
// last.
func ColumnSums(out, m []float32) {
	if len(m) == 0 {
		clear(out)
		return
	}
	n := vectorColumnSums(out, m)
	columnSums(out[n:], m[n:], len(out))
}

// columnSums is for the first columns of m that out has; rows are cols long.
func columnSums(out, m []float32, cols int) {
	clear(out)
	for len(m) >= len(out) && len(out) > 0 {
		for j, v := range m[:len(out)] {
			out[j] += v
		}
		m = m[min(cols, len(m)):]
	}
}

// Add writes a + b. out may be either.
func Add(out, a, b []float32) {
	a, b = a[:len(out)], b[:len(out)]
	for i := vectorAdd(out, a, b); i < len(out); i++ {
		out[i] = a[i] + b[i]
	}
}

// AdamStep has the constants of one step of Adam:
//
//	g = gradient + Decay·p
//	m = Beta1·m + Rest1·g
//	v = Beta2·v + Rest2·g²
//	p = p - (Shrink·p + Rate·m / (sqrt(v)·Correction + Epsilon))
//
// The assembly knows the offsets of these fields.
type AdamStep struct {
	Beta1, Rest1, Beta2, Rest2, Rate, Correction, Epsilon, Decay, Shrink float32
}

// Update makes the step for parameters p with the memory m and v.
func (s *AdamStep) Update(p, gradient, m, v []float32) {
	gradient, m, v = gradient[:len(p)], m[:len(p)], v[:len(p)]
	n := vectorAdam(p, gradient, m, v, s)
	s.update(p[n:], gradient[n:], m[n:], v[n:])
}

func (s *AdamStep) update(p, gradient, m, v []float32) {
	for i, g := range gradient {
		g += float32(s.Decay * p[i])
		m[i] = float32(s.Beta1*m[i]) + float32(s.Rest1*g)
		v[i] = float32(s.Beta2*v[i]) + float32(s.Rest2*float32(g*g))
		root := float32(math.Sqrt(float64(v[i])))
		change := float32(s.Rate*m[i]) / (float32(root*s.Correction) + s.Epsilon)
		p[i] -= float32(s.Shrink*p[i]) + change
	}
}

// SGDStep has the constants of one step of stochastic gradient descent:
//
//	g = gradient + Decay·p
//	v = Momentum·v + g
//	p = p - Rate·v, or with Nesterov p - Rate·(g + Momentum·v)
//
// The assembly knows the offsets of these fields.
type SGDStep struct {
	Rate, Momentum, Decay float32
	Nesterov              bool
}

// Update makes the step for parameters p with the memory v.
func (s *SGDStep) Update(p, gradient, v []float32) {
	gradient, v = gradient[:len(p)], v[:len(p)]
	n := vectorSGD(p, gradient, v, s)
	s.update(p[n:], gradient[n:], v[n:])
}

func (s *SGDStep) update(p, gradient, v []float32) {
	for i, g := range gradient {
		g += float32(s.Decay * p[i])
		v[i] = float32(s.Momentum*v[i]) + g
		step := v[i]
		if s.Nesterov {
			step = float32(s.Momentum*v[i]) + g
		}
		p[i] -= float32(s.Rate * step)
	}
}

// ReLU replaces what is not positive by zero; a NaN, which has to be seen in the
// loss, stays.
func ReLU(x []float32) {
	relu(x[vectorReLU(x):])
}

func relu(x []float32) {
	for i, v := range x {
		if v <= 0 {
			x[i] = 0
		}
	}
}
