package nn

import (
	"fmt"
	"math"

	G "gorgonia.org/gorgonia"

	"github.com/flow-pipelines/flow/stages/nn/kernel"
)

// BatchNorm shifts and scales each channel to mean 0 and deviation 1 over the
// rows and pixels of a batch, then by a trained scale and bias (Ioffe and
// Szegedy, 2015). Prediction takes running means of both instead, which are
// parameters that no gradient changes.
type BatchNorm struct{}

// batchNormShare is a batch's share of the running means, PyTorch's default.
const batchNormShare = 0.1

// Output is the shape of the input.
func (BatchNorm) Output(in Shape) (Shape, error) { return in, nil }

func (BatchNorm) parameters(in Shape, start start) []Parameter {
	ones := func() Matrix {
		m := NewMatrix(1, in.Channels)
		for i := range m.Data {
			m.Data[i] = 1
		}
		return m
	}
	mean, variance := start.named("mean", NewMatrix(1, in.Channels)), start.named("variance", ones())
	mean.Fixed, variance.Fixed = true, true
	return []Parameter{start.named("scale", ones()), start.named("bias", NewMatrix(1, in.Channels)), mean, variance}
}

func (l BatchNorm) node(b *builder, in Shape, x *G.Node) (*G.Node, error) {
	scale, bias := b.parameter(0), b.parameter(1)
	mean, variance := b.parameter(2), b.parameter(3)
	if b.train == nil {
		o := &operation{
			name: "normalise", inputs: []int{2, 2, 2, 2, 2}, dims: 2, shape: sameAsFirst,
			run: byRow(func(out Matrix, in []Matrix, from, to int) {
				kernel.NormaliseChannels(out.Slice(from, to).Data, in[0].Slice(from, to).Data, in[1].Data, in[2].Data, in[3].Data, in[4].Data)
			}),
		}
		return o.apply(x, scale, bias, mean, variance)
	}
	s := &batchStatistics{channels: in.Channels, running: b.own[2:4]}
	o := &operation{
		name: fmt.Sprintf("batch norm %d", b.layer), inputs: []int{2, 2, 2}, dims: 2, shape: sameAsFirst,
		wrt: []bool{b.trained, true, true}, run: s.normalise(),
	}
	differentiateX := b.trained
	o.gradient = func(in G.Nodes, _, grad *G.Node) (G.Nodes, error) {
		return s.gradients(b.layer, differentiateX, in, grad)
	}
	return o.apply(x, scale, bias)
}

// batchStatistics are what the forward pass of a batch tells the backward pass.
type batchStatistics struct {
	channels       int
	running        []Parameter // mean, variance
	mean, inverse  []float32   // of the batch; inverse is 1/deviation
	sums           []float64   // two a channel and group
	forward, other []float64   // totals of a pass over the groups
}

// each returns phases that add up two numbers for each channel, first of each
// group, then of all, and hand over the totals. add adds those of the pixel whose
// numbers begin at i.
func (s *batchStatistics) each(add func(a, b []float64, in []Matrix, i int), done func(in []Matrix, a, b []float64, n int)) []phase {
	c := s.channels
	return []phase{
		{run: func(_ Matrix, in []Matrix, _, _ int) {
			if n := groups(in[0].Rows) * 2 * c; cap(s.sums) < n {
				s.sums = make([]float64, n)
			}
		}},
		{
			units: func(_ Matrix, in []Matrix) (int, int) { return groups(in[0].Rows), in[0].Rows * in[0].Cols },
			run: func(_ Matrix, in []Matrix, from, to int) {
				for g := from; g < to; g++ {
					sums := s.sums[g*2*c : (g+1)*2*c]
					clear(sums)
					for i := g * groupRows * in[0].Cols; i < min((g+1)*groupRows, in[0].Rows)*in[0].Cols; i += c {
						add(sums[:c], sums[c:], in, i)
					}
				}
			},
		},
		{run: func(_ Matrix, in []Matrix, _, _ int) {
			a, b := s.forward, s.other
			clear(a)
			clear(b)
			for g := range groups(in[0].Rows) {
				for j := range c {
					a[j] += s.sums[g*2*c+j]
					b[j] += s.sums[g*2*c+c+j]
				}
			}
			done(in, a, b, in[0].Rows*in[0].Cols/c)
		}},
	}
}

func (s *batchStatistics) normalise() []phase {
	c := s.channels
	s.mean, s.inverse = make([]float32, c), make([]float32, c)
	s.forward, s.other = make([]float64, c), make([]float64, c)
	mean := s.each(func(a, _ []float64, in []Matrix, i int) {
		for j, v := range in[0].Data[i : i+c] {
			a[j] += float64(v)
		}
	},
		func(_ []Matrix, sum, _ []float64, n int) {
			for j := range c {
				s.mean[j] = float32(sum[j] / float64(n))
			}
		})
	variance := s.each(func(a, _ []float64, in []Matrix, i int) {
		for j, v := range in[0].Data[i : i+c] {
			d := float64(v - s.mean[j])
			a[j] += float64(d * d)
		}
	}, func(_ []Matrix, sum, _ []float64, n int) {
		for j := range c {
			v := sum[j] / float64(n)
			s.inverse[j] = float32(1 / math.Sqrt(v+kernel.BatchNormEpsilon))
			// The running variance is the unbiased one, as PyTorch's.
			unbiased := sum[j] / float64(max(n-1, 1))
			s.keep(0, j, float64(s.mean[j]))
			s.keep(1, j, unbiased)
		}
	})
	apply := byRow(func(out Matrix, in []Matrix, from, to int) {
		scale, bias := in[1].Data, in[2].Data
		for i := from * out.Cols; i < to*out.Cols; i += c {
			o := out.Data[i : i+c]
			for j, v := range in[0].Data[i : i+c] {
				normal := (v - s.mean[j]) * s.inverse[j]
				o[j] = float32(normal*scale[j]) + bias[j]
			}
		}
	})
	return append(append(mean, variance...), apply...)
}

// keep moves a running mean towards the batch's.
func (s *batchStatistics) keep(which, j int, v float64) {
	p := &s.running[which].Data[j]
	*p = float32(float64((1-batchNormShare)*float64(*p)) + float64(batchNormShare*v))
}

// gradients adds the sums over the batch, d(scale) = Σ grad·normal and
// d(bias) = Σ grad, and with them
// dx = scale·inverse·(grad - (d(bias) + normal·d(scale))/n).
func (s *batchStatistics) gradients(layer int, differentiateX bool, in G.Nodes, grad *G.Node) (G.Nodes, error) {
	c := s.channels
	sums := &operation{
		name: fmt.Sprintf("gradients of batch norm %d", layer), inputs: []int{2, 2}, dims: 2,
		shape: func([]Matrix) (int, int) { return 2, c },
		run: append(s.each(func(a, b []float64, in []Matrix, i int) {
			x := in[0].Data[i : i+c]
			for j, v := range in[1].Data[i : i+c] {
				g := float64(v)
				a[j] += float64(g * float64((x[j]-s.mean[j])*s.inverse[j]))
				b[j] += g
			}
		}, func([]Matrix, []float64, []float64, int) {}), whole(func(out Matrix, _ []Matrix) {
			for j := range c {
				out.Data[j], out.Data[c+j] = float32(s.forward[j]), float32(s.other[j])
			}
		})...),
	}
	both, err := sums.apply(in[0], grad)
	if err != nil {
		return nil, err
	}
	dScale, err := rowsOf("gradient of scale", 0, 1, both)
	if err != nil {
		return nil, err
	}
	dBias, err := rowsOf("gradient of bias", 1, 2, both)
	if err != nil {
		return nil, err
	}
	gradients := G.Nodes{nil, dScale, dBias}
	if !differentiateX {
		return gradients, nil
	}
	inputs := &operation{
		name: fmt.Sprintf("gradient of inputs of batch norm %d", layer), inputs: []int{2, 2, 2, 2}, dims: 2, shape: sameAsFirst,
		run: byRow(func(out Matrix, in []Matrix, from, to int) {
			x, scale, grad, sums := in[0], in[1].Data, in[2].Data, in[3].Data
			n := float32(x.Rows * x.Cols / c)
			for i := from * out.Cols; i < to*out.Cols; i += c {
				g, pixel, o := grad[i:i+c], x.Data[i:i+c], out.Data[i:i+c]
				for j, v := range g {
					normal := (pixel[j] - s.mean[j]) * s.inverse[j]
					rest := float32(normal*sums[j]) + sums[c+j]
					o[j] = scale[j] * s.inverse[j] * (v - rest/n)
				}
			}
		}),
	}
	gradients[0], err = inputs.apply(in[0], in[1], grad, both)
	return gradients, err
}
