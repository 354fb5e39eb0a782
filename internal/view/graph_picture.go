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
	label string // of what is not in the labels around it
	stage *config.Stage
	sign  sign // zero without a plan
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
	for _, s := range g.Stages {
		id, around := of(s.Addr), &p.box
		var at addr.Module
		for _, step := range s.Addr.Module.Steps() {
			if at = at.Child(step.Name, step.Key); modules[at] == nil {
				modules[at] = inside(around, addr.Module{}.Child(step.Name, step.Key).String())
			}
			around = modules[at]
		}
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
	p.connect(g.Stages, by)
	return p
}

// connect draws each arrow once.
func (p *picture) connect(stages []*config.Stage, by map[addr.Address]*node) {
	drawn := map[[2]*node]bool{}
	for _, s := range stages {
		for _, d := range s.Deps {
			a := [2]*node{by[d], by[s.Addr]}
			if a[0] == nil || a[0] == a[1] || drawn[a] {
				continue
			}
			drawn[a] = true
			p.arrows = append(p.arrows, a)
		}
	}
}

// weight says which sign stands for many: the one that matters most.
func weight(s sign) int {
	return slices.Index([]sign{signFails, signBlocked, signChanged, signNew, signMaybe, signRestore, signMoved, signGone, signKept}, s)
}
