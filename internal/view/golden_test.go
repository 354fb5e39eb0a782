package view

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// golden compares what a renderer wrote with testdata/NAME; UPDATE=1 writes it.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(got), string(want)); diff != "" {
		t.Errorf("%s (-got +want), UPDATE=1 accepts it:\n%s", path, diff)
	}
}

// print returns what draw writes in a width, without colour.
func print(width int, draw func(*Printer)) []byte {
	var b bytes.Buffer
	draw(NewPrinter(&b, false, width))
	return b.Bytes()
}
