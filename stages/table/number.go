package table

import (
	"math"
	"strconv"
	"strings"
)

// ParseFloat reads a decimal number, with blanks around it or not. It is
// stricter than strconv: no hexadecimal, no underscores, nothing that
// overflows; infinities are Inf, inf or Infinity with an optional sign.
func ParseFloat(s string) (float64, bool) {
	s = trimBlanks(s)
	if s == "" {
		return 0, false
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= '0' && c <= '9', c == '.', c == '-', c == '+', c == 'e', c == 'E':
		default:
			return parseInfinity(s)
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil
}

func parseInfinity(s string) (float64, bool) {
	sign := 1
	switch s[0] {
	case '-':
		sign, s = -1, s[1:]
	case '+':
		s = s[1:]
	}
	switch s {
	case "Inf", "inf", "Infinity", "infinity":
		return math.Inf(sign), true
	}
	return 0, false
}

// ParseInt reads a decimal integer of 64 bits, with blanks around it or not.
func ParseInt(s string) (int64, bool) {
	i, err := strconv.ParseInt(trimBlanks(s), 10, 64)
	return i, err == nil
}

func parseBool(s string) (b, ok bool) {
	switch s {
	case "true", "True", "TRUE":
		return true, true
	case "false", "False", "FALSE":
		return false, true
	}
	return false, false
}

func trimBlanks(s string) string {
	if s == "" || (s[0] > ' ' && s[len(s)-1] > ' ') {
		return s
	}
	return strings.Trim(s, " \t")
}

// floatToInt converts a float that stands for exactly one int64. Beyond 2^53
// a float no longer tells neighbouring integers apart, so it stands for none.
func floatToInt(f float64) (int64, bool) {
	if f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, false
	}
	return int64(f), true
}

// AppendFloat appends the shortest text that reads back as the same float, in
// plain digits unless the exponent is below -6 or at least 21 (the form that
// ECMAScript and so JSON uses): 41, 0.1, 1e-7, 1e+21.
func AppendFloat(dst []byte, f float64) []byte {
	if math.IsInf(f, 0) {
		if f < 0 {
			dst = append(dst, '-')
		}
		return append(dst, "Inf"...)
	}
	if f == 0 { // one zero, not two: -0 would be a second text for equal cells
		return append(dst, '0')
	}
	if abs := math.Abs(f); abs >= 1e-6 && abs < 1e21 {
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	at := len(dst)
	dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
	// strconv pads the exponent to two digits: 1e-07.
	if n := len(dst); n-at >= 4 && dst[n-2] == '0' && (dst[n-3] == '-' || dst[n-3] == '+') {
		dst[n-2] = dst[n-1]
		dst = dst[:n-1]
	}
	return dst
}

// looksPadded reports digits with a leading zero, as in a postcode or an
// article number: numbers to a parser, names to their owner.
func looksPadded(s string) bool {
	s = trimBlanks(s)
	if s != "" && (s[0] == '-' || s[0] == '+') {
		s = s[1:]
	}
	return len(s) > 1 && s[0] == '0' && s[1] >= '0' && s[1] <= '9'
}
