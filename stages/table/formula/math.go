package formula

import "math"

// exp, log and pow are the standard library's algorithms (FreeBSD's e_exp.c and
// e_log.c, and Go's math.Pow) with every product rounded before it is added to
// anything. The standard library's own differ in the last bit between machines:
// some have assembly, and on others the compiler fuses a multiplication and an
// addition. The errors of exp and log are below 1 ulp; that of pow with a
// fraction in the exponent grows with the result's magnitude, as math.Pow's.

const (
	ln2Hi = 6.93147180369123816490e-01
	ln2Lo = 1.90821492927058770002e-10
	log2e = 1.44269504088896338700e+00
)

// mul rounds the product; a conversion is what forbids fusing.
func mul(x, y float64) float64 { return float64(x * y) }

func log(x float64) float64 {
	switch {
	case math.IsNaN(x) || math.IsInf(x, 1):
		return x
	case x < 0:
		return math.NaN()
	case x == 0:
		return math.Inf(-1)
	}
	const (
		l1 = 6.666666666666735130e-01
		l2 = 3.999999999940941908e-01
		l3 = 2.857142874366239149e-01
		l4 = 2.222219843214978396e-01
		l5 = 1.818357216161805012e-01
		l6 = 1.531383769920937332e-01
		l7 = 1.479819860511658591e-01
	)
	f1, ki := math.Frexp(x)
	if f1 < math.Sqrt2/2 {
		f1 *= 2
		ki--
	}
	f := f1 - 1
	k := float64(ki)
	s := f / (2 + f)
	s2 := mul(s, s)
	s4 := mul(s2, s2)
	t1 := mul(s2, l1+mul(s4, l3+mul(s4, l5+mul(s4, l7))))
	t2 := mul(s4, l2+mul(s4, l4+mul(s4, l6)))
	r := t1 + t2
	half := mul(mul(0.5, f), f)
	return mul(k, ln2Hi) - ((half - (mul(s, half+r) + mul(k, ln2Lo))) - f)
}

// logBase is exact where a power of the base is.
func logBase(x, base float64) float64 {
	y := log(x) / log(base)
	if r := math.Round(y); r != y && math.Abs(y-r) < 1e-9 && pow(base, r) == x {
		return r
	}
	return y
}

func exp(x float64) float64 {
	switch {
	case math.IsNaN(x) || math.IsInf(x, 1):
		return x
	case x > 7.09782712893383973096e+02:
		return math.Inf(1)
	case x < -7.45133219101941108420e+02:
		return 0
	}
	k := 0
	switch {
	case x < 0:
		k = int(mul(log2e, x) - 0.5)
	case x > 0:
		k = int(mul(log2e, x) + 0.5)
	}
	const (
		p1 = 1.66666666666666657415e-01
		p2 = -2.77777777770155933842e-03
		p3 = 6.61375632143793436117e-05
		p4 = -1.65339022054652515390e-06
		p5 = 4.13813679705723846039e-08
	)
	hi := x - mul(float64(k), ln2Hi)
	lo := mul(float64(k), ln2Lo)
	r := hi - lo
	t := mul(r, r)
	c := r - mul(t, p1+mul(t, p2+mul(t, p3+mul(t, p4+mul(t, p5)))))
	y := 1 - ((lo - mul(r, c)/(2-c)) - hi)
	return math.Ldexp(y, k)
}

func pow(x, y float64) float64 {
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
		result = exp(mul(yf, log(x)))
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
			result *= x1
			exponent += xe
		}
		x1 *= x1
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
