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

// line is what a plan says of a stage that is not there, or no longer by that
// name, or of many instances of a block.
type line struct {
	sign    sign
	title   string
	reasons []reason
}

// instance is such a stage, and what there is to say of it.
type instance struct {
	addr addr.Address
	told []told
}

// lines groups instances as groupInstances does steps.
func lines(sg sign, instances []instance, each bool) []line {
	byBlock := map[addr.Address][]instance{}
	for _, in := range instances {
		byBlock[in.addr.Block()] = append(byBlock[in.addr.Block()], in)
	}
	var ls []line
	for _, in := range instances {
		block := in.addr.Block()
		switch all := byBlock[block]; {
		case each || len(all) > 0 && len(all) <= mostInstances:
			l := line{sign: sg, title: in.addr.String()}
			for _, t := range in.told {
				l.reasons = append(l.reasons, reason{text: t.text})
			}
			ls = append(ls, l)
		case len(all) > 0:
			var said [][]told
			for _, in := range all {
				said = append(said, in.told)
			}
			ls = append(ls, line{sg, fmt.Sprintf("%s (%d instances)", block, len(all)), commonest(said)})
			delete(byBlock, block)
		}
	}
	return ls
}

// movedLines are about the stages that are called otherwise than before, unless
// they are listed with what is done with them.
func movedLines(pl *plan.Plan, each bool) []line {
	var moved []instance
	for _, m := range kept(pl) {
		moved = append(moved, instance{m.To, []told{{m.From.Block().String(), "moved from " + m.From.String() + ", with its result"}}})
	}
	return lines(signMoved, moved, each)
}

// goneLines are about the stages that are no longer there, and what happens to
// files that no stage writes any more.
func goneLines(pl *plan.Plan, each bool) []line {
	files := map[addr.Address][]told{}
	for _, o := range pl.Orphans {
		if o.Fate != plan.Relocate {
			files[o.Addr] = append(files[o.Addr], told{string(o.Fate) + " " + o.Why, orphanText(o)})
		}
	}
	stays := map[addr.Address][]told{}
	for _, u := range pl.Unmanaged {
		stays[u.Addr] = append(stays[u.Addr], told{"unmanaged", u.Text()})
	}
	var gone []instance
	for _, a := range pl.Removed {
		const left = "no longer in the pipeline"
		in := instance{a, append([]told{{left, left}}, files[a]...)}
		if len(files[a]) == 1 {
			in.told = []told{{left + files[a][0].kind, left + "; " + files[a][0].text}}
		}
		in.told = append(in.told, stays[a]...)
		gone = append(gone, in)
		delete(files, a)
		delete(stays, a)
	}
	for a, ts := range stays {
		files[a] = append(files[a], ts...)
	}
	var elsewhere []instance // stages that do it elsewhere now
	for _, a := range slices.SortedFunc(maps.Keys(files), addr.Compare) {
		elsewhere = append(elsewhere, instance{a, files[a]})
	}
	return append(lines(signGone, gone, each), lines(signGone, elsewhere, each)...)
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
