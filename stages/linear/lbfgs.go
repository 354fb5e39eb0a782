package linear

import (
	"context"
	"errors"
	"math"
)

// memory is how many steps L-BFGS remembers.
const memory = 10

// The conditions of Wolfe on a step, with their usual constants (Nocedal and
// Wright, Numerical Optimization, 3.1).
const (
	sufficient = 1e-4
	curvature  = 0.9
	mostTries  = 30
)

// correction is a step and the change of the gradient along it.
type correction struct {
	step, change []float64
	rho          float64
}

// minimise moves at to the minimum of p.
func minimise(ctx context.Context, p *problem, at []float64) (iterations int, converged bool, err error) {
	n := len(at)
	gradient, next, nextGradient := make([]float64, n), make([]float64, n), make([]float64, n)
	value := p.evaluate(at, gradient)
	var past []correction
	for iterations < p.options.Iterations {
		if err := ctx.Err(); err != nil {
			return 0, false, err
		}
		if largest(gradient) <= p.options.Tolerance {
			return iterations, true, nil
		}
		direction := towards(gradient, past)
		slope := dot(direction, gradient)
		if slope >= 0 { // rounding has spoilt what was remembered
			past = nil
			direction = towards(gradient, nil)
			slope = dot(direction, gradient)
		}
		first := 1.0
		if past == nil {
			first = min(1, 1/largest(gradient))
		}
		nextValue, ok := search(p, at, direction, value, slope, first, next, nextGradient)
		if !ok {
			// No step makes the loss smaller: this is as near as rounding lets.
			return iterations, true, nil
		}
		if math.IsNaN(nextValue) || math.IsInf(nextValue, 0) {
			return iterations, false, errors.New("fit logistic regression: the loss is not finite")
		}
		c := correction{step: make([]float64, n), change: make([]float64, n)}
		for i := range next {
			c.step[i], c.change[i] = next[i]-at[i], nextGradient[i]-gradient[i]
		}
		if sy := dot(c.step, c.change); sy > 0 {
			c.rho = 1 / sy
			past = append(past, c)
			past = past[max(0, len(past)-memory):]
		}
		copy(at, next)
		copy(gradient, nextGradient)
		value = nextValue
		iterations++
		if p.options.Progress != nil {
			p.options.Progress(iterations, value)
		}
	}
	return iterations, false, nil
}

// towards is the direction of descent: the two loops of L-BFGS.
func towards(gradient []float64, past []correction) []float64 {
	d := make([]float64, len(gradient))
	for i, g := range gradient {
		d[i] = -g
	}
	alpha := make([]float64, len(past))
	for i := len(past) - 1; i >= 0; i-- {
		alpha[i] = past[i].rho * dot(past[i].step, d)
		addTo(d, -alpha[i], past[i].change)
	}
	if n := len(past); n > 0 {
		scale := 1 / (past[n-1].rho * dot(past[n-1].change, past[n-1].change))
		for i := range d {
			d[i] *= scale
		}
	}
	for i := range past {
		beta := past[i].rho * dot(past[i].change, d)
		addTo(d, alpha[i]-beta, past[i].step)
	}
	return d
}

// search finds a step along a direction that makes the value small enough and
// the slope flat enough, by bisection between steps known to be too short and
// too long. ok is false if none makes the value smaller.
func search(p *problem, at, direction []float64, value, slope, step float64, next, gradient []float64) (found float64, ok bool) {
	low, high := 0.0, math.Inf(1)
	for range mostTries {
		for i, d := range direction {
			next[i] = at[i] + float64(step*d)
		}
		found = p.evaluate(next, gradient)
		switch {
		case math.IsNaN(found) || found > value+float64(sufficient*float64(step*slope)):
			high = step
		case dot(gradient, direction) < curvature*slope:
			low = step
		default:
			return found, true
		}
		if math.IsInf(high, 1) {
			step *= 2
		} else {
			step = (low + high) / 2
		}
	}
	return found, found < value
}

func dot(a, b []float64) float64 {
	var sum float64
	for i, v := range a {
		sum += float64(v * b[i])
	}
	return sum
}

func addTo(into []float64, factor float64, v []float64) {
	for i, x := range v {
		into[i] += float64(factor * x)
	}
}

func largest(v []float64) float64 {
	top := 0.0
	for _, x := range v {
		top = max(top, math.Abs(x))
	}
	return top
}
