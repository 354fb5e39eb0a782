package kernel

import "unsafe"

// A tile is six rows and sixteen columns of a product: twelve AVX2 registers of
// sums, two of B and two for products are the sixteen that there are.
const (
	tileRows = 6
	tileCols = 16
)

// What a tile does beside multiplying.
const (
	// addToC starts the sums from what C holds rather than from zero.
	addToC = 1 << iota
	// reluAfter applies ReLU after the bias; without a bias it has no meaning.
	reluAfter
)

// tileArgs says what a tile computes: C(i,j) = sum over p of A(i,p)·B(p,j), from
// the first p to the last, each product rounded before it is added, then plus
// bias(j) if there is a bias. aRow, aCol, bRow and cRow are distances in
// elements; columns of B, C and bias lie side by side. All six rows of A and C
// and all sixteen columns of B, C and bias are there.
//
// The assembly knows the offsets of these fields.
type tileArgs struct {
	k          int
	a          *float32
	aRow, aCol int
	b          *float32
	bRow       int
	c          *float32
	cRow       int
	bias       *float32
	flags      int
}

// tilePortable is the definition of a tile in Go.
func tilePortable(t *tileArgs) {
	for i := 0; i < tileRows; i += 2 {
		for j := 0; j < tileCols; j += 4 {
			tileQuarter(t, i, j)
		}
	}
}

// tileQuarter adds up two rows and four columns: eight sums, four elements of B
// and two of A are what Go's registers hold.
func tileQuarter(t *tileArgs, i, j int) {
	at := func(p *float32, n int) *float32 { return (*float32)(unsafe.Add(unsafe.Pointer(p), 4*n)) }
	c0 := (*[4]float32)(unsafe.Pointer(at(t.c, i*t.cRow+j)))
	c1 := (*[4]float32)(unsafe.Pointer(at(t.c, (i+1)*t.cRow+j)))
	var c00, c01, c02, c03, c10, c11, c12, c13 float32
	if t.flags&addToC != 0 {
		c00, c01, c02, c03 = c0[0], c0[1], c0[2], c0[3]
		c10, c11, c12, c13 = c1[0], c1[1], c1[2], c1[3]
	}
	a0, a1 := unsafe.Pointer(at(t.a, i*t.aRow)), unsafe.Pointer(at(t.a, (i+1)*t.aRow))
	b := unsafe.Pointer(at(t.b, j))
	aStep, bStep := 4*t.aCol, 4*t.bRow
	for p := 0; ; {
		if p == t.k {
			break
		}
		row, x0, x1 := (*[4]float32)(b), *(*float32)(a0), *(*float32)(a1)
		b0, b1, b2, b3 := row[0], row[1], row[2], row[3]
		c00 += float32(x0 * b0)
		c01 += float32(x0 * b1)
		c02 += float32(x0 * b2)
		c03 += float32(x0 * b3)
		c10 += float32(x1 * b0)
		c11 += float32(x1 * b1)
		c12 += float32(x1 * b2)
		c13 += float32(x1 * b3)
		if p++; p < t.k { // a pointer past the last element is not one
			a0, a1, b = unsafe.Add(a0, aStep), unsafe.Add(a1, aStep), unsafe.Add(b, bStep)
		}
	}
	*c0 = [4]float32{c00, c01, c02, c03}
	*c1 = [4]float32{c10, c11, c12, c13}
	if t.bias == nil {
		return
	}
	bias := (*[4]float32)(unsafe.Pointer(at(t.bias, j)))
	for q, v := range bias {
		c0[q] += v
		c1[q] += v
	}
	if t.flags&reluAfter != 0 {
		relu(c0[:])
		relu(c1[:])
	}
}
