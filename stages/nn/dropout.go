package nn

import (
	"fmt"

	G "gorgonia.org/gorgonia"

	"github.com/flow-pipelines/flow/stages/nn/philox"
)

// The purposes of random streams. A number is never used for two things, and
// never changes: it is part of what makes a seed mean the same parameters.
const (
	purposeInit    = 1
	purposeShuffle = 2
	purposeDropout = 3       // and one more for each layer
	purposeAugment = 1 << 31 // beyond all layers
)

// Dropout sets each element to zero with probability Rate, in [0, 1), and scales
// the rest by 1/(1-Rate), so that nothing has to change when it is left out at
// prediction. The mask is a function of (seed, layer, step): the backward pass
// computes it again instead of keeping it.
type Dropout struct{ Rate float64 }

func checkRate(rate float64) error {
	if !(rate >= 0 && rate < 1) {
		return fmt.Errorf("its dropout is %v, want at least 0 and below 1", rate)
	}
	return nil
}

// Output is the shape of the input.
func (l Dropout) Output(in Shape) (Shape, error)    { return in, checkRate(l.Rate) }
func (Dropout) parameters(Shape, start) []Parameter { return nil }

func (l Dropout) node(b *builder, _ Shape, x *G.Node) (*G.Node, error) {
	if b.train == nil || l.Rate == 0 {
		return x, nil
	}
	seed, layer, step := b.train.seed, b.layer, b.train.step
	keep, scale := float32(1-l.Rate), float32(1/(1-l.Rate))
	mask := byRow(func(out Matrix, in []Matrix, from, to int) {
		s := philox.New(seed, purposeDropout+uint32(layer), *step)
		s.Skip(uint64(from * out.Cols))
		dst := out.Slice(from, to).Data
		for i, v := range in[0].Slice(from, to).Data {
			if s.Float32() < keep {
				dst[i] = v * scale
			} else {
				dst[i] = 0
			}
		}
	})
	name := fmt.Sprintf("dropout %v layer %d", l.Rate, layer)
	o := &operation{name: name, inputs: []int{2}, dims: 2, shape: sameAsFirst, run: mask, wrt: []bool{true}}
	o.gradient = func(_ G.Nodes, _, grad *G.Node) (G.Nodes, error) {
		g := &operation{name: "gradient of " + name, inputs: []int{2}, dims: 2, shape: sameAsFirst, run: mask}
		dx, err := g.apply(grad)
		return G.Nodes{dx}, err
	}
	return o.apply(x)
}
