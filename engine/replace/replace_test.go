package replace_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/flow-pipelines/flow/engine/replace"
)

func TestReadersFindOneContentOrTheOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	contents := [][]byte{bytes.Repeat([]byte("a"), 100_000), bytes.Repeat([]byte("b"), 50_000)}
	if err := replace.Durably(path, contents[0], 0o644); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			write := replace.Quickly
			if w == 0 {
				write = replace.Durably
			}
			for i := range 50 {
				if err := write(path, contents[(i+w)%2], 0o600); err != nil {
					t.Error(err)
				}
				b, err := os.ReadFile(path)
				if err != nil || !bytes.Equal(b, contents[0]) && !bytes.Equal(b, contents[1]) {
					t.Errorf("read %d bytes, %v", len(b), err)
				}
			}
		})
	}
	wg.Wait()
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got mode %v, %v, want 0600", info.Mode(), err)
	}
	wantNames(t, filepath.Dir(path), "file")
}

func TestAFailureLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "taken", "by a directory"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := replace.Durably(filepath.Join(dir, "taken"), []byte("x"), 0o644); err == nil {
		t.Error("a directory was replaced")
	}
	if err := replace.Quickly(filepath.Join(dir, "none", "file"), []byte("x"), 0o644); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("in no directory: got %v", err)
	}
	wantNames(t, dir, "taken")
}

func wantNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != len(want) {
		t.Errorf("got %v, %v, want %v", entries, err, want)
	}
}
