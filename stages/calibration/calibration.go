// Package calibration fits what makes probabilities of scores: a model that says
// 0.8 shall be right in 80 of 100 such cases.
//
// Sigmoid and Temperature keep the order of the scores and have one or two numbers to
// learn, so that some hundred rows are enough; Isotonic takes any shape that rises,
// needs thousands, and makes ties of what was in order. The rows are ones that the
// model was not trained on, or they would teach how sure it is of what it has seen.
//
// The functions are pure and give the same bits on every machine. stages/train
// is their caller.
package calibration

import (
	"cmp"
	"math"
	"slices"

	"github.com/flow-pipelines/flow/stages/portable"
)

// iterations is more than Newton's method or a bisection of float64 ever takes.
const iterations = 200

// Sigmoid returns the slope and the intercept for which sigmoid(slope·score +
// intercept) tells best whether a row is positive (Platt, Probabilistic outputs
// for support vector machines, 1999, with his targets, which are not quite 0 and
// 1, so that rows that are told apart without a mistake do not make it certain;
// by Newton's method with backtracking, as Lin, Lin and Weng, A note on Platt's
// probabilistic outputs, 2007). There are rows of both kinds.
func Sigmoid(scores []float64, positive []bool) (slope, intercept float64) {
	count := 0.0
	for _, is := range positive {
		if is {
			count++
		}
	}
	others := float64(len(scores)) - count
	f := sigmoid{scores: scores, targets: make([]float64, len(scores))}
	for i, is := range positive {
		f.targets[i] = 1 / (others + 2)
		if is {
			f.targets[i] = (count + 1) / (count + 2)
		}
	}
	a, b := 0.0, portable.Log((count+1)/(others+1))
	loss := f.loss(a, b)
	for range iterations {
		ga, gb, haa, hab, hbb := f.derivatives(a, b)
		const ridge = 1e-12 // keeps the matrix regular if all scores are one
		haa, hbb = haa+ridge, hbb+ridge
		determinant := float64(haa*hbb) - float64(hab*hab)
		da := -(float64(hbb*ga) - float64(hab*gb)) / determinant
		db := -(float64(haa*gb) - float64(hab*ga)) / determinant
		slopeAlong := float64(ga*da) + float64(gb*db)
		step := 1.0
		for ; step > 1e-10; step /= 2 {
			na, nb := a+float64(step*da), b+float64(step*db)
			if next := f.loss(na, nb); next < loss+float64(1e-4*float64(step*slopeAlong)) {
				a, b, loss = na, nb, next
				break
			}
		}
		if step <= 1e-10 { // no step makes it better: this is the minimum
			break
		}
	}
	return a, b
}

// sigmoid is the cross-entropy of targets, to be minimised.
type sigmoid struct{ scores, targets []float64 }

func (f sigmoid) loss(a, b float64) float64 {
	var sum float64
	for i, s := range f.scores {
		x := float64(a*s) + b
		// -t·ln p - (1-t)·ln(1-p), without overflow.
		sum += max(x, 0) - float64(x*f.targets[i]) + portable.Log(1+portable.Exp(-math.Abs(x)))
	}
	return sum
}

func (f sigmoid) derivatives(a, b float64) (ga, gb, haa, hab, hbb float64) {
	for i, s := range f.scores {
		x := float64(a*s) + b
		e := portable.Exp(-math.Abs(x))
		p := 1 / (1 + e)
		if x < 0 {
			p = e / (1 + e)
		}
		d, w := p-f.targets[i], e/float64((1+e)*(1+e))
		ga += float64(s * d)
		gb += d
		haa += float64(float64(w*s) * s)
		hab += float64(w * s)
		hbb += w
	}
	return ga, gb, haa, hab, hbb
}

// mostSharp bounds a temperature from both sides: e^10 either way.
const mostSharp = 10

// Temperature returns the number by which scores, row-major and as many a row as
// there are classes, are divided for the softmax to tell best which class a row
// has (Guo et al., On calibration of modern neural networks, 2017). It is 1 if no
// row has a higher score than that of its class: then no temperature is too low, and
// there is nothing to learn.
func Temperature(classes int, truth []int, scores []float64) float64 {
	wrong := false
	for i, t := range truth {
		row := scores[i*classes : (i+1)*classes]
		for c, s := range row {
			wrong = wrong || c != t && s > row[t]
		}
	}
	if !wrong {
		return 1
	}
	// The loss is convex in the inverse of the temperature; its derivative is zero
	// between these.
	low, high := -float64(mostSharp), float64(mostSharp)
	for range iterations {
		middle := (low + high) / 2
		if middle == low || middle == high {
			break
		}
		if derivative(classes, truth, scores, portable.Exp(middle)) > 0 {
			high = middle
		} else {
			low = middle
		}
	}
	return 1 / portable.Exp((low+high)/2)
}

// derivative is that of the rows' cross-entropy by the factor of the scores: by
// how much the expected score is above that of the truth.
func derivative(classes int, truth []int, scores []float64, factor float64) float64 {
	var sum float64
	for i, t := range truth {
		row := scores[i*classes : (i+1)*classes]
		top := row[0]
		for _, s := range row {
			top = max(top, s)
		}
		var total, expected float64
		for _, s := range row {
			e := portable.Exp(float64(factor * (s - top)))
			total += e
			expected += float64(e * (s - top))
		}
		sum += expected/total - (row[t] - top)
	}
	return sum
}

// Isotonic returns the knots of the line that never falls and tells best, by squares,
// whether a row is positive; it is straight between them and level beyond the first
// and the last (Barlow and Brunk, The isotonic regression problem and its dual, 1972;
// by pooling adjacent violators). The x rise strictly.
func Isotonic(scores []float64, positive []bool) (x, y []float64) {
	order := make([]int, len(scores))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(scores[a], scores[b]) })
	// A block is rows that get one answer, the share of them that are positive.
	type block struct{ first, last, hits, rows float64 }
	share := func(b block) float64 { return b.hits / b.rows }
	var blocks []block
	for n := 0; n < len(order); {
		b := block{first: scores[order[n]], last: scores[order[n]]}
		for ; n < len(order) && scores[order[n]] == b.first; n++ {
			b.rows++
			if positive[order[n]] {
				b.hits++
			}
		}
		for len(blocks) > 0 && share(blocks[len(blocks)-1]) >= share(b) {
			before := blocks[len(blocks)-1]
			blocks = blocks[:len(blocks)-1]
			b.first, b.hits, b.rows = before.first, before.hits+b.hits, before.rows+b.rows
		}
		blocks = append(blocks, b)
	}
	for _, b := range blocks {
		x, y = append(x, b.first), append(y, share(b))
		if b.last > b.first {
			x, y = append(x, b.last), append(y, share(b))
		}
	}
	return x, y
}
