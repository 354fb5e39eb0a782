package view

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/flow-pipelines/flow/engine/event"
)

// Programs that read the stream see that a long stage is alive.
func TestTheStreamTellsThatStagesStillRun(t *testing.T) {
	var b bytes.Buffer
	s := newStream(&b, options(&b, ProgressJSON))
	defer s.Close()
	mlp := at(t, "train.mlp")
	s.Event(event.Event{Kind: event.Started, Addr: mlp, Time: began, Usual: 60})
	still := func(seconds int) string {
		s.mu.Lock()
		defer s.mu.Unlock()
		b.Reset()
		s.stillRunning(began.Add(time.Duration(seconds) * time.Second))
		return b.String()
	}
	if got := still(9); got != "" {
		t.Errorf("after 9 s: %s", got)
	}
	if got := still(10); !strings.Contains(got, `"elapsed_seconds":10`) || !strings.Contains(got, `"type":"apply_progress"`) || !strings.Contains(got, "still running, 10s of usually 1m") {
		t.Errorf("after 10 s: %s", got)
	}
	s.Event(event.Event{Kind: event.Progress, Addr: mlp, Time: began.Add(15 * time.Second), Step: 3, Total: 60, Unit: "epoch"})
	if got := still(24); got != "" {
		t.Errorf("9 s after a step: %s", got)
	}
	if got := still(25); !strings.Contains(got, "epoch 3/60") {
		t.Errorf("10 s after a step: %s", got)
	}
	s.Event(event.Event{Kind: event.Done, Addr: mlp, Time: began.Add(26 * time.Second), Action: "ran"})
	if got := still(60); got != "" {
		t.Errorf("after it has ended: %s", got)
	}
}
