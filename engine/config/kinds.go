package config

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/stage"
)

// checkKinds looks at inputs that are outputs of other stages: a stage that wants
// a model would fail over a table, after all that comes before it has run. Of
// what programs write, and of the user's files, nothing is known here.
func (ev *evaluation) checkKinds() hcl.Diagnostics {
	p := ev.p
	var diags hcl.Diagnostics
	for _, at := range p.placed {
		st := at.in.stage
		wanted := p.types[at.b.addr.Type].kinds
		if st.Job == nil || len(wanted) == 0 {
			continue
		}
		for _, in := range st.Job.Inputs {
			argument, _, _ := strings.Cut(in.Role, "#")
			argument, _, _ = strings.Cut(argument, ".")
			want := wanted[argument]
			if want == "" || in.From == nil || in.From.Path != "" {
				continue
			}
			if got := ev.kindOf(in.From); got != "" && got != want {
				diags = append(diags, p.wrongKind(st, in, argument, got, want))
			}
		}
	}
	return diags
}

// kindOf returns what an output is said to hold.
func (ev *evaluation) kindOf(from *stage.Source) stage.Kind {
	a, err := addr.Parse(from.Address)
	if err != nil {
		return ""
	}
	in := ev.instance(a)
	if in == nil || in.stage.Job == nil {
		return ""
	}
	for _, o := range in.stage.Job.Outputs {
		if o.Name == from.Output {
			return o.Kind
		}
	}
	return ""
}

func (p *Pipeline) wrongKind(st *Stage, in stage.Input, argument string, got, want stage.Kind) *hcl.Diagnostic {
	role, _, _ := strings.Cut(in.Role, "#")
	return errorAt(p.ArgRange(st.Addr, role), fmt.Sprintf("A %s where a %s is needed", got, want),
		fmt.Sprintf("%s writes a %s (output %q), and %s of %s takes a %s.%s", in.From.Address, got, in.From.Output, argument, st.Addr.Type, want, p.ofKind(st, want)))
}

// mostOfKind is how many are named that would do.
const mostOfKind = 4

// ofKind names what else could be meant: outputs of this kind that stages before
// this one write, each block once.
func (p *Pipeline) ofKind(st *Stage, want stage.Kind) string {
	var names []string
	seen := map[addr.Address]bool{}
	for _, at := range p.placed {
		other := at.in.stage
		if other.Addr == st.Addr {
			break
		}
		if other.Addr.Module != st.Addr.Module || other.Job == nil || seen[other.Addr.Block()] {
			continue
		}
		for _, o := range other.Job.Outputs {
			if o.Kind == want && len(names) < mostOfKind {
				seen[other.Addr.Block()] = true
				names = append(names, other.Addr.Local().String()+"."+o.Name)
			}
		}
	}
	switch len(names) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf(" %s is one.", names[0])
	}
	return fmt.Sprintf(" Such are %s.", list(names, mostOfKind))
}
