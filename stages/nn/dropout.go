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
	purposeDropout = 3 // plus 1 for each layer: dropout comes last
)

// dropout sets each element to zero with probability rate and scales the rest
// by 1/(1-rate), so that nothing has to change when it is left out at
// prediction. The mask is a function of (seed, layer, *step): the backward pass
// computes it again instead of keeping it.
func dropout(rate float64, seed uint64, layer int, step *uint32, x *G.Node) (*G.Node, error) {
	keep, scale := float32(1-rate), float32(1/(1-rate))
	mask := byRow(func(out Matrix, in []Matrix, from, to int) {
		s := philox.New(seed, purposeDropout+uint32(layer), *step)
		s.Skip(uint64(from * out.Cols))
		x := in[0].Slice(from, to).Data
		for i := range out.Slice(from, to).Data {
			if s.Float32() < keep {
				out.Data[from*out.Cols+i] = x[i] * scale
			} else {
				out.Data[from*out.Cols+i] = 0
			}
		}
	})
	name := fmt.Sprintf("dropout %v layer %d", rate, layer)
	o := &operation{name: name, inputs: []int{2}, dims: 2, shape: sameAsFirst, run: mask, wrt: []bool{true}}
	o.gradient = func(_ G.Nodes, _, grad *G.Node) (G.Nodes, error) {
		g := &operation{name: "gradient of " + name, inputs: []int{2}, dims: 2, shape: sameAsFirst, run: mask}
		dx, err := g.apply(grad)
		return G.Nodes{dx}, err
	}
	return o.apply(x)
}
