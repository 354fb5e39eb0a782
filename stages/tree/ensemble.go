package tree

import "fmt"

// Ensemble is a sum of trees: score k of a row is Base[k] and the values of the
// leaves that the row is in, over the trees with Output k.
type Ensemble struct {
	// Base has an entry for each output.
	Base  []float32
	Trees []Tree
}

// Tree is one tree; its root is the first node.
type Tree struct {
	Output int
	Nodes  []Node
}

// Leaf is the Feature of a node that is a leaf.
const Leaf = -1

// Node is a leaf with a Value, or sends rows on: to Left if the feature is at
// most Threshold, or if it is missing and MissingLeft is set, else to Right.
type Node struct {
	Feature     int32
	Threshold   float32
	Left, Right int32
	MissingLeft bool
	Value       float32
}

// Check reports why an ensemble cannot be evaluated on rows of a number of
// features. Children must come after their parents, so that every walk ends.
func (e *Ensemble) Check(features int) error {
	for i, t := range e.Trees {
		if t.Output < 0 || t.Output >= len(e.Base) || len(t.Nodes) == 0 {
			return fmt.Errorf("tree %d has %d nodes and is for output %d of %d", i, len(t.Nodes), t.Output, len(e.Base))
		}
		for j, n := range t.Nodes {
			inner := n.Feature >= 0 && int(n.Feature) < features && j < int(min(n.Left, n.Right)) && int(max(n.Left, n.Right)) < len(t.Nodes)
			if n.Feature != Leaf && !inner {
				return fmt.Errorf("node %d of tree %d reads feature %d of %d and leads to nodes %d and %d", j, i, n.Feature, features, n.Left, n.Right)
			}
		}
	}
	return nil
}

// Scores writes the scores of rows of a row-major matrix with cols columns into
// out, row-major. They are added up tree by tree in float64.
func (e *Ensemble) Scores(out, x []float32, cols int) {
	rows, outputs := len(x)/cols, len(e.Base)
	sums := make([]float64, rows*outputs)
	for i := range sums {
		sums[i] = float64(e.Base[i%outputs])
	}
	for _, t := range e.Trees {
		// A tree after the other: its nodes stay in the nearest cache.
		for i := range rows {
			sums[i*outputs+t.Output] += float64(t.value(x[i*cols : (i+1)*cols]))
		}
	}
	for i, v := range sums {
		out[i] = float32(v)
	}
}

func (t *Tree) value(row []float32) float32 {
	n := &t.Nodes[0]
	for n.Feature != Leaf {
		v := row[n.Feature]
		if v <= n.Threshold || n.MissingLeft && v != v {
			n = &t.Nodes[n.Left]
		} else {
			n = &t.Nodes[n.Right]
		}
	}
	return n.Value
}
