package key_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flow-pipelines/flow/engine/key"
)

func TestChangedSecretsAreNamedBesideOtherChanges(t *testing.T) {
	facts := func(token, user, rate string) key.Manifest {
		m := key.Manifest{{Kind: key.TypeFact, Name: "exec", Value: "1"}, {Kind: key.Argument, Name: "rate", Value: rate}}
		m = append(m, key.Fact{Kind: key.Environment, Name: "TOKEN", Value: token, Sensitive: true})
		if user != "" {
			m = append(m, key.Fact{Kind: key.Environment, Name: "USER", Value: user, Sensitive: true})
		}
		return m
	}
	before := facts("a", "u", "1")
	for _, row := range []struct {
		what  string
		after key.Manifest
		want  []string
	}{
		{"nothing", facts("a", "u", "1"), nil},
		{"another argument", facts("a", "u", "2"), nil},
		{"a secret", facts("b", "u", "1"), []string{"TOKEN", "USER"}},
		{"a secret and another argument", facts("b", "u", "2"), []string{"TOKEN", "USER"}},
		{"a secret is gone", facts("a", "", "1"), nil},
	} {
		var got []string
		for _, f := range key.SecretsChanged(before.Redacted(), before.Key(), row.after) {
			got = append(got, f.Name)
			if f.Value != key.Hidden {
				t.Errorf("%s: the value %q is shown", row.what, f.Value)
			}
		}
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s: want then got:\n%s", row.what, diff)
		}
	}
}
