package tree

import (
	"math"
	"slices"

	"github.com/flow-pipelines/flow/stages/portable"
)

// objective computes a loss and its derivatives.
type objective struct {
	options Options
	y       []float32
	weight  []float32 // nil is 1 each
}

func (l *objective) weightOf(i int) float64 {
	if l.weight == nil {
		return 1
	}
	return float64(l.weight[i])
}

// base returns the constant scores that boosting starts from: those that
// minimise the loss, as float32, which is what a model holds.
func (l *objective) base() []float32 {
	switch l.options.Loss {
	case Absolute, Huber:
		rows := make([]int32, len(l.y))
		for i := range rows {
			rows[i] = int32(i)
		}
		return []float32{float32(l.median(rows, nil))}
	case Softmax, Logistic:
		return l.baseOfClasses()
	case Squared:
	}
	var sum, weight float64
	for i, y := range l.y {
		sum += float64(l.weightOf(i) * float64(y))
		weight += l.weightOf(i)
	}
	return []float32{float32(sum / weight)}
}

// leastShare keeps the logarithm of a class without weight finite.
const leastShare = 1e-6

func (l *objective) baseOfClasses() []float32 {
	share := make([]float64, max(2, l.options.Classes))
	var all float64
	for i, y := range l.y {
		share[int(y)] += l.weightOf(i)
		all += l.weightOf(i)
	}
	for k := range share {
		share[k] = max(share[k]/all, leastShare)
	}
	if l.options.Loss == Logistic {
		return []float32{float32(portable.Log(share[1] / share[0]))}
	}
	out := make([]float32, len(share))
	for k, v := range share {
		out[k] = float32(portable.Log(v))
	}
	return out
}

// derivatives fills g and h, each of outputs×rows, with the first and second
// derivatives at the scores, of the same shape, and returns the mean loss. The
// loss is added up in blocks of rows, in order.
func (l *objective) derivatives(scores []float64, g, h []float32) float64 {
	losses := make([]float64, blocks(len(l.y)))
	weights := make([]float64, len(losses))
	shareRows(l.options.Threads, len(l.y), func(b, from, to int) {
		var loss, weight float64
		for i := from; i < to; i++ {
			w := l.weightOf(i)
			loss += float64(w * l.row(i, scores, g, h, w))
			weight += w
		}
		losses[b], weights[b] = loss, weight
	})
	var loss, weight float64
	for b := range losses {
		loss += losses[b]
		weight += weights[b]
	}
	return loss / weight
}

// row computes the derivatives of one row, times its weight, and its loss.
func (l *objective) row(i int, scores []float64, g, h []float32, w float64) float64 {
	switch l.options.Loss {
	case Softmax:
		return l.softmax(i, scores, g, h, w)
	case Logistic:
		p := 1 / (1 + portable.Exp(-scores[i]))
		g[i] = float32((p - float64(l.y[i])) * w)
		h[i] = float32(p * (1 - p) * w)
		if l.y[i] > 0 {
			return -portable.Log(max(p, math.SmallestNonzeroFloat64))
		}
		return -portable.Log(max(1-p, math.SmallestNonzeroFloat64))
	case Squared, Absolute, Huber:
	}
	r := scores[i] - float64(l.y[i])
	h[i] = float32(w)
	switch delta := l.options.HuberDelta; {
	case l.options.Loss == Absolute:
		g[i] = float32(sign(r) * w)
		return math.Abs(r)
	case l.options.Loss == Huber && math.Abs(r) > delta:
		g[i] = float32(delta * sign(r) * w)
		return delta * (2*math.Abs(r) - delta)
	}
	g[i] = float32(r * w)
	return r * r
}

func sign(v float64) float64 {
	switch {
	case v > 0:
		return 1
	case v < 0:
		return -1
	}
	return 0
}

// softmax has the second derivatives times classes/(classes-1), which makes up
// for the one score too many that a softmax has (Friedman 2001, section 4.6).
func (l *objective) softmax(i int, scores []float64, g, h []float32, w float64) float64 {
	rows, classes := len(l.y), l.options.Classes
	top := math.Inf(-1)
	for at := i; at < len(scores); at += rows {
		top = max(top, scores[at])
	}
	var sum float64
	for at := i; at < len(scores); at += rows {
		e := portable.Exp(scores[at] - top)
		g[at] = float32(e) // until the sum is known
		sum += e
	}
	factor := float64(classes) / float64(classes-1)
	var loss float64
	for k, at := 0, i; at < len(scores); k, at = k+1, at+rows {
		p := float64(g[at]) / sum
		h[at] = float32(factor * p * (1 - p) * w)
		if int(l.y[i]) == k {
			loss = portable.Log(sum) - (scores[at] - top)
			p--
		}
		g[at] = float32(p * w)
	}
	return loss
}

// median is the weighted median of the residuals of some rows: the constant
// with the least absolute error. Without scores it is of the targets.
func (l *objective) median(rows []int32, scores []float64) float64 {
	type residual struct{ value, weight float64 }
	all := make([]residual, len(rows))
	var total float64
	for i, row := range rows {
		r := residual{float64(l.y[row]), l.weightOf(int(row))}
		if scores != nil {
			r.value -= scores[row]
		}
		all[i] = r
		total += r.weight
	}
	slices.SortFunc(all, func(a, b residual) int {
		switch {
		case a.value < b.value:
			return -1
		case a.value > b.value:
			return 1
		}
		return 0
	})
	var below float64
	at := len(all) - 1
	for i, r := range all {
		if below += r.weight; below >= total/2 {
			at = i
			break
		}
	}
	if at+1 < len(all) && below == total/2 {
		return (all[at].value + all[at+1].value) / 2
	}
	return all[at].value
}
