package linear

// Rows is a sparse matrix, a row after the other: row i has the values
// Value[Start[i]:Start[i+1]] in the columns Index[...], in ascending order.
type Rows struct {
	Cols  int
	Start []int
	Index []int32
	Value []float32
}

// Len is the number of rows.
func (r *Rows) Len() int { return len(r.Start) - 1 }

// transposed returns the matrix column by column; Index then holds rows.
func (r *Rows) transposed() *Rows {
	t := &Rows{Cols: r.Len(), Start: make([]int, r.Cols+1), Index: make([]int32, len(r.Index)), Value: make([]float32, len(r.Value))}
	for _, j := range r.Index {
		t.Start[j+1]++
	}
	for j := range r.Cols {
		t.Start[j+1] += t.Start[j]
	}
	next := append([]int(nil), t.Start[:r.Cols]...)
	for i := range r.Len() {
		for at := r.Start[i]; at < r.Start[i+1]; at++ {
			j := r.Index[at]
			t.Index[next[j]], t.Value[next[j]] = int32(i), r.Value[at]
			next[j]++
		}
	}
	return t
}
