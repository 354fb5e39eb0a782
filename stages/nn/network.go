package nn

import (
	"fmt"
	"strings"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Network is a stack of layers.
type Network struct {
	// Input is the shape of a row of examples.
	Input Shape
	// Layers are applied from the first to the last; what the last one gives
	// are logits of classes, or predictions.
	Layers []Layer
}

// Outputs is how many numbers the last layer gives for a row. The network must
// be one that Check accepts.
func (n Network) Outputs() int {
	shape, err := n.Output()
	if err != nil {
		panic("BUG: nn: " + err.Error())
	}
	return shape.Size()
}

// Output is the shape of what the last layer gives; the error is Check's.
func (n Network) Output() (Shape, error) {
	shape := n.Input
	for i, l := range n.Layers {
		out, err := l.Output(shape)
		if err != nil {
			return Shape{}, fmt.Errorf("build network: layer %d: %w", i+1, err)
		}
		shape = out
	}
	return shape, nil
}

// Size is the number of parameters, as a float64 so that no mistake overflows.
// The network must be one that Check accepts.
func (n Network) Size() float64 {
	size, shape := 0.0, n.Input
	for _, l := range n.Layers {
		switch l := l.(type) {
		case Dense:
			size += float64((float64(shape.Size()) + 1) * float64(l.Units))
		case Convolution:
			size += float64((float64(l.Window(shape).Patch()) + 1) * float64(l.Filters))
		case BatchNorm:
			size += float64(4 * float64(shape.Channels))
		}
		shape, _ = l.Output(shape)
	}
	return size
}

// Check says what is wrong with a network.
func (n Network) Check() error {
	if n.Input.Size() < 1 {
		return fmt.Errorf("build network: it has no inputs")
	}
	if len(n.Layers) == 0 {
		return fmt.Errorf("build network: it has no layers")
	}
	_, err := n.Output()
	return err
}

// Parameter is a named matrix that training changes: layer I has "I.weight" and
// "I.bias", counted from 0, and batch normalisation "I.scale", "I.bias",
// "I.mean" and "I.variance".
type Parameter struct {
	Name string
	// Fixed says that no gradient changes it.
	Fixed bool
	Matrix
}

// decays says whether weight decay is for the parameter: it is for weights.
func (p Parameter) decays() bool { return strings.HasSuffix(p.Name, ".weight") }

// initialise returns the parameters before the first step, layer by layer.
func (n Network) initialise(seed uint64) [][]Parameter {
	weighted := 0
	for _, l := range n.Layers {
		switch l.(type) {
		case Dense, Convolution:
			weighted++
		}
	}
	out := make([][]Parameter, len(n.Layers))
	shape := n.Input
	for i, l := range n.Layers {
		out[i] = l.parameters(shape, start{seed: seed, layer: i, zero: weighted == 1})
		shape, _ = l.Output(shape)
	}
	return out
}

// graph is a network as Gorgonia's nodes.
type graph struct {
	x          *G.Node
	parameters G.Nodes
	outputs    *G.Node
}

// build makes the graph for batches of up to rows rows. Without training it has
// no dropout and normalises by running means.
func (n Network) build(rows int, parameters [][]Parameter, train *training) (graph, error) {
	b := &builder{g: G.NewGraph(), train: train}
	out := graph{x: G.NewMatrix(b.g, tensor.Float32, G.WithShape(rows, n.Input.Size()), G.WithName("x"))}
	h, shape := out.x, n.Input
	for i, l := range n.Layers {
		var err error
		b.layer, b.own = i, parameters[i]
		if h, err = l.node(b, shape, h); err != nil {
			return graph{}, err
		}
		b.trained = b.trained || len(parameters[i]) > 0
		shape, _ = l.Output(shape)
	}
	out.parameters, out.outputs = b.nodes, h
	return out, nil
}
