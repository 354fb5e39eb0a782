package kernel

import "sync"

// blockK is how many terms of the sums are added up before the next rows: a
// panel of B of this height is 16 KiB and stays in the innermost cache beside
// six rows of A. Sums go on from what C holds, so it changes no bits.
const blockK = 256

// Operand is a matrix that is read with any distance between its rows and
// between its columns, so that a transposed one is the same memory.
type Operand struct {
	Data     []float32
	Row, Col int
}

// Rows returns an operand in row-major order with cols columns.
func Rows(data []float32, cols int) Operand { return Operand{data, cols, 1} }

// Transposed returns the transpose of a row-major matrix with cols columns.
func Transposed(data []float32, cols int) Operand { return Operand{data, 1, cols} }

// Product computes C = A·B for A of M×K, B of K×N and C of M×N in row-major
// order. Element (i, j) is the sum over p = 0, 1, … K-1 of A(i,p)·B(p,j), added
// from the first to the last in float32 with every product rounded first.
//
// It has two phases, whose units any threads may do in any order: Pack for each
// of Panels, then, when all are packed, Multiply for each of Tiles. Run does it
// all. A Product keeps its memory for the next one; the phases of one product
// may run concurrently, two products with one Product may not.
type Product struct {
	A, B    Operand
	C       []float32
	M, N, K int
	// Bias, if it is not nil, has N elements and is added to each row of C
	// after the sum; ReLU then replaces what is not positive by zero.
	Bias []float32
	ReLU bool
	// Add starts the sums from what C holds rather than from zero.
	Add bool

	// packed is B in panels of sixteen columns, each with its K rows one after
	// the other; columns that do not exist are zero. bias is padded likewise.
	packed, bias []float32
	direct       bool
}

// Begin prepares the memory for the phases.
func (p *Product) Begin() {
	panels := (p.N + tileCols - 1) / tileCols
	// A narrow B in whole panels is read where it is, and one without rows not at
	// all.
	p.direct = p.K == 0 || p.B.Col == 1 && p.N%tileCols == 0 && p.N <= 4*tileCols
	if !p.direct {
		p.packed = grow(p.packed, panels*tileCols*p.K)
	}
	if p.Bias != nil {
		p.bias = grow(p.bias, panels*tileCols)
		clear(p.bias[copy(p.bias, p.Bias[:p.N]):])
	}
}

// Panels is the number of units of Pack.
func (p *Product) Panels() int {
	if p.direct {
		return 0
	}
	return (p.N + tileCols - 1) / tileCols
}

// Tiles is the number of units of Multiply.
func (p *Product) Tiles() int { return (p.M + tileRows - 1) / tileRows }

// Run computes the whole product on this goroutine.
func (p *Product) Run() {
	p.Begin()
	p.Pack(0, p.Panels())
	p.Multiply(0, p.Tiles())
}

// Pack copies the panels [from, to) of B.
func (p *Product) Pack(from, to int) {
	for panel := from; panel < to; panel++ {
		j0 := panel * tileCols
		width := min(tileCols, p.N-j0)
		dst := p.packed[j0*p.K : (j0+tileCols)*p.K]
		if p.B.Col == 1 {
			packRows(dst, p.B.Data[j0:], p.B.Row, width, p.K)
			continue
		}
		for j := range tileCols {
			if j >= width {
				for i := j; i < len(dst); i += tileCols {
					dst[i] = 0
				}
				continue
			}
			at := (j0 + j) * p.B.Col
			for i := j; i < len(dst); i += tileCols {
				dst[i] = p.B.Data[at]
				at += p.B.Row
			}
		}
	}
}

// packRows copies k rows of width elements into rows of tileCols.
func packRows(dst, src []float32, stride, width, k int) {
	if width == tileCols {
		for i := range k {
			*(*[tileCols]float32)(dst[i*tileCols:]) = [tileCols]float32(src[i*stride:])
		}
		return
	}
	for i := range k {
		d := dst[i*tileCols : (i+1)*tileCols]
		clear(d[copy(d, src[i*stride:i*stride+width]):])
	}
}

// edge is the memory of a tile that sticks out of C: its rows of A, with zeros
// below, and its sums.
type edge struct {
	a [tileRows * blockK]float32
	c [tileRows * tileCols]float32
}

var edges = sync.Pool{New: func() any { return new(edge) }}

// Multiply computes the tiles of rows [from, to) of C.
func (p *Product) Multiply(from, to int) {
	if from >= to || p.N == 0 {
		return
	}
	e := edges.Get().(*edge)
	defer edges.Put(e)
	// A product without terms is one block of none.
	for k0 := 0; k0 < max(p.K, 1); k0 += blockK {
		k := min(blockK, p.K-k0)
		for j0 := 0; j0 < p.N; j0 += tileCols {
			t := tileArgs{k: k, bRow: tileCols, cRow: p.N}
			if k > 0 && p.direct {
				t.b, t.bRow = &p.B.Data[k0*p.B.Row+j0], p.B.Row
			} else if k > 0 {
				t.b = &p.packed[j0*p.K+k0*tileCols]
			}
			if k0 > 0 || p.Add {
				t.flags = addToC
			}
			if p.Bias != nil && k0+k == p.K {
				t.bias = &p.bias[j0]
				if p.ReLU {
					t.flags |= reluAfter
				}
			}
			p.column(&t, e, from, to, j0, k0)
		}
	}
}

// column computes the tiles [from, to) of one panel.
func (p *Product) column(t *tileArgs, e *edge, from, to, j0, k0 int) {
	whole := p.N-j0 >= tileCols
	for tile := from; tile < to; tile++ {
		i0 := tile * tileRows
		height := min(tileRows, p.M-i0)
		t.aRow, t.aCol = p.A.Row, p.A.Col
		if t.k > 0 {
			t.a = &p.A.Data[i0*p.A.Row+k0*p.A.Col]
			_ = p.A.Data[(i0+height-1)*p.A.Row+(k0+t.k-1)*p.A.Col]
		}
		if whole && height == tileRows {
			t.c = &p.C[i0*p.N+j0]
			multiplyTile(t)
			continue
		}
		p.edgeTile(*t, e, i0, j0, k0, height)
	}
}

// edgeTile computes a tile of which C has not all rows and columns.
func (p *Product) edgeTile(t tileArgs, e *edge, i0, j0, k0, height int) {
	width := min(tileCols, p.N-j0)
	if height < tileRows {
		for q := range t.k {
			row := e.a[q*tileRows : (q+1)*tileRows]
			at := i0*p.A.Row + (k0+q)*p.A.Col
			for i := range height {
				row[i] = p.A.Data[at]
				at += p.A.Row
			}
			clear(row[height:])
		}
		t.a, t.aRow, t.aCol = &e.a[0], 1, tileRows
	}
	t.c, t.cRow = &e.c[0], tileCols
	if t.flags&addToC != 0 {
		for i := range height {
			copy(e.c[i*tileCols:], p.C[(i0+i)*p.N+j0:][:width])
		}
	}
	multiplyTile(&t)
	for i := range height {
		copy(p.C[(i0+i)*p.N+j0:][:width], e.c[i*tileCols:])
	}
}

func grow(s []float32, n int) []float32 {
	if cap(s) < n {
		return make([]float32, n)
	}
	return s[:n]
}
