package tree

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/flow-pipelines/flow/stages/nn/philox"
)

// matrix is a Source of columns in memory.
type matrix [][]float32

func (m matrix) Rows() int                    { return len(m[0]) }
func (m matrix) Cols() int                    { return len(m) }
func (m matrix) Column(j int, into []float32) { copy(into, m[j]) }
func (m matrix) rows() []float32 {
	out := make([]float32, 0, m.Rows()*m.Cols())
	for i := range m.Rows() {
		for j := range m {
			out = append(out, m[j][i])
		}
	}
	return out
}

func defaults(l Loss) Options {
	return Options{
		Loss: l, Classes: 3, HuberDelta: 1, LearningRate: 0.1, MaxLeaves: 31, MinRows: 20, MinWeight: 1e-3, L2: 1,
		MaxBins: 255, RowFraction: 1, ColumnFraction: 1, Threads: 1,
	}
}

// example has columns of several kinds: continuous, of few values, mostly
// missing, constant; the target depends on them all but the last.
func example(rows int, l Loss, seed uint64) Examples {
	s := philox.New(seed, 1, 0)
	m := matrix{make([]float32, rows), make([]float32, rows), make([]float32, rows), make([]float32, rows)}
	y := make([]float32, rows)
	for i := range rows {
		a, b, c := s.Float32(), float32(s.IntN(4)), s.Float32()
		v := 3*a*a + b
		if s.IntN(3) > 0 {
			c = float32(math.NaN())
			v += 2
		} else {
			v -= c
		}
		m[0][i], m[1][i], m[2][i], m[3][i] = a, b, c, 7
		y[i] = v + s.Float32()/4
		switch l {
		case Logistic:
			y[i] = float32(int(v) & 1)
		case Softmax:
			y[i] = float32(int(v) % 3)
		}
	}
	return Examples{X: m, Y: y}
}

func boosted(t testing.TB, o Options, e Examples, rounds int) (b *Booster, losses []float64) {
	t.Helper()
	b, err := NewBooster(o, e)
	if err != nil {
		t.Fatal(err)
	}
	for range rounds {
		loss, err := b.Round(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		losses = append(losses, loss)
	}
	return b, losses
}

var losses = []Loss{Squared, Absolute, Huber, Logistic, Softmax}

func TestThreadsDoNotChangeABit(t *testing.T) {
	for _, l := range losses {
		o := defaults(l)
		o.RowFraction, o.ColumnFraction, o.Seed = 0.7, 0.6, 9
		e := example(30_000, l, 1)
		want, _ := boosted(t, o, e, 6)
		for _, threads := range []int{2, 3, 8} {
			o.Threads = threads
			got, _ := boosted(t, o, e, 6)
			if !equal(got.Ensemble(6), want.Ensemble(6)) {
				t.Errorf("%s: %d threads give other trees than one", l, threads)
			}
		}
	}
}

func equal(a, b *Ensemble) bool {
	return slices.Equal(a.Base, b.Base) && slices.EqualFunc(a.Trees, b.Trees, func(a, b Tree) bool {
		return a.Output == b.Output && slices.Equal(a.Nodes, b.Nodes)
	})
}

func TestTheLossFallsRoundByRound(t *testing.T) {
	for _, l := range losses {
		_, losses := boosted(t, defaults(l), example(3000, l, 2), 60)
		for i := 1; i < len(losses); i++ {
			if losses[i] > losses[i-1] {
				t.Errorf("%s: loss %v after round %d, %v before", l, losses[i], i+1, losses[i-1])
			}
		}
		if last := losses[59]; last > losses[0]/4 {
			t.Errorf("%s: loss %v after 60 rounds, %v after the first", l, last, losses[0])
		}
	}
}

// The codes that training walks by and the numbers that a model is asked for
// must lead to the same leaves.
func TestCodesAndNumbersLeadToTheSameLeaves(t *testing.T) {
	for _, l := range losses {
		o := defaults(l)
		o.RowFraction = 0.5
		b, err := NewBooster(o, example(2000, l, 3))
		if err != nil {
			t.Fatal(err)
		}
		x := example(500, l, 4).X.(matrix)
		x[0][0], x[1][1], x[3][2] = float32(math.NaN()), 2.5, -1e30
		f, err := b.Follow(x)
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			if _, err := b.Round(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		e := b.Ensemble(20)
		if err := e.Check(x.Cols()); err != nil {
			t.Fatal(err)
		}
		for _, of := range []struct {
			x      matrix
			scores []float64
		}{{x, f.scores}, {example(2000, l, 3).X.(matrix), b.scores}} {
			rows := of.x.Rows()
			out := make([]float32, rows*len(e.Base))
			e.Scores(out, of.x.rows(), of.x.Cols())
			for i := range rows {
				for k := range e.Base {
					if got, want := out[i*len(e.Base)+k], float32(of.scores[k*rows+i]); got != want {
						t.Fatalf("%s: row %d, output %d: %v, training has %v", l, i, k, got, want)
					}
				}
			}
		}
	}
}

// The first split is the best of all, found by trying every one.
func TestTheFirstSplitIsTheBestOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := rapid.IntRange(2, 40).Draw(t, "rows")
		value := rapid.SampledFrom([]float32{-2, -1, 0, 0.5, 1, 3, float32(math.NaN())})
		m := matrix{rapid.SliceOfN(value, rows, rows).Draw(t, "a"), rapid.SliceOfN(value, rows, rows).Draw(t, "b")}
		y := rapid.SliceOfN(rapid.Float32Range(-10, 10), rows, rows).Draw(t, "y")
		o := defaults(Squared)
		o.MinRows, o.MaxLeaves, o.LearningRate = rapid.IntRange(1, 5).Draw(t, "min_rows"), 2, 1
		b, err := NewBooster(o, Examples{X: m, Y: y})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Round(t.Context()); err != nil {
			t.Fatal(err)
		}
		root := b.trees[0].Nodes[0]
		got := 0.0
		if root.Feature != Leaf {
			got = gainOf(o, m[root.Feature], y, b.base[0], func(v float32) bool {
				return v <= root.Threshold || v != v && root.MissingLeft
			})
		}
		best := 0.0
		for _, c := range m {
			for _, threshold := range append([]float32{math.MaxFloat32}, c...) {
				for _, missingLeft := range []bool{false, true} {
					best = max(best, gainOf(o, c, y, b.base[0], func(v float32) bool { return v <= threshold || v != v && missingLeft }))
				}
			}
		}
		if got < best-1e-4*(1+best) {
			t.Fatalf("the split gains %v, the best %v: %+v", got, best, root)
		}
	})
}

func gainOf(o Options, c, y []float32, base float32, left func(float32) bool) float64 {
	var g, n [2]float64
	for i, v := range c {
		side := 1
		if left(v) {
			side = 0
		}
		g[side] += float64(base) - float64(y[i])
		n[side]++
	}
	if n[0] < float64(o.MinRows) || n[1] < float64(o.MinRows) {
		return 0
	}
	score := func(g, n float64) float64 { return g * g / (n + o.L2) }
	return score(g[0], n[0]) + score(g[1], n[1]) - score(g[0]+g[1], n[0]+n[1])
}

func TestTreesKeepTheirLimits(t *testing.T) {
	o := defaults(Squared)
	o.MaxLeaves, o.MaxDepth, o.MinRows = 9, 3, 50
	e := example(1000, Squared, 5)
	b, _ := boosted(t, o, e, 10)
	x := e.X.(matrix)
	for _, tree := range b.trees {
		leaves, rows := 0, map[int]int{}
		var walk func(at, depth int)
		walk = func(at, depth int) {
			if n := tree.Nodes[at]; n.Feature != Leaf {
				walk(int(n.Left), depth+1)
				walk(int(n.Right), depth+1)
			} else if leaves++; depth > 3 {
				t.Errorf("a leaf is %d deep", depth)
			}
		}
		walk(0, 0)
		if leaves > 8 { // 2^3
			t.Errorf("%d leaves", leaves)
		}
		for i := range x.Rows() {
			at := 0
			for n := tree.Nodes[0]; n.Feature != Leaf; n = tree.Nodes[at] {
				if v := x[n.Feature][i]; v <= n.Threshold || v != v && n.MissingLeft {
					at = int(n.Left)
				} else {
					at = int(n.Right)
				}
			}
			rows[at]++
		}
		for at, n := range rows {
			if n < 50 {
				t.Errorf("leaf %d has %d rows", at, n)
			}
		}
	}
}

func TestAWeightOfTwoIsARowTwice(t *testing.T) {
	for _, l := range []Loss{Squared, Absolute, Logistic, Softmax} {
		e := example(250, l, 6) // each value has a bin of its own
		m := e.X.(matrix)
		twice := Examples{X: matrix{}, Y: slices.Clone(e.Y)}
		e.Weight = make([]float32, 250)
		var columns matrix
		for _, c := range m {
			columns = append(columns, slices.Clone(c))
		}
		for i := range e.Weight {
			e.Weight[i] = 1
			if i%3 == 0 {
				e.Weight[i] = 2
				twice.Y = append(twice.Y, e.Y[i])
				for j := range columns {
					columns[j] = append(columns[j], m[j][i])
				}
			}
		}
		twice.X = columns
		o := defaults(l)
		o.MinRows = 1 // rows are counted, not weighed
		_, a := boosted(t, o, e, 10)
		_, b := boosted(t, o, twice, 10)
		for i := range a {
			if math.Abs(a[i]-b[i]) > 1e-4*(1+a[i]) {
				t.Errorf("%s: loss %v after round %d by weight, %v by rows", l, a[i], i+1, b[i])
			}
		}
	}
}

func TestDerivativesAreThoseOfTheLoss(t *testing.T) {
	for _, l := range losses {
		o := defaults(l)
		y := []float32{1}
		objective := objective{options: o, y: y}
		for _, at := range []float64{-3, -0.4, 0.2, 0.9, 2.7} {
			scores := make([]float64, o.outputs())
			for k := range scores {
				scores[k] = at * float64(k+1)
			}
			g, h := make([]float32, len(scores)), make([]float32, len(scores))
			objective.derivatives(scores, g, h)
			for k := range scores {
				const step = 1e-5
				loss := func(d float64) float64 {
					s := slices.Clone(scores)
					s[k] += d
					return objective.derivatives(s, make([]float32, len(s)), make([]float32, len(s)))
				}
				slope := (loss(step) - loss(-step)) / (2 * step)
				if l == Squared || l == Huber {
					slope /= 2 // g is that of half the square: h is 1
				}
				if math.Abs(slope-float64(g[k])) > 1e-4 {
					t.Errorf("%s at %v: derivative %v, the loss has %v", l, at, g[k], slope)
				}
			}
		}
	}
}

func TestBinsDivideEvenly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float32(), 1, 2000).Draw(t, "values")
		most := rapid.IntRange(2, 255).Draw(t, "most")
		c := column{bounds: cut(values, nil, most)}
		if c.values() > most || !slices.IsSorted(c.bounds) {
			t.Fatalf("%d bins with bounds %v", c.values(), c.bounds)
		}
		c.encode(values)
		for i, v := range values {
			code := int(c.codes[i])
			if code > 0 && v <= c.bounds[code-1] || code < len(c.bounds) && v > c.bounds[code] {
				t.Fatalf("%v is in bin %d of %v", v, code, c.bounds)
			}
		}
	})
}

func TestNothingToLearnGivesTheConstant(t *testing.T) {
	o := defaults(Squared)
	nan := float32(math.NaN())
	b, _ := boosted(t, o, Examples{X: matrix{{nan, nan, nan}, {1, 1, 1}}, Y: []float32{1, 2, 6}}, 3)
	e := b.Ensemble(3)
	out := make([]float32, 1)
	e.Scores(out, []float32{5, 5}, 2)
	if math.Abs(float64(out[0])-3) > 1e-6 {
		t.Errorf("predicts %v, want the mean", out[0])
	}
}

func TestBadOptionsAreRefused(t *testing.T) {
	e := example(10, Squared, 1)
	for name, change := range map[string]func(*Options, *Examples){
		"loss":     func(o *Options, _ *Examples) { o.Loss = "cubic" },
		"classes":  func(o *Options, _ *Examples) { o.Loss, o.Classes = Softmax, 1 },
		"delta":    func(o *Options, _ *Examples) { o.Loss, o.HuberDelta = Huber, 0 },
		"rate":     func(o *Options, _ *Examples) { o.LearningRate = math.NaN() },
		"leaves":   func(o *Options, _ *Examples) { o.MaxLeaves = 1 },
		"l2":       func(o *Options, _ *Examples) { o.L2 = -1 },
		"bins":     func(o *Options, _ *Examples) { o.MaxBins = 256 },
		"fraction": func(o *Options, _ *Examples) { o.RowFraction = 0 },
		"targets":  func(_ *Options, e *Examples) { e.Y = e.Y[1:] },
		"weights":  func(_ *Options, e *Examples) { e.Weight = make([]float32, 10) },
	} {
		o, e := defaults(Squared), e
		change(&o, &e)
		if _, err := NewBooster(o, e); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func BenchmarkRounds(b *testing.B) {
	e := example(20_000, Squared, 1)
	o := defaults(Squared)
	for b.Loop() {
		boosted(b, o, e, 100)
	}
}
