package onnx

import (
	"fmt"

	"github.com/flow-pipelines/flow/stages/nn/kernel"
)

// image is the shape of a row whose numbers are height×width×channels. The
// numbers are always in this order in memory, which is the one of nn/kernel; a
// graph that has the channels first, as Conv of ONNX wants them, says so by
// first and moves nothing.
type image struct {
	height, width, channels int
	first                   bool
}

// filters takes the weights of a Conv, filters×channels×rows×columns, and gives
// them in the order of nn/kernel, rows×columns×channels×filters.
func filters(t Tensor) Value {
	count, channels, places := int(t.Dims[0]), int(t.Dims[1]), int(t.Dims[2]*t.Dims[3])
	v := floats(places*channels, count)
	v.image = image{height: int(t.Dims[2]), width: int(t.Dims[3]), channels: channels, first: true}
	for f := range count {
		for c := range channels {
			for place := range places {
				v.Floats[(place*channels+c)*count+f] = t.Floats[(f*channels+c)*places+place]
			}
		}
	}
	return v
}

// reshape takes a row of numbers as an image with the channels last, or back.
func reshape(_ Node, in []Value) (Value, error) {
	out, dims := in[0], in[1].Ints
	size := int64(1)
	for _, d := range dims[min(1, len(dims)):] {
		if d < 1 || d > int64(out.Cols) {
			size = -1
			break
		}
		size *= d
	}
	if out.image.first || len(dims) == 0 || dims[0] != -1 || size != int64(out.Cols) {
		return out, fmt.Errorf("rows of %d numbers cannot be given the shape %v", out.Cols, dims)
	}
	switch len(dims) {
	case 2:
		out.image = image{}
	case 4:
		out.image = image{height: int(dims[1]), width: int(dims[2]), channels: int(dims[3])}
	default:
		return out, fmt.Errorf("shape %v is neither a matrix nor an image", dims)
	}
	return out, nil
}

// transpose moves the channels of an image first or last.
func transpose(n Node, in []Value) (Value, error) {
	out := in[0]
	want := []int64{0, 3, 1, 2}
	if out.image.first {
		want = []int64{0, 2, 3, 1}
	}
	perm := attribute(n, "perm").Ints
	if out.image == (image{}) || len(perm) != 4 || [4]int64(perm) != [4]int64(want) {
		return out, fmt.Errorf("only the channels of an image can be moved, not %v", perm)
	}
	out.image.first = !out.image.first
	return out, nil
}

// windowOf reads the attributes of Conv and the pools, for an image.
func windowOf(n Node, v Value) (kernel.Window, error) {
	i := v.image
	if !i.first || v.Cols != i.height*i.width*i.channels || len(v.Floats) != v.Rows*v.Cols {
		return kernel.Window{}, fmt.Errorf("its input is not an image with the channels first")
	}
	size, strides, pads := attribute(n, "kernel_shape").Ints, attribute(n, "strides").Ints, attribute(n, "pads").Ints
	if pads == nil {
		pads = make([]int64, 4)
	}
	if len(size) != 2 || len(strides) != 2 || strides[0] != strides[1] || strides[0] < 1 || len(pads) != 4 || size[0] < 1 || size[1] < 1 {
		return kernel.Window{}, fmt.Errorf("windows of %v with strides %v and pads %v are not supported", size, strides, pads)
	}
	for _, a := range n.Attributes {
		switch a.Name {
		case "kernel_shape", "strides", "pads":
		default:
			return kernel.Window{}, fmt.Errorf("attribute %q is not supported", a.Name)
		}
	}
	w := kernel.Window{
		Height: i.height, Width: i.width, Channels: i.channels, Rows: int(size[0]), Cols: int(size[1]), Stride: int(strides[0]),
		Top: int(pads[0]), Left: int(pads[1]),
	}
	w.OutHeight = (i.height+int(pads[0]+pads[2])-w.Rows)/w.Stride + 1
	w.OutWidth = (i.width+int(pads[1]+pads[3])-w.Cols)/w.Stride + 1
	if w.OutHeight < 1 || w.OutWidth < 1 {
		return w, fmt.Errorf("a window of %v does not fit into an image of %d×%d", size, i.height, i.width)
	}
	return w, nil
}

func convolve(n Node, in []Value) (Value, error) {
	w, err := windowOf(n, in[0])
	if err != nil {
		return Value{}, err
	}
	k := in[1]
	if k.image != (image{height: w.Rows, width: w.Cols, channels: w.Channels, first: true}) || len(in[2].Floats) != k.Cols {
		return Value{}, fmt.Errorf("its weights do not fit an image with %d channels", w.Channels)
	}
	c := &kernel.Convolution{Window: w, Filters: k.Cols}
	out := floats(in[0].Rows, c.Out())
	out.image = image{w.OutHeight, w.OutWidth, k.Cols, true}
	c.Begin(k.Floats, in[2].Floats, false)
	c.Pack(0, c.Panels())
	c.Forward(out.Floats, in[0].Floats, 0, in[0].Rows)
	return out, nil
}

func pool(run func(w kernel.Window, out, image []float32)) func(Node, []Value) (Value, error) {
	return func(n Node, in []Value) (Value, error) {
		w, err := windowOf(n, in[0])
		if err != nil {
			return Value{}, err
		}
		if w.Top|w.Left != 0 || (w.OutHeight-1)*w.Stride+w.Rows > w.Height || (w.OutWidth-1)*w.Stride+w.Cols > w.Width {
			return Value{}, fmt.Errorf("pools that leave the image are not supported")
		}
		out := floats(in[0].Rows, w.Positions()*w.Channels)
		out.image = image{w.OutHeight, w.OutWidth, w.Channels, true}
		for i := range out.Rows {
			run(w, out.Floats[i*out.Cols:(i+1)*out.Cols], in[0].Floats[i*in[0].Cols:(i+1)*in[0].Cols])
		}
		return out, nil
	}
}

// normalise is of each channel of an image, or of each column.
func normalise(n Node, in []Value) (Value, error) {
	x, channels := in[0], in[0].Cols
	if x.image != (image{}) {
		channels = x.image.channels
	}
	if e := attribute(n, "epsilon").Float; e != kernel.BatchNormEpsilon || x.image != (image{}) && !x.image.first || len(x.Floats) != x.Rows*x.Cols {
		return Value{}, fmt.Errorf("its input is neither an image with the channels first nor a matrix, or epsilon is not %v but %v", float32(kernel.BatchNormEpsilon), e)
	}
	for _, v := range in[1:] {
		if len(v.Floats) != channels {
			return Value{}, fmt.Errorf("it has %d numbers for %d channels", len(v.Floats), channels)
		}
	}
	out := floats(x.Rows, x.Cols)
	out.image = x.image
	kernel.NormaliseChannels(out.Floats, x.Floats, in[1].Floats, in[2].Floats, in[3].Floats, in[4].Floats)
	return out, nil
}
