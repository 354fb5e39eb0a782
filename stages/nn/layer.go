package nn

import (
	"fmt"
	"math"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/flow-pipelines/flow/stages/nn/philox"
)

// Shape is what a row of examples or of activations is: Height×Width pixels with
// Channels each, in this order (HWC).
type Shape struct{ Height, Width, Channels int }

// Flat is the shape of n numbers that are no image.
func Flat(n int) Shape { return Shape{1, 1, n} }

// Size is how many numbers a row has.
func (s Shape) Size() int { return s.Height * s.Width * s.Channels }

func (s Shape) String() string {
	if s.Height == 1 && s.Width == 1 {
		return fmt.Sprint(s.Channels)
	}
	return fmt.Sprintf("%d×%d×%d", s.Height, s.Width, s.Channels)
}

// Layer is one step from inputs to outputs: Dense, Convolution, Pool, BatchNorm,
// Dropout, Activate or Flatten.
type Layer interface {
	// Output is the shape of what the layer makes of rows of a shape.
	Output(in Shape) (Shape, error)
	// parameters returns the layer's parameters before the first step.
	parameters(in Shape, start start) []Parameter
	// node adds the layer to a graph.
	node(b *builder, in Shape, x *G.Node) (*G.Node, error)
}

var (
	_ Layer = Dense{}
	_ Layer = Convolution{}
	_ Layer = Pool{}
	_ Layer = BatchNorm{}
	_ Layer = Dropout{}
	_ Layer = Activate{}
	_ Layer = Flatten{}
)

// start is what initial parameters are drawn from.
type start struct {
	seed  uint64
	layer int
	// zero is for a network with weights in one layer alone: a convex problem,
	// whose seed is then only for the order of rows.
	zero bool
}

// weights draws rows×cols weights, uniform in ±bound, and biases of zero.
func (s start) weights(rows, cols int, bound float64) []Parameter {
	w := NewMatrix(rows, cols)
	if !s.zero {
		stream := philox.New(s.seed, purposeInit, uint32(s.layer))
		for j := range w.Data {
			w.Data[j] = (2*stream.Float32() - 1) * float32(bound) // 2·x is exact: fused or not, the bits are the same
		}
	}
	return []Parameter{s.named("weight", w), s.named("bias", NewMatrix(1, cols))}
}

func (s start) named(name string, m Matrix) Parameter {
	return Parameter{Name: fmt.Sprintf("%d.%s", s.layer, name), Matrix: m}
}

// builder is a graph that is being built, layer by layer.
type builder struct {
	g *G.ExprGraph
	// layer is the index of the layer at work, and own its parameters.
	layer int
	own   []Parameter
	// nodes are those of all parameters so far.
	nodes G.Nodes
	// trained says that something below the layer is trained, so that the
	// gradient of its input is needed.
	trained bool
	// train is nil for a graph that predicts.
	train *training
}

// training is what a graph for training has that one for prediction has not.
type training struct {
	seed uint64
	step *uint32
}

// parameter adds the node of the layer's parameter i.
func (b *builder) parameter(i int) *G.Node {
	p := b.own[i]
	n := G.NewMatrix(b.g, tensor.Float32, G.WithShape(p.Rows, p.Cols), G.WithName(p.Name))
	b.nodes = append(b.nodes, n)
	return n
}

// Dense is a fully connected layer: sums weighted by inputs×units weights, then
// activation, then dropout. An image is taken as its numbers in a row.
type Dense struct {
	Units      int
	Activation Activation
	// Dropout is the probability with which training sets an activation to
	// zero, in [0, 1).
	Dropout float64
}

// Output is Units.
func (l Dense) Output(Shape) (Shape, error) {
	switch {
	case l.Units < 1:
		return Shape{}, fmt.Errorf("it has %d units", l.Units)
	case !l.Activation.valid():
		return Shape{}, fmt.Errorf("its activation is %q, want one of %v", l.Activation, Activations())
	}
	return Flat(l.Units), checkRate(l.Dropout)
}

// Weights are uniform in ±sqrt(6/(inputs+units)) (Glorot and Bengio, 2010), with
// ReLU too: the larger ±sqrt(6/inputs) of He et al. is for deep stacks, and gave
// shallow ones on tables a slightly lower R² and F1 on held-out rows.
func (l Dense) parameters(in Shape, start start) []Parameter {
	return start.weights(in.Size(), l.Units, math.Sqrt(6/float64(in.Size()+l.Units)))
}

func (l Dense) node(b *builder, _ Shape, x *G.Node) (*G.Node, error) {
	h, err := dense(l.Activation, x, b.parameter(0), b.parameter(1), b.trained)
	if err != nil {
		return nil, err
	}
	return Dropout{l.Dropout}.node(b, Shape{}, h)
}

// Activate applies an activation.
type Activate struct{ Activation Activation }

// Output is the shape of the input.
func (l Activate) Output(in Shape) (Shape, error) {
	if !l.Activation.valid() {
		return Shape{}, fmt.Errorf("it is %q, want one of %v", l.Activation, Activations())
	}
	return in, nil
}

func (Activate) parameters(Shape, start) []Parameter { return nil }

func (l Activate) node(b *builder, _ Shape, x *G.Node) (*G.Node, error) {
	o := &operation{
		name: string(l.Activation), inputs: []int{2}, dims: 2, shape: sameAsFirst, wrt: []bool{b.trained},
		run: byRow(func(out Matrix, in []Matrix, from, to int) {
			copy(out.Slice(from, to).Data, in[0].Slice(from, to).Data)
			l.Activation.apply(out.Slice(from, to).Data)
		}),
	}
	o.gradient = func(_ G.Nodes, out, grad *G.Node) (G.Nodes, error) {
		dx, err := l.Activation.gradient(out, grad)
		return G.Nodes{dx}, err
	}
	return o.apply(x)
}

// Flatten takes an image as its numbers in a row, which is what it is stored as.
type Flatten struct{}

// Output is flat.
func (Flatten) Output(in Shape) (Shape, error)                       { return Flat(in.Size()), nil }
func (Flatten) parameters(Shape, start) []Parameter                  { return nil }
func (Flatten) node(_ *builder, _ Shape, x *G.Node) (*G.Node, error) { return x, nil }
