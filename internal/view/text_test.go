package view

import (
	"testing"
	"time"

	"github.com/flow-pipelines/flow/engine/stage"
)

func TestDurationsReadWell(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 0: "0ms", 41 * time.Millisecond: "41ms", 140 * time.Millisecond: "0.1s",
		9940 * time.Millisecond: "9.9s", 9960 * time.Millisecond: "10s", 59600 * time.Millisecond: "1m00s",
		80 * time.Second: "1m20s", 65 * time.Minute: "1h05m", 76 * time.Hour: "3d04h",
	} {
		if got := Duration(d); got != want {
			t.Errorf("%d ns: got %s, want %s", d, got, want)
		}
	}
}

func TestNumbersHaveTheDigitsThatTell(t *testing.T) {
	for f, want := range map[float64]string{
		0: "0", 100: "100", 1234567: "1234567", 0.9767441: "0.97674", 1e-9: "1e-09", 12345.678: "12345.7",
		207023.25: "207023", 1234567.5: "1234568", -207023.25: "-207023", 999999.9: "1000000", 2.5e11: "250000000000", 2.5e16: "2.5e+16", 1.23456789e9: "1234567890", 1234567890.5: "1.23457e+09", 0.00012345678: "0.00012346",
	} {
		if got := number(f); got != want {
			t.Errorf("%v: got %s, want %s", f, got, want)
		}
	}
}

func TestDifferencesHaveNoExponentEither(t *testing.T) {
	for f, want := range map[float64]string{20702.25: "+20702", -0.0093023: "-0.009302", 3: "+3", 1234567: "+1234567"} {
		if got := signed(f); got != want {
			t.Errorf("%v: got %s, want %s", f, got, want)
		}
	}
}

func TestColourFollowsTheEnvironment(t *testing.T) {
	for _, c := range []struct {
		tty     bool
		environ []string
		want    bool
	}{
		{true, nil, true},
		{false, nil, false},
		{true, []string{"TERM=dumb"}, false},
		{true, []string{"NO_COLOR=1"}, false},
		{true, []string{"NO_COLOR="}, true},
		{false, []string{"CLICOLOR_FORCE=1"}, true},
		{false, []string{"CLICOLOR_FORCE=0"}, false},
		{false, []string{"FORCE_COLOR=1", "TERM=dumb"}, true},
		{true, []string{"FORCE_COLOR=1", "NO_COLOR=1"}, false},
	} {
		if got := WantColor(c.environ, c.tty); got != c.want {
			t.Errorf("terminal %v, %v: got %v, want %v", c.tty, c.environ, got, c.want)
		}
	}
}

func TestShortMetricsAreThosePeopleLookFor(t *testing.T) {
	m := stage.Metrics{
		"best_epoch": 10, "winner": "wide", "curve": []any{1, 2}, "nothing": nil,
		"train":      map[string]any{"f1": 0.99, "loss": 0.1},
		"validation": map[string]any{"f1": 0.97, "loss": 0.2},
		"per_class":  map[string]any{"a": map[string]any{"f1": 0.5}},
	}
	if got, want := metricsLine(m, 3), "validation.f1 0.97, validation.loss 0.2, best_epoch 10"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := metricsLine(nil, 3); got != "" {
		t.Errorf("got %q for no metrics", got)
	}
}

func TestOutputOfProgramsIsHarmless(t *testing.T) {
	for in, want := range map[string]string{
		"plain": "plain", "\x1b[31mred\x1b[0m": "red", "10%\r50%\r100%": "100%", "windows\r": "windows",
		"\x1b]0;title\x07text": "text", "bell\x07\x00": "bell", "a\tb": "a b", "\x1b[2Jgone": "gone",
	} {
		if got := clean(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestShellQuoteSurvivesAShell(t *testing.T) {
	for in, want := range map[string]string{
		"train.mlp": "train.mlp", `train.mlp["a"]`: `'train.mlp["a"]'`, "it's": `'it'\''s'`, "": "''",
	} {
		if got := ShellQuote(in); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}
