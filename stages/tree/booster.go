package tree

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/flow-pipelines/flow/stages/nn/philox"
)

// Examples are rows to learn from.
type Examples struct {
	X Source
	// Y is the target of each row; see Loss.
	Y []float32
	// Weight is how much each row counts, not negative; nil is 1 each.
	Weight []float32
}

// NonFiniteError says that the loss was not a number or infinite. The trees are
// of no use afterwards.
type NonFiniteError struct {
	// Round is counted from 1.
	Round int
	Loss  float64
}

func (e *NonFiniteError) Error() string {
	return fmt.Sprintf("boost trees: the loss is %v in round %d", e.Loss, e.Round)
}

// Booster grows an ensemble, a round at a time. It is not safe for concurrent
// use.
type Booster struct {
	options   Options
	objective objective
	grower    grower
	base      []float32
	trees     []Tree
	rounds    int
	// weighted are the rows that count at all.
	weighted []int32
	// scores, g and h are outputs×rows.
	scores    []float64
	g, h      []float32
	followers []*Follower
}

// NewBooster cuts the columns into bins and starts from a constant.
func NewBooster(o Options, e Examples) (*Booster, error) {
	rows := e.X.Rows()
	if err := o.check(rows); err != nil {
		return nil, err
	}
	if len(e.Y) != rows || e.Weight != nil && len(e.Weight) != rows {
		return nil, fmt.Errorf("boost trees: %d targets and %d weights for %d rows", len(e.Y), len(e.Weight), rows)
	}
	b := &Booster{options: o, objective: objective{o, e.Y, e.Weight}}
	for i := range rows {
		if b.objective.weightOf(i) > 0 {
			b.weighted = append(b.weighted, int32(i))
		}
	}
	if len(b.weighted) == 0 {
		return nil, errors.New("boost trees: every row has weight zero")
	}
	b.base = b.objective.base()
	columns := binned(e.X, o, nil)
	b.grower = grower{
		options: o, columns: columns, layout: layoutOf(columns),
		pairs: make([]pair, rows), spare: make([]int32, rows), rows: make([]int32, 0, rows),
	}
	n := rows * o.outputs()
	b.scores, b.g, b.h = make([]float64, n), make([]float32, n), make([]float32, n)
	for i := range b.scores {
		b.scores[i] = float64(b.base[i/rows])
	}
	b.objective.derivatives(b.scores, b.g, b.h)
	return b, nil
}

// Round adds a tree for each output and returns the mean loss after it.
func (b *Booster) Round(ctx context.Context) (float64, error) {
	b.rounds++
	rows := len(b.grower.pairs)
	for k := range b.options.outputs() {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		g := &b.grower
		from, to := k*rows, (k+1)*rows
		b.sample()
		g.units = quantise(b.options.Threads, g.pairs, b.g[from:to], b.h[from:to])
		g.grow()
		b.apply(b.scores[from:to])
		g.tree.Output = k
		b.trees = append(b.trees, g.tree)
		for _, f := range b.followers {
			f.add(g)
		}
	}
	loss := b.objective.derivatives(b.scores, b.g, b.h)
	if math.IsNaN(loss) || math.IsInf(loss, 0) {
		return 0, &NonFiniteError{Round: b.rounds, Loss: loss}
	}
	return loss, nil
}

// apply sets the values of the leaves and adds them to the scores, of the rows
// that the tree has not seen too.
func (b *Booster) apply(scores []float64) {
	g := &b.grower
	g.setValues(&b.objective, scores)
	if len(g.rows) == len(g.pairs) {
		return
	}
	seen := make([]bool, len(g.pairs))
	for _, row := range g.rows {
		seen[row] = true
	}
	shareRows(b.options.Threads, len(seen), func(_, from, to int) {
		for i := from; i < to; i++ {
			if !seen[i] {
				scores[i] += float64(g.follow(g.columns, i))
			}
		}
	})
}

// sample draws the rows and columns of the next tree. A row's number depends on
// the seed, the tree and the row alone.
func (b *Booster) sample() {
	g, tree := &b.grower, uint32(len(b.trees))
	g.rows = g.rows[:0]
	if f := b.options.RowFraction; f < 1 {
		s := philox.New(b.options.Seed, purposeRows, tree)
		for _, row := range b.weighted {
			if float64(s.Float32()) < f {
				g.rows = append(g.rows, row)
			}
		}
	} else {
		g.rows = append(g.rows, b.weighted...)
	}
	g.used = g.used[:0]
	for j := range g.columns {
		g.used = append(g.used, j)
	}
	if f := b.options.ColumnFraction; f < 1 {
		s := philox.New(b.options.Seed, purposeColumns, tree)
		s.Shuffle(g.used)
		g.used = g.used[:max(1, int(math.Round(f*float64(len(g.used)))))]
		slices.Sort(g.used)
	}
}

// Ensemble returns the trees of the first rounds.
func (b *Booster) Ensemble(rounds int) *Ensemble {
	return &Ensemble{Base: slices.Clone(b.base), Trees: slices.Clone(b.trees[:rounds*b.options.outputs()])}
}

// Follower keeps the scores of rows that are not learned from.
type Follower struct {
	columns []column
	rows    int
	threads int
	scores  []float64 // outputs×rows
}

// Follow returns a follower of the rounds to come.
func (b *Booster) Follow(x Source) (*Follower, error) {
	if x.Cols() != len(b.grower.columns) {
		return nil, fmt.Errorf("boost trees: %d columns to follow, want %d", x.Cols(), len(b.grower.columns))
	}
	f := &Follower{columns: binned(x, b.options, b.grower.columns), rows: x.Rows(), threads: b.options.Threads}
	f.scores = make([]float64, f.rows*b.options.outputs())
	for i := range f.scores {
		f.scores[i] = float64(b.base[i/f.rows])
	}
	b.followers = append(b.followers, f)
	return f, nil
}

func (f *Follower) add(g *grower) {
	scores := f.scores[g.tree.Output*f.rows:][:f.rows]
	shareRows(f.threads, f.rows, func(_, from, to int) {
		for i := from; i < to; i++ {
			scores[i] += float64(g.follow(f.columns, i))
		}
	})
}

// Scores returns score k of each row. The caller must not change it; the next
// round does.
func (f *Follower) Scores(k int) []float64 { return f.scores[k*f.rows:][:f.rows] }
