package nn

import (
	"fmt"
	"hash"
	"hash/fnv"

	"github.com/chewxy/hm"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/flow-pipelines/flow/stages/nn/kernel"
)

// operation is a fused operation: to Gorgonia an Op that it can differentiate,
// to our executor a function over matrices. Inputs are matrices unless scalar
// says otherwise; scalars are matrices of 1×1 to the executor.
//
// The number of rows is not part of the graph: shape is asked at each run, so
// that the last batch of an epoch may be smaller than the others.
type operation struct {
	// name, with the identity of the inputs, identifies the node: Gorgonia
	// merges nodes that have both in common.
	name string
	// inputs has the number of dimensions of each input: 2, or 0 for a scalar.
	inputs []int
	// dims is the number of dimensions of the output.
	dims int
	// shape returns the size of the output for inputs of these sizes.
	shape func(in []Matrix) (rows, cols int)
	// run computes out, whose old contents are undefined, phase after phase. It
	// may not keep or change in.
	run []phase
	// wrt says by which inputs gradient differentiates; nil is by none.
	wrt []bool
	// gradient returns the gradient of each input, nil where wrt is false.
	gradient func(in G.Nodes, out, grad *G.Node) (G.Nodes, error)
}

// phase is one part of an operation's work.
type phase struct {
	// units says into how many parts the work can be divided that need nothing
	// of each other, and what all of them cost, in elements that are read or
	// written. How many there are follows from the shapes alone, never from the
	// threads, so that sums whose terms several units have are the same with any
	// number of threads. nil is one unit that is not worth sharing.
	units func(out Matrix, in []Matrix) (units, cost int)
	// run does the units [from, to).
	run func(out Matrix, in []Matrix, from, to int)
}

// whole is an operation that is done in one piece.
func whole(run func(out Matrix, in []Matrix)) []phase {
	return []phase{{run: func(out Matrix, in []Matrix, _, _ int) { run(out, in) }}}
}

// byRow is an operation whose rows are computed independently.
func byRow(run func(out Matrix, in []Matrix, from, to int)) []phase {
	return []phase{{
		units: func(out Matrix, _ []Matrix) (int, int) { return out.Rows, out.Rows * out.Cols },
		run:   run,
	}}
}

// size returns the units and the cost of a phase.
func (p phase) size(out Matrix, in []Matrix) (units, cost int) {
	if p.units == nil {
		return 1, 0
	}
	return p.units(out, in)
}

var (
	_ G.Op   = (*operation)(nil)
	_ G.SDOp = (*operation)(nil)
)

func (o *operation) apply(in ...*G.Node) (*G.Node, error) {
	n, err := G.ApplyOp(o, in...)
	if err != nil {
		return nil, fmt.Errorf("add %s to the graph: %w", o.name, err)
	}
	return n, nil
}

func termType(dims int) hm.Type {
	if dims == 0 {
		return tensor.Float32
	}
	return G.TensorType{Dims: dims, Of: tensor.Float32}
}

// Arity, Type, InferShape and the rest are Gorgonia's Op.
func (o *operation) Arity() int { return len(o.inputs) }

func (o *operation) Type() hm.Type {
	terms := make([]hm.Type, 0, len(o.inputs)+1)
	for _, dims := range o.inputs {
		terms = append(terms, termType(dims))
	}
	return hm.NewFnType(append(terms, termType(o.dims))...)
}

func (o *operation) InferShape(sizers ...G.DimSizer) (tensor.Shape, error) {
	shapes, err := G.DimSizersToShapes(sizers)
	if err != nil {
		return nil, err
	}
	in := make([]Matrix, len(shapes))
	for i, s := range shapes {
		in[i] = Matrix{Rows: 1, Cols: 1}
		if len(s) == 2 {
			in[i] = Matrix{Rows: s[0], Cols: s[1]}
		}
	}
	rows, cols := o.shape(in)
	if o.dims == 0 {
		return tensor.ScalarShape(), nil
	}
	return tensor.Shape{rows, cols}, nil
}

// Do runs the operation over Gorgonia's values, so that its own machines can
// execute the graph: a test compares the executor with them.
func (o *operation) Do(values ...G.Value) (G.Value, error) {
	in := make([]Matrix, len(values))
	for i, v := range values {
		m, err := matrixOf(v)
		if err != nil {
			return nil, fmt.Errorf("run %s: %w", o.name, err)
		}
		in[i] = m
	}
	rows, cols := o.shape(in)
	out := NewMatrix(rows, cols)
	for _, p := range o.run {
		units, _ := p.size(out, in)
		p.run(out, in, 0, units)
	}
	if o.dims == 0 {
		v := G.F32(out.Data[0])
		return &v, nil
	}
	return tensor.New(tensor.WithShape(rows, cols), tensor.WithBacking(out.Data)), nil
}

func matrixOf(v G.Value) (Matrix, error) {
	switch data := v.Data().(type) {
	case float32:
		return Matrix{1, 1, []float32{data}}, nil
	case []float32:
		s := v.Shape()
		if len(s) != 2 {
			return Matrix{}, fmt.Errorf("a value of shape %v is not a matrix", s)
		}
		return Matrix{s[0], s[1], data}, nil
	default:
		return Matrix{}, fmt.Errorf("a value of type %T is not float32", data)
	}
}

func (o *operation) ReturnsPtr() bool     { return true }
func (o *operation) CallsExtern() bool    { return false }
func (o *operation) OverwritesInput() int { return -1 }
func (o *operation) String() string       { return o.name }

func (o *operation) WriteHash(h hash.Hash) { _, _ = h.Write([]byte("flow " + o.name)) }

func (o *operation) Hashcode() uint32 {
	h := fnv.New32a()
	o.WriteHash(h)
	return h.Sum32()
}

func (o *operation) DiffWRT(inputs int) []bool {
	if o.wrt == nil {
		return make([]bool, inputs)
	}
	return o.wrt
}

func (o *operation) SymDiff(in G.Nodes, out, grad *G.Node) (G.Nodes, error) {
	if o.gradient == nil {
		return nil, fmt.Errorf("differentiate %s: it has no gradient", o.name)
	}
	return o.gradient(in, out, grad)
}

// Shapes that many operations have.
func sameAsFirst(in []Matrix) (int, int) { return in[0].Rows, in[0].Cols }
func scalarShape([]Matrix) (int, int)    { return 1, 1 }

// addition replaces the sum that Gorgonia puts where a node has several users
// and so several gradients.
var addition = &operation{
	name: "add", inputs: []int{2, 2}, dims: 2, shape: sameAsFirst,
	run: byRow(func(out Matrix, in []Matrix, from, to int) {
		kernel.Add(out.Slice(from, to).Data, in[0].Slice(from, to).Data, in[1].Slice(from, to).Data)
	}),
}
