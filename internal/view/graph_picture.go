package view

import (
	"fmt"
	"slices"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/config"
)

// picture is a graph as it is drawn: stages in boxes, and arrows that go the way
// of the data.
type picture struct {
	box
	nodes  []*node // those of all boxes, dependencies first
	arrows [][2]*node
}

// box is drawn around what is in a module, or around the instances of a block.
type box struct {
	id    int // counts from 0 in the order of the text
	label string
	in    []any // *node and *box, in the order of the first stage
}

// node is a stage, or many instances of a block.
type node struct {
	addr  addr.Address
	label string        // of what is not in the labels around it
	stage *config.Stage // nil: a block whose instances are not known
	sign  sign          // zero without a plan
	count int
}

// mostDrawn instances of a block are drawn one by one.
const mostDrawn = 20

// picture arranges the stages. If each, all instances of a block are drawn,
// however many they are.
func (g Graph) picture(each bool) *picture {
	type block struct{ module, local addr.Address }
	of := func(a addr.Address) block {
		return block{addr.Address{Module: a.Module}, addr.Address{Type: a.Type, Name: a.Name}}
	}
	instances := map[block]int{}
	for _, s := range g.Stages {
		instances[of(s.Addr)]++
	}
	p := &picture{}
	modules := map[addr.Module]*box{{}: &p.box}
	boxes, by := map[block]*box{}, map[addr.Address]*node{}
	many := map[block]*node{}
	signs, next := g.signs(), 0
	inside := func(around *box, label string) *box {
		b := &box{id: next, label: label}
		next++
		around.in = append(around.in, b)
		return b
	}
	within := func(steps []addr.Step) *box {
		around, at := &p.box, addr.Module{}
		for _, step := range steps {
			if at = at.Child(step.Name, step.Key); modules[at] == nil {
				modules[at] = inside(around, addr.Module{}.Child(step.Name, step.Key).String())
			}
			around = modules[at]
		}
		return around
	}
	for _, s := range g.Stages {
		id, around := of(s.Addr), within(s.Addr.Module.Steps())
		n := many[id]
		switch {
		case n != nil:
		case instances[id] > mostDrawn && !each:
			n = &node{addr: s.Addr.Block(), label: fmt.Sprintf("%s (%d instances)", id.local, instances[id]), stage: s, count: instances[id]}
			n.addr.Module = s.Addr.Module
			many[id] = n
		default:
			if instances[id] > 1 {
				if boxes[id] == nil {
					boxes[id] = inside(around, id.local.String())
				}
				around = boxes[id]
			}
			n = &node{addr: s.Addr, label: s.Addr.Local().String(), stage: s, count: 1}
		}
		if by[s.Addr] = n; n.stage == s {
			around.in = append(around.in, n)
			p.nodes = append(p.nodes, n)
		}
		if sg, ok := signs[s.Addr]; ok && (n.sign == sign{} || weight(sg) < weight(n.sign)) {
			n.sign = sg
		}
	}
	for _, d := range g.Deferred {
		n := &node{addr: d.Addr, label: d.Local(), count: 1}
		if g.Plan != nil {
			n.sign = signLater
		}
		steps := d.Addr.Module.Steps()
		if d.Addr.IsModule() {
			steps = steps[:len(steps)-1]
		}
		around := within(steps)
		around.in = append(around.in, n)
		p.nodes = append(p.nodes, n)
		by[d.Addr] = n
	}
	p.connect(g, by)
	return p
}

// connect draws each arrow once.
func (p *picture) connect(g Graph, by map[addr.Address]*node) {
	drawn := map[[2]*node]bool{}
	all := func(to addr.Address, from ...addr.Address) {
		for _, d := range from {
			a := [2]*node{by[d], by[to]}
			if a[0] == nil || a[0] == a[1] || drawn[a] {
				continue
			}
			drawn[a] = true
			p.arrows = append(p.arrows, a)
		}
	}
	for _, s := range g.Stages {
		all(s.Addr, s.Deps...)
		all(s.Addr, s.Awaits...)
	}
	for _, d := range g.Deferred {
		all(d.Addr, d.Needs...)
		all(d.Addr, d.Awaits...)
	}
}

// weight says which sign stands for many: the one that matters most.
func weight(s sign) int {
	return slices.Index([]sign{signFails, signUnfit, signBlocked, signChanged, signNew, signMaybe, signRestore, signMoved, signGone, signKept}, s)
}
