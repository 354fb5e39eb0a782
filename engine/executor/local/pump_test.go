package local

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// On a busy machine the pump may come to its pipe for the first time when the
// time for more is over. What a task wrote is in the log all the same, even if
// a process that escaped still holds the other end.
func TestALogHasWhatWasWrittenHoweverLateItIsRead(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	p, err := newPump(name, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.r.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	<-p.done // it has seen the deadline, and nothing else
	want := strings.Repeat("a line\n", 5000)
	if _, err := p.w.WriteString(want); err != nil {
		t.Fatal(err)
	}
	if err := p.copy(); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("the log has %d bytes of %d", len(got), len(want))
	}
}
