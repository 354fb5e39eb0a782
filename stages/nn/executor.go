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
	steps []*step
	team  *team
	// slots holds the current value of every node; a step's inputs and output
	// are indices into it.
	slots []Matrix
	slot  map[*G.Node]int
}

type step struct {
	op  *operation
	in  []int
	out int
	// args is the slice passed to op.run, kept to be filled again, and value
	// what it computes.
	args   []Matrix
	value  Matrix
	buffer []float32
	// run has the phases of op as functions of a range of units. They are made
	// once: a closure a run would be an allocation.
	run []func(from, to int)
}

func newStep(op *operation, in []int, out, size int) *step {
	s := &step{op: op, in: in, out: out, args: make([]Matrix, len(in)), buffer: make([]float32, size)}
	for _, p := range op.run {
		s.run = append(s.run, func(from, to int) { p.run(s.value, s.args, from, to) })
	}
	return s
}

// newExecutor compiles what the wanted nodes need, to be run by a team. Inputs
// must be bound before the first run.
func newExecutor(team *team, wanted ...*G.Node) (*executor, error) {
	e := &executor{team: team, slot: map[*G.Node]int{}}
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
	e.steps = append(e.steps, newStep(op, in, slot, size))
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
	for _, s := range e.steps {
		for j, slot := range s.in {
			s.args[j] = e.slots[slot]
		}
		rows, cols := s.op.shape(s.args)
		if rows*cols > len(s.buffer) {
			s.buffer = make([]float32, rows*cols)
		}
		s.value = Matrix{Rows: rows, Cols: cols, Data: s.buffer[:rows*cols]}
		for i, p := range s.op.run {
			units, cost := p.size(s.value, s.args)
			e.team.share(units, cost, s.run[i])
		}
		e.slots[s.out] = s.value
	}
}
