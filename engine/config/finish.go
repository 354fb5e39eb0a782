package config

import (
	"cmp"
	"encoding/json"
	"fmt"
	"path"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/stage"
)

func (e *encoder) request(args json.RawMessage) *stage.Request {
	return &stage.Request{
		Address: e.addr.String(),
		Args:    args,
		Unknown: e.names.unknown,
		Dir:     path.Join(e.ev.p.settings.OutputDir, e.addr.Dir()),
		Inputs:  e.inputs,
	}
}

func (e *encoder) finish(s *Stage) {
	e.after(&e.b.after, e.f)
	for f := e.f; f.up != nil; f = f.up {
		e.after(&f.mod.call.after, f.up)
	}
	s.Args, s.Hashed = canonical(e.args), canonical(e.hashed)
	s.Unknown, s.Sensitive = e.names.unknown, e.names.sensitive
	// The stages that have said which instances there are come first, whether
	// the instance uses what they said or not.
	e.told(e.f, e.b.addr)
	for f := e.f; f.up != nil; f = f.up {
		e.told(f.up, f.mod.node())
	}
	s.Deps, s.Awaits = sorted(e.found.instances), sorted(e.found.awaits)
}

// after adds what a depends_on in the frame names: one instance, or all that
// the frame has of a block.
func (e *encoder) after(s *scope, f *frame) {
	base := cmp.Or(e.ev.base, e.ev)
	for _, r := range s.refs {
		b := e.ev.p.block(r.to)
		e.awaited(f, b)
		for _, at := range base.framesOf(b.mod) {
			if !at.at.Within(f.at) {
				continue
			}
			x := at.expansions[b.addr]
			if r.to.Key.IsZero() {
				for _, in := range x.instances {
					e.found.instance(in.stage.Addr)
				}
				continue
			}
			if in := x.instance(r.to.Key); in != nil {
				e.found.instance(in.stage.Addr)
				continue
			}
			if !x.failed {
				e.diags = append(e.diags, errorAt(r.Range, fmt.Sprintf("No stage %s", r.to.Local()), x.instancesText(r.to.Block().Local())))
			}
			e.failed = true
		}
	}
}

// told adds the stages that have said which instances a block makes.
func (e *encoder) told(f *frame, n node) {
	for _, a := range cmp.Or(f.base(), f).expansions[n].needs {
		e.found.instance(a)
	}
}

// awaited adds what there may be of a block in the frame and is not known yet.
func (e *encoder) awaited(f *frame, b *block) {
	for _, d := range cmp.Or(e.ev.base, e.ev).deferred {
		if d.Addr.Module.Within(f.at) && (d.Addr.Block() == b.addr || d.Addr.IsModule() && b.addr.Module.Within(d.Addr.Module.Declared())) {
			e.found.await(d.Addr)
			for _, a := range d.Needs {
				e.found.instance(a)
			}
		}
	}
}

// instancesText says which instances there are.
func (x *expansion) instancesText(a addr.Address) string {
	if x.kind == single {
		return fmt.Sprintf("%s has neither for_each nor count: it is one stage, without a key.", a)
	}
	var names []string
	for _, k := range x.keys {
		a.Key = k
		names = append(names, a.String())
	}
	if len(names) == 0 {
		return "The block has no instances at present."
	}
	return fmt.Sprintf("There is %s.", list(names, 8))
}
