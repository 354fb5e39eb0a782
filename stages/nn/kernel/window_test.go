package kernel

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// anyWindow draws a window over a small image, padded or not.
func anyWindow(t *rapid.T) Window {
	h, w := rapid.IntRange(1, 9).Draw(t, "height"), rapid.IntRange(1, 9).Draw(t, "width")
	c := rapid.SampledFrom([]int{1, 2, 3, 8, 16}).Draw(t, "channels")
	size, stride := rapid.IntRange(1, 4).Draw(t, "size"), rapid.IntRange(1, 3).Draw(t, "stride")
	if rapid.Bool().Draw(t, "same") || min(h, w) < size {
		return Same(h, w, c, size, stride)
	}
	return Valid(h, w, c, size, stride)
}

// visit calls f for each position, place in the window and channel with the
// index of the output, of the patch and of the pixel, -1 outside of the image.
func visit(w Window, f func(position, patch, pixel int)) {
	for oy := range w.OutHeight {
		for ox := range w.OutWidth {
			for ky := range w.Rows {
				for kx := range w.Cols {
					y, x := oy*w.Stride-w.Top+ky, ox*w.Stride-w.Left+kx
					for c := range w.Channels {
						pixel := -1
						if y >= 0 && y < w.Height && x >= 0 && x < w.Width {
							pixel = (y*w.Width+x)*w.Channels + c
						}
						f(oy*w.OutWidth+ox, (ky*w.Cols+kx)*w.Channels+c, pixel)
					}
				}
			}
		}
	}
}

func TestAConvolutionIsItsDefinitionToTheBit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := anyWindow(t)
		c := &Convolution{Window: w, Filters: rapid.SampledFrom([]int{1, 3, 16, 32}).Draw(t, "filters")}
		images := rapid.IntRange(1, 3).Draw(t, "images")
		x, weights, bias := hard(t, images*w.In(), "x"), hard(t, w.Patch()*c.Filters, "weights"), hard(t, c.Filters, "bias")
		gradient := hard(t, images*c.Out(), "gradient")

		c.Begin(weights, bias, true)
		c.Pack(0, c.Panels())
		got := make([]float32, images*c.Out())
		c.Forward(got, x, 0, images)

		sums := make([]float32, len(weights)+c.Filters)
		c.WeightGradient(sums, x, gradient, 0, images)

		c.BeginBackward(weights)
		c.Pack(0, c.Panels())
		dx := make([]float32, len(x))
		c.InputGradient(dx, gradient, 0, images)

		want, wantSums, wantDx := make([]float32, len(got)), make([]float32, len(sums)), make([]float32, len(dx))
		for i := range images {
			in, out, g := x[i*w.In():], want[i*c.Out():], gradient[i*c.Out():]
			visit(w, func(position, patch, pixel int) {
				var v float32
				if pixel >= 0 {
					v = in[pixel]
				}
				for f := range c.Filters {
					out[position*c.Filters+f] += float32(v * weights[patch*c.Filters+f])
					wantSums[patch*c.Filters+f] += float32(v * g[position*c.Filters+f])
				}
				if pixel >= 0 {
					var sum float32
					for f := range c.Filters {
						sum += float32(g[position*c.Filters+f] * weights[patch*c.Filters+f])
					}
					wantDx[i*w.In()+pixel] += sum
				}
			})
			for j := range w.Positions() * c.Filters {
				out[j] += bias[j%c.Filters]
				wantSums[len(weights)+j%c.Filters] += g[j]
			}
		}
		relu(want)
		mustAgree(t, "outputs", got, want)
		mustAgree(t, "gradient of weights and bias", sums, wantSums)
		mustAgree(t, "gradient of inputs", dx, wantDx)
	})
}

func TestPoolsAreTheirDefinitionsToTheBit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 3).Draw(t, "size")
		w := Valid(rapid.IntRange(size, 9).Draw(t, "height"), rapid.IntRange(size, 9).Draw(t, "width"),
			rapid.SampledFrom([]int{1, 3, 8, 24}).Draw(t, "channels"), size, rapid.IntRange(1, 3).Draw(t, "stride"))
		c := w.Channels
		x, gradient := hard(t, w.In(), "x"), hard(t, w.Positions()*c, "gradient")
		largest, average := make([]float32, len(gradient)), make([]float32, len(gradient))
		w.MaxPool(largest, x)
		w.AveragePool(average, x)
		dx, dAverage := make([]float32, len(x)), make([]float32, len(x))
		w.MaxPoolGradient(dx, x, largest, gradient)
		w.AveragePoolGradient(dAverage, gradient)

		wantMax, wantAverage := make([]float32, len(gradient)), make([]float32, len(gradient))
		wantDx, wantDAverage := make([]float32, len(x)), make([]float32, len(x))
		scale := 1 / float32(size*size)
		// Line by line and place by place, which is the order of the sums.
		for oy := range w.OutHeight {
			taken := make([]bool, w.OutWidth*c)
			for pass := range 2 {
				for place := range size * size {
					for i := range w.OutWidth * c {
						o := oy*w.OutWidth*c + i
						p := ((oy*w.Stride+place/size)*w.Width+i/c*w.Stride+place%size)*c + i%c
						if pass == 0 {
							if v := x[p]; place == 0 || v > wantMax[o] || v != v {
								wantMax[o] = v
							}
							wantAverage[o] += x[p]
							wantDAverage[p] += float32(gradient[o] * scale)
						} else if x[p] == wantMax[o] && !taken[i] {
							taken[i] = true
							wantDx[p] += gradient[o]
						} else if x[p] == wantMax[o] {
							wantDx[p] += 0 // what is left of the gradient
						}
					}
				}
			}
		}
		for i := range wantAverage {
			wantAverage[i] *= scale
		}
		mustAgree(t, "max", largest, wantMax)
		mustAgree(t, "average", average, wantAverage)
		mustAgree(t, "gradient of max", dx, wantDx)
		mustAgree(t, "gradient of average", dAverage, wantDAverage)
	})
}

func TestSameAndValidWindows(t *testing.T) {
	if w := Same(28, 28, 1, 3, 1); w.OutHeight != 28 || w.OutWidth != 28 || w.Top != 1 || w.Left != 1 {
		t.Errorf("Same(28, 3, 1) = %+v", w)
	}
	if w := Same(28, 28, 1, 3, 2); w.OutHeight != 14 || w.Top != 0 {
		t.Errorf("Same(28, 3, 2) = %+v", w)
	}
	if w := Valid(28, 28, 1, 5, 2); w.OutHeight != 12 || w.Top != 0 {
		t.Errorf("Valid(28, 5, 2) = %+v", w)
	}
	if w := Valid(2, 9, 1, 3, 1); w.Positions() != 0 {
		t.Errorf("Valid of an image that is too small has %d positions", w.Positions())
	}
}

func TestReLUIsPortableGoToTheBit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := hard(t, rapid.IntRange(0, 40).Draw(t, "n"), "x")
		want := append([]float32(nil), x...)
		relu(want)
		ReLU(x)
		mustAgree(t, "ReLU", x, want)
	})
	nan := []float32{float32(math.NaN())}
	if ReLU(nan); nan[0] == nan[0] {
		t.Error("ReLU hid a NaN")
	}
}
