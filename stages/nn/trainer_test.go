package nn_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"testing"

	"github.com/flow-pipelines/flow/stages/nn"
	"github.com/flow-pipelines/flow/stages/nn/philox"
)

// rings are two classes that no line separates.
func rings(rows int) nn.Examples {
	s := philox.New(5, 0, 0)
	e := nn.Examples{X: nn.NewMatrix(rows, 2), Y: nn.NewMatrix(rows, 1)}
	for i := range rows {
		x, y := 2*s.Float32()-1, 2*s.Float32()-1
		e.X.Row(i)[0], e.X.Row(i)[1] = x, y
		if x*x+y*y > 0.6 {
			e.Y.Data[i] = 1
		}
	}
	return e
}

func mlp() nn.Options {
	return nn.Options{
		Network: nn.Network{Input: nn.Flat(2), Layers: []nn.Layer{
			nn.Dense{Units: 32, Activation: nn.ReLU, Dropout: 0.1},
			nn.Dense{Units: 16, Activation: nn.Tanh},
			nn.Dense{Units: 2, Activation: nn.Identity},
		}},
		Loss:      nn.SoftmaxCrossEntropy,
		Optimizer: nn.Optimizer{Method: nn.Adam, LearningRate: 0.01, WeightDecay: 1e-4},
		BatchSize: 30,
		Seed:      7,
	}
}

func train(t *testing.T, o nn.Options, e nn.Examples, epochs int) *nn.Trainer {
	t.Helper()
	trainer, err := nn.NewTrainer(o)
	if err != nil {
		t.Fatal(err)
	}
	for range epochs {
		if _, err := trainer.Epoch(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	return trainer
}

func TestAnMLPLearnsWhatALineCannot(t *testing.T) {
	e := rings(500)
	for _, method := range nn.Methods() {
		t.Run(string(method), func(t *testing.T) {
			o := mlp()
			o.Optimizer.Method = method
			if method == nn.SGD {
				o.Optimizer.LearningRate, o.Optimizer.Momentum = 0.05, 0.9
			}
			out, err := train(t, o, e, 80).Outputs(e.X)
			if err != nil {
				t.Fatal(err)
			}
			right := 0
			for i := range out.Rows {
				if (out.Row(i)[1] > out.Row(i)[0]) == (e.Y.Data[i] == 1) {
					right++
				}
			}
			if right < 480 {
				t.Errorf("%d of 500 rows right, want at least 480", right)
			}
		})
	}
}

// The digest is a golden: it changes only when a kernel, the initialisation,
// the order of rows or an optimizer changes what it computes, and then the
// version of stage type train has to change with it.
const goldenDigest = "8bc594972fa07676020179f3c8a17e61d514be73bd531589797debf65e37b460"

func TestParametersAreTheSameBitsEverywhere(t *testing.T) {
	e := rings(217) // the last batch is smaller
	for _, procs := range []int{1, 2, 4} {
		for _, threads := range []int{1, 3} {
			t.Run(fmt.Sprintf("procs %d threads %d", procs, threads), func(t *testing.T) {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
				o := mlp()
				o.Threads = threads
				if got := nn.Digest(train(t, o, e, 5).Parameters()); got != goldenDigest {
					t.Errorf("digest %s, want %s", got, goldenDigest)
				}
			})
		}
	}
}

func TestLargeProductsOnSeveralThreadsGiveTheSameBits(t *testing.T) {
	e := rings(128)
	o := mlp()
	o.BatchSize = 128
	o.Network.Layers[0] = nn.Dense{Units: 300, Activation: nn.ReLU, Dropout: 0.1}
	o.Network.Layers[1] = nn.Dense{Units: 200, Activation: nn.Tanh}
	one := nn.Digest(train(t, o, e, 2).Parameters())
	o.Threads = 5
	if five := nn.Digest(train(t, o, e, 2).Parameters()); one != five {
		t.Errorf("digests with one and five threads are %s and %s", one, five)
	}
}

func TestASeedMatters(t *testing.T) {
	e := rings(50)
	o := mlp()
	a := nn.Digest(train(t, o, e, 1).Parameters())
	o.Seed++
	if b := nn.Digest(train(t, o, e, 1).Parameters()); a == b {
		t.Error("two seeds gave the same parameters")
	}
}

func TestLinearRegressionFindsTheLine(t *testing.T) {
	e := nn.Examples{X: nn.NewMatrix(64, 2), Y: nn.NewMatrix(64, 1)}
	s := philox.New(2, 0, 0)
	for i := range 64 {
		a, b := 2*s.Float32()-1, 2*s.Float32()-1
		e.X.Row(i)[0], e.X.Row(i)[1] = a, b
		e.Y.Data[i] = 3*a - 2*b + 0.5
	}
	trainer := train(t, nn.Options{
		Network:   nn.Network{Input: nn.Flat(2), Layers: []nn.Layer{nn.Dense{Units: 1, Activation: nn.Identity}}},
		Loss:      nn.SquaredError,
		Optimizer: nn.Optimizer{Method: nn.SGD, LearningRate: 0.1, Momentum: 0.5},
		BatchSize: 16,
	}, e, 100)
	p := trainer.Parameters()
	for i, want := range []float32{3, -2, 0.5} {
		got := append(p[0].Data, p[1].Data...)[i]
		if math.Abs(float64(got-want)) > 1e-3 {
			t.Errorf("parameter %d = %v, want %v", i, got, want)
		}
	}
}

func TestARowOfWeightZeroTeachesNothing(t *testing.T) {
	e := rings(40)
	o := mlp()
	o.BatchSize, o.Network.Layers[0] = 40, nn.Dense{Units: 32, Activation: nn.ReLU}
	e.Weight = make([]float32, 40)
	for i := range 39 {
		e.Weight[i] = 1
	}
	a := nn.Digest(train(t, o, e, 1).Parameters())
	e.Y.Data[39] = 1 - e.Y.Data[39]
	if b := nn.Digest(train(t, o, e, 1).Parameters()); a != b {
		t.Error("the label of a row of weight zero changed the parameters")
	}
}

func TestSetParametersGoesBack(t *testing.T) {
	e := rings(100)
	trainer := train(t, mlp(), e, 1)
	saved := trainer.Parameters()
	if _, err := trainer.Epoch(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if nn.Digest(trainer.Parameters()) == nn.Digest(saved) {
		t.Fatal("an epoch changed nothing")
	}
	if err := trainer.SetParameters(saved); err != nil {
		t.Fatal(err)
	}
	if nn.Digest(trainer.Parameters()) != nn.Digest(saved) {
		t.Error("the parameters are not those that were set")
	}
	if err := trainer.SetParameters(saved[:1]); err == nil {
		t.Error("parameters of another network were taken")
	}
}

func TestANonFiniteLossNamesItsEpoch(t *testing.T) {
	e := rings(100)
	trainer := train(t, mlp(), e, 2)
	e.X.Data[0] = float32(math.NaN())
	_, err := trainer.Epoch(t.Context(), e)
	var nonFinite *nn.NonFiniteError
	if !errors.As(err, &nonFinite) || nonFinite.Epoch != 3 {
		t.Errorf("error %v, want a NonFiniteError of epoch 3", err)
	}
}

func TestCancellingEndsAnEpoch(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	trainer := train(t, mlp(), rings(10), 0)
	if _, err := trainer.Epoch(ctx, rings(10)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}

func TestMistakesOfTheCallerAreErrors(t *testing.T) {
	for name, change := range map[string]func(*nn.Options){
		"no inputs":  func(o *nn.Options) { o.Network.Input = nn.Shape{} },
		"no layers":  func(o *nn.Options) { o.Network.Layers = nil },
		"no units":   func(o *nn.Options) { o.Network.Layers[0] = nn.Dense{Activation: nn.ReLU} },
		"activation": func(o *nn.Options) { o.Network.Layers[0] = nn.Activate{Activation: "gelu"} },
		"dropout":    func(o *nn.Options) { o.Network.Layers[0] = nn.Dropout{Rate: 1} },
		"filters":    func(o *nn.Options) { o.Network.Layers[0] = nn.Convolution{Size: 3, Stride: 1, Activation: nn.ReLU} },
		"window": func(o *nn.Options) {
			o.Network.Layers[0] = nn.Convolution{Filters: 2, Size: 3, Stride: 1, Activation: nn.ReLU}
		},
		"pool":          func(o *nn.Options) { o.Network.Layers[0] = nn.Pool{Size: 2} },
		"batch":         func(o *nn.Options) { o.BatchSize = 0 },
		"loss":          func(o *nn.Options) { o.Loss = "hinge" },
		"method":        func(o *nn.Options) { o.Optimizer.Method = "lion" },
		"learning rate": func(o *nn.Options) { o.Optimizer.LearningRate = math.NaN() },
		"momentum":      func(o *nn.Options) { o.Optimizer.Momentum = 1 },
		"decay":         func(o *nn.Options) { o.Optimizer.WeightDecay = -1 },
	} {
		o := mlp()
		change(&o)
		if _, err := nn.NewTrainer(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	trainer := train(t, mlp(), rings(10), 0)
	for name, change := range map[string]func(*nn.Examples){
		"no rows":  func(e *nn.Examples) { e.X = nn.NewMatrix(0, 2) },
		"features": func(e *nn.Examples) { e.X = nn.NewMatrix(10, 3) },
		"targets":  func(e *nn.Examples) { e.Y = nn.NewMatrix(9, 1) },
		"columns":  func(e *nn.Examples) { e.Y = nn.NewMatrix(10, 2) },
		"weights":  func(e *nn.Examples) { e.Weight = make([]float32, 3) },
		"zero":     func(e *nn.Examples) { e.Weight = make([]float32, 10) },
		"class":    func(e *nn.Examples) { e.Y.Data[3] = 2 },
	} {
		e := rings(10)
		change(&e)
		if _, err := trainer.Epoch(t.Context(), e); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestAStepAllocatesNothing(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector makes pools forget")
	}
	for _, threads := range []int{1, 3} {
		e := rings(600)
		o := mlp()
		o.Threads, o.BatchSize = threads, 60
		o.Network.Layers[0] = nn.Dense{Units: 1000, Activation: nn.ReLU, Dropout: 0.1} // large enough to share
		trainer := train(t, o, e, 1)
		perEpoch := testing.AllocsPerRun(5, func() {
			if _, err := trainer.Epoch(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		})
		// The order of rows, and what the runtime drops from its pools now and then.
		if perEpoch > 5 {
			t.Errorf("%v allocations in an epoch of 10 steps on %d threads", perEpoch, threads)
		}
	}
}

// images are squares and crosses, at random places.
func images(rows int) nn.Examples {
	s := philox.New(9, 0, 0)
	e := nn.Examples{X: nn.NewMatrix(rows, 12*12), Y: nn.NewMatrix(rows, 1)}
	for i := range rows {
		x, y, cross := 3+s.IntN(6), 3+s.IntN(6), s.IntN(2) == 1
		for d := -2; d <= 2; d++ {
			for _, at := range [][2]int{{x + d, y - 2}, {x + d, y + 2}, {x - 2, y + d}, {x + 2, y + d}} {
				if cross {
					at = [2]int{x + d, y + d*(1-2*(at[0]&1))}
				}
				e.X.Row(i)[at[1]*12+at[0]] = 1
			}
		}
		if cross {
			e.Y.Data[i] = 1
		}
		for j := range e.X.Row(i) {
			e.X.Row(i)[j] += s.Float32() - 0.5
		}
	}
	return e
}

func cnn() nn.Options {
	return nn.Options{
		Network: nn.Network{Input: nn.Shape{Height: 12, Width: 12, Channels: 1}, Layers: []nn.Layer{
			nn.Convolution{Filters: 16, Size: 3, Stride: 1, Same: true, Activation: nn.Identity},
			nn.BatchNorm{},
			nn.Activate{Activation: nn.ReLU},
			nn.Pool{Size: 2},
			nn.Convolution{Filters: 8, Size: 3, Stride: 1, Activation: nn.ReLU},
			nn.Pool{Average: true, Size: 2},
			nn.Flatten{},
			nn.Dropout{Rate: 0.2},
			nn.Dense{Units: 2, Activation: nn.Identity},
		}},
		Loss:      nn.SoftmaxCrossEntropy,
		Optimizer: nn.Optimizer{Method: nn.SGD, LearningRate: 0.05, Momentum: 0.9, Nesterov: true},
		BatchSize: 20,
		Seed:      3,
	}
}

func TestACNNLearnsShapes(t *testing.T) {
	e := images(400)
	trainer := train(t, cnn(), e, 8)
	test := images(500)
	out, err := trainer.Outputs(test.X)
	if err != nil {
		t.Fatal(err)
	}
	right := 0
	for i := range out.Rows {
		if (out.Row(i)[1] > out.Row(i)[0]) == (test.Y.Data[i] == 1) {
			right++
		}
	}
	if right < 490 {
		t.Errorf("%d of 500 images right, want at least 490", right)
	}
}

const goldenCNN = "026c0f32e1b97b7e494e1c0bca9e4275254767ba97ba2efab72a559ddbdf2792"

func TestACNNIsTheSameBitsEverywhere(t *testing.T) {
	e := images(130) // the last batch is smaller
	for _, procs := range []int{1, 2, 4} {
		for _, threads := range []int{1, 3} {
			t.Run(fmt.Sprintf("procs %d threads %d", procs, threads), func(t *testing.T) {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
				o := cnn()
				o.Threads = threads
				if got := nn.Digest(train(t, o, e, 3).Parameters()); got != goldenCNN {
					t.Errorf("digest %s, want %s", got, goldenCNN)
				}
			})
		}
	}
}

func TestBatchNormPredictsWithRunningMeans(t *testing.T) {
	e := images(100)
	trainer := train(t, cnn(), e, 2)
	all, err := trainer.Outputs(e.X)
	if err != nil {
		t.Fatal(err)
	}
	one, err := trainer.Outputs(e.X.Slice(42, 43))
	if err != nil {
		t.Fatal(err)
	}
	for j, v := range one.Data {
		if v != all.Row(42)[j] {
			t.Errorf("output %d of a row alone is %v, among others %v", j, v, all.Row(42)[j])
		}
	}
}

// The networks of the figures in docs: 784-256-10 and two convolutions of 3×3
// with 16 and 32 filters, each with pooling; batches of 128, Adam.
func BenchmarkStep(b *testing.B) {
	conv := func(filters int) nn.Layer {
		return nn.Convolution{Filters: filters, Size: 3, Stride: 1, Same: true, Activation: nn.ReLU}
	}
	for _, net := range []struct {
		name   string
		layers []nn.Layer
	}{
		{"mlp", []nn.Layer{nn.Dense{Units: 256, Activation: nn.ReLU}, nn.Dense{Units: 10, Activation: nn.Identity}}},
		{"cnn", []nn.Layer{conv(16), nn.Pool{Size: 2}, conv(32), nn.Pool{Size: 2}, nn.Dense{Units: 10, Activation: nn.Identity}}},
	} {
		for _, threads := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s threads %d", net.name, threads), func(b *testing.B) { benchmarkSteps(b, net.layers, threads) })
		}
	}
}

func benchmarkSteps(b *testing.B, layers []nn.Layer, threads int) {
	const steps = 4
	s := philox.New(1, 0, 0)
	e := nn.Examples{X: nn.NewMatrix(128*steps, 784), Y: nn.NewMatrix(128*steps, 1)}
	for i := range e.X.Data {
		e.X.Data[i] = s.Float32()
	}
	for i := range e.Y.Data {
		e.Y.Data[i] = float32(i % 10)
	}
	trainer, err := nn.NewTrainer(nn.Options{
		Network: nn.Network{Input: nn.Shape{Height: 28, Width: 28, Channels: 1}, Layers: layers},
		Loss:    nn.SoftmaxCrossEntropy, Optimizer: nn.Optimizer{Method: nn.Adam, LearningRate: 1e-3}, BatchSize: 128,
		Threads: threads,
	})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := trainer.Epoch(b.Context(), e); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(b.N*steps), "ms/step")
}
