package train

import (
	"fmt"
	"math"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/stages/model"
	"github.com/flow-pipelines/flow/stages/nn"
)

// CNN is the block model "cnn".
type CNN struct {
	Shape      []int   `json:"shape" doc:"Height, width and channels of the image. Left out: a square with one channel."`
	Filters    []int   `json:"filters" default:"[16, 32]" doc:"Filters of each convolution, from the image on. The image keeps its size in a convolution and is made smaller by the pool after it."`
	Size       int     `json:"size" default:"3" doc:"Height and width of a convolution's window."`
	Pool       int     `json:"pool" default:"2" doc:"Height and width of the window after each convolution of which the largest number is taken; 1 is no pool."`
	BatchNorm  bool    `json:"batch_norm" default:"false" doc:"Normalise each channel over the batch before the activation of a convolution."`
	Hidden     []int   `json:"hidden" default:"[64]" doc:"Units of each hidden layer between the convolutions and the answer."`
	Activation string  `json:"activation" default:"relu" oneof:"relu tanh sigmoid" doc:"Activation of convolutions and hidden layers."`
	Dropout    float64 `json:"dropout" default:"0" doc:"Share of activations that a step of training sets to zero, after the last pool and after each hidden layer."`
}

// Stack is the block model "layers".
type Stack struct {
	Shape []int        `json:"shape" doc:"Height, width and channels of the image that the features are, row by row, the channels of a pixel side by side. Left out: the features are no image."`
	Stack []LayerBlock `json:"stack" flow:"steps,required" doc:"The layers, from the features on."`
}

// LayerBlock is one block of a stack.
type LayerBlock struct {
	Dense      *DenseBlock      `json:"dense" doc:"Fully connected layer. An image is taken as its numbers in a row."`
	Conv       *ConvBlock       `json:"conv" doc:"Convolution."`
	Pool       *PoolBlock       `json:"pool" doc:"The largest or mean number of each window of an image, for each channel."`
	BatchNorm  *BatchNormBlock  `json:"batch_norm" doc:"Batch normalisation of each channel, or of each number that is no image (Ioffe and Szegedy, 2015)."`
	Dropout    *DropoutBlock    `json:"dropout" doc:"Dropout."`
	Flatten    *FlattenBlock    `json:"flatten" doc:"Takes an image as its numbers in a row."`
	Activation *ActivationBlock `json:"activation" doc:"Activation alone."`
}

// DenseBlock is the block dense.
type DenseBlock struct {
	Units      int    `json:"units" flow:"required" doc:"Units of the layer."`
	Activation string `json:"activation" default:"relu" oneof:"relu tanh sigmoid identity" doc:"Activation of the layer."`
}

// ConvBlock is the block conv.
type ConvBlock struct {
	Filters    int    `json:"filters" flow:"required" doc:"Filters, which are the channels of what comes out."`
	Size       int    `json:"size" default:"3" doc:"Height and width of the window."`
	Stride     int    `json:"stride" default:"1" doc:"How many pixels the window moves at a time."`
	Padding    string `json:"padding" default:"same" oneof:"same valid" doc:"same: zeros around the image, so that at stride 1 it keeps its size; valid: the window stays in the image."`
	Activation string `json:"activation" default:"relu" oneof:"relu tanh sigmoid identity" doc:"Activation of the layer."`
}

// PoolBlock is the block pool.
type PoolBlock struct {
	Of     string `json:"of" default:"max" oneof:"max average" doc:"What is taken of a window."`
	Size   int    `json:"size" default:"2" doc:"Height and width of the window; 0 is the whole image."`
	Stride int    `json:"stride" default:"0" doc:"How many pixels the window moves at a time; 0 is its size."`
}

// BatchNormBlock is the block batch_norm.
type BatchNormBlock struct{}

// DropoutBlock is the block dropout.
type DropoutBlock struct {
	Rate float64 `json:"rate" default:"0.5" doc:"Share of numbers that a step of training sets to zero."`
}

// FlattenBlock is the block flatten.
type FlattenBlock struct{}

// ActivationBlock is the block activation.
type ActivationBlock struct {
	Function string `json:"function" default:"relu" oneof:"relu tanh sigmoid" doc:"The activation."`
}

func (b LayerBlock) layer() nn.Layer {
	switch {
	case b.Dense != nil:
		return nn.Dense{Units: b.Dense.Units, Activation: nn.Activation(b.Dense.Activation)}
	case b.Conv != nil:
		return nn.Convolution{
			Filters: b.Conv.Filters, Size: b.Conv.Size, Stride: b.Conv.Stride, Same: b.Conv.Padding != "valid",
			Activation: nn.Activation(b.Conv.Activation),
		}
	case b.Pool != nil:
		return nn.Pool{Average: b.Pool.Of == "average", Size: b.Pool.Size, Stride: b.Pool.Stride}
	case b.BatchNorm != nil:
		return nn.BatchNorm{}
	case b.Dropout != nil:
		return nn.Dropout{Rate: b.Dropout.Rate}
	case b.Activation != nil:
		return nn.Activate{Activation: nn.Activation(b.Activation.Function)}
	}
	return nn.Flatten{}
}

// layers are all but the last one, with the argument that each comes from.
func (c *Config) layers() (layers []nn.Layer, paths []string) {
	add := func(path string, all ...nn.Layer) {
		for _, l := range all {
			layers, paths = append(layers, l), append(paths, path)
		}
	}
	switch m := c.Model; {
	case m.MLP != nil:
		for i, units := range m.MLP.Hidden {
			add(fmt.Sprintf("model.mlp.hidden[%d]", i), nn.Dense{Units: units, Activation: nn.Activation(m.MLP.Activation), Dropout: m.MLP.Dropout})
		}
	case m.CNN != nil:
		act := nn.Activation(m.CNN.Activation)
		for i, filters := range m.CNN.Filters {
			path := fmt.Sprintf("model.cnn.filters[%d]", i)
			convolution := nn.Convolution{Filters: filters, Size: m.CNN.Size, Stride: 1, Same: true, Activation: act}
			if m.CNN.BatchNorm {
				convolution.Activation = nn.Identity
				add(path, convolution, nn.BatchNorm{}, nn.Activate{Activation: act})
			} else {
				add(path, convolution)
			}
			if m.CNN.Pool != 1 {
				add(path, nn.Pool{Size: m.CNN.Pool})
			}
		}
		add("model.cnn.dropout", nn.Dropout{Rate: m.CNN.Dropout})
		for i, units := range m.CNN.Hidden {
			add(fmt.Sprintf("model.cnn.hidden[%d]", i), nn.Dense{Units: units, Activation: act, Dropout: m.CNN.Dropout})
		}
	case m.Layers != nil:
		for i, b := range m.Layers.Stack {
			add(fmt.Sprintf("model.layers.stack[%d]", i), b.layer())
		}
	}
	return layers, paths
}

// checkNetwork finds the mistakes in layers and shapes that show without the
// features: all but that an image has another size.
func (c *Config) checkNetwork(add addProblem) {
	if a := c.Augment; a != nil {
		switch m := c.Model.Layers; {
		case c.Model.CNN == nil && (m == nil || len(m.Shape) == 0):
			add("augment", "The features are no image", "Only images can be mirrored and moved: use model \"cnn\", or layers with a shape.")
		case a.Shift < 0:
			add("augment.shift", "A negative number", "It is %d pixels, and must not be negative.", a.Shift)
		}
		if c.Features != nil {
			for i, n := range c.Features.Numeric {
				if n.Scale != string(model.ScaleJoint) && n.Scale != string(model.ScaleNone) {
					add(fmt.Sprintf("features.numeric[%d].scale", i), "Pixels with scales of their own", "A pixel that augment moves to another place has to mean the same there: write scale = \"joint\".")
				}
			}
		}
	}
	shape, path := []int(nil), ""
	switch m := c.Model; {
	case m.CNN != nil:
		shape, path = m.CNN.Shape, "model.cnn.shape"
		if m.CNN.Size < 1 || m.CNN.Pool < 1 {
			add("model.cnn", "Not a positive number", "Windows have a height and width of at least 1: size is %d and pool %d.", m.CNN.Size, m.CNN.Pool)
			return
		}
	case m.Layers != nil:
		shape, path = m.Layers.Shape, "model.layers.shape"
	default:
		return
	}
	if len(shape) == 0 {
		// Without a shape, a square that every window fits into.
		shape = []int{1 << 20, 1 << 20, 1}
	} else if len(shape) != 3 || shape[0] < 1 || shape[1] < 1 || shape[2] < 1 {
		add(path, "Not the shape of an image", "It is height, width and channels, three positive numbers: [28, 28, 1] for gray and [32, 32, 3] for coloured pixels.")
		return
	}
	c.checkLayers(nn.Shape{Height: shape[0], Width: shape[1], Channels: shape[2]}, add)
}

// checkLayers reports the first layer that does not take what it gets.
func (c *Config) checkLayers(in nn.Shape, add addProblem) {
	layers, paths := c.layers()
	for i, l := range layers {
		out, err := l.Output(in)
		if err != nil {
			add(paths[i], "A layer that cannot be", "The layer gets %v, and %v.", in, err)
			return
		}
		in = out
	}
}

// augment is how the trainer changes images.
func (c *Config) augment() nn.Augment {
	if c.Augment == nil {
		return nn.Augment{}
	}
	return nn.Augment{Flip: c.Augment.Flip, Shift: c.Augment.Shift}
}

// network is the whole network over rows of so many features.
func (c *Config) network(features, outputs int) (nn.Network, error) {
	layers, _ := c.layers()
	n := nn.Network{Input: nn.Flat(features), Layers: append(layers, nn.Dense{Units: outputs, Activation: nn.Identity})}
	shape, path := []int(nil), "model.layers.shape"
	if m := c.Model.CNN; m != nil {
		shape, path = m.Shape, "model.cnn.shape"
		if side := int(math.Round(math.Sqrt(float64(features)))); len(shape) == 0 {
			if side*side != features {
				return n, stage.Problemf(path, "The shape of the image is not known", "There are %d features, which are not the pixels of a square with one channel. Write shape = [height, width, channels].", features)
			}
			shape = []int{side, side, 1}
		}
	} else if c.Model.Layers != nil {
		shape = c.Model.Layers.Shape
	}
	if len(shape) == 3 {
		n.Input = nn.Shape{Height: shape[0], Width: shape[1], Channels: shape[2]}
	}
	if n.Input.Size() != features {
		return n, stage.Problemf(path, "The image has another size", "An image of %v has %d numbers, and there are %d features.", n.Input, n.Input.Size(), features)
	}
	var first *stage.Problem
	c.checkLayers(n.Input, func(path, summary, detail string, args ...any) {
		first = stage.Problemf(path, summary, detail, args...)
	})
	if first != nil {
		return n, first
	}
	return n, nil
}

// layersOf turns a trained network into the layers of a model.
func layersOf(n nn.Network, parameters []nn.Parameter) []model.Layer {
	var out []model.Layer
	take := func() nn.Parameter {
		p := parameters[0]
		parameters = parameters[1:]
		return p
	}
	in := n.Input
	for _, layer := range n.Layers {
		shape, err := layer.Output(in)
		if err != nil {
			panic("BUG: train: a network that was trained: " + err.Error())
		}
		l := model.Layer{Inputs: in.Size(), Units: shape.Size(), Activation: string(nn.Identity)}
		in, shape = shape, in
		switch layer := layer.(type) {
		case nn.Dense:
			l.Weight, l.Bias, l.Activation = take().Data, take().Data, string(layer.Activation)
		case nn.Convolution:
			l.Weight, l.Bias, l.Activation = take().Data, take().Data, string(layer.Activation)
			l.Convolution = &model.Convolution{Window: layer.Window(shape), Filters: layer.Filters}
		case nn.Pool:
			l.Pool = &model.Pool{Window: layer.Window(shape), Average: layer.Average}
		case nn.BatchNorm:
			l.Norm = &model.Norm{Scale: take().Data, Bias: take().Data, Mean: take().Data, Variance: take().Data}
		case nn.Activate:
			l.Activation = string(layer.Activation)
		case nn.Dropout, nn.Flatten:
			continue
		}
		out = append(out, l)
	}
	return out
}
