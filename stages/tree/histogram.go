package tree

import (
	"math"
	"math/bits"
)

// entry is the sum over the rows of one bin. Derivatives are integers, so that
// the sum does not depend on its order.
type entry struct {
	g int64
	// hn is the second derivatives above the number of rows: one addition for
	// both.
	hn uint64
}

func (e *entry) add(o entry)      { e.g += o.g; e.hn += o.hn }
func (e *entry) subtract(o entry) { e.g -= o.g; e.hn -= o.hn }

// pair are the derivatives of one row.
type pair struct{ g, h int32 }

// units say what an integer derivative is worth.
type units struct {
	g, h float64
	// countBits is how many low bits of entry.hn hold the number of rows.
	countBits uint
}

// gradientBits is the width of the largest first derivative: 2^33 of them fit
// into an int64.
const gradientBits = 30

// quantise rounds derivatives to integers, the largest ones to as many bits as
// leave room for a sum over all rows. The units are powers of two, so that
// nothing but the rounding to an integer loses digits.
func quantise(threads int, into []pair, g, h []float32) units {
	n := len(g)
	tops := make([][2]float32, blocks(n))
	shareRows(threads, n, func(b, from, to int) {
		var top [2]float32
		for i := from; i < to; i++ {
			top[0] = max(top[0], float32(math.Abs(float64(g[i]))))
			top[1] = max(top[1], h[i])
		}
		tops[b] = top
	})
	var top [2]float32
	for _, t := range tops {
		top[0], top[1] = max(top[0], t[0]), max(top[1], t[1])
	}
	u := units{countBits: uint(bits.Len(uint(n)))}
	u.g = unit(float64(top[0]), gradientBits)
	u.h = unit(float64(top[1]), min(gradientBits, 63-2*int(u.countBits)))
	shareRows(threads, n, func(_, from, to int) {
		for i := from; i < to; i++ {
			into[i] = pair{int32(math.RoundToEven(float64(g[i]) / u.g)), int32(math.RoundToEven(float64(h[i]) / u.h))}
		}
	})
	return u
}

// unit is the power of two of which top is at most 2^bits.
func unit(top float64, bits int) float64 {
	if top == 0 {
		return 1
	}
	_, exponent := math.Frexp(top)
	return math.Ldexp(1, exponent-bits)
}

// sums are an entry as numbers.
type sums struct {
	g, h float64
	rows int
}

func (u units) of(e entry) sums {
	return sums{
		g: float64(e.g) * u.g, h: float64(e.hn>>u.countBits) * u.h,
		rows: int(e.hn & (1<<u.countBits - 1)),
	}
}

// layout is where the bins of each column are in a histogram.
type layout struct {
	offsets []int
	// size is that of a histogram. It has room for a whole byte of codes after
	// each offset: a loop over codes then needs no check of bounds.
	size int
}

func layoutOf(columns []column) layout {
	var l layout
	for i := range columns {
		l.offsets = append(l.offsets, l.size)
		l.size += columns[i].bins()
	}
	l.size += 256
	return l
}

// fill adds up one column's histogram over rows.
func fill(hist []entry, codes []uint8, rows []int32, pairs []pair, countBits uint) {
	into := (*[256]entry)(hist)
	shift := countBits & 63
	for _, row := range rows {
		p := pairs[row]
		e := &into[codes[row]]
		e.g += int64(p.g)
		e.hn += uint64(p.h)<<shift | 1
	}
}

// split is the best way to divide a leaf.
type split struct {
	// gain is 0 if there is none.
	gain   float64
	column int
	// Rows with a code up to bin go left, and those without a value if
	// missingLeft is set.
	bin         int
	missingLeft bool
	left        entry
}

// search looks for the best split of a leaf by one column.
func (o *Options) search(hist []entry, c *column, at int, total entry, u units) split {
	best := split{column: at}
	all := u.of(total)
	parent := all.g * all.g / (all.h + o.L2)
	missing := hist[c.missing()]
	try := func(bin int, missingLeft bool, left entry) (tooMany bool) {
		l := u.of(left)
		r := sums{g: float64(total.g-left.g) * u.g, h: float64((total.hn-left.hn)>>u.countBits) * u.h, rows: all.rows - l.rows}
		if r.rows < o.MinRows || r.h < o.MinWeight {
			return true
		}
		if l.rows < o.MinRows || l.h < o.MinWeight {
			return false
		}
		hl, hr := l.h+o.L2, r.h+o.L2
		if hl <= 0 || hr <= 0 {
			return false
		}
		gain := (float64(l.g*l.g*hr)+float64(r.g*r.g*hl))/(hl*hr) - parent
		if gain > best.gain {
			best.gain, best.bin, best.missingLeft, best.left = gain, bin, missingLeft, left
		}
		return false
	}
	last := c.values() - 1
	if missing.hn != 0 {
		// The last bin with all values to its left divides them from the missing.
		last++
	}
	var left entry
	for b := range last {
		if hist[b].hn == 0 {
			continue
		}
		left.add(hist[b])
		if try(b, false, left) {
			break
		}
	}
	if missing.hn == 0 {
		// Nothing is known of missing values here: they go with the majority.
		l, n := u.of(best.left).rows, all.rows
		best.missingLeft = 2*l > n
		return best
	}
	left = missing
	for b := range c.values() - 1 {
		if hist[b].hn == 0 {
			continue
		}
		left.add(hist[b])
		if try(b, true, left) {
			break
		}
	}
	return best
}
