package apply

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tailed is what tail shows of a file that is complete.
func tailed(ctx context.Context, t *testing.T, content string) (lines []string, left int64) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	close(stop)
	tail(ctx, file, 0, stop, func(s string) { lines = append(lines, s) }, func(n int64) { left += n })
	return lines, left
}

// numbered is at least so many bytes of numbered lines.
func numbered(bytes int) string {
	var b strings.Builder
	for i := 0; b.Len() < bytes; i++ {
		fmt.Fprintf(&b, "line %d\n", i)
	}
	return b.String()
}

func TestTailShowsAllThatItCanKeepUpWith(t *testing.T) {
	text := numbered(mostBehind-100) + "a last one without an end"
	got, left := tailed(t.Context(), t, text)
	if left != 0 || strings.Join(got, "\n") != text {
		t.Errorf("%d lines, %d bytes left out, of %d bytes", len(got), left, len(text))
	}
}

func TestTailOfAFloodGoesOnNearItsEnd(t *testing.T) {
	text := numbered(5 * mostBehind)
	got, left := tailed(t.Context(), t, text)
	shown := strings.Join(got, "\n") + "\n"
	if !strings.HasSuffix(text, "\n"+shown) || len(shown) > resumed {
		t.Errorf("shown are %d bytes, from %q to %q: not whole lines of the end", len(shown), got[0], got[len(got)-1])
	}
	if left != int64(len(text)-len(shown)) {
		t.Errorf("left out are %d bytes of %d, and %d are shown", left, len(text), len(shown))
	}
}

func TestTailOfAnInterruptedStageIsShort(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	text := numbered(mostBehind / 2)
	got, left := tailed(ctx, t, text)
	shown := strings.Join(got, "\n") + "\n"
	if !strings.HasSuffix(text, "\n"+shown) || len(shown) > resumed || left != int64(len(text)-len(shown)) {
		t.Errorf("shown are %d bytes, left out %d of %d", len(shown), left, len(text))
	}
}

func TestTailOfAFloodWithoutLines(t *testing.T) {
	got, left := tailed(t.Context(), t, strings.Repeat("x", 3*mostBehind))
	if len(got) != 1 || len(got[0]) != resumed || left != 3*mostBehind-resumed {
		t.Errorf("%d lines, %d bytes left out", len(got), left)
	}
}
