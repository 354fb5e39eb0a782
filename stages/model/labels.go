package model

import (
	"slices"
	"strings"
)

// SplitLabels are the labels in a cell that has several of them, each once and
// without spaces around it; none if the cell is empty.
func SplitLabels(text, separator string) []string {
	var out []string
	for part := range strings.SplitSeq(text, separator) {
		if label := strings.TrimSpace(part); label != "" && !slices.Contains(out, label) {
			out = append(out, label)
		}
	}
	return out
}

// HasLabel reads a cell of a column that is a label itself; why says what is wrong
// with one that is neither true nor false.
func HasLabel[C Cell](cell C) (has bool, why string) {
	if b, ok := cell.Bool(); ok {
		return b, ""
	}
	v, ok := cell.Float()
	switch {
	case cell.IsMissing() || cell.Text() == "":
		return false, "is missing"
	case !ok || v != 0 && v != 1:
		return false, "is neither 0 nor 1, nor true or false"
	}
	return v == 1, ""
}
