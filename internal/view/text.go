package view

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration writes a time for people: 40ms, 3.2s, 12s, 1m20s, 2h05m, 3d04h.
func Duration(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < 9950*time.Millisecond:
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	s := int64(math.Round(d.Seconds()))
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%dh%02dm", s/3600, s%3600/60)
	}
	return fmt.Sprintf("%dd%02dh", s/86400, s%86400/3600)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// clock writes a running time: 00:07, 1:12:09.
func clock(d time.Duration) string {
	s := int64(d / time.Second)
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s%3600/60, s%60)
	}
	return fmt.Sprintf("%02d:%02d", s/60, s%60)
}

// number writes a metric with as many digits as tell something: six, or five
// of a fraction.
func number(f float64) string {
	if math.Abs(f) < 1 {
		return decimal(f, 5)
	}
	return decimal(f, 6)
}

// decimal writes a number with so many digits that count, and without an
// exponent unless it is very small or very large. Integers stay whole.
func decimal(f float64, digits int) string {
	const whole, large, small = 1e15, 1e9, 1e-4
	size := math.Abs(f)
	switch {
	case f == math.Trunc(f) && size < whole:
		return strconv.FormatFloat(f, 'f', -1, 64)
	case size < small || size >= large:
		return strconv.FormatFloat(f, 'g', digits, 64)
	case size >= math.Pow10(digits-1):
		return strconv.FormatFloat(f, 'f', 0, 64)
	}
	return strconv.FormatFloat(f, 'g', digits, 64)
}

// Plural writes a count with what is counted.
func Plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// And joins names as in a sentence, at most so many of them.
func And(names []string, most int) string {
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

func itoa(n int) string { return strconv.Itoa(n) }

// countNames are the ways in which stages end, in the order of telling.
func countNames() []string {
	return []string{"ran", "recorded", "unchanged", "restored", "failed", "skipped", "blocked", "kept"}
}

// countsText writes how stages ended: "3 ran, 1 failed, 5 kept".
func countsText(counts map[string]int) string {
	var parts []string
	for _, name := range countNames() {
		if n := counts[name]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, name))
		}
	}
	return strings.Join(parts, ", ")
}
