package config

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/flow-pipelines/flow/engine/addr"
)

// Move is a moved block: what flow.lock calls From is called To now. Both are
// stages, or both are modules, and then it is about all that is in them. A name
// without a key stands for all instances, which keep their keys.
type Move struct {
	From, To addr.Address
	Range    hcl.Range
}

// Apply returns what a is called after the move; false: it is not about a.
func (m Move) Apply(a addr.Address) (addr.Address, bool) {
	if !m.From.IsModule() && (a.Type != m.From.Type || a.Name != m.From.Name) {
		return a, false
	}
	have, from, to := a.Module.Steps(), m.From.Module.Steps(), m.To.Module.Steps()
	if len(have) < len(from) || !m.From.IsModule() && len(have) != len(from) {
		return a, false
	}
	moved := slices.Clone(to)
	for i, f := range from {
		if have[i].Name != f.Name {
			return a, false
		}
		// The last name of a module that moves goes with the last of the new one.
		at := i
		if m.From.IsModule() && i == len(from)-1 {
			at = len(to) - 1
		}
		if !carry(have[i].Key, f.Key, at < len(moved), func() *addr.Key { return &moved[at].Key }) {
			return a, false
		}
	}
	result := a
	if !m.From.IsModule() {
		result.Type, result.Name, result.Key = m.To.Type, m.To.Name, m.To.Key
		if !carry(a.Key, m.From.Key, true, func() *addr.Key { return &result.Key }) {
			return a, false
		}
	}
	result.Module = addr.Module{}
	for _, s := range append(moved, have[len(from):]...) {
		result.Module = result.Module.Child(s.Name, s.Key)
	}
	return result, result != a
}

// carry takes the key of an instance over to the new name, if the old one stands
// for all instances. It reports whether the move is about the instance at all.
func carry(key, from addr.Key, place bool, to func() *addr.Key) bool {
	if key == from {
		return true
	}
	if !from.IsZero() || !place || !to().IsZero() {
		return false
	}
	*to() = key
	return true
}

// Removal is a removed block: the stage is gone, and its files stay.
type Removal struct {
	From  addr.Address
	Range hcl.Range
}

// Covers reports whether the block is about a.
func (r Removal) Covers(a addr.Address) bool { return a.Within(r.From) }

// Moves returns the moved blocks, in the order of the text.
func (p *Pipeline) Moves() []Move { return p.moves }

// Removals returns the removed blocks, in the order of the text.
func (p *Pipeline) Removals() []Removal { return p.removals }

func (m *module) declareMoved(h *hcl.Block) hcl.Diagnostics {
	if m.call != nil {
		return hcl.Diagnostics{movedInModule(h)}
	}
	p := m.p
	if len(h.Labels) > 0 {
		return labels(h, "moved", 0)
	}
	c, diags := content(h, []string{"from", "to"}, nil)
	move := Move{Range: h.DefRange}
	var more hcl.Diagnostics
	move.From, more = p.placeName(c, "from", h)
	diags = append(diags, more...)
	move.To, more = p.placeName(c, "to", h)
	if diags = append(diags, more...); diags.HasErrors() {
		return diags
	}
	switch {
	case move.From == move.To:
		return append(diags, errorAt(h.DefRange, "A stage is moved to its own place", "from is what the stage was called before, to what it is called now."))
	case move.From.IsModule() != move.To.IsModule():
		return append(diags, errorAt(h.DefRange, "A module and a stage", fmt.Sprintf("Of %s and %s one is a module and one a stage. A module moves to a module, with all that is in it; a stage to a stage, into a module perhaps: module.NAME.TYPE.NAME.", move.From, move.To)))
	case move.From.Type != move.To.Type:
		return append(diags, errorAt(h.DefRange, "A stage cannot change its type", fmt.Sprintf("%s and %s are stages of different types, so that the result of one is none of the other.", move.From, move.To)))
	}
	for _, old := range p.moves {
		if old.From == move.From || old.To == move.To {
			return append(diags, errorAt(h.DefRange, "Two moves of one stage", fmt.Sprintf("The block at %s:%d moves %s to %s already.", old.Range.Filename, old.Range.Start.Line, old.From, old.To)))
		}
	}
	p.moves = append(p.moves, move)
	return diags
}

func (m *module) declareRemoved(h *hcl.Block) hcl.Diagnostics {
	if m.call != nil {
		return hcl.Diagnostics{movedInModule(h)}
	}
	p := m.p
	if len(h.Labels) > 0 {
		return labels(h, "removed", 0)
	}
	c, diags := content(h, []string{"from"}, []string{"lifecycle"})
	from, more := p.placeName(c, "from", h)
	diags = append(diags, more...)
	for _, b := range c.Blocks {
		args, more := onlyArguments(b, []string{"destroy"})
		diags = append(diags, more...)
		if destroy, ok := p.constantBool(args["destroy"], &diags); ok && destroy {
			diags = append(diags, errorAt(args["destroy"].Expr.Range(), "removed keeps the files", "Without a removed block the outputs of a stage that is gone go to .flow/trash. Take the block out. What a stage has put into service stays there in any case; the plan says how it is taken down."))
		}
	}
	if !diags.HasErrors() {
		p.removals = append(p.removals, Removal{from, h.DefRange})
	}
	return diags
}

// movedInModule refuses a block that is about flow.lock, which is the project's.
func movedInModule(h *hcl.Block) *hcl.Diagnostic {
	return errorAt(h.DefRange, fmt.Sprintf("A %s block in a module", h.Type), "What flow.lock records is the project's. Write the block there, with the address that begins with the module: module.NAME.TYPE.NAME.")
}

// constantBool evaluates an argument that may be missing and refers to nothing.
func (p *Pipeline) constantBool(a *hcl.Attribute, diags *hcl.Diagnostics) (value, ok bool) {
	if a == nil {
		return false, false
	}
	v, more := p.constant(a, cty.Bool)
	*diags = append(*diags, more...)
	if more.HasErrors() || v.IsNull() || !v.IsKnown() {
		return false, false
	}
	return v.True(), true
}

// placeName reads an argument that names a stage or a module, one that need not
// be there.
func (p *Pipeline) placeName(c *hcl.BodyContent, name string, h *hcl.Block) (addr.Address, hcl.Diagnostics) {
	a, ok := c.Attributes[name]
	if !ok {
		return addr.Address{}, hcl.Diagnostics{errorAt(h.DefRange, fmt.Sprintf("Missing argument %q", name), fmt.Sprintf("%s needs %s: a stage, as in %s = train.mlp.", h.Type, name, name))}
	}
	wrong := errorAt(a.Expr.Range(), fmt.Sprintf("%s is a stage or a module", name), `Write it as in a reference, without quotes: train.mlp, train.mlp["small"] or module.prepare.`)
	if _, diags := hcl.AbsTraversalForExpr(a.Expr); diags.HasErrors() {
		return addr.Address{}, hcl.Diagnostics{wrong}
	}
	at, err := addr.Parse(exprText(p, a.Expr))
	if err != nil {
		return addr.Address{}, hcl.Diagnostics{wrong}
	}
	if !at.IsModule() && p.types[at.Type] == nil {
		return addr.Address{}, hcl.Diagnostics{errorAt(a.Expr.Range(), fmt.Sprintf("Unknown stage type %q", at.Type), "There is no such type of stages."+didYouMean(at.Type, mapKeys(p.types)))}
	}
	return at, nil
}

// checkMoves looks whether moved and removed blocks fit the blocks there are.
// Which instances there are, only planning knows.
func (p *Pipeline) checkMoves() hcl.Diagnostics {
	var diags hcl.Diagnostics
	further := map[addr.Address]bool{}
	for _, m := range p.moves {
		further[m.From] = true
		further[m.From.Block()] = true
	}
	for _, m := range p.moves {
		if !p.declares(m.To) && !further[m.To] && !further[m.To.Block()] {
			diags = append(diags, p.nowhere(m))
		}
		if m.From == m.From.Block() && m.To.Block() != m.From && p.declares(m.From) {
			diags = append(diags, stillThere(m.Range, m.From, fmt.Sprintf("What moved to %s is not at its old place any more. Rename the block, or take the moved block out.", m.To)))
		}
	}
	for _, r := range p.removals {
		if r.From == r.From.Block() && p.declares(r.From) {
			diags = append(diags, stillThere(r.Range, r.From, "removed is for what is gone. Take out one of the two blocks."))
		}
	}
	return append(diags, p.moveCircle()...)
}

func stillThere(rng hcl.Range, a addr.Address, detail string) *hcl.Diagnostic {
	return errorAt(rng, fmt.Sprintf("%s is still in the pipeline", a), detail)
}

// declares reports whether there is a block for the stage or the module.
func (p *Pipeline) declares(a addr.Address) bool {
	if a.IsModule() {
		return p.modules[a.Module.Declared()] != nil
	}
	return p.block(a) != nil
}

// nowhere says that a move leads to nothing.
func (p *Pipeline) nowhere(m Move) *hcl.Diagnostic {
	if !m.To.IsModule() {
		return p.noStage(m.Range, m.To.Block())
	}
	var names []string
	for at := range p.modules {
		if !at.IsRoot() {
			names = append(names, at.String())
		}
	}
	slices.Sort(names)
	return errorAt(m.Range, fmt.Sprintf("No module %s", m.To), "The pipeline has no such module."+didYouMean(m.To.Module.Declared().String(), names))
}

// moveCircle refuses moves that lead back to where they came from. Whether two
// stages have changed places already, nobody could tell from flow.lock.
func (p *Pipeline) moveCircle() hcl.Diagnostics {
	for _, first := range p.moves {
		at := first.From
		for range p.moves {
			i := slices.IndexFunc(p.moves, func(m Move) bool { _, ok := m.Apply(at); return ok })
			if i < 0 {
				break
			}
			if at, _ = p.moves[i].Apply(at); at == first.From {
				return hcl.Diagnostics{errorAt(first.Range, "Moves in a circle",
					fmt.Sprintf("By these moved blocks %s comes back to its own name, so that each plan would move it again. Take them out: what has changed places is found in the cache by what it was made from.", first.From))}
			}
		}
	}
	return nil
}

// CheckMoves looks whether what has moved is at its old place still, as an
// instance: checkMoves sees the blocks alone.
func (p *Pipeline) CheckMoves(stages []*Stage) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, m := range p.moves {
		if m.From == m.From.Block() {
			continue
		}
		i := slices.IndexFunc(stages, func(s *Stage) bool { _, ok := m.Apply(s.Addr); return ok })
		if i >= 0 {
			diags = append(diags, stillThere(m.Range, stages[i].Addr, fmt.Sprintf("What moved to %s is not at its old place any more. Take the instance out, or the moved block.", m.To)))
		}
	}
	return diags
}
