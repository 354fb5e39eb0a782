package linear

import (
	"context"
	"errors"
	"fmt"
	"math"
)

// Squares fits the rows x to the numbers y: it minimises the sum of the rows'
// squared errors, each by its weight (nil is 1 each), and L2 times the squared
// weights. Where several solutions are as good, as with a column that follows from
// others, it is one whose weights are small.
func Squares(ctx context.Context, x *Rows, y, weight []float32, o Options) (*Solution, error) {
	if x.Len() == 0 || len(y) != x.Len() || weight != nil && len(weight) != x.Len() || o.Iterations < 1 {
		return nil, fmt.Errorf("fit least squares: %d rows, %d targets, %d weights, %d iterations", x.Len(), len(y), len(weight), o.Iterations)
	}
	p := &squares{options: o, x: x, columns: x.transposed(), root: make([]float64, x.Len())}
	for i := range p.root {
		p.root[i] = 1
		if weight != nil {
			p.root[i] = math.Sqrt(float64(weight[i]))
		}
		p.total += float64(p.root[i] * p.root[i])
	}
	if p.total == 0 {
		return nil, errors.New("fit least squares: every row has weight zero")
	}
	p.centre()
	var mean float64
	for i, v := range y {
		mean += float64(float64(p.root[i]*p.root[i]) * float64(v))
	}
	mean /= p.total
	residual := make([]float64, len(y))
	for i, v := range y {
		residual[i] = float64(p.root[i] * (float64(v) - mean))
	}
	at, iterations, converged, err := p.minimise(ctx, residual)
	if err != nil {
		return nil, err
	}
	s := &Solution{Iterations: iterations, Converged: converged}
	bias := mean
	for j, v := range at {
		w := float64(v * p.scale[j])
		s.Weight = append(s.Weight, float32(w))
		bias -= float64(w * p.mean[j])
	}
	s.Bias = []float32{float32(bias)}
	return s, nil
}

// squares is a problem of least squares. Its columns are taken less their mean,
// which leaves the bias out of it, and divided by their length, which keeps columns
// of unlike size from slowing it down; neither is written down, so that zeros stay
// zeros.
type squares struct {
	options     Options
	x, columns  *Rows
	root        []float64 // of the rows' weights
	total       float64   // of the weights
	mean, scale []float64 // of the columns
}

func (p *squares) centre() {
	n := p.x.Cols
	p.mean, p.scale = make([]float64, n), make([]float64, n)
	p.blocks(n, func(j int) {
		var sum, held float64
		from, to := p.columns.Start[j], p.columns.Start[j+1]
		for n := from; n < to; n++ {
			w := p.root[p.columns.Index[n]]
			w = float64(w * w)
			sum += float64(w * float64(p.columns.Value[n]))
			held += w
		}
		mean := sum / p.total
		length := float64(max(0, p.total-held) * float64(mean*mean))
		for n := from; n < to; n++ {
			d := float64(p.root[p.columns.Index[n]] * (float64(p.columns.Value[n]) - mean))
			length += float64(d * d)
		}
		p.mean[j] = mean
		// A column that is the same in all rows tells nothing: what is left of it is
		// rounding.
		if least := float64(p.total*float64(mean*mean)) * 1e-14; length > least {
			p.scale[j] = 1 / math.Sqrt(length+p.options.L2)
		}
	})
}

// blocks calls each of n tasks, a block after the other on each thread.
func (p *squares) blocks(n int, task func(int)) {
	share(p.options.Threads, (n+blockRows-1)/blockRows, func(b int) {
		for i := b * blockRows; i < min(n, (b+1)*blockRows); i++ {
			task(i)
		}
	})
}

// minimise is the method of conjugate gradients for least squares (Björck, Numerical
// Methods for Least Squares Problems, algorithm 7.4.1), from zero. residual is used
// up.
func (p *squares) minimise(ctx context.Context, residual []float64) (at []float64, iterations int, converged bool, err error) {
	n := p.x.Cols
	at, gradient, image := make([]float64, n), make([]float64, n), make([]float64, len(residual))
	p.backward(gradient, residual, at)
	direction := append([]float64(nil), gradient...)
	size := dot(gradient, gradient)
	enough := float64(p.options.Tolerance*p.options.Tolerance) * size
	for size > enough {
		if iterations == p.options.Iterations {
			return at, iterations, false, nil
		}
		if err := ctx.Err(); err != nil {
			return nil, 0, false, err
		}
		p.forward(image, direction)
		length := dot(image, image)
		for j, v := range direction {
			w := float64(v * p.scale[j])
			length += float64(p.options.L2 * float64(w*w))
		}
		step := size / length
		if math.IsNaN(step) || math.IsInf(step, 0) {
			return nil, 0, false, errors.New("fit least squares: the numbers are not finite")
		}
		addTo(at, step, direction)
		addTo(residual, -step, image)
		p.backward(gradient, residual, at)
		next := dot(gradient, gradient)
		for j, v := range direction {
			direction[j] = gradient[j] + float64(next/size*v)
		}
		size = next
		iterations++
		if p.options.Progress != nil {
			p.options.Progress(iterations, dot(residual, residual)/p.total)
		}
	}
	return at, iterations, true, nil
}

// forward computes what a direction in the weights adds to the rows' answers.
func (p *squares) forward(into, direction []float64) {
	w := make([]float64, len(direction))
	var shift float64
	for j, v := range direction {
		w[j] = float64(v * p.scale[j])
		shift += float64(w[j] * p.mean[j])
	}
	p.blocks(len(into), func(i int) {
		sum := -shift
		for n := p.x.Start[i]; n < p.x.Start[i+1]; n++ {
			sum += float64(float64(p.x.Value[n]) * w[p.x.Index[n]])
		}
		into[i] = float64(sum * p.root[i])
	})
}

// backward computes the direction in which the loss falls fastest.
func (p *squares) backward(into, residual, at []float64) {
	sum := dot(p.root, residual)
	p.blocks(len(into), func(j int) {
		var g float64
		for n := p.columns.Start[j]; n < p.columns.Start[j+1]; n++ {
			i := p.columns.Index[n]
			g += float64(float64(p.columns.Value[n]) * float64(p.root[i]*residual[i]))
		}
		g -= float64(p.mean[j] * sum)
		g -= float64(p.options.L2 * float64(p.scale[j]*at[j]))
		into[j] = float64(g * p.scale[j])
	})
}
