// Package portable has the elementary functions that give the same bits on every
// machine. The standard library's differ in the last bit: math.Exp has assembly
// on some architectures, and on others the compiler fuses a multiplication and
// an addition. A result that differs in one bit is another result to a
// content-addressed cache, so whatever stages compute goes through here.
//
// Each product is converted to its own type before anything is added to it: by
// the language's specification, that is what forbids fusing.
//
// It is called by stages/nn/kernel and by the row expressions of stages/table.
package portable

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

// Pow returns x^y by the algorithm of the standard library's math.Pow. The error
// with a fraction in the exponent grows with the result's magnitude, as there.
func Pow(x, y float64) float64 {
	// The cases without a computation are the standard library's; none of
	// them reaches the code that differs between machines.
	if y == 0 || x == 0 || x == 1 || y == 1 || math.IsNaN(x) || math.IsNaN(y) || math.IsInf(x, 0) || math.IsInf(y, 0) {
		return math.Pow(x, y)
	}
	switch y {
	case 0.5:
		return math.Sqrt(x)
	case -0.5:
		return 1 / math.Sqrt(x)
	}
	yi, yf := math.Modf(math.Abs(y))
	if yf != 0 && x < 0 {
		return math.NaN()
	}
	if yi >= 1<<63 {
		return math.Pow(x, y)
	}
	result := 1.0
	if yf != 0 {
		if yf > 0.5 {
			yf--
			yi++
		}
		result = Exp(float64(yf * Log(x)))
	}
	exponent := 0
	x1, xe := math.Frexp(x)
	for i := int64(yi); i != 0; i >>= 1 {
		if xe < -1<<12 || 1<<12 < xe {
			// Beyond this every result over- or underflows.
			exponent += xe
			break
		}
		if i&1 == 1 {
			result = float64(result * x1)
			exponent += xe
		}
		x1 = float64(x1 * x1)
		xe <<= 1
		if x1 < .5 {
			x1 += x1
			xe--
		}
	}
	if y < 0 {
		result = 1 / result
		exponent = -exponent
	}
	return math.Ldexp(result, exponent)
}

// CosPi returns the cosine of π·x for x from 0 to 1, with an error below 1e-12:
// Taylor's series about the nearer of the ends and the middle.
func CosPi(x float64) float64 {
	switch {
	case x < 0.25:
		return cosine(float64(math.Pi * x))
	case x > 0.75:
		return -cosine(float64(math.Pi * (1 - x)))
	}
	return sine(float64(math.Pi * (0.5 - x)))
}

// cosine and sine are series for angles up to π/4.
func cosine(a float64) float64 {
	term, sum := 1.0, 1.0
	for i := 1.0; i < 18; i += 2 {
		term = -float64(float64(term*float64(a*a)) / float64(i*(i+1)))
		sum += term
	}
	return sum
}

func sine(a float64) float64 {
	term, sum := a, a
	for i := 2.0; i < 18; i += 2 {
		term = -float64(float64(term*float64(a*a)) / float64(i*(i+1)))
		sum += term
	}
	return sum
}
