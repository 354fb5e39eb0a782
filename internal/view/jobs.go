package view

import (
	"time"

	"github.com/flow-pipelines/flow/engine/event"
	"github.com/flow-pipelines/flow/engine/plan"
)

// jobs writes what each job of a run took, in the order in which they ended.
func (p *Printer) jobs(ends []event.Event) {
	if len(ends) == 0 {
		return
	}
	p.Printf("\n")
	t := table{}
	t.row("job", "result", "time", "CPU", "memory", "read", "written")
	for _, e := range ends {
		u := e.Usage
		t.row(e.Addr.String(), jobResult(e), Duration(seconds(e.Elapsed)), Duration(seconds(u.CPU).Round(time.Millisecond)),
			amountOr(u.Memory, "?"), amountOr(u.Read, "-"), amountOr(u.Written, "-"))
	}
	t.print(p)
}

func jobResult(e event.Event) string {
	if e.Kind == event.Failed {
		return "failed"
	}
	return e.Action
}

func amountOr(bytes int64, none string) string {
	if bytes == 0 {
		return none
	}
	return plan.Bytes(bytes)
}
