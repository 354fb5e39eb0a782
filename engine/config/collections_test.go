package config

import (
	"fmt"
	"testing"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function/stdlib"
	"pgregory.net/rapid"
)

// Elements that are of one type are put together without comparing them in
// pairs, and come to what cty makes of them.
func TestCollectionsAreWhatConversionMakesOfThem(t *testing.T) {
	types := map[string]func(cty.Type) cty.Type{"tolist": cty.List, "tomap": cty.Map, "toset": cty.Set}
	leaf := rapid.SampledFrom([]cty.Value{
		cty.StringVal("a"), cty.StringVal("b"), cty.NumberIntVal(1), cty.True,
		cty.UnknownVal(cty.String), cty.DynamicVal, cty.NullVal(cty.String), cty.NullVal(cty.DynamicPseudoType),
		cty.StringVal("m").Mark("m"), cty.EmptyTupleVal, cty.EmptyObjectVal,
		cty.ObjectVal(map[string]cty.Value{"path": cty.StringVal("x"), "metrics": cty.DynamicVal}),
		cty.ObjectVal(map[string]cty.Value{"path": cty.StringVal("y"), "metrics": cty.DynamicVal}),
		cty.ObjectVal(map[string]cty.Value{"path": cty.StringVal("y"), "metrics": cty.NumberIntVal(1)}),
		cty.TupleVal([]cty.Value{cty.StringVal("a")}), cty.ListVal([]cty.Value{cty.True}),
	})
	rapid.Check(t, func(t *rapid.T) {
		var values []cty.Value
		one := leaf.Draw(t, "one")
		for range rapid.IntRange(0, 3).Draw(t, "n") {
			if rapid.Bool().Draw(t, "again") {
				values = append(values, one)
			} else {
				values = append(values, leaf.Draw(t, "value"))
			}
		}
		arg := cty.TupleVal(values)
		if rapid.Bool().Draw(t, "object") {
			attrs := map[string]cty.Value{}
			for i, v := range values {
				attrs[fmt.Sprint(i)] = v
			}
			arg = cty.ObjectVal(attrs)
		}
		if rapid.IntRange(0, 9).Draw(t, "null") == 0 {
			arg = cty.NullVal(arg.Type())
		}
		for name, of := range types {
			want, wantErr := stdlib.MakeToFunc(of(cty.DynamicPseudoType)).Call([]cty.Value{arg})
			got, err := pureFunctions()[name].Call([]cty.Value{arg})
			if fmt.Sprint(err) != fmt.Sprint(wantErr) {
				t.Fatalf("%s(%#v): got error %v, want %v", name, arg, err, wantErr)
			}
			if wantErr == nil && !got.RawEquals(want) {
				t.Fatalf("%s(%#v):\n got %#v\nwant %#v", name, arg, got, want)
			}
		}
	})
}
