// Package suggest finds the name that somebody meant who wrote another: the
// "did you mean" of every message.
package suggest

import (
	"slices"
	"strings"

	"github.com/agext/levenshtein"
)

// Nearest returns the name that was probably meant, "" if none is near. Near is
// one slip of the finger for a short name, about one in three letters for a long
// one; letter case counts for nothing, and two letters swapped are one slip. Of
// names equally near it is the first in alphabetical order.
func Nearest(given string, names []string) string {
	best, bestDistance := "", max(1, (len(given)+1)/3)+1
	for _, n := range slices.Sorted(slices.Values(names)) {
		if d := distance(given, n); d < bestDistance && d < len(n) {
			best, bestDistance = n, d
		}
	}
	return best
}

func distance(a, b string) int {
	a, b = strings.ToLower(a), strings.ToLower(b)
	d := levenshtein.Distance(a, b, nil)
	if d == 2 && sameLetters(a, b) {
		return 1
	}
	return d
}

func sameLetters(a, b string) bool {
	x, y := []byte(a), []byte(b)
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(x, y)
}
