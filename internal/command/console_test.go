package command

import "testing"

func TestTabCompletesAsFarAsIsCertain(t *testing.T) {
	complete := completer([]string{"exec.count", "exec.country", "local.x", "max(", "var.alpha", "var.beta"})
	for _, tt := range []struct {
		line string
		pos  int
		want string
	}{
		{"ex", 2, "exec.count"},
		{"1 + v", 5, "1 + var."},
		{"m", 1, "max("},
		{"max(var.a, 2)", 9, "max(var.alpha, 2)"},
		{"nothing", 7, "nothing"},
		{"", 0, ""},
	} {
		got, pos, ok := complete(tt.line, tt.pos, '\t')
		if got != tt.want || !ok || pos < tt.pos && tt.want != tt.line {
			t.Errorf("%q: got %q, %d; want %q", tt.line, got, pos, tt.want)
		}
	}
	if _, _, ok := complete("ex", 2, 'x'); ok {
		t.Error("another key completes")
	}
}

func TestExpressionsGoOnWhileABracketIsOpen(t *testing.T) {
	for text, want := range map[string]bool{
		"1 + 1": false, "merge({": true, "[1, 2": true, "[1, 2]": false, `"${var.x`: true, `"a ( b"`: false, "max(1)": false, ")": false,
	} {
		if got := open(text); got != want {
			t.Errorf("%q is open: got %v", text, got)
		}
	}
}
