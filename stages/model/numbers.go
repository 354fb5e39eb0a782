package model

import (
	"fmt"
	"math"

	"github.com/flow-pipelines/flow/stages/model/onnx"
)

// numbers is what the columns of numbers become, in this order: those that stay
// numbers, then the bins of the others, then products. Features.numbers makes it.
type numbers struct {
	columns []Numeric
	// plain are positions in columns, as are pairs, the factors of the products.
	plain []int
	bins  []bin
	pairs [][2]int
}

// No number of a column, which is finite, is below lowest or reaches highest.
var lowest, highest = float32(math.Inf(-1)), float32(math.Inf(1))

// bin is a bin of a column: from the edge before it, included, to its own.
type bin struct{ column, index int }

func (f *Features) numbers() numbers {
	n := numbers{columns: f.Numeric}
	var factors []int
	for i, c := range f.Numeric {
		if c.Bins == 0 {
			n.plain = append(n.plain, i)
		}
		for k := range c.bins() {
			n.bins = append(n.bins, bin{i, k})
		}
		if c.Degree == 2 {
			factors = append(factors, i)
		}
	}
	for i, a := range factors {
		for _, b := range factors[i:] {
			n.pairs = append(n.pairs, [2]int{a, b})
		}
	}
	return n
}

func (n numbers) width() int { return len(n.plain) + len(n.bins) + len(n.pairs) }

// bins is how many bins a column has: its edges are those between them.
func (n Numeric) bins() int {
	if n.Bins == 0 {
		return 0
	}
	return len(n.Edges) + 1
}

// inBin reports whether a number is in a bin. A missing one is in none.
func (n Numeric) inBin(x float32, k int) bool {
	if x != x {
		x = n.fill()
	}
	return x == x && (k == 0 || x >= n.Edges[k-1]) && (k == len(n.Edges) || x < n.Edges[k])
}

// column fills into with number j of each row.
func (n numbers) column(f *Frame, j int, into []float32) {
	of := func(i int) (Numeric, []float64) {
		return n.columns[i], columnOf(f, n.columns[i].Column, n.columns[i].Part, 0, f.rows)
	}
	if j < len(n.plain) {
		c, values := of(n.plain[j])
		for i, v := range values {
			into[i] = c.apply(float32(v))
		}
		return
	}
	if j -= len(n.plain); j < len(n.bins) {
		c, values := of(n.bins[j].column)
		for i, v := range values {
			into[i] = 0
			if c.inBin(float32(v), n.bins[j].index) {
				into[i] = 1
			}
		}
		return
	}
	pair := n.pairs[j-len(n.bins)]
	a, x := of(pair[0])
	b, y := of(pair[1])
	for i := range x {
		into[i] = a.apply(float32(x[i])) * b.apply(float32(y[i]))
	}
}

// feature says what number j is.
func (n numbers) feature(j int) Feature {
	if j < len(n.plain) {
		return Feature{Column: n.columns[n.plain[j]].name()}
	}
	if j -= len(n.plain); j >= len(n.bins) {
		p := n.pairs[j-len(n.bins)]
		return Feature{Column: n.columns[p[0]].name() + " × " + n.columns[p[1]].name()}
	}
	b := n.bins[j]
	c, value := n.columns[b.column], "all"
	switch {
	case b.index > 0 && b.index < len(c.Edges):
		value = fmt.Sprintf("%s to %s", float(float64(c.Edges[b.index-1])), float(float64(c.Edges[b.index])))
	case b.index > 0:
		value = "from " + float(float64(c.Edges[b.index-1]))
	case len(c.Edges) > 0:
		value = "below " + float(float64(c.Edges[0]))
	}
	return Feature{c.name(), value}
}

// add adds the numbers to a graph, after its input.
func (n numbers) add(g *onnx.Graph) (parts []string) {
	width := len(n.columns)
	if width == 0 {
		return nil
	}
	fill, shift, factor := make([]float32, width), make([]float32, width), make([]float32, width)
	for i, c := range n.columns {
		fill[i], shift[i], factor[i] = c.fill(), c.Shift, c.Factor
	}
	g.Inputs = append(g.Inputs, onnx.Port{Name: inputNumeric, Type: onnx.Float, Dims: batch(width)})
	missing := g.Add("IsNaN", "numeric.missing", []string{inputNumeric})
	// A fill of NaN leaves missing what is missing.
	filled := g.Add("Where", "numeric.filled", []string{missing, g.Floats("numeric.fill", fill, int64(width)), inputNumeric})
	scaled := g.Add("Sub", "numeric.shifted", []string{filled, g.Floats("numeric.shift", shift, int64(width))})
	scaled = g.Add("Mul", "numeric.scaled", []string{scaled, g.Floats("numeric.factor", factor, int64(width))})
	gather := func(name, x string, columns []int) string {
		index := make([]int64, len(columns))
		for i, c := range columns {
			index[i] = int64(c)
		}
		return g.Add("Gather", name, []string{x, g.Ints(name+".index", index, int64(len(index)))}, onnx.IntAttribute("axis", 1))
	}
	switch {
	case len(n.plain) == width:
		parts = append(parts, scaled)
	case len(n.plain) > 0:
		parts = append(parts, gather("numeric.plain", scaled, n.plain))
	}
	if len(n.bins) > 0 {
		parts = append(parts, n.addBins(g, filled, gather))
	}
	if len(n.pairs) > 0 {
		var left, right []int
		for _, p := range n.pairs {
			left, right = append(left, p[0]), append(right, p[1])
		}
		parts = append(parts, g.Add("Mul", "numeric.products", []string{gather("numeric.left", scaled, left), gather("numeric.right", scaled, right)}))
	}
	return parts
}

// addBins adds all bins: a number is in one if it has reached its lower edge and
// not its upper one. What no number is below, or reaches, is there as an edge too,
// so that all bins are alike.
func (n numbers) addBins(g *onnx.Graph, filled string, gather func(name, x string, columns []int) string) string {
	lower, upper, columns := make([]float32, len(n.bins)), make([]float32, len(n.bins)), make([]int, len(n.bins))
	for i, b := range n.bins {
		edges := n.columns[b.column].Edges
		columns[i], lower[i], upper[i] = b.column, lowest, highest
		if b.index > 0 {
			lower[i] = edges[b.index-1]
		}
		if b.index < len(edges) {
			upper[i] = edges[b.index]
		}
	}
	x := gather("bins.column", filled, columns)
	one, zero := g.Floats("bins.one", []float32{1}), g.Floats("bins.zero", []float32{0})
	reached := func(name string, edges []float32) string {
		is := g.Add("GreaterOrEqual", name+".is", []string{x, g.Floats(name+".edges", edges, int64(len(edges)))})
		return g.Add("Where", name, []string{is, one, zero})
	}
	return g.Add("Sub", "bins", []string{reached("bins.lower", lower), reached("bins.upper", upper)})
}
