package config

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Whatever this package learns of the world is among its looks, or what is
// remembered of a plan is remembered wrongly. So just the files that keep them
// read anything. (os.Stat leads to errors alone elsewhere.)
func TestOnlyLooksReadTheWorld(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	reads := map[string][]string{
		"os":       {"ReadFile", "ReadDir", "Open", "OpenFile", "OpenRoot", "OpenInRoot", "DirFS", "Lstat", "Readlink", "Getenv", "LookupEnv", "Environ", "Getwd", "Hostname"},
		"filepath": {"Glob", "Walk", "WalkDir", "EvalSymlinks"},
		"time":     {"Now"},
	}
	seen := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := s.X.(*ast.Ident); ok && slices.Contains(reads[x.Name], s.Sel.Name) {
				seen++
				if name != "looks.go" && name != "files.go" {
					t.Errorf("%s uses %s.%s: what it finds is no look", name, x.Name, s.Sel.Name)
				}
			}
			return true
		})
	}
	if seen == 0 {
		t.Error("nothing reads anything")
	}
}
