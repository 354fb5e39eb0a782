package nn

import (
	"fmt"

	G "gorgonia.org/gorgonia"
)

// executor runs the part of a graph that some wanted nodes need, each operation
// once, in an order in which inputs come first. Buffers are allocated when the
// executor is made and grow only if a run has more rows than the graph's nodes
// say; a step of training allocates nothing.
//
// It is not safe for concurrent use.
type executor struct {
	steps []step
	// slots holds the current value of every node; a step's inputs and output
	// are indices into it.
	slots []Matrix
	slot  map[*G.Node]int
}

type step struct {
	op  *operation
	in  []int
	out int
	// args is the slice passed to op.run, kept to be filled again.
	args   []Matrix
	buffer []float32
}

// newExecutor compiles what the wanted nodes need. Inputs must be bound before
// the first run.
func newExecutor(wanted ...*G.Node) (*executor, error) {
	e := &executor{slot: map[*G.Node]int{}}
	for _, n := range wanted {
		if err := e.visit(n); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// visit adds a node after the nodes that it reads: depth first, inputs in their
// order, so that the order of steps depends on nothing but the graph.
func (e *executor) visit(n *G.Node) error {
	if _, done := e.slot[n]; done {
		return nil
	}
	var in []int
	children := n.Graph().From(n.ID())
	for children != nil && children.Next() {
		child, ok := children.Node().(*G.Node)
		if !ok {
			panic(fmt.Sprintf("BUG: nn: a child of %v is a %T", n, children.Node()))
		}
		if err := e.visit(child); err != nil {
			return err
		}
		in = append(in, e.slot[child])
	}
	slot := len(e.slots)
	e.slots = append(e.slots, Matrix{})
	e.slot[n] = slot
	switch {
	case n.Op() == nil: // an input, bound by the caller
		return nil
	case n.Op().Arity() == 0: // a constant
		m, err := matrixOf(n.Value())
		if err != nil {
			return fmt.Errorf("compile constant %v: %w", n, err)
		}
		e.slots[slot] = m
		return nil
	}
	op, err := kernelOf(n)
	if err != nil {
		return err
	}
	size := max(1, n.Shape().TotalSize())
	e.steps = append(e.steps, step{op: op, in: in, out: slot, args: make([]Matrix, len(in)), buffer: make([]float32, size)})
	return nil
}

// kernelOf returns the operation that computes a node. The one node that we do
// not build ourselves is the sum of gradients.
func kernelOf(n *G.Node) (*operation, error) {
	if op, ok := n.Op().(*operation); ok {
		return op, nil
	}
	if n.Op().String() == "+ false" && len(n.Shape()) == 2 {
		return addition, nil
	}
	return nil, fmt.Errorf("compile graph: operation %v has no kernel", n.Op())
}

// bind sets the value of an input until it is bound again. A node that nothing
// wanted depends on is ignored.
func (e *executor) bind(n *G.Node, m Matrix) {
	if i, ok := e.slot[n]; ok {
		e.slots[i] = m
	}
}

// value returns what the last run computed for a node. It is overwritten by the
// next run.
func (e *executor) value(n *G.Node) Matrix {
	i, ok := e.slot[n]
	if !ok {
		panic(fmt.Sprintf("BUG: nn: node %v was not compiled", n))
	}
	return e.slots[i]
}

func (e *executor) run() {
	for i := range e.steps {
		s := &e.steps[i]
		for j, slot := range s.in {
			s.args[j] = e.slots[slot]
		}
		rows, cols := s.op.shape(s.args)
		if rows*cols > len(s.buffer) {
			s.buffer = make([]float32, rows*cols)
		}
		out := Matrix{Rows: rows, Cols: cols, Data: s.buffer[:rows*cols]}
		s.op.run(out, s.args)
		e.slots[s.out] = out
	}
}
