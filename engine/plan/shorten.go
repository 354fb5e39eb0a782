package plan

import "slices"

// widest is how many characters of a value fit beside another on a line.
const widest = 60

// Shorten cuts a value to what fits beside another on a line.
func Shorten(s string) string { return string(shorten([]rune(s), widest)) }

// shorten leaves out the middle, and keeps more of the start than of the end, for it
// says sooner what a value is.
func shorten(r []rune, most int) []rune {
	if len(r) <= most {
		return r
	}
	return slices.Concat(r[:most-most/3], ellipsis, r[len(r)-most/3+1:])
}

// ShortenChange cuts two values to what fits on a line: as Shorten does if that
// shows all that differs, else around it. Two values that are not the same are
// never shown alike.
func ShortenChange(before, after string) (string, string) {
	const around = 15 // characters of what is the same, on each side
	a, b := []rune(before), []rune(after)
	if len(a) <= widest && len(b) <= widest {
		return before, after
	}
	start := 0
	for start < min(len(a), len(b)) && a[start] == b[start] {
		start++
	}
	end := 0
	for end < min(len(a), len(b))-start && a[len(a)-1-end] == b[len(b)-1-end] {
		end++
	}
	if last := max(len(a), len(b)) - end; last <= widest-widest/3 {
		return Shorten(before), Shorten(after)
	}
	head, tail := a[:start], a[len(a)-end:]
	if len(head) > around+1 {
		head = slices.Concat(ellipsis, head[start-around:])
	}
	if len(tail) > around+1 {
		tail = slices.Concat(tail[:around], ellipsis)
	}
	show := func(r []rune) string {
		return string(slices.Concat(head, shorten(r[start:len(r)-end], widest-len(head)-len(tail)), tail))
	}
	return show(a), show(b)
}

// changed writes how a value changed.
func changed(before, after string) string {
	before, after = ShortenChange(before, after)
	return before + " → " + after
}

var ellipsis = []rune("…")
