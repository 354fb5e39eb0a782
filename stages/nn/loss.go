package nn

import (
	G "gorgonia.org/gorgonia"

	"github.com/flow-pipelines/flow/stages/nn/kernel"
	"github.com/flow-pipelines/flow/stages/portable"
)

// Loss is what training makes small: a mean over the rows of a batch, each
// counted by its weight.
type Loss string

// The losses.
const (
	// SoftmaxCrossEntropy is -log of the softmax probability of the row's
	// class. Two classes are two outputs: one output with a sigmoid is the same
	// model with half of the last layer's parameters.
	SoftmaxCrossEntropy Loss = "softmax_cross_entropy"
	// SquaredError is the mean over outputs of (prediction - target)².
	SquaredError Loss = "squared_error"
)

func (l Loss) targetCols(outputs int) int {
	if l == SoftmaxCrossEntropy {
		return 1
	}
	return outputs
}

// lossNode adds the scalar loss of predictions p, targets y and row weights w
// (rows×1) to the graph.
func (l Loss) node(p, y, w *G.Node) (*G.Node, error) {
	value, derivative := softmaxLoss, softmaxGradient
	if l == SquaredError {
		value, derivative = squaredLoss, squaredGradient
	}
	o := &operation{
		name: string(l), inputs: []int{2, 2, 2}, dims: 0, shape: scalarShape,
		run: whole(value), wrt: []bool{true, false, false},
	}
	o.gradient = func(in G.Nodes, _, grad *G.Node) (G.Nodes, error) {
		g := &operation{
			name: "gradient of " + string(l), inputs: []int{2, 2, 2, 0}, dims: 2,
			shape: sameAsFirst, run: whole(derivative),
		}
		dp, err := g.apply(in[0], in[1], in[2], grad)
		return G.Nodes{dp, nil, nil}, err
	}
	return o.apply(p, y, w)
}

// totalWeight adds up from the first row to the last. A batch in which every
// row has weight zero teaches nothing: its loss and gradients are zero, not 0/0.
func totalWeight(w Matrix) float64 {
	var sum float64
	for _, v := range w.Data {
		sum += float64(v)
	}
	return sum
}

func mean(sum, weight float64) float32 {
	if weight == 0 {
		return 0
	}
	return float32(sum / weight)
}

func softmaxLoss(out Matrix, in []Matrix) {
	p, y, w := in[0], in[1], in[2]
	var sum float64
	for i := range p.Rows {
		row := p.Row(i)
		top, terms := kernel.SoftmaxTerms(row)
		loss := portable.Log(terms) - (float64(row[int(y.Data[i])]) - float64(top))
		sum += float64(float64(w.Data[i]) * loss)
	}
	out.Data[0] = mean(sum, totalWeight(w))
}

func softmaxGradient(out Matrix, in []Matrix) {
	p, y, w, grad := in[0], in[1], in[2], in[3].Data[0]
	total := totalWeight(w)
	for i := range p.Rows {
		row := out.Row(i)
		kernel.Softmax(row, p.Row(i))
		row[int(y.Data[i])]--
		scale := mean(float64(w.Data[i]), total) * grad
		for j := range row {
			row[j] *= scale
		}
	}
}

func squaredLoss(out Matrix, in []Matrix) {
	p, y, w := in[0], in[1], in[2]
	var sum float64
	for i := range p.Rows {
		var row float64
		target := y.Row(i)
		for j, v := range p.Row(i) {
			d := float64(v) - float64(target[j])
			row += float64(d * d)
		}
		sum += float64(float64(w.Data[i]) * row)
	}
	out.Data[0] = mean(sum, totalWeight(w)*float64(p.Cols))
}

func squaredGradient(out Matrix, in []Matrix) {
	p, y, w, grad := in[0], in[1], in[2], in[3].Data[0]
	total := totalWeight(w) * float64(p.Cols)
	for i := range p.Rows {
		scale := 2 * mean(float64(w.Data[i]), total) * grad
		target, row := y.Row(i), out.Row(i)
		for j, v := range p.Row(i) {
			row[j] = scale * (v - target[j])
		}
	}
}
