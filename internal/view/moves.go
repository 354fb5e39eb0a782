package view

import (
	"fmt"
	"maps"
	"slices"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/plan"
)

// orphanJSON is an output of a stage that is gone, or lies elsewhere now. Fate
// is set_aside (in .flow/trash), relocate or leave; Why says why the last.
type orphanJSON struct {
	Stage addr.Address `json:"stage"`
	Path  string       `json:"path"`
	Bytes int64        `json:"bytes"`
	Fate  plan.Fate    `json:"fate"`
	Why   string       `json:"why,omitempty"`
}

func orphansToJSON(orphans []plan.Orphan) []orphanJSON {
	out := make([]orphanJSON, 0, len(orphans))
	for _, o := range orphans {
		out = append(out, orphanJSON{o.Addr, o.Path, o.Node.Size, o.Fate, o.Why})
	}
	return out
}

// kept are the moved stages with which nothing else is to be done.
func kept(pl *plan.Plan) []plan.Move {
	if len(pl.Moved) == 0 {
		return nil
	}
	keeps := map[addr.Address]bool{}
	for _, s := range pl.Steps {
		keeps[s.Addr] = s.Action == plan.Keep
	}
	return slices.DeleteFunc(slices.Clone(pl.Moved), func(m plan.Move) bool { return !keeps[m.To] })
}

// moves writes the stages that are called otherwise than before, unless they
// are listed with what is done with them.
func (p *Printer) moves(pl *plan.Plan, column int) {
	for _, m := range kept(pl) {
		p.entry(signMoved, pad(p.paint(bold, m.To.String()), column), "", []reason{{text: "moved from " + m.From.String() + ", with its result"}})
	}
}

// gone writes the stages that are no longer there, and what happens to files
// that no stage writes any more.
func (p *Printer) gone(pl *plan.Plan, column int) {
	files := map[addr.Address][]reason{}
	for _, o := range pl.Orphans {
		if o.Fate != plan.Relocate {
			files[o.Addr] = append(files[o.Addr], reason{text: orphanText(o)})
		}
	}
	stays := map[addr.Address][]reason{}
	for _, u := range pl.Unmanaged {
		stays[u.Addr] = append(stays[u.Addr], reason{text: u.Text()})
	}
	for _, a := range pl.Removed {
		reasons := append([]reason{{text: "no longer in the pipeline"}}, files[a]...)
		if len(files[a]) == 1 {
			reasons = []reason{{text: "no longer in the pipeline; " + files[a][0].text}}
		}
		p.entry(signGone, pad(p.paint(bold, a.String()), column), "", append(reasons, stays[a]...))
		delete(files, a)
		delete(stays, a)
	}
	for a, rs := range stays {
		files[a] = append(files[a], rs...)
	}
	for _, a := range slices.SortedFunc(maps.Keys(files), addr.Compare) { // of stages that do it elsewhere now
		p.entry(signGone, pad(p.paint(bold, a.String()), column), "", files[a])
	}
}

func orphanText(o plan.Orphan) string {
	size := plan.Bytes(o.Node.Size)
	switch o.Fate {
	case plan.SetAside:
		return fmt.Sprintf("%s (%s) goes to .flow/trash", o.Path, size)
	case plan.Leave, plan.Relocate:
	}
	return o.Path + " stays: " + o.Why
}
