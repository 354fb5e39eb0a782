package model

// Source gives the transformed rows of a frame a column at a time, so that no
// more than that is in memory as numbers. It is what stages/tree trains on.
type Source struct {
	features *Features
	frame    *Frame
	// codes are the categories of each categorical column, -1 for unknown.
	codes [][]int32
}

// Source returns the columns of what Transform would return as rows.
func (f *Features) Source(frame *Frame) *Source {
	s := &Source{features: f, frame: frame}
	for _, c := range f.Categorical {
		index := make(map[string]int32, len(c.Categories))
		for j, category := range c.Categories {
			index[category] = int32(j)
		}
		codes := make([]int32, frame.rows)
		for i, v := range frame.strings(c.Column) {
			code, ok := index[v]
			if !ok {
				code = -1
			}
			codes[i] = code
		}
		s.codes = append(s.codes, codes)
	}
	return s
}

// Rows is the number of rows.
func (s *Source) Rows() int { return s.frame.rows }

// Cols is the number of transformed columns.
func (s *Source) Cols() int { return s.features.Width() }

// Column fills into with transformed column j. It is safe for concurrent use.
func (s *Source) Column(j int, into []float32) {
	if j < len(s.features.Numeric) {
		n := s.features.Numeric[j]
		for i, v := range s.frame.numbers(n.Column) {
			into[i] = n.apply(float32(v))
		}
		return
	}
	j -= len(s.features.Numeric)
	for k, c := range s.features.Categorical {
		if j < len(c.Categories) {
			for i, code := range s.codes[k] {
				into[i] = 0
				if int(code) == j {
					into[i] = 1
				}
			}
			return
		}
		j -= len(c.Categories)
	}
}
