package config

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/flow-pipelines/flow/engine/addr"
)

// Move is a moved block: what flow.lock calls From is called To now. Without a
// key it is about all instances of a block.
type Move struct {
	From, To addr.Address
	Range    hcl.Range
}

// Apply returns what a is called after the move; false: it is not about a.
func (m Move) Apply(a addr.Address) (addr.Address, bool) {
	switch {
	case a == m.From:
		return m.To, true
	case m.From.Key.IsZero() && m.To.Key.IsZero() && a.Block() == m.From:
		to := m.To
		to.Key = a.Key
		if m.From.Module == m.To.Module {
			to.Module = a.Module
		}
		return to, to.Module == a.Module || a.Module.Declared() == a.Module
	}
	return a, false
}

// Removal is a removed block: the stage is gone, and its files stay.
type Removal struct {
	From  addr.Address
	Range hcl.Range
}

// Covers reports whether the block is about a.
func (r Removal) Covers(a addr.Address) bool { return r.From == a || r.From == a.Block() }

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
	move.From, more = p.stageName(c, "from", h)
	diags = append(diags, more...)
	move.To, more = p.stageName(c, "to", h)
	if diags = append(diags, more...); diags.HasErrors() {
		return diags
	}
	switch {
	case move.From == move.To:
		return append(diags, errorAt(h.DefRange, "A stage is moved to its own place", "from is what the stage was called before, to what it is called now."))
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
	from, more := p.stageName(c, "from", h)
	diags = append(diags, more...)
	for _, b := range c.Blocks {
		args, more := onlyArguments(b, []string{"destroy"})
		diags = append(diags, more...)
		if destroy, ok := p.constantBool(args["destroy"], &diags); ok && destroy {
			diags = append(diags, errorAt(args["destroy"].Expr.Range(), "removed keeps the files", "Without a removed block the outputs of a stage that is gone are deleted. Take the block out."))
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

// stageName reads an argument that names a stage, one that need not be there.
func (p *Pipeline) stageName(c *hcl.BodyContent, name string, h *hcl.Block) (addr.Address, hcl.Diagnostics) {
	a, ok := c.Attributes[name]
	if !ok {
		return addr.Address{}, hcl.Diagnostics{errorAt(h.DefRange, fmt.Sprintf("Missing argument %q", name), fmt.Sprintf("%s needs %s: a stage, as in %s = train.mlp.", h.Type, name, name))}
	}
	wrong := errorAt(a.Expr.Range(), fmt.Sprintf("%s is a stage", name), `Write it as in a reference, without quotes: train.mlp or train.mlp["small"].`)
	if _, diags := hcl.AbsTraversalForExpr(a.Expr); diags.HasErrors() {
		return addr.Address{}, hcl.Diagnostics{wrong}
	}
	at, err := addr.Parse(exprText(p, a.Expr))
	if err != nil || at.IsModule() {
		return addr.Address{}, hcl.Diagnostics{wrong}
	}
	if p.types[at.Type] == nil {
		return addr.Address{}, hcl.Diagnostics{errorAt(a.Expr.Range(), fmt.Sprintf("Unknown stage type %q", at.Type), "There is no such type of stages."+didYouMean(at.Type, mapKeys(p.types)))}
	}
	return at, nil
}

// checkMoves looks whether moved and removed blocks fit the stages there are.
func (p *Pipeline) checkMoves() hcl.Diagnostics {
	var diags hcl.Diagnostics
	further := map[addr.Address]bool{}
	for _, m := range p.moves {
		further[m.From] = true
	}
	for _, m := range p.moves {
		if p.block(m.To) == nil && !further[m.To] && !further[m.To.Block()] {
			diags = append(diags, p.noStage(m.Range, m.To.Block()))
		}
		if m.From.Key.IsZero() && m.From != m.To.Block() && p.block(m.From) != nil {
			diags = append(diags, errorAt(m.Range, fmt.Sprintf("%s is still in the pipeline", m.From), fmt.Sprintf("A stage that moved to %s is not at its old place any more. Rename the block, or take the moved block out.", m.To)))
		}
	}
	for _, r := range p.removals {
		if r.From.Key.IsZero() && p.block(r.From) != nil {
			diags = append(diags, errorAt(r.Range, fmt.Sprintf("%s is still in the pipeline", r.From), "removed is for a stage that is gone. Take out one of the two blocks."))
		}
	}
	return diags
}
