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

// combine adds to each number of into the values of row i times the numbers of from
// in its place: from has as many of them for each column. Four values are taken in one
// pass, in the order in which one after the other would be added.
func (r *Rows) combine(i int, into, from []float64) {
	k := len(into)
	of := func(n int) (float64, []float64) { return float64(r.Value[n]), from[int(r.Index[n])*k:][:k] }
	n, end := r.Start[i], r.Start[i+1]
	for ; n+4 <= end; n += 4 {
		v0, w0 := of(n)
		v1, w1 := of(n + 1)
		v2, w2 := of(n + 2)
		v3, w3 := of(n + 3)
		for c, sum := range into {
			sum += float64(v0 * w0[c])
			sum += float64(v1 * w1[c])
			sum += float64(v2 * w2[c])
			sum += float64(v3 * w3[c])
			into[c] = sum
		}
	}
	for ; n < end; n++ {
		v, w := of(n)
		for c := range into {
			into[c] += float64(v * w[c])
		}
	}
}

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
