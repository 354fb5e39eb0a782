package nn

import (
	"fmt"
	"math"

	G "gorgonia.org/gorgonia"

	"github.com/flow-pipelines/flow/stages/nn/kernel"
)

// groupRows is how many rows of a batch make one term of a sum over the batch in
// layers of images: each group is added up from its first row to the last, then
// the groups from the first to the last. It is part of what a result is, and
// what lets threads share such sums.
const groupRows = 8

func groups(rows int) int { return (rows + groupRows - 1) / groupRows }

// Convolution slides Filters square windows of Size over an image, Stride pixels
// at a time, and applies an activation. With Same the image is surrounded by
// zeros, so that at stride 1 the output has its size.
type Convolution struct {
	Filters, Size, Stride int
	Same                  bool
	Activation            Activation
}

// Window is how the layer moves over an image.
func (l Convolution) Window(in Shape) kernel.Window {
	if l.Same {
		return kernel.Same(in.Height, in.Width, in.Channels, l.Size, l.Stride)
	}
	return kernel.Valid(in.Height, in.Width, in.Channels, l.Size, l.Stride)
}

// Output has a pixel for each position of the window and a channel for each
// filter.
func (l Convolution) Output(in Shape) (Shape, error) {
	switch {
	case l.Filters < 1 || l.Size < 1 || l.Stride < 1:
		return Shape{}, fmt.Errorf("it has %d filters of size %d and stride %d", l.Filters, l.Size, l.Stride)
	case !l.Activation.valid():
		return Shape{}, fmt.Errorf("its activation is %q, want one of %v", l.Activation, Activations())
	}
	w := l.Window(in)
	if w.Positions() == 0 {
		return Shape{}, fmt.Errorf("its window of %d×%d does not fit into an image of %d×%d", l.Size, l.Size, in.Height, in.Width)
	}
	return Shape{w.OutHeight, w.OutWidth, l.Filters}, nil
}

// Weights are uniform in ±sqrt(6/inputs of a window) (He et al., 2015).
func (l Convolution) parameters(in Shape, start start) []Parameter {
	patch := l.Window(in).Patch()
	return start.weights(patch, l.Filters, math.Sqrt(6/float64(patch)))
}

func (l Convolution) node(b *builder, in Shape, x *G.Node) (*G.Node, error) {
	c := &kernel.Convolution{Window: l.Window(in), Filters: l.Filters}
	o := &operation{
		name: fmt.Sprintf("convolution %+v %s", c.Window, l.Activation), inputs: []int{2, 2, 2}, dims: 2,
		shape: func(in []Matrix) (int, int) { return in[0].Rows, c.Out() },
		run: convolve(c, func(in []Matrix) { c.Begin(in[1].Data, in[2].Data, l.Activation == ReLU) },
			func(out Matrix, in []Matrix, from, to int) { c.Forward(out.Data, in[0].Data, from, to) }),
		wrt: []bool{b.trained, true, true},
	}
	if l.Activation == Tanh || l.Activation == Sigmoid {
		o.run = append(o.run, byRow(func(out Matrix, _ []Matrix, from, to int) {
			l.Activation.apply(out.Slice(from, to).Data)
		})...)
	}
	differentiateX := b.trained
	o.gradient = func(nodes G.Nodes, out, grad *G.Node) (G.Nodes, error) {
		return l.gradients(in, differentiateX, nodes, out, grad)
	}
	return o.apply(x, b.parameter(0), b.parameter(1))
}

// convolve is the phases of an operation over images with a product for all of
// them: begin prepares it.
func convolve(c *kernel.Convolution, begin func(in []Matrix), run func(out Matrix, in []Matrix, from, to int)) []phase {
	return []phase{
		{run: func(_ Matrix, in []Matrix, _, _ int) { begin(in) }},
		{
			units: func(Matrix, []Matrix) (int, int) { return c.Panels(), c.Patch() * c.Filters },
			run:   func(_ Matrix, _ []Matrix, from, to int) { c.Pack(from, to) },
		},
		{
			units: func(out Matrix, _ []Matrix) (int, int) { return out.Rows, c.Cost(out.Rows) },
			run:   run,
		},
	}
}

func (l Convolution) gradients(shape Shape, differentiateX bool, in G.Nodes, out, grad *G.Node) (G.Nodes, error) {
	dz, err := l.Activation.gradient(out, grad)
	if err != nil {
		return nil, err
	}
	c := &kernel.Convolution{Window: l.Window(shape), Filters: l.Filters}
	both, err := l.parameterGradients(c).apply(in[0], dz)
	if err != nil {
		return nil, err
	}
	dw, err := rowsOf("gradient of weights", 0, c.Patch(), both)
	if err != nil {
		return nil, err
	}
	db, err := rowsOf("gradient of bias", c.Patch(), c.Patch()+1, both)
	if err != nil {
		return nil, err
	}
	gradients := G.Nodes{nil, dw, db}
	if !differentiateX {
		return gradients, nil
	}
	inputs := &operation{
		name: fmt.Sprintf("gradient of inputs of convolution %+v", c.Window), inputs: []int{2, 2}, dims: 2,
		shape: func(in []Matrix) (int, int) { return in[0].Rows, c.In() },
		run: convolve(c, func(in []Matrix) { c.BeginBackward(in[1].Data) },
			func(out Matrix, in []Matrix, from, to int) { c.InputGradient(out.Data, in[0].Data, from, to) }),
	}
	gradients[0], err = inputs.apply(dz, in[1])
	return gradients, err
}

// parameterGradients computes the gradient of the weights and, in one more row,
// of the bias: both read the same numbers.
func (l Convolution) parameterGradients(c *kernel.Convolution) *operation {
	size := (c.Patch() + 1) * c.Filters
	var sums []float32 // one a group
	return &operation{
		name: fmt.Sprintf("gradients of convolution %+v", c.Window), inputs: []int{2, 2}, dims: 2,
		shape: func([]Matrix) (int, int) { return c.Patch() + 1, c.Filters },
		run: []phase{
			{run: func(_ Matrix, in []Matrix, _, _ int) { sums = grow(sums, groups(in[0].Rows)*size) }},
			{
				units: func(_ Matrix, in []Matrix) (int, int) { return groups(in[0].Rows), c.Cost(in[0].Rows) },
				run: func(_ Matrix, in []Matrix, from, to int) {
					for g := from; g < to; g++ {
						c.WeightGradient(sums[g*size:(g+1)*size], in[0].Data, in[1].Data, g*groupRows, min((g+1)*groupRows, in[0].Rows))
					}
				},
			},
			{run: func(out Matrix, _ []Matrix, _, _ int) { kernel.ColumnSums(out.Data, sums) }},
		},
	}
}

func grow(s []float32, n int) []float32 {
	if cap(s) < n {
		return make([]float32, n)
	}
	return s[:n]
}

// rowsOf adds the rows [from, to) of a matrix as a node.
func rowsOf(name string, from, to int, m *G.Node) (*G.Node, error) {
	o := &operation{
		name: name, inputs: []int{2}, dims: 2,
		shape: func(in []Matrix) (int, int) { return to - from, in[0].Cols },
		run:   whole(func(out Matrix, in []Matrix) { copy(out.Data, in[0].Slice(from, to).Data) }),
	}
	return o.apply(m)
}
