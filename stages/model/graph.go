package model

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/flow-pipelines/flow/stages/model/onnx"
	"github.com/flow-pipelines/flow/stages/tree"
)

// The names of inputs, outputs and metadata in model.onnx.
const (
	inputNumeric     = "numeric"
	inputCategorical = "categorical"

	inputTextIndex  = "text_index"
	inputTextWeight = "text_weight"

	outputProbabilities = "probabilities"
	outputLabel         = "label"
	outputPrediction    = "prediction"
)

// scoresOf writes the way from raw columns to what the answer is taken from, and
// returns the name of that.
func scoresOf(m *Model) (out *onnx.Model, x string) {
	out = &onnx.Model{Producer: "flow", Metadata: metadata(m)}
	g := &out.Graph
	g.Name = "flow"
	x = addFeatures(g, &m.Features)
	if m.Trees != nil {
		x = addTrees(g, x, m)
	}
	return out, addLayers(g, x, m)
}

// graphOf writes the whole way from raw columns to the answer as a graph.
func graphOf(m *Model) *onnx.Model {
	out, x := scoresOf(m)
	g := &out.Graph
	if m.Task == Regression {
		scale := g.Floats("target.scale", []float32{m.TargetScale})
		shift := g.Floats("target.shift", []float32{m.TargetShift})
		x = g.Add("Mul", "scaled", []string{x, scale})
		g.Add("Add", outputPrediction, []string{x, shift})
		g.Outputs = append(g.Outputs, onnx.Port{Name: outputPrediction, Type: onnx.Float, Dims: batch(1)})
		return out
	}
	if m.Task == Multilabel {
		g.Add("Sigmoid", outputProbabilities, []string{x})
		g.Outputs = append(g.Outputs, onnx.Port{Name: outputProbabilities, Type: onnx.Float, Dims: batch(len(m.Classes))})
		return out
	}
	p := g.Add("Softmax", outputProbabilities, []string{x}, onnx.IntAttribute("axis", 1))
	keys := make([]int64, len(m.Classes))
	for i := range keys {
		keys[i] = int64(i)
	}
	g.AddML("LabelEncoder", outputLabel, []string{addClass(g, p, m)},
		onnx.IntsAttribute("keys_int64s", keys), onnx.StringsAttribute("values_strings", m.Classes))
	g.Outputs = append(g.Outputs,
		onnx.Port{Name: outputProbabilities, Type: onnx.Float, Dims: batch(len(m.Classes))},
		onnx.Port{Name: outputLabel, Type: onnx.String, Dims: batch()})
	return out
}

// addClass adds the choice of a class by the probabilities p.
func addClass(g *onnx.Graph, p string, m *Model) string {
	if m.Threshold == 0 {
		return g.Add("ArgMax", "class", []string{p}, onnx.IntAttribute("axis", 1), onnx.IntAttribute("keepdims", 0))
	}
	positive := int64(slices.Index(m.Classes, m.Positive))
	index := g.Ints("positive", []int64{positive})
	probability := g.Add("Gather", "positive.probability", []string{p, index}, onnx.IntAttribute("axis", 1))
	is := g.Add("GreaterOrEqual", "positive.is", []string{probability, g.Floats("threshold", []float32{m.Threshold})})
	return g.Add("Where", "class", []string{is, index, g.Ints("negative", []int64{1 - positive})})
}

// addTrees adds the ensemble. One score for two classes is that of the second,
// beside a score of 0 for the first: the softmax of both is its sigmoid.
func addTrees(g *onnx.Graph, x string, m *Model) string {
	e := m.Trees
	if m.Task == Classification && len(e.Base) == 1 {
		second := &tree.Ensemble{Base: []float32{0, e.Base[0]}, Trees: slices.Clone(e.Trees)}
		for i := range second.Trees {
			second.Trees[i].Output = 1
		}
		e = second
	}
	return g.Trees("scores", x, e)
}

// addBag adds what the terms of text add to the first layer: the sum of the
// layer's weights of each term, times the term's number. A row has as many terms
// as the longest one; the others are filled with the number of terms there are,
// whose weights are zero.
func addBag(g *onnx.Graph, f *Features, l Layer) string {
	terms, units := f.textWidth(), l.Units
	weights := append(slices.Clone(l.Weight[(l.Inputs-terms)*units:]), make([]float32, units)...)
	free := []onnx.Dim{{Name: "batch"}, {Name: "terms"}}
	g.Inputs = append(g.Inputs,
		onnx.Port{Name: inputTextIndex, Type: onnx.Int64, Dims: free},
		onnx.Port{Name: inputTextWeight, Type: onnx.Float, Dims: free})
	axis := g.Ints("text.axis", []int64{1}, 1)
	each := g.Add("Gather", "text.each", []string{g.Floats("text.weights", weights, int64(terms+1), int64(units)), inputTextIndex}, onnx.IntAttribute("axis", 0))
	row := g.Add("Unsqueeze", "text.row", []string{inputTextWeight, axis})
	sum := g.Add("MatMul", "text.sum", []string{row, each})
	return g.Add("Squeeze", "text.bag", []string{sum, axis})
}

// activationOps are the operations of ONNX. "clip" is to 0 to 1; it and "log" are of
// calibrations, whose probabilities become scores again by their logarithms.
var activationOps = map[string]string{"relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid", "clip": "HardSigmoid", "log": "Log"}

func batch(cols ...int) []onnx.Dim {
	dims := []onnx.Dim{{Name: "batch"}}
	for _, c := range cols {
		dims = append(dims, onnx.Dim{Length: int64(c)})
	}
	return dims
}

// addFeatures adds inputs and transforms, and returns the name of the matrix
// that Transform computes.
func addFeatures(g *onnx.Graph, f *Features) string {
	parts := f.numbers().add(g)
	if k := len(f.Categorical); k > 0 {
		g.Inputs = append(g.Inputs, onnx.Port{Name: inputCategorical, Type: onnx.String, Dims: batch(k)})
	}
	for i, c := range f.Categorical {
		if len(c.Categories) == 0 {
			continue
		}
		// One-hot encoding adds a dimension to a vector; numbers need a column.
		var dims []int64
		if len(c.Unknown) > 0 {
			dims = []int64{1}
		}
		index := g.Ints(fmt.Sprintf("categorical%d.index", i), []int64{int64(i)}, dims...)
		column := g.Add("Gather", fmt.Sprintf("categorical%d", i), []string{inputCategorical, index}, onnx.IntAttribute("axis", 1))
		if width := len(c.Unknown); width > 0 {
			for k := range width {
				values := make([]float32, len(c.Categories))
				for j := range values {
					values[j] = c.Values[j*width+k]
				}
				parts = append(parts, g.AddML("LabelEncoder", fmt.Sprintf("categorical%d.number%d", i, k), []string{column},
					onnx.StringsAttribute("keys_strings", c.Categories), onnx.FloatsAttribute("values_floats", values), onnx.FloatAttribute("default_float", c.Unknown[k])))
			}
			continue
		}
		parts = append(parts, g.AddML("OneHotEncoder", fmt.Sprintf("categorical%d.one_hot", i), []string{column},
			onnx.StringsAttribute("cats_strings", c.Categories), onnx.IntAttribute("zeros", 1)))
	}
	if parts == nil {
		return ""
	}
	return g.Add("Concat", "features", parts, onnx.IntAttribute("axis", 1))
}

func metadata(m *Model) []onnx.Property {
	list := func(names []string) string {
		b, err := json.Marshal(names)
		if err != nil {
			panic("BUG: model: encode names: " + err.Error())
		}
		return string(b)
	}
	numeric, categorical := []string{}, []string{}
	for _, n := range m.Features.Numeric {
		numeric = append(numeric, n.name())
	}
	for _, c := range m.Features.Categorical {
		categorical = append(categorical, c.Column)
	}
	out := []onnx.Property{
		{Key: "flow.task", Value: string(m.Task)},
		{Key: "flow.target", Value: m.Target},
		{Key: "flow.numeric", Value: list(numeric)},
		{Key: "flow.categorical", Value: list(categorical)},
	}
	if m.Task == Multilabel { // no output names them
		out = append(out, onnx.Property{Key: "flow.labels", Value: list(m.Classes)})
	}
	return out
}
