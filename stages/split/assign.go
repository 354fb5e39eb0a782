package split

import (
	"math"
	"slices"

	"github.com/flow-pipelines/flow/stages/nn/philox"
)

// purpose keeps the stream of a split apart from those of training, which may
// well have the same seed.
const purpose = 0x73706c74 // "splt"

// assign returns the part of each row. In each class the rows are shuffled and
// dealt out: every part gets its share, rounded down, and the few rows that
// are left over go, one to a part, to the parts that are furthest behind their
// share of all rows so far. So no part is off by a row or more in any class,
// and the errors of the classes do not add up.
func assign(class []int32, classes int, shares []float64, seed uint64) []uint8 {
	rows := make([][]int, classes)
	for i, c := range class {
		rows[c] = append(rows[c], i)
	}
	part := make([]uint8, len(class))
	got := make([]int, len(shares)) // rows of each part so far
	seen := 0
	for c, members := range rows {
		stream := philox.New(seed, purpose, uint32(c))
		stream.Shuffle(members)
		seen += len(members)
		sizes := deal(len(members), seen, shares, got)
		at := 0
		for p, n := range sizes {
			for _, i := range members[at : at+n] {
				part[i] = uint8(p)
			}
			at += n
			got[p] += n
		}
	}
	return part
}

// deal shares n rows out, with which there are seen rows in all.
func deal(n, seen int, shares []float64, got []int) []int {
	sizes := make([]int, len(shares))
	left := n
	for p, s := range shares {
		// A share such as 0.1 is not exact: 0.1 of 30 rows is 3, not 2.
		sizes[p] = int(math.Floor(float64(n)*s + 1e-9))
		left -= sizes[p]
	}
	order := make([]int, len(shares))
	behind := make([]float64, len(shares))
	for p, s := range shares {
		order[p] = p
		behind[p] = float64(seen)*s - float64(got[p]+sizes[p])
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case behind[a] > behind[b]:
			return -1
		case behind[a] < behind[b]:
			return 1
		}
		return 0
	})
	for _, p := range order {
		// A part whose share of this class is whole gets no row on top.
		if left > 0 && float64(n)*shares[p]-float64(sizes[p]) > 1e-9 {
			sizes[p]++
			left--
		}
	}
	return sizes
}
