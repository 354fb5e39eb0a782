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

// The functions are an unexported table of engine/config, so they are read from
// its text: the names in composite literals of maps, by the type of the values.
func functionNames(t *testing.T) (there, refused []string) {
	for _, name := range []string{"functions.go", "files.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, "engine", "config", name), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			lit, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			m, ok := lit.Type.(*ast.MapType)
			if !ok {
				return true
			}
			var to *[]string
			switch v := m.Value.(type) {
			case *ast.SelectorExpr: // function.Function
				if v.Sel.Name == "Function" {
					to = &there
				}
			case *ast.Ident: // name → why there is none
				if v.Name == "string" {
					to = &refused
				}
			}
			if to == nil {
				return true
			}
			for _, e := range lit.Elts {
				if kv, ok := e.(*ast.KeyValueExpr); ok {
					if key, ok := kv.Key.(*ast.BasicLit); ok {
						s, err := strconv.Unquote(key.Value)
						if err != nil {
							t.Fatal(err)
						}
						*to = append(*to, s)
					}
				}
			}
			return true
		})
	}
	slices.Sort(there)
	slices.Sort(refused)
	if len(there) < 50 || len(refused) < 5 {
		t.Fatalf("got %d functions and %d refused: has engine/config another form?", len(there), len(refused))
	}
	return there, refused
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
	there, refused := functionNames(t)
	if d := cmp.Diff(there, listed(t, "functions", true)); d != "" {
		t.Errorf("functions: -engine/config +docs/language.md\n%s", d)
	}
	if d := cmp.Diff(refused, listed(t, "refused", false)); d != "" {
		t.Errorf("refused functions: -engine/config +docs/language.md\n%s", d)
	}
}
