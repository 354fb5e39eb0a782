package nn

import (
	"fmt"

	G "gorgonia.org/gorgonia"

	"github.com/flow-pipelines/flow/stages/nn/kernel"
)

// Pool makes an image smaller: each channel of a square window becomes one
// number. Pixels that are left at the right and bottom are dropped.
type Pool struct {
	Average bool // else the largest
	// Size and Stride are those of the window; Size 0 is the whole image, and
	// Stride 0 is Size.
	Size, Stride int
}

// Window is how the layer moves over an image.
func (l Pool) Window(in Shape) kernel.Window {
	if l.Size == 0 {
		return kernel.Whole(in.Height, in.Width, in.Channels)
	}
	stride := l.Stride
	if stride == 0 {
		stride = l.Size
	}
	return kernel.Valid(in.Height, in.Width, in.Channels, l.Size, stride)
}

// Output has a pixel for each position of the window.
func (l Pool) Output(in Shape) (Shape, error) {
	if l.Size < 0 || l.Stride < 0 {
		return Shape{}, fmt.Errorf("it has size %d and stride %d", l.Size, l.Stride)
	}
	w := l.Window(in)
	if w.Positions() == 0 {
		return Shape{}, fmt.Errorf("its window of %d×%d does not fit into an image of %d×%d", l.Size, l.Size, in.Height, in.Width)
	}
	return Shape{w.OutHeight, w.OutWidth, in.Channels}, nil
}

func (Pool) parameters(Shape, start) []Parameter { return nil }

func (l Pool) node(b *builder, in Shape, x *G.Node) (*G.Node, error) {
	w := l.Window(in)
	name, pool := "largest of", w.MaxPool
	if l.Average {
		name, pool = "mean of", w.AveragePool
	}
	name = fmt.Sprintf("%s %+v", name, w)
	o := &operation{
		name: name, inputs: []int{2}, dims: 2, wrt: []bool{b.trained},
		shape: func(in []Matrix) (int, int) { return in[0].Rows, w.Positions() * w.Channels },
		run:   []phase{eachImage(w, func(out Matrix, in []Matrix, i int) { pool(out.Row(i), in[0].Row(i)) })},
	}
	o.gradient = func(in G.Nodes, out, grad *G.Node) (G.Nodes, error) {
		g := &operation{
			name: "gradient of " + name, inputs: []int{2, 2, 2}, dims: 2, shape: sameAsFirst,
			run: []phase{eachImage(w, func(out Matrix, in []Matrix, i int) {
				if l.Average {
					w.AveragePoolGradient(out.Row(i), in[2].Row(i))
				} else {
					w.MaxPoolGradient(out.Row(i), in[0].Row(i), in[1].Row(i), in[2].Row(i))
				}
			})},
		}
		dx, err := g.apply(in[0], out, grad)
		return G.Nodes{dx}, err
	}
	return o.apply(x)
}

// eachImage is a phase that does one row after the other.
func eachImage(w kernel.Window, run func(out Matrix, in []Matrix, i int)) phase {
	return phase{
		units: func(out Matrix, _ []Matrix) (int, int) { return out.Rows, out.Rows * w.In() },
		run: func(out Matrix, in []Matrix, from, to int) {
			for i := from; i < to; i++ {
				run(out, in, i)
			}
		},
	}
}
