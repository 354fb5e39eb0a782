package table

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// FuzzCSV: whatever bytes the reader accepts, it writes back so that they read
// as the same table, and it never panics on the rest.
func FuzzCSV(f *testing.F) {
	for _, s := range []string{
		"a,b\n1,2\n", "a\n\"x\ny\"\n", "\xef\xbb\xbfa,b\r\n1,\"\"\r\n", "a,b\n\"\"\"\",NA\n\"NA\",x\"y\n",
		"a\n\n\"\"\n", ",b\n1,2", "a,a\n", "a,b\n1\n", "\"a\n", "a\n\"b\"c\n", "a\n\xff\n", "\xff\xfe", "\"\ufeffa\"\n\ufeff\n", "a\n\r\n\r\r\n",
	} {
		f.Add([]byte(s))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, content []byte) {
		first := filepath.Join(dir, "first.csv")
		if err := os.WriteFile(first, content, 0o644); err != nil {
			t.Fatal(err)
		}
		once := filepath.Join(dir, "once.csv")
		if !copyTable(t, first, once) {
			return
		}
		twice := filepath.Join(dir, "twice.csv")
		if !copyTable(t, once, twice) {
			t.Fatal("what was written does not read")
		}
		a, _ := os.ReadFile(once)
		b, _ := os.ReadFile(twice)
		if !bytes.Equal(a, b) {
			t.Fatalf("got %q, want %q", b, a)
		}
	})
}

// copyTable reports whether the table at from could be read.
func copyTable(t *testing.T, from, to string) bool {
	r, err := Open(from)
	if err != nil {
		return false
	}
	rows, err := readAll(r)
	if err != nil {
		return false
	}
	w, err := Create(to, r.Columns())
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		if err := w.Write(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(to)
	if err != nil {
		t.Fatal(err)
	}
	copied, err := readAll(again)
	if err != nil {
		t.Fatal(err)
	}
	if len(copied) != len(rows) {
		t.Fatalf("got %d rows, want %d", len(copied), len(rows))
	}
	for i, row := range rows {
		for j, v := range row {
			if copied[i][j] != v {
				t.Fatalf("row %d column %d: got %q, want %q", i, j, copied[i][j].Text(), v.Text())
			}
		}
	}
	return true
}

// FuzzJSONLines: the reader never panics, and agrees with what it writes.
func FuzzJSONLines(f *testing.F) {
	for _, s := range []string{
		`{"a":1,"b":"x"}`, "{\"a\":null}\n{\"a\":[1,{}]}\n", `{"a":"\u00e9\ud83d\ude00\ud800"}`, `{"a":1e999,"b":-0,"c":01}`,
		`{"a":"\`, `{"a":}`, `{}`, "\n\n", `{"a":18446744073709551616}`, `{"a":1,"a":2}`, `{"\"":true}`, `{"a":[}`, "{\"a\":1.0}\n{\"a\":\"1\"}\n",
	} {
		f.Add([]byte(s))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, content []byte) {
		first := filepath.Join(dir, "first.jsonl")
		if err := os.WriteFile(first, content, 0o644); err != nil {
			t.Fatal(err)
		}
		r, err := Open(first)
		if err != nil {
			return
		}
		rows, err := readAll(r)
		if err != nil {
			return
		}
		second := filepath.Join(dir, "second.jsonl")
		w, err := Create(second, r.Columns())
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			if err := w.Write(row); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		again, err := Open(second)
		if err != nil {
			t.Fatal(err)
		}
		copied, err := readAll(again)
		if err != nil {
			t.Fatal(err)
		}
		for i, row := range rows {
			for j, v := range row {
				if copied[i][j].Text() != v.Text() {
					t.Fatalf("row %d column %d: got %q, want %q", i, j, copied[i][j].Text(), v.Text())
				}
			}
		}
	})
}
