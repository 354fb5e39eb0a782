package kernel_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/flow-pipelines/flow/stages/nn/kernel"
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

// naive is the definition of the product, with the strides of both operands.
func naive(a, b []float32, aRow, aCol, bRow, bCol, m, n, k int) []float32 {
	c := make([]float32, m*n)
	for i := range m {
		for j := range n {
			var sum float32
			for p := range k {
				sum += float32(a[i*aRow+p*aCol] * b[p*bRow+j*bCol])
			}
			c[i*n+j] = sum
		}
	}
	return c
}

func TestProductsAreTheDefinitionToTheBitWithAnyThreads(t *testing.T) {
	for _, size := range [][3]int{{1, 1, 1}, {2, 4, 3}, {3, 5, 7}, {64, 33, 130}, {5, 1, 9}, {1, 10, 784}, {130, 70, 64}, {4, 4, 0}} {
		m, n, k := size[0], size[1], size[2]
		a, b := random(m*k, 0), random(k*n, 1)
		for _, threads := range []int{0, 1, 2, 7} {
			t.Run(fmt.Sprintf("%dx%dx%d threads %d", m, n, k, threads), func(t *testing.T) {
				p := kernel.Product{Threads: threads}
				got := make([]float32, m*n)
				p.NN(got, a, b, m, n, k)
				if want := naive(a, b, k, 1, n, 1, m, n, k); !slices.Equal(got, want) {
					t.Error("NN differs from the definition")
				}
				p.TN(got, a, b, m, n, k)
				if want := naive(a, b, 1, m, n, 1, m, n, k); !slices.Equal(got, want) {
					t.Error("TN differs from the definition")
				}
				p.NT(got, a, b, m, n, k)
				if want := naive(a, b, k, 1, 1, k, m, n, k); !slices.Equal(got, want) {
					t.Error("NT differs from the definition")
				}
			})
		}
	}
}

func TestTanhAndSigmoidFollowMath(t *testing.T) {
	for x := float32(-30); x < 30; x += 0.0131 {
		if got, want := kernel.Tanh(x), float32(math.Tanh(float64(x))); math.Abs(float64(got-want)) > 1e-7*math.Abs(float64(want)) {
			t.Fatalf("Tanh(%v) = %v, want %v", x, got, want)
		}
		if got, want := kernel.Sigmoid(x), float32(1/(1+math.Exp(-float64(x)))); math.Abs(float64(got-want)) > 1e-7*float64(want) {
			t.Fatalf("Sigmoid(%v) = %v, want %v", x, got, want)
		}
	}
	if got := kernel.Tanh(float32(math.NaN())); got == got {
		t.Errorf("Tanh(NaN) = %v", got)
	}
}

func TestSoftmaxOfLargeLogitsIsFinite(t *testing.T) {
	out := make([]float32, 3)
	kernel.Softmax(out, []float32{1000, 0, -1000})
	if want := []float32{1, 0, 0}; !slices.Equal(out, want) {
		t.Errorf("Softmax = %v, want %v", out, want)
	}
}

func BenchmarkProduct(b *testing.B) {
	const m, n, k = 128, 256, 784
	x, w, c := random(m*k, 0), random(k*n, 1), make([]float32, m*n)
	b.ReportAllocs()
	for b.Loop() {
		kernel.Product{}.NN(c, x, w, m, n, k)
	}
	b.ReportMetric(2*m*n*k*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
}
