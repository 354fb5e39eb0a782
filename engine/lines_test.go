package engine

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/flow-pipelines/flow/engine/plan"
)

func TestLinesAreCountedAsByDiff(t *testing.T) {
	for _, c := range []struct {
		before, after string
		want          plan.Lines
	}{
		{"", "a\n", plan.Lines{Added: 1}},
		{"a\n", "", plan.Lines{Removed: 1}},
		{"a", "a\n", plan.Lines{Added: 1, Removed: 1}},
		{"a\nb\nc\n", "a\nc\n", plan.Lines{Removed: 1}},
		{"a\nb\nc\n", "a\nB\nc\nd", plan.Lines{Added: 2, Removed: 1}},
		{"a\n", "a\n\n", plan.Lines{Added: 1}},
		{"}\n}\n}\n", "}\nx\n}\n}\n", plan.Lines{Added: 1}},
	} {
		if got := countLines([]byte(c.before), []byte(c.after)); got == nil || *got != c.want {
			t.Errorf("%q → %q: got %v, want %v", c.before, c.after, got, c.want)
		}
	}
	other := strings.Repeat("x\n", mostDistance+1)
	if got := countLines(nil, []byte(other)); got != nil {
		t.Errorf("of another text: %v", got)
	}
}

// The longest common subsequence, by the table that everybody knows.
func TestLinesAreTheFewest(t *testing.T) {
	text := rapid.SliceOfN(rapid.SampledFrom([]string{"a\n", "b\n", "c\n", "\n"}), 0, 12)
	rapid.Check(t, func(t *rapid.T) {
		a, b := text.Draw(t, "before"), text.Draw(t, "after")
		common := make([][]int, len(a)+1)
		common[0] = make([]int, len(b)+1)
		for i := range a {
			common[i+1] = make([]int, len(b)+1)
			for j := range b {
				common[i+1][j+1] = max(common[i][j+1], common[i+1][j])
				if a[i] == b[j] {
					common[i+1][j+1] = common[i][j] + 1
				}
			}
		}
		n := common[len(a)][len(b)]
		want := plan.Lines{Added: len(b) - n, Removed: len(a) - n}
		if got := countLines([]byte(strings.Join(a, "")), []byte(strings.Join(b, ""))); got == nil || *got != want {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}
