package kernel

import "sync"

// The register tile. Eight accumulators, four elements of B, two of A and a
// product make 15 registers, which is what Go's amd64 ABI leaves; a tile of 4×4
// spills and measured at half the speed.
const (
	tileRows = 2
	tileCols = 4
)

// parallelWork is the number of multiplications below which threads cost more
// than they save: starting and joining two goroutines takes some microseconds,
// a product of this size about 100.
const parallelWork = 1 << 18

// Product multiplies matrices. The zero value uses one thread. It is safe for
// concurrent use.
type Product struct {
	// Threads is how many goroutines share the rows of a large product. It
	// changes the time, never the result.
	Threads int
}

// NN computes C = A·B for A of m×k, B of k×n and C of m×n.
func (p Product) NN(c, a, b []float32, m, n, k int) {
	p.multiply(c, operand{a, k, 1}, operand{b, n, 1}, m, n, k)
}

// TN computes C = Aᵀ·B for A of k×m, B of k×n and C of m×n.
func (p Product) TN(c, a, b []float32, m, n, k int) {
	p.multiply(c, operand{a, 1, m}, operand{b, n, 1}, m, n, k)
}

// NT computes C = A·Bᵀ for A of m×k, B of n×k and C of m×n.
func (p Product) NT(c, a, b []float32, m, n, k int) {
	p.multiply(c, operand{a, k, 1}, operand{b, 1, k}, m, n, k)
}

// operand is a matrix with the distance between rows and between columns, so
// that packing is the one place that knows about transposition.
type operand struct {
	data     []float32
	row, col int
}

// packs are the two operands copied into the order in which tile reads them.
type packs struct{ a, b []float32 }

var packPool = sync.Pool{New: func() any { return new(packs) }}

func grow(s []float32, n int) []float32 {
	if cap(s) < n {
		return make([]float32, n)
	}
	return s[:n]
}

// multiply computes C = A·B. Element (i, j) is the sum over p = 0, 1, … k-1 of
// a(i,p)*b(p,j), added from the first to the last in float32 with every product
// rounded first: the definition that a faster kernel has to meet.
func (p Product) multiply(c []float32, a, b operand, m, n, k int) {
	c = c[:m*n]
	if k == 0 {
		clear(c)
		return
	}
	rowTiles := (m + tileRows - 1) / tileRows
	colTiles := (n + tileCols - 1) / tileCols
	w := packPool.Get().(*packs)
	defer packPool.Put(w)
	w.a = grow(w.a, rowTiles*tileRows*k)
	w.b = grow(w.b, colTiles*tileCols*k)
	packCols(w.b, b, n, k)

	threads := max(1, min(p.Threads, rowTiles))
	if threads == 1 || m*n*k < parallelWork {
		rowRange(c, a, w, 0, rowTiles, m, n, k)
		return
	}
	shareRows(c, a, w, rowTiles, threads, m, n, k)
}

// shareRows divides the row tiles between goroutines and waits for them. It is
// a function of its own so that only a shared product allocates.
func shareRows(c []float32, a operand, w *packs, rowTiles, threads, m, n, k int) {
	var wg sync.WaitGroup
	for t := 1; t < threads; t++ {
		wg.Go(func() { rowRange(c, a, w, t*rowTiles/threads, (t+1)*rowTiles/threads, m, n, k) })
	}
	rowRange(c, a, w, 0, rowTiles/threads, m, n, k)
	wg.Wait()
}

// packCols copies B into tiles of tileCols columns, each with its k rows one
// after the other; columns that do not exist are zero.
func packCols(dst []float32, b operand, n, k int) {
	for j0, at := 0, 0; j0 < n; j0 += tileCols {
		width := min(tileCols, n-j0)
		for p := range k {
			d := dst[at : at+tileCols]
			src := b.data[p*b.row+j0*b.col:]
			for j := range tileCols {
				if j < width {
					d[j] = src[j*b.col]
				} else {
					d[j] = 0
				}
			}
			at += tileCols
		}
	}
}

// rowRange packs and multiplies the row tiles [from, to).
func rowRange(c []float32, a operand, w *packs, from, to, m, n, k int) {
	for t := from; t < to; t++ {
		i0 := t * tileRows
		panel := w.a[t*tileRows*k : (t+1)*tileRows*k]
		height := min(tileRows, m-i0)
		for i := range tileRows {
			if i >= height {
				for p := range k {
					panel[p*tileRows+i] = 0
				}
				continue
			}
			for p, at := 0, (i0+i)*a.row; p < k; p, at = p+1, at+a.col {
				panel[p*tileRows+i] = a.data[at]
			}
		}
		for j0 := 0; j0 < n; j0 += tileCols {
			var sums [tileRows * tileCols]float32
			tile(&sums, panel, w.b[j0*k:j0*k+tileCols*k])
			width := min(tileCols, n-j0)
			for i := range height {
				row := c[(i0+i)*n+j0 : (i0+i)*n+j0+width]
				copy(row, sums[i*tileCols:])
			}
		}
	}
}

// tile adds up the 2×4 elements of one tile over all k.
func tile(out *[tileRows * tileCols]float32, a, b []float32) {
	var c00, c01, c02, c03, c10, c11, c12, c13 float32
	for len(a) >= tileRows && len(b) >= tileCols {
		b0, b1, b2, b3 := b[0], b[1], b[2], b[3]
		a0, a1 := a[0], a[1]
		c00 += float32(a0 * b0)
		c01 += float32(a0 * b1)
		c02 += float32(a0 * b2)
		c03 += float32(a0 * b3)
		c10 += float32(a1 * b0)
		c11 += float32(a1 * b1)
		c12 += float32(a1 * b2)
		c13 += float32(a1 * b3)
		a, b = a[tileRows:], b[tileCols:]
	}
	*out = [tileRows * tileCols]float32{c00, c01, c02, c03, c10, c11, c12, c13}
}
