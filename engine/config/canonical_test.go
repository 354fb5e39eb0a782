package config

import (
	"bytes"
	"encoding/json"
	"testing"

	"pgregory.net/rapid"
)

// What is hashed was written by encoding/json once, and keys are to stay.
func TestCanonicalIsWhatTheStandardLibraryWrites(t *testing.T) {
	leaf := rapid.OneOf(
		rapid.Just[any](nil),
		rapid.Map(rapid.Bool(), func(v bool) any { return v }),
		rapid.Map(rapid.StringMatching(`-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,5})?(e[+-]?[0-9]{1,3})?`), func(v string) any { return json.Number(v) }),
		rapid.Map(rapid.StringMatching(`[a-z<>&"\\ /\x00-\x1f\x7f\x{2027}-\x{2029}\x{fffd}é]{0,6}`), func(v string) any { return v }),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 5), func(v []byte) any { return string(v) }),
	)
	value := leaf
	for range 3 {
		inner := value
		value = rapid.OneOf(leaf,
			rapid.Map(rapid.SliceOfN(inner, 0, 3), func(v []any) any { return append([]any{}, v...) }),
			rapid.Map(rapid.MapOfN(rapid.String(), inner, 0, 3), func(v map[string]any) any { return v }))
	}
	rapid.Check(t, func(t *rapid.T) {
		v := value.Draw(t, "v")
		var want bytes.Buffer
		enc := json.NewEncoder(&want)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(v); err != nil {
			t.Fatal(err)
		}
		if got := canonical(v); string(got)+"\n" != want.String() {
			t.Fatalf("got %s, want %s", got, want.String())
		}
	})
}
