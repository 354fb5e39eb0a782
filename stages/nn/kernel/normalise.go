package kernel

import "math"

// BatchNormEpsilon keeps the divisor of a normalisation from zero.
const BatchNormEpsilon = 1e-5

// NormaliseChannels writes (x - mean)/sqrt(variance + BatchNormEpsilon)·scale +
// bias for each channel, of which there are as many as elements of mean.
func NormaliseChannels(out, x, scale, bias, mean, variance []float32) {
	c := len(mean)
	for j := range c {
		factor := scale[j] / float32(math.Sqrt(float64(variance[j])+BatchNormEpsilon))
		for i := j; i < len(x); i += c {
			out[i] = float32((x[i]-mean[j])*factor) + bias[j]
		}
	}
}
