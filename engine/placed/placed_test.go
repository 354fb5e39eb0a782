package placed_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/key"
	"github.com/flow-pipelines/flow/engine/lock"
	"github.com/flow-pipelines/flow/engine/placed"
)

// write makes a flow.lock with one stage, and returns its digest.
func write(t *testing.T, root, name string) digest.Digest {
	t.Helper()
	l := &lock.Lock{}
	m := key.Manifest{{Kind: key.TypeFact, Name: "exec", Value: "1"}}
	l.Put(&lock.Stage{Addr: addr.Address{Type: "exec", Name: name}, Key: m.Key(), Manifest: m})
	if err := lock.WriteFile(root, l); err != nil {
		t.Fatal(err)
	}
	read, err := lock.ReadFile(root)
	if err != nil {
		t.Fatal(err)
	}
	return read.Read()
}

func TestACopyGoesWhenAnApplyHasGoneOnFromIt(t *testing.T) {
	root := t.TempDir()
	d := placed.Dir(filepath.Join(root, ".flow", "placed"))
	if err := d.Note(root, digest.Digest{}); err != nil || len(d.Locks()) > 0 {
		t.Fatalf("without flow.lock: got %v, %v", d.Locks(), err)
	}
	first := write(t, root, "a")
	if err := d.Note(root, digest.Digest{}); err != nil {
		t.Fatal(err)
	}
	second := write(t, root, "b")
	if err := d.Note(root, first); err != nil {
		t.Fatal(err)
	}
	if d.Has(first) || !d.Has(second) {
		t.Errorf("an apply went on from the first: got %v and %v", d.Has(first), d.Has(second))
	}
	// git has brought a third, from which an apply went on to a fourth.
	third := write(t, root, "c")
	fourth := write(t, root, "d")
	if err := d.Note(root, third); err != nil {
		t.Fatal(err)
	}
	if got := d.Locks(); len(got) != 2 || !d.Has(second) || !d.Has(fourth) {
		t.Errorf("got %d copies, want those of the second and the fourth", len(got))
	}
}

func TestDamagedCopiesAreNoneAndOldOnesGo(t *testing.T) {
	root := t.TempDir()
	d := placed.Dir(filepath.Join(root, "placed"))
	for i := range 30 {
		write(t, root, fmt.Sprintf("s%d", i))
		if err := d.Note(root, digest.Digest{}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(d.Locks()); n != 20 && n != 21 {
		t.Errorf("got %d copies, want 20, or one more", n)
	}
	last, err := lock.ReadFile(root)
	if err != nil || !d.Has(last.Read()) {
		t.Errorf("the last is gone: %v", err)
	}
	files, err := filepath.Glob(filepath.Join(root, "placed", "*"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(files[0], []byte("no lock"), 0o644); err != nil {
		t.Fatal(err)
	}
	if n := len(d.Locks()); n < 19 || n > 20 {
		t.Errorf("got %d copies that can be read, want 19", n)
	}
}
