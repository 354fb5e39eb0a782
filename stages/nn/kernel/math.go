package kernel

import "math"

// Exp returns e^x. It is __ieee754_exp of FreeBSD's msun (e_exp.c, Sun
// Microsystems 1993), error below one ulp, with each product rounded on its own.
func Exp(x float64) float64 {
	const (
		ln2Hi     = 6.93147180369123816490e-01
		ln2Lo     = 1.90821492927058770002e-10
		log2e     = 1.44269504088896338700e+00
		overflow  = 7.09782712893383973096e+02
		underflow = -7.45133219101941108420e+02
		p1        = 1.66666666666666657415e-01
		p2        = -2.77777777770155933842e-03
		p3        = 6.61375632143793436117e-05
		p4        = -1.65339022054652515390e-06
		p5        = 4.13813679705723846039e-08
	)
	switch {
	case math.IsNaN(x):
		return x
	case x > overflow:
		return math.Inf(1)
	case x < underflow:
		return 0
	}
	k := math.Floor(float64(log2e*x) + 0.5)
	hi := x - float64(k*ln2Hi)
	lo := float64(k * ln2Lo)
	r := hi - lo
	t := float64(r * r)
	p := p4 + float64(t*p5)
	p = p3 + float64(t*p)
	p = p2 + float64(t*p)
	p = p1 + float64(t*p)
	c := r - float64(t*p)
	y := 1 - ((lo - float64(r*c)/(2-c)) - hi)
	return math.Ldexp(y, int(k))
}

// Log returns the natural logarithm of x: NaN below zero, -Inf at zero. It is
// __ieee754_log of FreeBSD's msun (e_log.c, Sun Microsystems 1993), error below
// one ulp, with each product rounded on its own.
func Log(x float64) float64 {
	const (
		ln2Hi = 6.93147180369123816490e-01
		ln2Lo = 1.90821492927058770002e-10
		l1    = 6.666666666666735130e-01
		l2    = 3.999999999940941908e-01
		l3    = 2.857142874366239149e-01
		l4    = 2.222219843214978396e-01
		l5    = 1.818357216161805012e-01
		l6    = 1.531383769920937332e-01
		l7    = 1.479819860511658591e-01
	)
	switch {
	case math.IsNaN(x) || math.IsInf(x, 1):
		return x
	case x < 0:
		return math.NaN()
	case x == 0:
		return math.Inf(-1)
	}
	fraction, exponent := math.Frexp(x)
	if fraction < math.Sqrt2/2 {
		fraction *= 2
		exponent--
	}
	f := fraction - 1
	k := float64(exponent)
	s := f / (2 + f)
	s2 := float64(s * s)
	s4 := float64(s2 * s2)
	odd := l5 + float64(s4*l7)
	odd = l3 + float64(s4*odd)
	odd = l1 + float64(s4*odd)
	even := l4 + float64(s4*l6)
	even = l2 + float64(s4*even)
	r := float64(s2*odd) + float64(s4*even)
	half := float64(float64(0.5*f) * f)
	return float64(k*ln2Hi) - ((half - (float64(s*(half+r)) + float64(k*ln2Lo))) - f)
}

// Tanh returns the hyperbolic tangent of x, rounded to float32 from a float64
// whose error is below 1e-15.
func Tanh(x float32) float32 {
	a := math.Abs(float64(x))
	var y float64
	switch {
	case a < 1e-4:
		// 1 - 2/(e^2a + 1) would cancel; the series' next term is below 1e-21.
		y = a - float64(float64(a*a)*a)/3
	case a > 20:
		y = 1
	default:
		y = 1 - 2/(Exp(2*a)+1)
	}
	if math.IsNaN(a) {
		y = a
	}
	return float32(math.Copysign(y, float64(x)))
}

// Sigmoid returns 1/(1+e^-x).
func Sigmoid(x float32) float32 {
	return float32(1 / (1 + Exp(-float64(x))))
}

// Softmax writes e^x[i] / sum of e^x into out, which may be x. The largest
// element is subtracted first, so that no logit overflows; the sum runs from
// the first element to the last in float64.
func Softmax(out, x []float32) {
	top, sum := SoftmaxTerms(x)
	for i, v := range x {
		out[i] = float32(Exp(float64(v)-float64(top)) / sum)
	}
}

// SoftmaxTerms returns the largest element of x and the sum of e^(x[i]-largest).
// x must not be empty.
func SoftmaxTerms(x []float32) (largest float32, sum float64) {
	largest = x[0]
	for _, v := range x[1:] {
		// A comparison with NaN is false; an explicit test lets it through, so
		// that a broken logit is seen in the loss.
		if v > largest || v != v {
			largest = v
		}
	}
	for _, v := range x {
		sum += Exp(float64(v) - float64(largest))
	}
	return largest, sum
}
