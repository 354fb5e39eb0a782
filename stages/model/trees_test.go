package model_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/flow-pipelines/flow/internal/oracle"
	"github.com/flow-pipelines/flow/stages/model"
	"github.com/flow-pipelines/flow/stages/nn/philox"
	"github.com/flow-pipelines/flow/stages/tree"
)

// grown is an ensemble whose thresholds are hard to get right: neighbours in
// float32, and the ends of its range.
func grown(features, outputs, trees int) *tree.Ensemble {
	s := philox.New(7, 0, uint32(outputs))
	thresholds := []float32{1, math.Nextafter32(1, 2), 0.1, 0, -1, 16777216, 1e-40, math.MaxFloat32}
	e := &tree.Ensemble{Base: make([]float32, outputs)}
	for k := range e.Base {
		e.Base[k] = s.Float32()
	}
	for i := range trees {
		t := tree.Tree{Output: i % outputs, Nodes: make([]tree.Node, 15)}
		for j := range t.Nodes {
			if j < 7 {
				t.Nodes[j] = tree.Node{
					Feature: int32(s.IntN(features)), Threshold: thresholds[s.IntN(len(thresholds))],
					Left: int32(2*j + 1), Right: int32(2*j + 2), MissingLeft: s.IntN(2) == 0,
				}
				continue
			}
			t.Nodes[j] = tree.Node{Feature: tree.Leaf, Value: s.Float32() - 0.5}
		}
		e.Trees = append(e.Trees, t)
	}
	return e
}

func TestONNXRuntimeWalksTheSameTrees(t *testing.T) {
	features := houseFeatures(t)
	for i := range features.Numeric {
		features.Numeric[i] = model.Numeric{Column: features.Numeric[i].Column, Impute: model.ImputeNone, Scale: model.ScaleNone, Factor: 1}
	}
	numbers := []string{"", "1", "1.0000001", "1.0000002", "0.1", "0.099999994", "0", "-1", "16777216", "16777217", "1e-40", "-3e38", "3.4028235e38"}
	lines := []string{"rooms,age,sea,note,built"}
	for i, a := range numbers {
		for _, b := range numbers {
			lines = append(lines, fmt.Sprintf("%s,%s,%s,x,%s", a, b, []string{"near", "", "island"}[i%3], numbers[(i+5)%len(numbers)]))
		}
	}
	for name, m := range map[string]*model.Model{
		"regression": {Task: model.Regression, Target: "y", TargetScale: 2, TargetShift: 5, Trees: grown(features.Width(), 1, 60)},
		"two":        {Task: model.Classification, Target: "y", Classes: []string{"a", "b"}, Trees: grown(features.Width(), 1, 60)},
		"three":      {Task: model.Classification, Target: "y", Classes: []string{"a", "b", "c"}, Trees: grown(features.Width(), 3, 60)},
		// A calibration is a layer after the trees.
		"calibrated": {
			Task: model.Classification, Target: "y", Classes: []string{"a", "b"}, Positive: "b", Threshold: 0.3, Trees: grown(features.Width(), 1, 60),
			Layers: []model.Layer{{Inputs: 2, Units: 2, Weight: []float32{0, -0.7, 0, 0.7}, Bias: []float32{0, 0.2}, Activation: "identity"}},
		},
		"no tree": {Task: model.Regression, Target: "y", TargetScale: 2, TargetShift: 5, Trees: stump()},
	} {
		t.Run(name, func(t *testing.T) {
			oracle.Python(t)
			m.Family, m.Features = "gbdt", *features
			dir := t.TempDir()
			if err := model.Write(dir, m); err != nil {
				t.Fatal(err)
			}
			p, err := model.Load(dir)
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.Predict(frameOf(t, p.Columns(), lines...))
			if err != nil {
				t.Fatal(err)
			}
			compare(t, p, got, ask(t, dir, lines), len(lines)-1)
		})
	}
}

// stump is what training on a constant target comes to.
func stump() *tree.Ensemble {
	return &tree.Ensemble{Base: []float32{0.25}, Trees: []tree.Tree{{Nodes: []tree.Node{{Feature: tree.Leaf}}}}}
}
