package table

// Head returns the columns of the table at path as its header or schema tells
// them, without reading a row; of a directory, those of its first file. It
// returns false where only the rows would tell (JSON Lines), and for what cannot
// be read: who reads the rows says why.
func Head(path string, options Options) ([]Column, bool) {
	files, err := filesOf(path)
	if err != nil {
		return nil, false
	}
	format, _, err := formatOfName(files[0])
	if err != nil || format == JSONLines || format == Parquet && !options.zero() {
		return nil, false
	}
	s, err := openSource(files[0], options, nil)
	if err != nil {
		return nil, false
	}
	columns := s.columns()
	return columns, s.close() == nil
}

// Known is Head of a file, or, if file is "", the columns of a table of which
// the names alone are known; they are Text.
func Known(file string, names []string, options Options) ([]Column, bool) {
	if file != "" {
		return Head(file, options)
	}
	if names == nil || !options.zero() {
		return nil, false
	}
	columns := make([]Column, len(names))
	for i, n := range names {
		columns[i] = Column{Name: n, Type: Text}
	}
	return columns, true
}
