package linear

import (
	"math"
	"slices"
	"testing"

	"github.com/flow-pipelines/flow/stages/nn/philox"
)

// example has sparse rows whose class follows from a hidden set of weights.
func example(rows, cols, classes int) (*Rows, []int) {
	s := philox.New(5, 0, 0)
	hidden := make([]float32, cols*classes)
	for i := range hidden {
		hidden[i] = 4*s.Float32() - 2
	}
	x := &Rows{Cols: cols, Start: []int{0}}
	y := make([]int, rows)
	for i := range rows {
		scores := make([]float32, classes)
		for j := range cols {
			if s.IntN(4) > 0 {
				continue
			}
			v := s.Float32()
			x.Index, x.Value = append(x.Index, int32(j)), append(x.Value, v)
			for c := range scores {
				scores[c] += v * hidden[j*classes+c]
			}
		}
		x.Start = append(x.Start, len(x.Index))
		for c := range scores {
			if scores[c]+s.Float32()/2 > scores[y[i]] {
				y[i] = c
			}
		}
	}
	return x, y
}

func options(classes int) Options {
	return Options{Classes: classes, L2: 1, Iterations: 500, Tolerance: 1e-7}
}

func TestTheSolutionIsAMinimum(t *testing.T) {
	x, y := example(300, 12, 3)
	weight := make([]float32, 300)
	for i := range weight {
		weight[i] = float32(i % 3)
	}
	s, err := Logistic(t.Context(), x, y, weight, options(3))
	if err != nil || !s.Converged {
		t.Fatalf("%+v, %v", s, err)
	}
	p := &problem{options: options(3), x: x, columns: x.transposed(), y: y, weight: weight, total: 300, residual: make([]float64, 900)}
	at := make([]float64, 39)
	for i, v := range append(slices.Clone(s.Weight), s.Bias...) {
		at[i] = float64(v)
	}
	gradient, other := make([]float64, 39), make([]float64, 39)
	value := p.evaluate(at, gradient)
	for i := range at {
		const step = 1e-3
		at[i] += step
		up := p.evaluate(at, other)
		at[i] -= 2 * step
		down := p.evaluate(at, other)
		at[i] += step
		if up < value-1e-9 || down < value-1e-9 {
			t.Errorf("parameter %d: %v and %v beside the minimum %v", i, down, up, value)
		}
		if slope := (up - down) / (2 * step); math.Abs(slope-gradient[i]) > 1e-6 {
			t.Errorf("parameter %d: gradient %v, the loss has %v", i, gradient[i], slope)
		}
	}
}

func TestThreadsDoNotChangeABit(t *testing.T) {
	x, y := example(5000, 40, 4)
	o := options(4)
	o.Iterations = 20
	want, err := Logistic(t.Context(), x, y, nil, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, o.Threads = range []int{2, 3, 8} {
		got, err := Logistic(t.Context(), x, y, nil, o)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.Weight, want.Weight) || !slices.Equal(got.Bias, want.Bias) {
			t.Errorf("%d threads give other weights than one", o.Threads)
		}
	}
}

func TestWhatCannotBeFittedIsRefused(t *testing.T) {
	x, y := example(10, 3, 2)
	if _, err := Logistic(t.Context(), x, y[1:], nil, options(2)); err == nil {
		t.Error("fewer targets than rows are taken")
	}
	if _, err := Logistic(t.Context(), x, y, make([]float32, 10), options(2)); err == nil {
		t.Error("weights of zero are taken")
	}
}
