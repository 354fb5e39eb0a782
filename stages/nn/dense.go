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
		for i, v := range z {
			if v <= 0 { // not !(v > 0): a NaN has to be seen in the loss
				z[i] = 0
			}
		}
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
		for i, v := range h {
			if v > 0 {
				out[i] = grad[i]
			} else {
				out[i] = 0
			}
		}
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

// dense is activation(x·w + b) in one pass: x is rows×inputs, w inputs×units,
// b 1×units.
func dense(product kernel.Product, act Activation, x, w, b *G.Node, differentiateX bool) (*G.Node, error) {
	o := &operation{
		name:   fmt.Sprintf("dense %s", act),
		inputs: []int{2, 2, 2}, dims: 2,
		shape: func(in []Matrix) (int, int) { return in[0].Rows, in[1].Cols },
		run: func(out Matrix, in []Matrix) {
			product.NN(out.Data, in[0].Data, in[1].Data, out.Rows, out.Cols, in[0].Cols)
			bias := in[2].Data
			for i := range out.Rows {
				row := out.Row(i)
				for j, v := range bias {
					row[j] += v
				}
			}
			act.apply(out.Data)
		},
		wrt: []bool{differentiateX, true, true},
	}
	o.gradient = func(in G.Nodes, out, grad *G.Node) (G.Nodes, error) {
		return denseGradients(product, act, differentiateX, in, out, grad)
	}
	return o.apply(x, w, b)
}

// denseGradients adds the nodes dz = grad ⊙ activation', dw = xᵀ·dz,
// db = column sums of dz and, where something below is trained, dx = dz·wᵀ.
func denseGradients(product kernel.Product, act Activation, differentiateX bool, in G.Nodes, out, grad *G.Node) (G.Nodes, error) {
	dz := grad
	var err error
	if act != Identity {
		o := &operation{
			name: "gradient of " + string(act), inputs: []int{2, 2}, dims: 2, shape: sameAsFirst,
			run: func(out Matrix, in []Matrix) { act.derive(out.Data, in[0].Data, in[1].Data) },
		}
		if dz, err = o.apply(out, grad); err != nil {
			return nil, err
		}
	}
	weights := &operation{
		name: "gradient of weights", inputs: []int{2, 2}, dims: 2,
		shape: func(in []Matrix) (int, int) { return in[0].Cols, in[1].Cols },
		run: func(out Matrix, in []Matrix) {
			product.TN(out.Data, in[0].Data, in[1].Data, out.Rows, out.Cols, in[0].Rows)
		},
	}
	dw, err := weights.apply(in[0], dz)
	if err != nil {
		return nil, err
	}
	bias := &operation{
		name: "gradient of bias", inputs: []int{2}, dims: 2,
		shape: func(in []Matrix) (int, int) { return 1, in[0].Cols },
		run:   func(out Matrix, in []Matrix) { columnSums(out.Data, in[0]) },
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
			run: func(out Matrix, in []Matrix) {
				product.NT(out.Data, in[0].Data, in[1].Data, out.Rows, out.Cols, in[0].Cols)
			},
		}
		if gradients[0], err = inputs.apply(dz, in[1]); err != nil {
			return nil, err
		}
	}
	return gradients, nil
}

// columnSums adds the rows of m from the first to the last.
func columnSums(out []float32, m Matrix) {
	clear(out)
	for i := range m.Rows {
		for j, v := range m.Row(i) {
			out[j] += v
		}
	}
}
