package nn

import "fmt"

// Matrix is Rows×Cols numbers in row-major order. Copies share Data.
type Matrix struct {
	Rows, Cols int
	Data       []float32
}

// NewMatrix returns a matrix of zeros.
func NewMatrix(rows, cols int) Matrix {
	return Matrix{Rows: rows, Cols: cols, Data: make([]float32, rows*cols)}
}

// Row returns row i, sharing memory.
func (m Matrix) Row(i int) []float32 { return m.Data[i*m.Cols : (i+1)*m.Cols] }

// Slice returns the rows [from, to), sharing memory.
func (m Matrix) Slice(from, to int) Matrix {
	return Matrix{Rows: to - from, Cols: m.Cols, Data: m.Data[from*m.Cols : to*m.Cols]}
}

// Examples are the rows of one part of a data set.
type Examples struct {
	// X has the features of a row in each row.
	X Matrix
	// Y has one column for SoftmaxCrossEntropy, the index of the class, and as
	// many as the network has outputs for the other losses.
	Y Matrix
	// Weight is how much each row counts; nil is 1 for all. It must not be
	// negative, and not zero for all rows.
	Weight []float32
}

// check compares shapes with what the network takes, so that a caller's mistake
// is an error here and not an index out of range in a kernel.
func (e Examples) check(o Options) error {
	if e.X.Rows == 0 {
		return fmt.Errorf("train: no rows")
	}
	if e.X.Cols != o.Network.Input.Size() {
		return fmt.Errorf("train: rows have %d features and the network takes %d", e.X.Cols, o.Network.Input.Size())
	}
	if e.Y.Rows != e.X.Rows {
		return fmt.Errorf("train: %d rows have %d targets", e.X.Rows, e.Y.Rows)
	}
	if want := o.Loss.targetCols(o.Network.Outputs()); e.Y.Cols != want {
		return fmt.Errorf("train: targets have %d columns and the loss takes %d", e.Y.Cols, want)
	}
	if e.Weight != nil && len(e.Weight) != e.X.Rows {
		return fmt.Errorf("train: %d rows have %d weights", e.X.Rows, len(e.Weight))
	}
	if o.Loss == SoftmaxCrossEntropy {
		for i, y := range e.Y.Data {
			if c := int(y); c < 0 || c >= o.Network.Outputs() || float32(c) != y {
				return fmt.Errorf("train: row %d has class %v and the network has %d outputs", i, y, o.Network.Outputs())
			}
		}
	}
	return nil
}
