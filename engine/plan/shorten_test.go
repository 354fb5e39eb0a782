package plan_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/flow-pipelines/flow/engine/plan"
)

func TestLongValuesAreShortenedAroundWhatDiffers(t *testing.T) {
	const long = "echo this is a very long command line that --alpha=1 and the rest of it > out/l.txt"
	for _, c := range []struct{ before, after, was, is string }{
		{"1", "2", "1", "2"},
		{
			long, strings.Replace(long, "=1", "=20", 1),
			"…e that --alpha=1 and the rest o…", "…e that --alpha=20 and the rest o…",
		},
		{"x" + long, "y" + long, plan.Shorten("x" + long), plan.Shorten("y" + long)},
		{long, long + " 2>&1", "… it > out/l.txt", "… it > out/l.txt 2>&1"},
		{long, "true", plan.Shorten(long), "true"},
	} {
		if was, is := plan.ShortenChange(c.before, c.after); was != c.was || is != c.is {
			t.Errorf("%q to %q:\ngot  %q, %q\nwant %q, %q", c.before, c.after, was, is, c.was, c.is)
		}
	}
}

// Whatever the difference is, it can be seen, and the line stays short.
func TestWhatDiffersIsNeverShownAlike(t *testing.T) {
	text := rapid.StringOfN(rapid.RuneFrom([]rune("ab")), 0, 120, -1)
	rapid.Check(t, func(t *rapid.T) {
		head, tail := text.Draw(t, "head"), text.Draw(t, "tail")
		a, b := head+text.Draw(t, "a")+tail, head+text.Draw(t, "b")+tail
		was, is := plan.ShortenChange(a, b)
		if (was == is) != (a == b) {
			t.Fatalf("%q and %q are shown as %q and %q", a, b, was, is)
		}
		if n := max(len([]rune(was)), len([]rune(is))); n > 60 {
			t.Fatalf("%d characters: %q, %q", n, was, is)
		}
	})
}
