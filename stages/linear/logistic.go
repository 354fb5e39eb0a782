package linear

import (
	"context"
	"fmt"
	"math"
	"sync"

	"github.com/flow-pipelines/flow/stages/portable"
)

// Options say what is minimised and how far.
type Options struct {
	// Classes is for Logistic.
	Classes int
	// L2 is the weight of the squared weights; biases are free.
	L2 float64
	// Iterations is how many steps there are at most. They end when the gradient is
	// small: its largest element, of a mean over rows, is at most Tolerance for
	// Logistic; for Squares it has that share of its first length.
	Iterations int
	Tolerance  float64
	// Threads changes the time, never the result.
	Threads int
	// Progress is told the loss, a mean over rows, after each step; that of Squares
	// is without L2.
	Progress func(iteration int, loss float64)
}

// Solution are weights, cols×classes row-major, and a bias for each class. Squares
// has one output.
type Solution struct {
	Weight, Bias []float32
	Iterations   int
	Converged    bool
}

// Logistic fits the rows x to the classes y, each row counted by its weight; nil
// is 1 each.
func Logistic(ctx context.Context, x *Rows, y []int, weight []float32, o Options) (*Solution, error) {
	if x.Len() == 0 || len(y) != x.Len() || weight != nil && len(weight) != x.Len() || o.Classes < 2 || o.Iterations < 1 {
		return nil, fmt.Errorf("fit logistic regression: %d rows, %d targets, %d classes, %d iterations", x.Len(), len(y), o.Classes, o.Iterations)
	}
	p := &problem{options: o, x: x, columns: x.transposed(), y: y, weight: weight, residual: make([]float64, x.Len()*o.Classes)}
	for i := range y {
		p.total += p.weightOf(i)
	}
	if p.total == 0 {
		return nil, fmt.Errorf("fit logistic regression: every row has weight zero")
	}
	at := make([]float64, (x.Cols+1)*o.Classes)
	iterations, converged, err := minimise(ctx, p, at)
	if err != nil {
		return nil, err
	}
	s := &Solution{Iterations: iterations, Converged: converged}
	for i, v := range at {
		if i < x.Cols*o.Classes {
			s.Weight = append(s.Weight, float32(v))
		} else {
			s.Bias = append(s.Bias, float32(v))
		}
	}
	return s, nil
}

// problem is the function to minimise: of weights, cols×classes, and then the
// biases. It is divided by the rows' total weight.
type problem struct {
	options  Options
	x        *Rows
	columns  *Rows
	y        []int
	weight   []float32
	total    float64
	residual []float64 // rows×classes
}

func (p *problem) weightOf(i int) float64 {
	if p.weight == nil {
		return 1
	}
	return float64(p.weight[i])
}

// blockRows is a piece of work. Losses are added up by blocks, in order.
const blockRows = 1024

// evaluate returns the value at a point and fills in the gradient.
func (p *problem) evaluate(at, gradient []float64) float64 {
	rows, k := p.x.Len(), p.options.Classes
	losses := make([]float64, (rows+blockRows-1)/blockRows)
	bias := at[p.x.Cols*k:]
	share(p.options.Threads, len(losses), func(b int) {
		for i := b * blockRows; i < min(rows, (b+1)*blockRows); i++ {
			losses[b] += p.row(i, at, bias)
		}
	})
	var loss float64
	for _, v := range losses {
		loss += v
	}
	columns := p.x.Cols
	share(p.options.Threads, (columns+blockRows-1)/blockRows, func(b int) {
		for j := b * blockRows; j < min(columns, (b+1)*blockRows); j++ {
			p.column(j, at[j*k:(j+1)*k], gradient[j*k:(j+1)*k])
		}
	})
	free := gradient[columns*k:]
	clear(free)
	for i := range rows {
		for c, v := range p.residual[i*k : (i+1)*k] {
			free[c] += v
		}
	}
	for c := range free {
		free[c] /= p.total
	}
	squares := dot(at[:columns*k], at[:columns*k])
	return (loss + float64(p.options.L2/2*squares)) / p.total
}

// row computes the residuals of a row, probability less truth times weight, and
// returns its loss.
func (p *problem) row(i int, at, bias []float64) float64 {
	k := p.options.Classes
	scores := p.residual[i*k : (i+1)*k]
	copy(scores, bias)
	p.x.combine(i, scores, at)
	top := math.Inf(-1)
	for _, s := range scores {
		top = max(top, s)
	}
	truth := scores[p.y[i]] - top
	var sum float64
	for c, s := range scores {
		scores[c] = portable.Exp(s - top)
		sum += scores[c]
	}
	w := p.weightOf(i)
	for c := range scores {
		scores[c] = float64(scores[c] / sum * w)
	}
	scores[p.y[i]] -= w
	return float64(w * (portable.Log(sum) - truth))
}

// column computes the gradient by the weights of one column.
func (p *problem) column(j int, at, gradient []float64) {
	for c := range gradient {
		gradient[c] = float64(p.options.L2 * at[c])
	}
	p.columns.combine(j, gradient, p.residual)
	for c := range gradient {
		gradient[c] /= p.total
	}
}

// share calls each of n tasks once, on up to threads goroutines. They must not
// depend on each other.
func share(threads, n int, task func(int)) {
	threads = max(1, min(threads, n))
	var wg sync.WaitGroup
	work := func(from int) {
		for i := from; i < n; i += threads {
			task(i)
		}
	}
	for t := 1; t < threads; t++ {
		wg.Go(func() { work(t) })
	}
	work(0)
	wg.Wait()
}
