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
		Network: nn.Network{Inputs: 2, Layers: []nn.Layer{
			{Units: 32, Activation: nn.ReLU, Dropout: 0.1},
			{Units: 16, Activation: nn.Tanh},
			{Units: 2, Activation: nn.Identity},
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
	o.Network.Layers[0].Units, o.Network.Layers[1].Units = 300, 200
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
		Network:   nn.Network{Inputs: 2, Layers: []nn.Layer{{Units: 1, Activation: nn.Identity}}},
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
	o.BatchSize, o.Network.Layers[0].Dropout = 40, 0
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
		"no inputs":     func(o *nn.Options) { o.Network.Inputs = 0 },
		"no layers":     func(o *nn.Options) { o.Network.Layers = nil },
		"no units":      func(o *nn.Options) { o.Network.Layers[0].Units = 0 },
		"activation":    func(o *nn.Options) { o.Network.Layers[0].Activation = "gelu" },
		"dropout":       func(o *nn.Options) { o.Network.Layers[0].Dropout = 1 },
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
		o.Threads, o.BatchSize, o.Network.Layers[0].Units = threads, 60, 1000 // large enough to share
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

// The network of the figures in docs: 784-256-10, batches of 128, Adam.
func BenchmarkStep(b *testing.B) {
	s := philox.New(1, 0, 0)
	e := nn.Examples{X: nn.NewMatrix(128, 784), Y: nn.NewMatrix(128, 1)}
	for i := range e.X.Data {
		e.X.Data[i] = s.Float32()
	}
	for i := range e.Y.Data {
		e.Y.Data[i] = float32(i % 10)
	}
	trainer, err := nn.NewTrainer(nn.Options{
		Network: nn.Network{Inputs: 784, Layers: []nn.Layer{
			{Units: 256, Activation: nn.ReLU}, {Units: 10, Activation: nn.Identity},
		}},
		Loss: nn.SoftmaxCrossEntropy, Optimizer: nn.Optimizer{Method: nn.Adam, LearningRate: 1e-3}, BatchSize: 128,
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
}
