package model

import (
	"fmt"

	"github.com/flow-pipelines/flow/stages/model/onnx"
	"github.com/flow-pipelines/flow/stages/nn/kernel"
)

// Layer is activation(x·Weight + Bias), unless it has one of the kinds for
// images; then Inputs and Units are the numbers that it takes and gives, and the
// activation comes last. Without weights and kind it is an activation alone.
type Layer struct {
	Inputs, Units int
	Weight        []float32 // Inputs×Units, row-major
	Bias          []float32
	// Activation is "relu", "tanh", "sigmoid", "clip", "log" or "identity".
	Activation string

	Convolution *Convolution
	Pool        *Pool
	Norm        *Norm
}

// Convolution slides filters over an image. Its weights, the layer's, are those
// of a window by rows, columns and channels, for each filter: Patch×Filters.
type Convolution struct {
	Window  kernel.Window
	Filters int
}

// Pool takes the largest or the mean of each window.
type Pool struct {
	Window  kernel.Window
	Average bool
}

// Norm is batch normalisation, one number a channel each.
type Norm struct{ Scale, Bias, Mean, Variance []float32 }

// check compares a layer with the width of what it gets.
func (l Layer) check(i, width int) error {
	weights, biases := l.Inputs*l.Units, l.Units
	gives := l.Units
	switch c, p, n := l.Convolution, l.Pool, l.Norm; {
	case c != nil:
		weights, biases, gives = c.Window.Patch()*c.Filters, c.Filters, c.Window.Positions()*c.Filters
		width = min(width, c.Window.In())
	case p != nil:
		weights, biases, gives = 0, 0, p.Window.Positions()*p.Window.Channels
		width = min(width, p.Window.In())
	case n != nil:
		weights, biases = 0, 0
		if c := len(n.Mean); c == 0 || l.Inputs%c != 0 || len(n.Variance) != c || len(n.Scale) != c || len(n.Bias) != c {
			return fmt.Errorf("layer %d normalises %d channels of %d inputs", i, len(n.Mean), l.Inputs)
		}
	case len(l.Weight) == 0 && l.Inputs == l.Units:
		weights, biases = 0, 0
	}
	if l.Inputs != width || len(l.Weight) != weights || len(l.Bias) != biases || gives != l.Units {
		return fmt.Errorf("layer %d takes %d inputs and gets %d", i, l.Inputs, width)
	}
	if _, ok := activationOps[l.Activation]; !ok && l.Activation != "identity" {
		return fmt.Errorf("layer %d has unknown activation %q", i, l.Activation)
	}
	return nil
}

// stack adds layers to a graph. Features and dense layers have rows of numbers;
// layers for images take them as height×width×channels, and ONNX has the
// channels first, so that there is a transposition wherever one meets the other.
type stack struct {
	g *onnx.Graph
	x string
	// image is the shape of x, with zeros if it is a row of numbers.
	image [3]int64
	// bag is what the terms of text add to the first layer, or "".
	bag string
}

// addLayers adds all layers of a model after its features x.
func addLayers(g *onnx.Graph, x string, m *Model) string {
	s := &stack{g: g, x: x}
	for i, l := range m.Layers {
		if i == 0 && len(m.Features.Text) > 0 {
			s.bag = addBag(g, &m.Features, l)
			l.Inputs -= m.Features.textWidth()
			l.Weight = l.Weight[:l.Inputs*l.Units]
		}
		s.add(fmt.Sprintf("layer%d", i), l)
	}
	s.flat("outputs")
	return s.x
}

func (s *stack) add(name string, l Layer) {
	g := s.g
	switch {
	case l.Convolution != nil:
		w, filters := l.Convolution.Window, l.Convolution.Filters
		s.channelsFirst(name, w)
		weight := g.Floats(name+".weight", filtersFirst(l.Weight, w, filters), int64(filters), int64(w.Channels), int64(w.Rows), int64(w.Cols))
		bias := g.Floats(name+".bias", l.Bias, int64(filters))
		bottom := max(0, (w.OutHeight-1)*w.Stride+w.Rows-w.Height-w.Top)
		right := max(0, (w.OutWidth-1)*w.Stride+w.Cols-w.Width-w.Left)
		s.x = g.Add("Conv", name+".sum", []string{s.x, weight, bias}, append(window(w),
			onnx.IntsAttribute("pads", []int64{int64(w.Top), int64(w.Left), int64(bottom), int64(right)}))...)
		s.image = [3]int64{int64(w.OutHeight), int64(w.OutWidth), int64(filters)}
	case l.Pool != nil:
		w, op := l.Pool.Window, "MaxPool"
		if l.Pool.Average {
			op = "AveragePool"
		}
		s.channelsFirst(name, w)
		s.x = g.Add(op, name+".pooled", []string{s.x}, window(w)...)
		s.image = [3]int64{int64(w.OutHeight), int64(w.OutWidth), int64(w.Channels)}
	case l.Norm != nil:
		n := l.Norm
		if c := int64(len(n.Mean)); s.image == [3]int64{} && int(c) != l.Inputs {
			// The channels of an image that no layer has taken as one yet; its height
			// does not matter.
			s.shape(name, [3]int64{int64(l.Inputs) / c, 1, c})
		}
		in := []string{s.x}
		for _, p := range []struct {
			name   string
			values []float32
		}{{".scale", n.Scale}, {".bias", n.Bias}, {".mean", n.Mean}, {".variance", n.Variance}} {
			in = append(in, g.Floats(name+p.name, p.values, int64(len(p.values))))
		}
		s.x = g.Add("BatchNormalization", name+".normal", in, onnx.Attribute{Name: "epsilon", Type: onnx.AttributeFloat, Float: kernel.BatchNormEpsilon})
	case s.bag != "" && l.Inputs == 0: // there is nothing but text
		s.x = g.Add("Add", name+".sum", []string{s.bag, g.Floats(name+".bias", l.Bias, int64(l.Units))})
		s.bag = ""
	case len(l.Weight) > 0:
		s.flat(name + ".flat")
		w := g.Floats(name+".weight", l.Weight, int64(l.Inputs), int64(l.Units))
		b := g.Floats(name+".bias", l.Bias, int64(l.Units))
		s.x = g.Add("Gemm", name+".sum", []string{s.x, w, b})
		if s.bag != "" {
			s.x = g.Add("Add", name+".both", []string{s.x, s.bag})
			s.bag = ""
		}
	}
	if op, ok := activationOps[l.Activation]; ok {
		var attributes []onnx.Attribute
		if l.Activation == "clip" {
			attributes = []onnx.Attribute{onnx.FloatAttribute("alpha", 1), onnx.FloatAttribute("beta", 0)}
		}
		s.x = g.Add(op, name+".activation", []string{s.x}, attributes...)
	}
}

// window is the attributes that Conv and the pools share.
func window(w kernel.Window) []onnx.Attribute {
	return []onnx.Attribute{
		onnx.IntsAttribute("kernel_shape", []int64{int64(w.Rows), int64(w.Cols)}),
		onnx.IntsAttribute("strides", []int64{int64(w.Stride), int64(w.Stride)}),
	}
}

// filtersFirst turns rows×columns×channels×filters into the order of ONNX,
// filters×channels×rows×columns.
func filtersFirst(weight []float32, w kernel.Window, filters int) []float32 {
	out := make([]float32, 0, len(weight))
	for f := range filters {
		for c := range w.Channels {
			for place := range w.Rows * w.Cols {
				out = append(out, weight[(place*w.Channels+c)*filters+f])
			}
		}
	}
	return out
}

// channelsFirst makes x an image of the window's size.
func (s *stack) channelsFirst(name string, w kernel.Window) {
	if image := [3]int64{int64(w.Height), int64(w.Width), int64(w.Channels)}; s.image != image {
		s.flat(name + ".flat")
		s.shape(name, image)
	}
}

func (s *stack) shape(name string, image [3]int64) {
	dims := s.g.Ints(name+".shape", []int64{-1, image[0], image[1], image[2]}, 4)
	s.x = s.g.Add("Reshape", name+".pixels", []string{s.x, dims})
	s.x = s.g.Add("Transpose", name+".image", []string{s.x}, onnx.IntsAttribute("perm", []int64{0, 3, 1, 2}))
	s.image = image
}

// flat makes x a row of numbers.
func (s *stack) flat(name string) {
	if s.image == [3]int64{} {
		return
	}
	s.x = s.g.Add("Transpose", name+".last", []string{s.x}, onnx.IntsAttribute("perm", []int64{0, 2, 3, 1}))
	dims := s.g.Ints(name+".length", []int64{-1, s.image[0] * s.image[1] * s.image[2]}, 2)
	s.x = s.g.Add("Reshape", name, []string{s.x, dims})
	s.image = [3]int64{}
}
