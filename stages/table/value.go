package table

import (
	"math"
	"strconv"
)

// Type is the type of a column, or of one cell.
type Type uint8

// The types. Missing is the type of a cell that has no value; no column has
// it. Text is a cell of a format without types (CSV); see the package comment.
// JSON is an array, an object or a number beyond 64 bits, kept as JSON source.
const (
	Missing Type = iota
	Text
	String
	Int
	Float
	Bool
	JSON
)

// String returns the name that cast and messages use.
func (t Type) String() string {
	switch t {
	case Missing:
		return "missing"
	case Text:
		return "text"
	case String:
		return "string"
	case Int:
		return "int"
	case Float:
		return "float"
	case Bool:
		return "bool"
	case JSON:
		return "json"
	}
	return "type(" + strconv.Itoa(int(t)) + ")"
}

// Numeric reports whether cells of the type are numbers without being parsed.
func (t Type) Numeric() bool { return t == Int || t == Float }

// Value is one cell. The zero Value is missing. A Value never changes and may
// be kept for as long as wanted; text of one CSV record shares memory.
type Value struct {
	typ  Type
	bits uint64
	text string
}

// TextValue is a cell of a format without types.
func TextValue(s string) Value { return Value{typ: Text, text: s} }

// StringValue is a string cell; the empty string is not missing.
func StringValue(s string) Value { return Value{typ: String, text: s} }

// JSONValue is a cell that holds JSON source, which the caller has checked.
func JSONValue(s string) Value { return Value{typ: JSON, text: s} }

// IntValue is an integer cell.
func IntValue(i int64) Value { return Value{typ: Int, bits: uint64(i)} }

// FloatValue is a floating-point cell; NaN is missing.
func FloatValue(f float64) Value {
	if math.IsNaN(f) {
		return Value{}
	}
	return Value{typ: Float, bits: math.Float64bits(f)}
}

// BoolValue is a truth value.
func BoolValue(b bool) Value {
	v := Value{typ: Bool}
	if b {
		v.bits = 1
	}
	return v
}

// Type returns the cell's type, Missing if it has no value.
func (v Value) Type() Type { return v.typ }

// IsMissing reports whether the cell has no value.
func (v Value) IsMissing() bool { return v.typ == Missing }

// Float returns the cell as a number: an Int, a Float, or a Text that reads as
// one. ok is false for everything else, a missing cell included.
func (v Value) Float() (f float64, ok bool) {
	switch v.typ {
	case Float:
		return math.Float64frombits(v.bits), true
	case Int:
		return float64(int64(v.bits)), true
	case Text:
		return ParseFloat(v.text)
	}
	return 0, false
}

// Int returns the cell as an integer: an Int, a Float without a fraction, or a
// Text that reads as one of these.
func (v Value) Int() (i int64, ok bool) {
	switch v.typ {
	case Int:
		return int64(v.bits), true
	case Float:
		return floatToInt(math.Float64frombits(v.bits))
	case Text:
		if i, ok = ParseInt(v.text); ok {
			return i, true
		}
		if f, isFloat := ParseFloat(v.text); isFloat {
			return floatToInt(f)
		}
	}
	return 0, false
}

// Bool returns the cell as a truth value: a Bool, or a Text that reads true or
// false (also True, TRUE, False, FALSE).
func (v Value) Bool() (b, ok bool) {
	switch v.typ {
	case Bool:
		return v.bits == 1, true
	case Text:
		return parseBool(v.text)
	}
	return false, false
}

// Text returns the cell's canonical text: what CSV would hold, unquoted. A
// missing cell has the empty text.
func (v Value) Text() string {
	switch v.typ {
	case Text, String, JSON:
		return v.text
	case Bool:
		return strconv.FormatBool(v.bits == 1)
	case Int:
		return strconv.FormatInt(int64(v.bits), 10)
	case Float:
		return string(AppendFloat(nil, math.Float64frombits(v.bits)))
	}
	return ""
}

// AppendText appends what Text returns.
func (v Value) AppendText(dst []byte) []byte {
	switch v.typ {
	case Text, String, JSON:
		return append(dst, v.text...)
	case Bool:
		return strconv.AppendBool(dst, v.bits == 1)
	case Int:
		return strconv.AppendInt(dst, int64(v.bits), 10)
	case Float:
		return AppendFloat(dst, math.Float64frombits(v.bits))
	}
	return dst
}

// AppendKey appends an encoding of the cell that is equal for equal cells and
// cannot run into the next one: for hashing rows, grouping and joining. Cells
// are equal when their canonical texts are, whatever their types, so that a
// CSV 7 meets a Parquet 7 (but a CSV 7.0 does not). Missing equals missing and
// nothing else.
func (v Value) AppendKey(dst []byte) []byte {
	if v.typ == Missing {
		return append(dst, 0)
	}
	// Length after the text would need a second buffer; reserve four bytes.
	at := len(dst)
	dst = append(dst, 1, 0, 0, 0, 0)
	dst = v.AppendText(dst)
	n := len(dst) - at - 5
	dst[at+1], dst[at+2], dst[at+3], dst[at+4] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
	return dst
}

// Convert returns the cell as type t; ok is false when its value has no such
// form. Missing stays missing. Numbers and truth values convert into each
// other as 0 and 1.
func (v Value) Convert(t Type) (out Value, ok bool) {
	if v.typ == t || v.typ == Missing {
		return v, true
	}
	switch t {
	case Text:
		return TextValue(v.Text()), true
	case String:
		return StringValue(v.Text()), true
	case Int:
		if b, isBool := v.Bool(); isBool {
			return IntValue(int64(boolBit(b))), true
		}
		i, isInt := v.number().Int()
		return IntValue(i), isInt
	case Float:
		if b, isBool := v.Bool(); isBool {
			return FloatValue(float64(boolBit(b))), true
		}
		f, isFloat := v.number().Float()
		return FloatValue(f), isFloat
	case Bool:
		if v.typ == String {
			v.typ = Text
		}
		if b, isBool := v.Bool(); isBool {
			return BoolValue(b), true
		}
		f, isFloat := v.Float()
		return BoolValue(f == 1), isFloat && (f == 0 || f == 1)
	case JSON, Missing:
	}
	return Value{}, false
}

// number lets an explicit conversion read the digits of a String or JSON cell.
func (v Value) number() Value {
	if v.typ == String || v.typ == JSON {
		v.typ = Text
	}
	return v
}

func boolBit(b bool) int {
	if b {
		return 1
	}
	return 0
}
