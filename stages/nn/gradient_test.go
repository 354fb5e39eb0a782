package nn

import (
	"fmt"
	"math"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/flow-pipelines/flow/stages/nn/philox"
)

// scene is a small graph that ends in a scalar, with the values of its inputs.
type scene struct {
	g     *G.ExprGraph
	value map[*G.Node]Matrix
	order G.Nodes // inputs to differentiate by
	loss  *G.Node
}

func newScene() *scene { return &scene{g: G.NewGraph(), value: map[*G.Node]Matrix{}} }

// input adds a matrix of random numbers in ±1 that the loss is differentiated by.
func (s *scene) input(name string, rows, cols int) *G.Node {
	n := s.fixed(name, randomMatrix(rows, cols, uint32(len(s.value))))
	s.order = append(s.order, n)
	return n
}

func (s *scene) fixed(name string, m Matrix) *G.Node {
	n := G.NewMatrix(s.g, tensor.Float32, G.WithShape(m.Rows, m.Cols), G.WithName(name))
	s.value[n] = m
	return n
}

func randomMatrix(rows, cols int, index uint32) Matrix {
	m := NewMatrix(rows, cols)
	r := philox.New(11, 0, index)
	for i := range m.Data {
		m.Data[i] = 2*r.Float32() - 1
	}
	return m
}

// finish makes a scalar of a matrix: squared distance to random targets, so
// that every element has a gradient of its own.
func (s *scene) finish(t *testing.T, out *G.Node) {
	t.Helper()
	rows, cols := out.Shape()[0], out.Shape()[1]
	y := s.fixed("target", randomMatrix(rows, cols, 97))
	w := s.fixed("row weights", Matrix{rows, 1, []float32{1, 0.5, 2, 0, 1.5}[:rows]})
	s.loss = must(t)(SquaredError.node(out, y, w))
}

func must(t *testing.T) func(*G.Node, error) *G.Node {
	return func(n *G.Node, err error) *G.Node {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
}

// check compares the gradient by every input element with the difference
// quotient of the loss, both as the executor computes them.
func (s *scene) check(t *testing.T) {
	t.Helper()
	gradients, err := differentiate(s.loss, s.order)
	if err != nil {
		t.Fatal(err)
	}
	e, err := newExecutor(newTeam(1), append(G.Nodes{s.loss}, gradients...)...)
	if err != nil {
		t.Fatal(err)
	}
	run := func() float64 {
		for n, m := range s.value {
			e.bind(n, m)
		}
		e.run()
		return float64(e.value(s.loss).Data[0])
	}
	run()
	analytic := make([][]float32, len(gradients))
	for i, n := range gradients {
		analytic[i] = append([]float32(nil), e.value(n).Data...)
	}
	const h = 1.0 / 128 // a power of two, so that x+h and x-h are near exact
	for i, n := range s.order {
		data := s.value[n].Data
		for j, x := range data {
			data[j] = x + h
			up := run()
			data[j] = x - h
			down := run()
			data[j] = x
			numeric := (up - down) / (2 * h)
			got := float64(analytic[i][j])
			// float32 losses near 1 leave an error of about 1e-7/h = 1e-5.
			if math.Abs(got-numeric) > 2e-4+5e-3*math.Abs(numeric) {
				t.Errorf("gradient by %s[%d] = %v, numerically %v", n.Name(), j, got, numeric)
			}
		}
	}
}

func TestGradientOfDense(t *testing.T) {
	for _, act := range Activations() {
		t.Run(string(act), func(t *testing.T) {
			s := newScene()
			x, w, b := s.input("x", 4, 3), s.input("w", 3, 5), s.input("b", 1, 5)
			s.finish(t, must(t)(dense(act, x, w, b, true)))
			s.check(t)
		})
	}
}

// layer adds a layer that takes rows of a shape, with its parameters at random.
func (s *scene) layer(t *testing.T, l Layer, in Shape, x *G.Node) *G.Node {
	t.Helper()
	step := uint32(3)
	b := &builder{g: s.g, layer: 1, own: l.parameters(in, start{seed: 5, layer: 1}), trained: true, train: &training{seed: 1, step: &step}}
	out, err := l.node(b, in, x)
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range b.nodes {
		p := b.own[i]
		if p.Fixed {
			continue
		}
		for j, v := range randomMatrix(p.Rows, p.Cols, uint32(50+i)).Data {
			p.Data[j] += v / 2
		}
		s.value[n] = p.Matrix
		s.order = append(s.order, n)
	}
	return out
}

func TestGradientsOfLayers(t *testing.T) {
	image := Shape{6, 5, 2}
	for _, l := range []Layer{
		Dropout{0.4},
		Activate{Tanh},
		Activate{Sigmoid},
		Activate{ReLU},
		Convolution{Filters: 3, Size: 3, Stride: 1, Same: true, Activation: Identity},
		Convolution{Filters: 2, Size: 2, Stride: 2, Activation: Tanh},
		Convolution{Filters: 2, Size: 4, Stride: 3, Same: true, Activation: Sigmoid},
		Pool{Size: 2},
		Pool{Size: 3, Stride: 1},
		Pool{},
		Pool{Average: true, Size: 2},
		Pool{Average: true, Size: 3, Stride: 2},
		Pool{Average: true},
		BatchNorm{},
		Flatten{},
	} {
		t.Run(fmt.Sprintf("%T %+v", l, l), func(t *testing.T) {
			s := newScene()
			x := s.input("x", 4, image.Size())
			if _, largest := l.(Pool); largest {
				// Differences larger than the step of the quotient, so that which one is
				// the largest does not change.
				for i, at := range shuffled(len(s.value[x].Data)) {
					s.value[x].Data[i] = float32(at) / 64
				}
			}
			if a, ok := l.(Activate); ok && a.Activation == ReLU {
				for i, v := range s.value[x].Data { // away from the kink
					s.value[x].Data[i] = v + float32(math.Copysign(0.1, float64(v)))
				}
			}
			s.finish(t, s.layer(t, l, image, x))
			s.check(t)
		})
	}
}

func shuffled(n int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	r := philox.New(4, 0, 0)
	r.Shuffle(order)
	return order
}

func TestGradientOfSoftmaxCrossEntropy(t *testing.T) {
	for _, classes := range []int{2, 4} {
		t.Run(fmt.Sprint(classes), func(t *testing.T) {
			s := newScene()
			y := s.fixed("y", Matrix{4, 1, []float32{0, 1, float32(classes - 1), 1}})
			w := s.fixed("weights", Matrix{4, 1, []float32{1, 0.5, 2, 0}})
			s.loss = must(t)(SoftmaxCrossEntropy.node(s.input("logits", 4, classes), y, w))
			s.check(t)
		})
	}
}

func TestGradientOfSquaredError(t *testing.T) {
	s := newScene()
	s.finish(t, s.input("x", 5, 2))
	s.check(t)
}

func TestGradientOfBinaryCrossEntropy(t *testing.T) {
	s := newScene()
	p := s.input("x", 5, 2)
	y := s.fixed("y", Matrix{5, 2, []float32{0, 1, 1, 1, 0, 0, 1, 0, 1, 1}})
	w := s.fixed("weights", Matrix{5, 1, []float32{1, 0.5, 2, 0, 1.5}})
	s.loss = must(t)(BinaryCrossEntropy.node(p, y, w))
	s.check(t)
}

func TestGradientOfHuber(t *testing.T) {
	s := newScene()
	p := s.input("x", 5, 2)
	for i := range s.value[p].Data {
		s.value[p].Data[i] *= 3 // on both sides of the kinks
	}
	y := s.fixed("y", randomMatrix(5, 2, 97))
	w := s.fixed("weights", Matrix{5, 1, []float32{1, 0.5, 2, 0, 1.5}})
	s.loss = must(t)(Huber.node(p, y, w))
	s.check(t)
}

func TestGradientsOfANodeWithTwoUsersAreAdded(t *testing.T) {
	s := newScene()
	x, w, b := s.input("x", 3, 4), s.input("w", 4, 4), s.input("b", 1, 4)
	once := must(t)(dense(Tanh, x, w, b, true))
	s.finish(t, must(t)(dense(Tanh, once, w, b, true)))
	s.check(t)
}

func TestAnOperationWithoutKernelIsRefused(t *testing.T) {
	g := G.NewGraph()
	x := G.NewMatrix(g, tensor.Float32, G.WithShape(2, 2), G.WithName("x"))
	n := must(t)(G.Tanh(x))
	if _, err := newExecutor(newTeam(1), n); err == nil {
		t.Error("the executor took an operation of Gorgonia's own")
	}
}

// Gorgonia's machine over the same graph is slower and allocates; it has to
// compute the same bits, since both call the same kernels.
func TestExecutorAgreesWithGorgoniasMachine(t *testing.T) {
	s := newScene()
	x, w, b := s.input("x", 4, 3), s.input("w", 3, 5), s.input("b", 1, 5)
	s.finish(t, must(t)(dense(ReLU, x, w, b, true)))
	gradients, err := differentiate(s.loss, s.order)
	if err != nil {
		t.Fatal(err)
	}
	e, err := newExecutor(newTeam(1), append(G.Nodes{s.loss}, gradients...)...)
	if err != nil {
		t.Fatal(err)
	}
	for n, m := range s.value {
		e.bind(n, m)
		backing := append([]float32(nil), m.Data...)
		if err := G.Let(n, tensor.New(tensor.WithShape(m.Rows, m.Cols), tensor.WithBacking(backing))); err != nil {
			t.Fatal(err)
		}
	}
	e.run()
	var want G.Value
	G.Read(gradients[1], &want)
	vm := G.NewTapeMachine(s.g)
	defer func() { _ = vm.Close() }()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	got := e.value(gradients[1]).Data
	for i, v := range want.Data().([]float32) {
		if got[i] != v {
			t.Errorf("gradient by w[%d] = %v, Gorgonia's machine has %v", i, got[i], v)
		}
	}
}
