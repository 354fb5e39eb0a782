package suggest_test

import (
	"testing"

	"github.com/flow-pipelines/flow/engine/suggest"
)

func TestNearestIsNearOrNothing(t *testing.T) {
	names := []string{"plan", "apply", "status", "show", "id", "Target"}
	for given, want := range map[string]string{
		"pln": "plan", "aply": "apply", "stauts": "status", "sho": "show", "paln": "plan", "target": "Target", "di": "id",
		"xyz": "", "deploy": "", "q": "", "": "",
	} {
		if got := suggest.Nearest(given, names); got != want {
			t.Errorf("%q: got %q, want %q", given, got, want)
		}
	}
}

func TestNearestDoesNotDependOnOrder(t *testing.T) {
	for _, names := range [][]string{{"mean_a", "mean_b"}, {"mean_b", "mean_a"}} {
		if got := suggest.Nearest("mean_c", names); got != "mean_a" {
			t.Errorf("of %q: got %q, want mean_a", names, got)
		}
	}
}
