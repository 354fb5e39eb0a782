package reference_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The functions are unexported tables, so they are read from the text of their
// files: the names in map[string]TYPE{…}, sorted.
func mapNames(t *testing.T, typ string, least int, files ...string) []string {
	var names []string
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, name), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			lit, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			m, ok := lit.Type.(*ast.MapType)
			if !ok || typeText(m.Value) != typ {
				return true
			}
			for _, e := range lit.Elts {
				if kv, ok := e.(*ast.KeyValueExpr); ok {
					if key, ok := kv.Key.(*ast.BasicLit); ok {
						s, err := strconv.Unquote(key.Value)
						if err != nil {
							t.Fatal(err)
						}
						names = append(names, s)
					}
				}
			}
			return true
		})
	}
	slices.Sort(names)
	if len(names) < least {
		t.Fatalf("got %d names in map[string]%s of %v: do they have another form?", len(names), typ, files)
	}
	return names
}

func typeText(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return typeText(e.X) + "." + e.Sel.Name
	}
	return ""
}

var quotedName = regexp.MustCompile("`([a-z0-9]+)`")

// listed returns the names in backquotes, sorted, in a part of language.md that
// two comments mark.
func listed(t *testing.T, part string, firstColumn bool) []string {
	text, err := os.ReadFile(filepath.Join(root, "docs", "language.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "<!-- "+part+" -->")
	body, _, closed := strings.Cut(rest, "<!-- /"+part+" -->")
	if !ok || !closed {
		t.Fatalf("docs/language.md has no part between <!-- %s --> and <!-- /%[1]s -->", part)
	}
	var names []string
	for _, line := range strings.Split(body, "\n") {
		if firstColumn {
			cells := strings.Split(line, "|")
			if len(cells) < 3 {
				continue
			}
			line = cells[1]
		}
		for _, m := range quotedName.FindAllStringSubmatch(line, -1) {
			names = append(names, m[1])
		}
	}
	slices.Sort(names)
	return names
}

func TestFunctionsInLanguageAreThoseThereAre(t *testing.T) {
	for _, list := range []struct {
		part        string
		firstColumn bool
		want        []string
	}{
		{"functions", true, mapNames(t, "function.Function", 50, "engine/config/functions.go", "engine/config/reading.go")},
		{"refused", false, mapNames(t, "string", 5, "engine/config/functions.go")},
		{"row functions", true, mapNames(t, "function", 20, "stages/table/formula/functions.go")},
	} {
		if d := cmp.Diff(list.want, listed(t, list.part, list.firstColumn)); d != "" {
			t.Errorf("%s: -code +docs/language.md\n%s", list.part, d)
		}
	}
}
