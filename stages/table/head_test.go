package table

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestAHeadIsKnownWithoutRows(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("many/b.csv", "other\n1\n")
	for path, want := range map[string][]string{
		write("a.csv", "x, y\nragged\n"):          {"x", "y"},
		filepath.Dir(write("many/a.csv", "q\n1")): {"q"},
		write("a.jsonl", `{"x": 1}`):              nil,
		write("a.csv.gz", "not gzip"):             nil,
		write("empty.csv", ""):                    nil,
		filepath.Join(dir, "missing.csv"):         nil,
	} {
		columns, ok := Head(path, Options{})
		if got := Names(columns); ok != (want != nil) || !slices.Equal(got, want) {
			t.Errorf("%s: got %v, %v, want %v", path, got, ok, want)
		}
	}
	if columns, ok := Known("", []string{"a"}, Options{}); !ok || columns[0] != (Column{Name: "a", Type: Text}) {
		t.Errorf("got %v, %v", columns, ok)
	}
	if _, ok := Known("", []string{"a"}, Options{Skip: 1}); ok {
		t.Error("names that come after lines to skip are not known")
	}
}
