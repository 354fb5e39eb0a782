package command

import "testing"

func TestTabCompletesAsFarAsIsCertain(t *testing.T) {
	var shown []string
	complete := completer([]string{"exec.count", "exec.country", "local.x", "max(", `module.m["a"].rows`, `module.m["b"].rows`, "var.alpha", "var.beta"}, func(choices []string) { shown = choices })
	for _, tt := range []struct {
		line string
		pos  int
		want string
	}{
		{"ex", 2, "exec.count"},
		{"1 + v", 5, "1 + var."},
		{"ma", 2, "max("},
		{"max(var.a, 2)", 9, "max(var.alpha, 2)"},
		{"mo", 2, `module.m["`},
		{`max(module.m["b`, 15, `max(module.m["b"].rows`},
		{"nothing", 7, "nothing"},
		{"", 0, ""},
	} {
		got, pos, ok := complete(tt.line, tt.pos, '\t')
		if got != tt.want || !ok || pos < tt.pos && tt.want != tt.line {
			t.Errorf("%q: got %q, %d; want %q", tt.line, got, pos, tt.want)
		}
	}
	if shown != nil {
		t.Errorf("shown though something is certain: %q", shown)
	}
	if got, _, _ := complete("var.", 4, '\t'); got != "var." || len(shown) != 2 {
		t.Errorf("got %q, and the choices %q", got, shown)
	}
	if _, _, ok := complete("ex", 2, 'x'); ok {
		t.Error("another key completes")
	}
}

func TestExpressionsGoOnWhileABracketIsOpen(t *testing.T) {
	for text, want := range map[string]bool{
		"1 + 1": false, "merge({": true, "[1, 2": true, "[1, 2]": false, `"${var.x`: true, `"a ( b"`: false, "max(1)": false, ")": false, "<<EOT\na": true, "<<EOT\na\nEOT\n": false,
	} {
		if got := open(text); got != want {
			t.Errorf("%q is open: got %v", text, got)
		}
	}
}
