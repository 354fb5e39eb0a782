package kernel

import "sync"

// Convolution slides Filters over images. An output is the sum over the rows,
// columns and channels of the window, in this order, of pixel·weight, with every
// product rounded first: a Product with the patches of an image for A and the
// weights, Patch×Filters, for B.
//
// A Convolution keeps its memory. After Begin and Pack for all Panels, its
// other methods may run concurrently for different images.
type Convolution struct {
	Window
	Filters int
	product Product
}

// scratch is the memory of a goroutine that works on images.
type scratch struct {
	patches []float32
	product Product
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// Begin prepares Forward with weights, and biases followed by ReLU or not.
func (c *Convolution) Begin(weights, bias []float32, relu bool) {
	c.product.B, c.product.N, c.product.K = Rows(weights, c.Filters), c.Filters, c.Patch()
	c.product.Bias, c.product.ReLU = bias, relu
	c.product.Begin()
}

// BeginBackward prepares InputGradient with weights.
func (c *Convolution) BeginBackward(weights []float32) {
	c.product.B, c.product.N, c.product.K = Transposed(weights, c.Filters), c.Patch(), c.Filters
	c.product.Bias, c.product.ReLU = nil, false
	c.product.Begin()
}

// Panels is the number of units of Pack.
func (c *Convolution) Panels() int { return c.product.Panels() }

// Pack prepares the panels [from, to) of the weights.
func (c *Convolution) Pack(from, to int) { c.product.Pack(from, to) }

// Out is the numbers of an output.
func (c *Convolution) Out() int { return c.Positions() * c.Filters }

// Cost is about how long images take, in elements read or written.
func (c *Convolution) Cost(images int) int {
	return images * c.Positions() * c.Patch() / 16 * c.Filters
}

// Forward computes out for the images [from, to) of x.
func (c *Convolution) Forward(out, x []float32, from, to int) {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	s.patches = grow(s.patches, c.Positions()*c.Patch())
	for i := from; i < to; i++ {
		p := c.product
		p.A = c.patches(s.patches, x[i*c.In():(i+1)*c.In()])
		p.M, p.C = c.Positions(), out[i*c.Out():(i+1)*c.Out()]
		p.Multiply(0, p.Tiles())
	}
}

// WeightGradient adds up the gradient of the weights and, after it, of the bias,
// over the images [from, to) from the first to the last.
func (c *Convolution) WeightGradient(sum, x, gradient []float32, from, to int) {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	s.patches = grow(s.patches, c.Positions()*c.Patch())
	clear(sum)
	weights := c.Patch() * c.Filters
	for i := from; i < to; i++ {
		a := c.patches(s.patches, x[i*c.In():(i+1)*c.In()])
		g := gradient[i*c.Out() : (i+1)*c.Out()]
		s.product = Product{
			A: Operand{a.Data, a.Col, a.Row}, B: Rows(g, c.Filters), C: sum[:weights],
			M: c.Patch(), N: c.Filters, K: c.Positions(), Add: true, packed: s.product.packed,
		}
		s.product.Run()
	}
	s.product = Product{packed: s.product.packed}
	ColumnSums(sum[weights:], gradient[from*c.Out():to*c.Out()])
}

// InputGradient computes the gradient of the images [from, to).
func (c *Convolution) InputGradient(out, gradient []float32, from, to int) {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	s.patches = grow(s.patches, c.Positions()*c.Patch())
	for i := from; i < to; i++ {
		p := c.product
		p.A, p.M = Rows(gradient[i*c.Out():(i+1)*c.Out()], c.Filters), c.Positions()
		p.C = s.patches
		p.Multiply(0, p.Tiles())
		image := out[i*c.In() : (i+1)*c.In()]
		clear(image)
		c.scatter(image, s.patches)
	}
}
