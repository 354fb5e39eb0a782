package onnx

import (
	"fmt"
	"math"

	"github.com/flow-pipelines/flow/stages/tree"
)

// Trees adds a node of the operation TreeEnsembleRegressor of ai.onnx.ml, which
// computes an ensemble's scores, and returns the name of its output.
func (g *Graph) Trees(output, input string, e *tree.Ensemble) string {
	var nodes struct {
		trees, ids, features, trues, falses, missing []int64
		modes                                        []string
		values                                       []float32
	}
	var targets struct {
		trees, nodes, ids []int64
		weights           []float32
	}
	for t, grown := range e.Trees {
		for i, n := range grown.Nodes {
			nodes.trees, nodes.ids = append(nodes.trees, int64(t)), append(nodes.ids, int64(i))
			nodes.values = append(nodes.values, n.Threshold)
			if n.Feature == tree.Leaf {
				nodes.modes = append(nodes.modes, "LEAF")
				nodes.features, nodes.missing = append(nodes.features, 0), append(nodes.missing, 0)
				nodes.trues, nodes.falses = append(nodes.trues, 0), append(nodes.falses, 0)
				targets.trees, targets.nodes = append(targets.trees, int64(t)), append(targets.nodes, int64(i))
				targets.ids, targets.weights = append(targets.ids, int64(grown.Output)), append(targets.weights, n.Value)
				continue
			}
			missing := int64(0)
			if n.MissingLeft {
				missing = 1
			}
			nodes.modes = append(nodes.modes, "BRANCH_LEQ")
			nodes.features, nodes.missing = append(nodes.features, int64(n.Feature)), append(nodes.missing, missing)
			nodes.trues, nodes.falses = append(nodes.trues, int64(n.Left)), append(nodes.falses, int64(n.Right))
		}
	}
	return g.AddML("TreeEnsembleRegressor", output, []string{input},
		IntAttribute("n_targets", int64(len(e.Base))),
		FloatsAttribute("base_values", e.Base),
		StringAttribute("aggregate_function", "SUM"),
		StringAttribute("post_transform", "NONE"),
		IntsAttribute("nodes_treeids", nodes.trees),
		IntsAttribute("nodes_nodeids", nodes.ids),
		IntsAttribute("nodes_featureids", nodes.features),
		StringsAttribute("nodes_modes", nodes.modes),
		FloatsAttribute("nodes_values", nodes.values),
		IntsAttribute("nodes_truenodeids", nodes.trues),
		IntsAttribute("nodes_falsenodeids", nodes.falses),
		IntsAttribute("nodes_missing_value_tracks_true", nodes.missing),
		IntsAttribute("target_treeids", targets.trees),
		IntsAttribute("target_nodeids", targets.nodes),
		IntsAttribute("target_ids", targets.ids),
		FloatsAttribute("target_weights", targets.weights))
}

// treeEnsemble reads what Trees wrote: trees of BRANCH_LEQ, each for one target,
// their nodes in order.
func treeEnsemble(n Node) (runFunc, error) {
	e, features, err := readTrees(n)
	if err != nil {
		return nil, err
	}
	return func(_ Node, in []Value) (Value, error) {
		x := in[0]
		if x.Cols < features || len(x.Floats) != x.Rows*x.Cols {
			return Value{}, fmt.Errorf("its input has %d columns, the trees read %d", x.Cols, features)
		}
		out := floats(x.Rows, len(e.Base))
		e.Scores(out.Floats, x.Floats, x.Cols)
		return out, nil
	}, nil
}

func readTrees(n Node) (e *tree.Ensemble, features int, err error) {
	ints := func(name string) []int64 { return attribute(n, "nodes_"+name).Ints }
	trees, ids, modes, values := ints("treeids"), ints("nodeids"), attribute(n, "nodes_modes").Strings, attribute(n, "nodes_values").Floats
	columns, trues, falses, missing := ints("featureids"), ints("truenodeids"), ints("falsenodeids"), ints("missing_value_tracks_true")
	count := len(trees)
	for _, have := range []int{len(ids), len(modes), len(values), len(columns), len(trues), len(falses), len(missing)} {
		if have != count {
			return nil, 0, fmt.Errorf("its lists of nodes have different lengths")
		}
	}
	targets := attribute(n, "n_targets").Int
	e = &tree.Ensemble{Base: attribute(n, "base_values").Floats}
	for _, name := range []string{"aggregate_function", "post_transform"} {
		if v := attribute(n, name).Strings; len(v) == 1 && v[0] != "SUM" && v[0] != "NONE" {
			return nil, 0, fmt.Errorf("%s %q is not supported", name, v[0])
		}
	}
	if targets < 1 || len(e.Base) != int(targets) {
		return nil, 0, fmt.Errorf("it has %d base values for %d targets", len(e.Base), targets)
	}
	for i := range count {
		if trees[i] == int64(len(e.Trees)) {
			e.Trees = append(e.Trees, tree.Tree{})
		}
		last := len(e.Trees) - 1
		if trees[i] != int64(last) || ids[i] != int64(len(e.Trees[last].Nodes)) {
			return nil, 0, fmt.Errorf("node %d is not in order", i)
		}
		node := tree.Node{Feature: tree.Leaf, Threshold: values[i]}
		switch {
		case modes[i] == "LEAF":
		case modes[i] == "BRANCH_LEQ" && max(columns[i], trues[i], falses[i]) <= math.MaxInt32 && min(columns[i], trues[i], falses[i]) >= 0:
			node = tree.Node{
				Feature: int32(columns[i]), Threshold: values[i], Left: int32(trues[i]), Right: int32(falses[i]), MissingLeft: missing[i] == 1,
			}
			features = max(features, int(columns[i])+1)
		default:
			return nil, 0, fmt.Errorf("node %d of mode %q is not supported", i, modes[i])
		}
		e.Trees[last].Nodes = append(e.Trees[last].Nodes, node)
	}
	if err := readLeaves(n, e); err != nil {
		return nil, 0, err
	}
	return e, features, e.Check(features)
}

// readLeaves reads the values of the leaves, of which each has one.
func readLeaves(n Node, e *tree.Ensemble) error {
	trees, nodes, ids := attribute(n, "target_treeids").Ints, attribute(n, "target_nodeids").Ints, attribute(n, "target_ids").Ints
	weights := attribute(n, "target_weights").Floats
	if len(nodes) != len(trees) || len(ids) != len(trees) || len(weights) != len(trees) {
		return fmt.Errorf("its lists of leaves have different lengths")
	}
	for i, t := range trees {
		if t < 0 || t >= int64(len(e.Trees)) || nodes[i] < 0 || nodes[i] >= int64(len(e.Trees[t].Nodes)) {
			return fmt.Errorf("leaf %d is of no tree", i)
		}
		own := &e.Trees[t]
		if i > 0 && trees[i-1] == t && own.Output != int(ids[i]) {
			return fmt.Errorf("tree %d is for more than one target", t)
		}
		own.Output = int(ids[i])
		own.Nodes[nodes[i]].Value = weights[i]
	}
	return nil
}
