package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/stage"
)

// place is an output on the map of the project.
type place struct {
	path  string
	owner *Stage
	out   *stage.Output
}

func (p place) String() string { return fmt.Sprintf("the output %q of %s", p.out.Name, p.owner.Addr) }

// checkPaths looks across stages: two that would write one file, and inputs
// that name by path what another stage writes, so that the order would be
// left to chance. Sorted by path, what lies below a directory follows it at
// once, so one pass with a stack is enough.
func (p *Pipeline) checkPaths() hcl.Diagnostics {
	var places []place
	for _, at := range p.placed {
		if at.in.stage.Job == nil {
			continue
		}
		for i := range at.in.stage.Job.Outputs {
			o := &at.in.stage.Job.Outputs[i]
			places = append(places, place{o.Path, at.in.stage, o})
		}
	}
	slices.SortStableFunc(places, func(a, b place) int {
		return cmp.Or(comparePaths(a.path, b.path), addr.Compare(a.owner.Addr, b.owner.Addr))
	})
	var diags hcl.Diagnostics
	var above []place
	for _, q := range places {
		for len(above) > 0 && !within(q.path, above[len(above)-1].path) {
			above = above[:len(above)-1]
		}
		if len(above) > 0 {
			diags = append(diags, p.collision(q, above[len(above)-1])...)
		}
		above = append(above, q)
	}
	return append(diags, p.checkInputs(places)...)
}

// collision judges an output that lies at or in another. Two stages may watch
// the same files of the user; nothing else may share a place.
func (p *Pipeline) collision(inner, outer place) hcl.Diagnostics {
	if inner.owner.Job.Given && outer.owner.Job.Given {
		return nil
	}
	rng := p.ArgRange(inner.owner.Addr, "outputs."+inner.out.Name)
	at := fmt.Sprintf("%s:%d", outer.owner.Range.Filename, outer.owner.Range.Start.Line)
	if inner.path == outer.path {
		return hcl.Diagnostics{errorAt(rng, "Two stages with one output path",
			fmt.Sprintf("%s and %s (%s) are both %q. Give one of them another path.", capital(inner.String()), outer, at, inner.path))}
	}
	return hcl.Diagnostics{errorAt(rng, "An output inside another output",
		fmt.Sprintf("%s, %q, lies in %s (%s), %q. Give one of them another path.", capital(inner.String()), inner.path, outer, at, outer.path))}
}

// checkInputs looks at inputs that are paths.
func (p *Pipeline) checkInputs(places []place) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, at := range p.placed {
		if at.in.stage.Job == nil {
			continue
		}
		for _, input := range at.in.stage.Job.Inputs {
			if input.From != nil || strings.ContainsAny(input.Path, "*?[{") {
				continue
			}
			if q, ok := writerOf(input.Path, places); ok {
				diags = append(diags, p.byPath(at.in.stage, input, q))
			}
		}
	}
	return diags
}

func (p *Pipeline) byPath(s *Stage, input stage.Input, q place) *hcl.Diagnostic {
	rng := p.ArgRange(s.Addr, input.Role)
	if q.owner == s {
		return errorAt(rng, "An output is also an input", fmt.Sprintf("%s would read %q and write it too. A stage leaves its inputs as they are: write to another path.", s.Addr, q.path))
	}
	return errorAt(rng, "The output of a stage is named by its path",
		fmt.Sprintf("%q is %s. Write %s.%s instead of the path, so that flow knows that %s comes after it.", input.Path, q, q.owner.Addr, q.out.Name, s.Addr))
}

// writerOf finds the output of a stage that runs which is at the path, around
// it or in it.
func writerOf(path string, places []place) (place, bool) {
	i, _ := slices.BinarySearchFunc(places, path, func(q place, path string) int { return comparePaths(q.path, path) })
	for j := i; j < len(places) && within(places[j].path, path); j++ {
		if !places[j].owner.Job.Given {
			return places[j], true
		}
	}
	for at := path; ; {
		cut := strings.LastIndexByte(at, '/')
		if cut < 0 {
			return place{}, false
		}
		at = at[:cut]
		if j, ok := slices.BinarySearchFunc(places, at, func(q place, path string) int { return comparePaths(q.path, path) }); ok && !places[j].owner.Job.Given {
			return places[j], true
		}
	}
}

func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, dir) && path[len(dir)] == '/'
}

// comparePaths sorts a directory right before what is in it: "/" comes before
// every other byte.
func comparePaths(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] == b[i] {
			continue
		}
		if a[i] == '/' {
			return -1
		}
		if b[i] == '/' {
			return 1
		}
		return cmp.Compare(a[i], b[i])
	}
	return cmp.Compare(len(a), len(b))
}
