package kernel

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/flow-pipelines/flow/stages/nn/philox"
)

func random(n int, index uint32) []float32 {
	s := philox.New(1, 0, index)
	out := make([]float32, n)
	for i := range out {
		out[i] = s.Float32()*2 - 1
	}
	return out
}

// hard draws numbers among which are those that kernels get wrong: zeros of
// both signs, denormals, infinities, NaN, and the ends of the range.
func hard(t *rapid.T, n int, label string) []float32 {
	special := []float32{
		0, float32(math.Copysign(0, -1)), 1e-45, -1e-40, 1.1754944e-38, math.MaxFloat32, -math.MaxFloat32,
		float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()), 1, -1, 3e-20, 1.0000001,
	}
	s := philox.New(rapid.Uint64().Draw(t, label), 0, 0)
	rare := rapid.SampledFrom([]int{2, 50, 1000, 1 << 30}).Draw(t, label+" rarity")
	out := make([]float32, n)
	for i := range out {
		if s.IntN(rare) == 0 {
			out[i] = special[s.IntN(len(special))]
		} else {
			out[i] = (s.Float32()*2 - 1) * 10
		}
	}
	return out
}

// differ returns the first index at which two slices have other bits; which NaN
// a NaN is does not count.
func differ(a, b []float32) int {
	if len(a) != len(b) {
		return min(len(a), len(b))
	}
	for i := range a {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) && !(a[i] != a[i] && b[i] != b[i]) {
			return i
		}
	}
	return -1
}

func mustAgree(t *rapid.T, what string, got, want []float32) {
	t.Helper()
	if i := differ(got, want); i >= 0 {
		t.Fatalf("%s: element %d is %v (%08x), want %v (%08x)", what, i, got[i], math.Float32bits(got[i]), want[i], math.Float32bits(want[i]))
	}
}

// define computes a product by its definition.
func define(p *Product) []float32 {
	c := make([]float32, p.M*p.N)
	for i := range p.M {
		for j := range p.N {
			var sum float32
			if p.Add {
				sum = p.C[i*p.N+j]
			}
			for q := range p.K {
				sum += float32(p.A.Data[i*p.A.Row+q*p.A.Col] * p.B.Data[q*p.B.Row+j*p.B.Col])
			}
			if p.Bias != nil {
				sum += p.Bias[j]
				if p.ReLU && sum <= 0 {
					sum = 0
				}
			}
			c[i*p.N+j] = sum
		}
	}
	return c
}

// The assembly where there is one, in any division among threads, has the bits
// of the definition; the definition is portable Go.
func TestAProductIsItsDefinitionToTheBit(t *testing.T) {
	size := rapid.OneOf(rapid.IntRange(1, 40), rapid.SampledFrom([]int{6, 12, 16, 32, 48, 64, 80}))
	rapid.Check(t, func(t *rapid.T) {
		p := &Product{
			M: size.Draw(t, "m"), N: size.Draw(t, "n"), K: rapid.OneOf(rapid.IntRange(0, 70), rapid.IntRange(250, 600)).Draw(t, "k"),
			Add: rapid.Bool().Draw(t, "add"),
		}
		a, b := hard(t, p.M*p.K, "a"), hard(t, p.K*p.N, "b")
		p.C = hard(t, p.M*p.N, "c")
		p.A, p.B = Rows(a, p.K), Rows(b, p.N)
		if rapid.Bool().Draw(t, "transpose a") {
			p.A = Transposed(a, p.M)
		}
		if rapid.Bool().Draw(t, "transpose b") {
			p.B = Transposed(b, p.K)
		}
		if rapid.Bool().Draw(t, "bias") {
			p.Bias, p.ReLU = hard(t, p.N, "biases"), rapid.Bool().Draw(t, "relu")
		}
		want := define(p)
		if rapid.Bool().Draw(t, "whole") {
			p.Run()
		} else {
			p.Begin()
			for i := p.Panels() - 1; i >= 0; i-- {
				p.Pack(i, i+1)
			}
			at := rapid.IntRange(0, p.Tiles()).Draw(t, "split")
			p.Multiply(at, p.Tiles())
			p.Multiply(0, at)
		}
		mustAgree(t, "product", p.C, want)
	})
}

func TestTheRestOfTheAssemblyIsPortableGoToTheBit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 70).Draw(t, "n")
		a, b, c, d := hard(t, n, "a"), hard(t, n, "b"), hard(t, n, "c"), hard(t, n, "d")
		got, want := make([]float32, n), make([]float32, n)

		ReLUGradient(got, a, b)
		reluGradient(want, a, b)
		mustAgree(t, "ReLUGradient", got, want)

		Add(got, a, b)
		for i := range want {
			want[i] = a[i] + b[i]
		}
		mustAgree(t, "Add", got, want)

		m := hard(t, n*rapid.IntRange(0, 9).Draw(t, "rows"), "matrix")
		ColumnSums(got, m)
		columnSums(want, m, n)
		mustAgree(t, "ColumnSums", got, want)

		pick := func(label string) float32 { return rapid.Float32Range(0, 2).Draw(t, label) }
		adam := AdamStep{pick("b1"), pick("r1"), pick("b2"), pick("r2"), pick("rate"), pick("correction"), pick("epsilon"), pick("decay"), pick("shrink")}
		p1, m1, v1 := slices.Clone(a), slices.Clone(c), slices.Clone(d)
		p2, m2, v2 := slices.Clone(a), slices.Clone(c), slices.Clone(d)
		adam.Update(p1, b, m1, v1)
		adam.update(p2, b, m2, v2)
		mustAgree(t, "Adam's parameters", p1, p2)
		mustAgree(t, "Adam's first memory", m1, m2)
		mustAgree(t, "Adam's second memory", v1, v2)

		sgd := SGDStep{pick("sgd rate"), pick("momentum"), pick("sgd decay"), rapid.Bool().Draw(t, "nesterov")}
		p1, v1 = slices.Clone(a), slices.Clone(c)
		p2, v2 = slices.Clone(a), slices.Clone(c)
		sgd.Update(p1, b, v1)
		sgd.update(p2, b, v2)
		mustAgree(t, "SGD's parameters", p1, p2)
		mustAgree(t, "SGD's memory", v1, v2)
	})
}

func TestAProductKeepsItsMemory(t *testing.T) {
	x, y := random(50*60, 0), random(60*70, 1)
	p := &Product{A: Rows(x, 60), B: Rows(y, 70), C: make([]float32, 50*70), M: 50, N: 70, K: 60, Bias: y[:70]}
	if n := testing.AllocsPerRun(20, p.Run); n >= 1 {
		t.Errorf("%v allocations a product", n)
	}
}

func TestTanhAndSigmoidFollowMath(t *testing.T) {
	for x := float32(-30); x < 30; x += 0.0131 {
		if got, want := Tanh(x), float32(math.Tanh(float64(x))); math.Abs(float64(got-want)) > 1e-7*math.Abs(float64(want)) {
			t.Fatalf("Tanh(%v) = %v, want %v", x, got, want)
		}
		if got, want := Sigmoid(x), float32(1/(1+math.Exp(-float64(x)))); math.Abs(float64(got-want)) > 1e-7*float64(want) {
			t.Fatalf("Sigmoid(%v) = %v, want %v", x, got, want)
		}
	}
	if got := Tanh(float32(math.NaN())); got == got {
		t.Errorf("Tanh(NaN) = %v", got)
	}
}

func TestSoftmaxOfLargeLogitsIsFinite(t *testing.T) {
	out := make([]float32, 3)
	Softmax(out, []float32{1000, 0, -1000})
	if want := []float32{1, 0, 0}; !slices.Equal(out, want) {
		t.Errorf("Softmax = %v, want %v", out, want)
	}
}

// The products of one step of 784-256-10 with 128 rows.
func BenchmarkProduct(b *testing.B) {
	for _, s := range []struct {
		name                   string
		m, n, k                int
		transposeA, transposeB bool
	}{
		{"A·B", 128, 256, 784, false, false},
		{"Aᵀ·B", 784, 256, 128, true, false},
		{"A·Bᵀ", 128, 256, 10, false, true},
	} {
		b.Run(fmt.Sprintf("%s %d×%d×%d", s.name, s.m, s.n, s.k), func(b *testing.B) {
			x, y := random(s.m*s.k, 0), random(s.k*s.n, 1)
			p := &Product{A: Rows(x, s.k), B: Rows(y, s.n), C: make([]float32, s.m*s.n), M: s.m, N: s.n, K: s.k}
			if s.transposeA {
				p.A = Transposed(x, s.m)
			}
			if s.transposeB {
				p.B = Transposed(y, s.k)
			}
			b.ReportAllocs()
			for b.Loop() {
				p.Run()
			}
			b.ReportMetric(2*float64(s.m*s.n*s.k)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
}
