package engine

import (
	"bytes"

	"github.com/flow-pipelines/flow/engine/plan"
)

// mostDistance is how many lines may differ for them to be counted. The time is
// its square; beyond, a text is another text.
const mostDistance = 4000

// countLines counts the lines that a smallest edit adds and takes away; nil if
// the texts differ too much. It is the greedy algorithm of E. Myers, "An O(ND)
// Difference Algorithm and Its Variations" (1986), without the way back: the
// length of the edit and that of the texts tell both numbers.
func countLines(before, after []byte) *plan.Lines {
	a, b := bytes.SplitAfter(before, []byte("\n")), bytes.SplitAfter(after, []byte("\n"))
	for len(a) > 0 && len(b) > 0 && bytes.Equal(a[0], b[0]) {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && bytes.Equal(a[len(a)-1], b[len(b)-1]) {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	// What SplitAfter leaves behind a last line feed is no line.
	a, b = withoutEmpty(a), withoutEmpty(b)
	most := min(len(a)+len(b), mostDistance)
	// reach[k] is how far in a an edit of d lines comes on the diagonal where b
	// is k lines behind.
	reach := make([]int, 2*most+3)
	for d := 0; d <= most; d++ {
		for k := -d; k <= d; k += 2 {
			at := most + 1 + k
			x := reach[at-1] + 1 // a line is taken away
			if k == -d || k != d && reach[at-1] < reach[at+1] {
				x = reach[at+1] // one is added
			}
			for x < len(a) && x-k < len(b) && bytes.Equal(a[x], b[x-k]) {
				x++
			}
			reach[at] = x
			if x >= len(a) && x-k >= len(b) {
				added := (d + len(b) - len(a)) / 2
				return &plan.Lines{Added: added, Removed: d - added}
			}
		}
	}
	return nil
}

func withoutEmpty(lines [][]byte) [][]byte {
	if n := len(lines); n > 0 && len(lines[n-1]) == 0 {
		return lines[:n-1]
	}
	return lines
}
