package nn

import (
	"math"

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
	// BinaryCrossEntropy is the mean over outputs of -log of the sigmoid probability
	// of the target, 0 or 1: each output is a question of its own.
	BinaryCrossEntropy Loss = "binary_cross_entropy"
	// SquaredError is the mean over outputs of (prediction - target)².
	SquaredError Loss = "squared_error"
	// Huber is the mean over outputs of half the square of the difference d up to
	// 1, and of |d| - 1/2 beyond, so that a few far targets do not decide.
	Huber Loss = "huber"
)

// Losses lists the losses.
func Losses() []Loss { return []Loss{SoftmaxCrossEntropy, BinaryCrossEntropy, SquaredError, Huber} }

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
	switch l {
	case SoftmaxCrossEntropy:
	case BinaryCrossEntropy:
		value, derivative = meanLoss(bernoulli), meanGradient(func(p, y float32) float32 { return kernel.Sigmoid(p) - y })
	case SquaredError:
		value, derivative = meanLoss(squared), meanGradient(func(p, y float32) float32 { return 2 * (p - y) })
	case Huber:
		value, derivative = meanLoss(huber), meanGradient(func(p, y float32) float32 { return max(-1, min(1, p-y)) })
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

// bernoulli is the cross-entropy of a logit, without overflow.
func bernoulli(p, y float64) float64 {
	return max(p, 0) - float64(p*y) + portable.Log(1+portable.Exp(-math.Abs(p)))
}

func squared(p, y float64) float64 {
	d := p - y
	return float64(d * d)
}

func huber(p, y float64) float64 {
	d := p - y
	if a := math.Abs(d); a > 1 {
		return a - 0.5
	}
	return float64(d*d) / 2
}

// meanLoss is the mean over outputs of a function of prediction and target.
func meanLoss(of func(p, y float64) float64) func(out Matrix, in []Matrix) {
	return func(out Matrix, in []Matrix) {
		p, y, w := in[0], in[1], in[2]
		var sum float64
		for i := range p.Rows {
			var row float64
			target := y.Row(i)
			for j, v := range p.Row(i) {
				row += of(float64(v), float64(target[j]))
			}
			sum += float64(float64(w.Data[i]) * row)
		}
		out.Data[0] = mean(sum, totalWeight(w)*float64(p.Cols))
	}
}

// meanGradient is the gradient of meanLoss, given that of the function by the
// prediction.
func meanGradient(derivative func(p, y float32) float32) func(out Matrix, in []Matrix) {
	return func(out Matrix, in []Matrix) {
		p, y, w, grad := in[0], in[1], in[2], in[3].Data[0]
		total := totalWeight(w) * float64(p.Cols)
		for i := range p.Rows {
			scale := mean(float64(w.Data[i]), total) * grad
			target, row := y.Row(i), out.Row(i)
			for j, v := range p.Row(i) {
				row[j] = scale * derivative(v, target[j])
			}
		}
	}
}
