package nn

import (
	"fmt"

	G "gorgonia.org/gorgonia"

	"github.com/flow-pipelines/flow/stages/nn/kernel"
)

// Activation is the function after a layer's weighted sums.
type Activation string

// The activations. Each one's derivative is a function of its output, which is
// what lets dense fuse it.
const (
	Identity Activation = "identity"
	ReLU     Activation = "relu"
	Tanh     Activation = "tanh"
	Sigmoid  Activation = "sigmoid"
)

// Activations lists those that a hidden layer may have.
func Activations() []Activation { return []Activation{ReLU, Tanh, Sigmoid, Identity} }

func (a Activation) valid() bool {
	switch a {
	case Identity, ReLU, Tanh, Sigmoid:
		return true
	}
	return false
}

// apply replaces each element of z with its activation.
func (a Activation) apply(z []float32) {
	switch a {
	case Identity:
	case ReLU:
		kernel.ReLU(z)
	case Tanh:
		for i, v := range z {
			z[i] = kernel.Tanh(v)
		}
	case Sigmoid:
		for i, v := range z {
			z[i] = kernel.Sigmoid(v)
		}
	}
}

// derive writes grad times the derivative at the sums whose activation is h.
func (a Activation) derive(out, h, grad []float32) {
	switch a {
	case Identity:
		copy(out, grad)
	case ReLU:
		kernel.ReLUGradient(out, h, grad)
	case Tanh:
		for i, v := range h {
			out[i] = grad[i] * (1 - float32(v*v))
		}
	case Sigmoid:
		for i, v := range h {
			out[i] = grad[i] * float32(v*(1-v))
		}
	}
}

// product is a matrix product as phases: set says what is multiplied.
func product(set func(p *kernel.Product, out Matrix, in []Matrix)) []phase {
	p := &kernel.Product{}
	return []phase{
		{run: func(out Matrix, in []Matrix, _, _ int) {
			set(p, out, in)
			p.Begin()
		}},
		{
			units: func(Matrix, []Matrix) (int, int) { return p.Panels(), p.K * p.N },
			run:   func(_ Matrix, _ []Matrix, from, to int) { p.Pack(from, to) },
		},
		{
			// Sixteen multiplications take about as long as one element elsewhere.
			units: func(Matrix, []Matrix) (int, int) { return p.Tiles(), p.M * p.K / 16 * p.N },
			run:   func(_ Matrix, _ []Matrix, from, to int) { p.Multiply(from, to) },
		},
	}
}

// dense is activation(x·w + b) in one pass: x is rows×inputs, w inputs×units,
// b 1×units.
func dense(act Activation, x, w, b *G.Node, differentiateX bool) (*G.Node, error) {
	o := &operation{
		name:   fmt.Sprintf("dense %s", act),
		inputs: []int{2, 2, 2}, dims: 2,
		shape: func(in []Matrix) (int, int) { return in[0].Rows, in[1].Cols },
		run: product(func(p *kernel.Product, out Matrix, in []Matrix) {
			p.A, p.B = kernel.Rows(in[0].Data, in[0].Cols), kernel.Rows(in[1].Data, in[1].Cols)
			p.C, p.M, p.N, p.K = out.Data, out.Rows, out.Cols, in[0].Cols
			p.Bias, p.ReLU = in[2].Data, act == ReLU
		}),
		wrt: []bool{differentiateX, true, true},
	}
	if act == Tanh || act == Sigmoid {
		o.run = append(o.run, byRow(func(out Matrix, _ []Matrix, from, to int) {
			act.apply(out.Slice(from, to).Data)
		})...)
	}
	o.gradient = func(in G.Nodes, out, grad *G.Node) (G.Nodes, error) {
		return denseGradients(act, differentiateX, in, out, grad)
	}
	return o.apply(x, w, b)
}

// denseGradients adds the nodes dz = grad ⊙ activation', dw = xᵀ·dz,
// db = column sums of dz and, where something below is trained, dx = dz·wᵀ.
func denseGradients(act Activation, differentiateX bool, in G.Nodes, out, grad *G.Node) (G.Nodes, error) {
	dz, err := act.gradient(out, grad)
	if err != nil {
		return nil, err
	}
	weights := &operation{
		name: "gradient of weights", inputs: []int{2, 2}, dims: 2,
		shape: func(in []Matrix) (int, int) { return in[0].Cols, in[1].Cols },
		run: product(func(p *kernel.Product, out Matrix, in []Matrix) {
			p.A, p.B = kernel.Transposed(in[0].Data, in[0].Cols), kernel.Rows(in[1].Data, in[1].Cols)
			p.C, p.M, p.N, p.K = out.Data, out.Rows, out.Cols, in[0].Rows
		}),
	}
	dw, err := weights.apply(in[0], dz)
	if err != nil {
		return nil, err
	}
	bias := &operation{
		name: "gradient of bias", inputs: []int{2}, dims: 2,
		shape: func(in []Matrix) (int, int) { return 1, in[0].Cols },
		run:   whole(func(out Matrix, in []Matrix) { kernel.ColumnSums(out.Data, in[0].Data) }),
	}
	db, err := bias.apply(dz)
	if err != nil {
		return nil, err
	}
	gradients := G.Nodes{nil, dw, db}
	if differentiateX {
		inputs := &operation{
			name: "gradient of inputs", inputs: []int{2, 2}, dims: 2,
			shape: func(in []Matrix) (int, int) { return in[0].Rows, in[1].Rows },
			run: product(func(p *kernel.Product, out Matrix, in []Matrix) {
				p.A, p.B = kernel.Rows(in[0].Data, in[0].Cols), kernel.Transposed(in[1].Data, in[1].Cols)
				p.C, p.M, p.N, p.K = out.Data, out.Rows, out.Cols, in[0].Cols
			}),
		}
		if gradients[0], err = inputs.apply(dz, in[1]); err != nil {
			return nil, err
		}
	}
	return gradients, nil
}

// gradient adds the gradient of the activation's input, given that of its
// output out.
func (a Activation) gradient(out, grad *G.Node) (*G.Node, error) {
	if a == Identity {
		return grad, nil
	}
	o := &operation{
		name: "gradient of " + string(a), inputs: []int{2, 2}, dims: 2, shape: sameAsFirst,
		run: byRow(func(out Matrix, in []Matrix, from, to int) {
			a.derive(out.Slice(from, to).Data, in[0].Slice(from, to).Data, in[1].Slice(from, to).Data)
		}),
	}
	return o.apply(out, grad)
}
