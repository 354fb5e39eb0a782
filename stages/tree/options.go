package tree

import (
	"fmt"
	"math"
)

// Loss is what boosting makes small: a mean over rows, each by its weight.
type Loss string

// The losses. Targets of Softmax are classes counted from 0; of Logistic 0 or 1,
// with one output, the log-odds of 1.
const (
	Squared  Loss = "squared"
	Absolute Loss = "absolute"
	// Huber is squared up to a residual of Options.HuberDelta and linear beyond.
	Huber    Loss = "huber"
	Logistic Loss = "logistic"
	Softmax  Loss = "softmax"
)

// Options say how trees are grown. All of them except Threads decide the
// result.
type Options struct {
	Loss Loss
	// Classes is the number of classes of Softmax.
	Classes int
	// HuberDelta is where Huber becomes linear, in units of the target.
	HuberDelta float64
	// LearningRate is the factor of each tree's values.
	LearningRate float64
	// MaxLeaves and MaxDepth limit a tree; MaxDepth 0 is no limit.
	MaxLeaves, MaxDepth int
	// MinRows and MinWeight are what a leaf has at least: rows, and the sum of
	// their second derivatives.
	MinRows   int
	MinWeight float64
	// L2 pulls the values of leaves to zero. MinGain is what a split must gain.
	L2, MinGain float64
	// MaxBins is how many bins of values a column is cut into, at most 255.
	MaxBins int
	// RowFraction and ColumnFraction are the shares of rows and columns that
	// each tree sees, in (0, 1].
	RowFraction, ColumnFraction float64
	Seed                        uint64
	// Threads is how many cores a round may use; 0 is one.
	Threads int
}

// maxRows is how many rows leave seven bits for a second derivative in a bin.
const maxRows = 1 << 27

func (o Options) check(rows int) error {
	fraction := func(v float64) bool { return v > 0 && v <= 1 }
	finite := func(v float64) bool { return v >= 0 && !math.IsInf(v, 0) }
	switch {
	case rows < 1 || rows > maxRows:
		return fmt.Errorf("boost trees: %d rows, want 1 to %d", rows, maxRows)
	case o.Loss == Softmax && o.Classes < 2:
		return fmt.Errorf("boost trees: %d classes", o.Classes)
	case o.Loss == Huber && !(o.HuberDelta > 0):
		return fmt.Errorf("boost trees: Huber's delta is %v, want a positive number", o.HuberDelta)
	case !(o.LearningRate > 0) || !finite(o.LearningRate):
		return fmt.Errorf("boost trees: learning rate %v is not a positive number", o.LearningRate)
	case o.MaxLeaves < 2 || o.MaxDepth < 0 || o.MinRows < 1:
		return fmt.Errorf("boost trees: %d leaves, depth %d and %d rows a leaf make no tree", o.MaxLeaves, o.MaxDepth, o.MinRows)
	case !finite(o.L2) || !finite(o.MinGain) || !finite(o.MinWeight):
		return fmt.Errorf("boost trees: l2 %v, gain %v or weight %v is negative", o.L2, o.MinGain, o.MinWeight)
	case o.MaxBins < 2 || o.MaxBins > mostBins:
		return fmt.Errorf("boost trees: %d bins, want 2 to %d", o.MaxBins, mostBins)
	case !fraction(o.RowFraction) || !fraction(o.ColumnFraction):
		return fmt.Errorf("boost trees: fractions %v and %v, want more than 0 and at most 1", o.RowFraction, o.ColumnFraction)
	}
	switch o.Loss {
	case Squared, Absolute, Huber, Logistic, Softmax:
		return nil
	}
	return fmt.Errorf("boost trees: loss %q is unknown", o.Loss)
}

func (o Options) outputs() int {
	if o.Loss == Softmax {
		return o.Classes
	}
	return 1
}

// What a stream of random numbers is for; see philox.New.
const (
	purposeSample uint32 = iota + 0x7400
	purposeRows
	purposeColumns
)
