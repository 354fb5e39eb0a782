package config

import (
	"bytes"
	"encoding/json"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/flow-pipelines/flow/engine/stage"
)

// canonical writes v as JSON: keys sorted, no spaces, no HTML escapes. Values
// come from the encoder, so there is nothing that JSON has no form for.
//
// Two documents are written for each stage of a plan. So what they are made of is
// written here, in a third of the time that encoding/json takes, which looks at
// the types and writes the rest.
func canonical(v any) json.RawMessage { return appendJSON(make([]byte, 0, 128), v) }

func appendJSON(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		return strconv.AppendBool(b, v)
	case json.Number:
		return append(b, v...)
	case string:
		if isPlain(v) {
			return append(append(append(b, '"'), v...), '"')
		}
	case []any:
		b = append(b, '[')
		for i, item := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSON(b, item)
		}
		return append(b, ']')
	case map[string]any:
		b = append(b, '{')
		for i, k := range mapKeys(v) {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSON(append(appendJSON(b, k), ':'), v[k])
		}
		return append(b, '}')
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("BUG: arguments are not JSON: " + err.Error())
	}
	return append(b, bytes.TrimSuffix(text.Bytes(), []byte("\n"))...)
}

// isPlain reports whether a text stands in JSON as it is.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x80 || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// exactDigits is how long a number may be to be written in full. cty computes
// with 512 bits: 0.1 comes back as "0.1", but 1/3 as 155 digits, which would
// mean nothing to programs that use float64.
const exactDigits = 40

// number writes a number in its shortest form that is exact, or, if that is
// too long, as the nearest float64.
func number(f *big.Float) json.Number {
	if f.IsInt() {
		if s := f.Text('f', 0); len(s) <= exactDigits {
			if s == "-0" {
				s = "0"
			}
			return json.Number(s)
		}
	}
	s := f.Text('g', -1)
	if len(s) <= exactDigits {
		return json.Number(s)
	}
	if near, _ := f.Float64(); !math.IsInf(near, 0) && near != 0 {
		s = strconv.FormatFloat(near, 'g', -1, 64)
	}
	return json.Number(s)
}

// plain turns a known, unmarked value into what canonical takes.
func plain(v cty.Value) any {
	t := v.Type()
	switch {
	case v.IsNull() || !v.IsKnown():
		return nil
	case t == cty.String:
		return v.AsString()
	case t == cty.Bool:
		return v.True()
	case t == cty.Number:
		return number(v.AsBigFloat())
	case t.IsObjectType() || t.IsMapType():
		m := map[string]any{}
		for it := v.ElementIterator(); it.Next(); {
			k, item := it.Element()
			m[k.AsString()] = plain(item)
		}
		return m
	case t.IsTupleType() || t.IsListType() || t.IsSetType():
		s := []any{}
		for it := v.ElementIterator(); it.Next(); {
			_, item := it.Element()
			s = append(s, plain(item))
		}
		return s
	}
	return nil
}

// valueOf turns JSON-like data into a value. Numbers that are none are null.
func valueOf(v any) cty.Value {
	switch v := v.(type) {
	case bool:
		return cty.BoolVal(v)
	case string:
		return cty.StringVal(v)
	case json.Number:
		if n, err := cty.ParseNumberVal(v.String()); err == nil {
			return n
		}
	case float64:
		if !math.IsNaN(v) {
			// By its decimal form: 0.1 is to be the number that 0.1 is in HCL.
			return valueOf(json.Number(strconv.FormatFloat(v, 'g', -1, 64)))
		}
	case float32:
		return valueOf(float64(v))
	case int:
		return cty.NumberIntVal(int64(v))
	case int64:
		return cty.NumberIntVal(v)
	case uint64:
		return cty.NumberUIntVal(v)
	case []any:
		items := make([]cty.Value, len(v))
		for i := range v {
			items[i] = valueOf(v[i])
		}
		return cty.TupleVal(items)
	case map[string]any:
		items := make(map[string]cty.Value, len(v))
		for k := range v {
			items[k] = valueOf(v[k])
		}
		return cty.ObjectVal(items)
	case stage.Metrics:
		return valueOf(map[string]any(v))
	case nil:
	default:
		// Metrics that a Runner has just made may hold []float64 and the
		// like; through JSON they become what they will be when recorded.
		b, err := json.Marshal(v)
		var again any
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		if err == nil && d.Decode(&again) == nil {
			return valueOf(again)
		}
	}
	return cty.NullVal(cty.DynamicPseudoType)
}

// hashText is the form of a string in Hashed: every occurrence of an output's
// path is replaced by what the path stands for.
func hashText(s string, roles []role) any {
	if len(roles) == 0 {
		return s
	}
	if strings.ContainsRune(s, 0) {
		return s // it would be taken for the separator below
	}
	// Longer paths first, so that out/a/b is not taken for out/a and "/b". A
	// Replacer looks for all of them in one pass; a text can name thousands.
	ordered := slices.Clone(roles)
	slices.SortStableFunc(ordered, func(a, b role) int { return len(b.path) - len(a.path) })
	pairs := make([]string, 0, 2*len(ordered))
	for i, r := range ordered {
		pairs = append(pairs, r.path, "\x00"+strconv.Itoa(i)+"\x00")
	}
	var parts []any
	for i, part := range strings.Split(strings.NewReplacer(pairs...).Replace(s), "\x00") {
		if i%2 == 0 {
			if part != "" {
				parts = append(parts, part)
			}
			continue
		}
		n, err := strconv.Atoi(part)
		if err != nil {
			panic("BUG: a separator in a text without one: " + err.Error())
		}
		if r := ordered[n]; r.name == "" {
			parts = append(parts, map[string]any{"output": r.output})
		} else {
			parts = append(parts, map[string]any{"input": r.name})
		}
	}
	if len(parts) == 0 {
		return s
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return map[string]any{"template": parts}
}
