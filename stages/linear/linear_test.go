package linear

import (
	"context"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

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
	numbers := make([]float32, 10)
	if _, err := Squares(t.Context(), x, numbers[1:], nil, options(1)); err == nil {
		t.Error("fewer numbers than rows are taken")
	}
	if _, err := Squares(t.Context(), x, numbers, make([]float32, 10), options(1)); err == nil {
		t.Error("weights of zero are taken")
	}
}

// leastSquares solves the normal equations, with a column of ones for the bias, by
// elimination.
func leastSquares(x *Rows, y, weight []float32, l2 float64) []float64 {
	n := x.Cols + 1
	a := make([][]float64, n)
	for i := range a {
		a[i] = make([]float64, n+1)
	}
	for i := range x.Len() {
		row := make([]float64, n)
		row[x.Cols] = 1
		for k := x.Start[i]; k < x.Start[i+1]; k++ {
			row[x.Index[k]] = float64(x.Value[k])
		}
		for j := range row {
			for k := range row {
				a[j][k] += float64(weight[i]) * row[j] * row[k]
			}
			a[j][n] += float64(weight[i]) * row[j] * float64(y[i])
		}
	}
	for j := range x.Cols {
		a[j][j] += l2
	}
	for j := range n {
		pivot := j
		for i := j; i < n; i++ {
			if math.Abs(a[i][j]) > math.Abs(a[pivot][j]) {
				pivot = i
			}
		}
		a[j], a[pivot] = a[pivot], a[j]
		for i := range n {
			if i != j {
				f := a[i][j] / a[j][j]
				for k := j; k <= n; k++ {
					a[i][k] -= f * a[j][k]
				}
			}
		}
	}
	out := make([]float64, n)
	for j := range out {
		out[j] = a[j][n] / a[j][j]
	}
	return out
}

// Weights are those of elimination, for columns of any scale and offset, rows of any
// weight and with or without L2; on any number of threads to the bit.
func TestSquaresAreTheSolutionOfTheNormalEquations(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cols := rapid.IntRange(1, 6).Draw(t, "columns")
		rows := rapid.IntRange(4*cols+4, 60).Draw(t, "rows")
		s := philox.New(rapid.Uint64().Draw(t, "seed"), 0, 0)
		l2 := rapid.SampledFrom([]float64{0, 0.5, 20}).Draw(t, "l2")
		x := &Rows{Cols: cols, Start: []int{0}}
		scale, offset := make([]float32, cols), make([]float32, cols)
		for j := range scale {
			scale[j] = float32(math.Pow(10, float64(s.IntN(5)-2)))
			offset[j] = float32(s.IntN(3)) * scale[j]
		}
		var y, weight []float32
		for range rows {
			for j := range cols {
				if s.IntN(3) > 0 {
					x.Index, x.Value = append(x.Index, int32(j)), append(x.Value, offset[j]+scale[j]*(2*s.Float32()-1))
				}
			}
			x.Start = append(x.Start, len(x.Index))
			y, weight = append(y, 5+3*s.Float32()), append(weight, float32(s.IntN(3)))
		}
		weight[0] = 1
		o := Options{L2: l2, Iterations: 1000, Tolerance: 1e-12}
		got, err := Squares(context.Background(), x, y, weight, o)
		if err != nil {
			t.Fatal(err)
		}
		want := leastSquares(x, y, weight, l2)
		for i := range rows {
			answer, expected := float64(got.Bias[0]), want[cols]
			for k := x.Start[i]; k < x.Start[i+1]; k++ {
				answer += float64(got.Weight[x.Index[k]]) * float64(x.Value[k])
				expected += want[x.Index[k]] * float64(x.Value[k])
			}
			if math.Abs(answer-expected) > 1e-4 {
				t.Fatalf("row %d: %v, elimination gives %v (weights %v and %v)", i, answer, expected, got, want)
			}
		}
		o.Threads = 3
		again, err := Squares(context.Background(), x, y, weight, o)
		if err != nil || !slices.Equal(again.Weight, got.Weight) || !slices.Equal(again.Bias, got.Bias) {
			t.Fatalf("three threads: %+v, %v; one: %+v", again, err, got)
		}
	})
}

// A column that repeats another and one that never changes have no one solution.
func TestSquaresOfDependentColumnsStaySmall(t *testing.T) {
	x := &Rows{Cols: 3, Start: []int{0}}
	var y []float32
	for i := range 20 {
		v := float32(i)
		x.Index, x.Value = append(x.Index, 0, 1, 2), append(x.Value, v, v, 7)
		x.Start = append(x.Start, len(x.Index))
		y = append(y, 3*v+1)
	}
	s, err := Squares(t.Context(), x, y, nil, Options{Iterations: 100, Tolerance: 1e-9})
	if err != nil || !s.Converged {
		t.Fatalf("%+v, %v", s, err)
	}
	for j, want := range []float32{1.5, 1.5, 0} {
		if math.Abs(float64(s.Weight[j]-want)) > 1e-6 {
			t.Errorf("weight %d is %v, want %v", j, s.Weight[j], want)
		}
	}
	if math.Abs(float64(s.Bias[0])-1) > 1e-4 {
		t.Errorf("bias %v, want 1", s.Bias[0])
	}
}
