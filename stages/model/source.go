package model

// Source gives the transformed rows of a frame a column at a time, so that no
// more than that is in memory as numbers. It is what stages/tree trains on.
type Source struct {
	features    *Features
	frame       *Frame
	numbers     numbers
	categorical []encoded
}

// Source returns the columns of what Transform would return as rows.
func (f *Features) Source(frame *Frame) *Source {
	s := &Source{features: f, frame: frame, numbers: f.numbers()}
	for i := range f.Categorical {
		s.categorical = append(s.categorical, f.Categorical[i].encode(frame))
	}
	return s
}

// Rows is the number of rows.
func (s *Source) Rows() int { return s.frame.rows }

// Cols is the number of transformed columns.
func (s *Source) Cols() int { return s.features.Width() }

// Column fills into with transformed column j. It is safe for concurrent use.
func (s *Source) Column(j int, into []float32) {
	if j < s.numbers.width() {
		s.numbers.column(s.frame, j, into)
		return
	}
	j -= s.numbers.width()
	for k := range s.categorical {
		e := &s.categorical[k]
		if j < e.width() {
			for i := range into {
				into[i] = e.number(i, j)
			}
			return
		}
		j -= e.width()
	}
}
