package engine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/agext/levenshtein"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/plan"
)

// UnknownStageError says that the pipeline has no stage of this address.
type UnknownStageError struct {
	Addr    addr.Address
	Similar string // the nearest address there is, or ""
}

func (e *UnknownStageError) Error() string {
	s := fmt.Sprintf("the pipeline has no stage %s", e.Addr)
	if e.Similar != "" {
		s += fmt.Sprintf("; did you mean %s?", e.Similar)
	}
	return s
}

// matcher reports whether a stage is one of those named, an instance of a
// block that is, or in a module that is. Nothing named is nil.
func matcher(named []addr.Address) func(addr.Address) bool {
	if len(named) == 0 {
		return nil
	}
	return func(a addr.Address) bool { return slices.ContainsFunc(named, a.Within) }
}

// checkSelection refuses addresses that name nothing: a misspelt target that
// silently plans nothing would look like success.
func (p *Project) checkSelection(sel Selection) error {
	named := slices.Concat(sel.Targets, sel.Rerun)
	if len(named) == 0 {
		return nil
	}
	stages, diags := p.pipeline.Stages(plan.Known{})
	if diags.HasErrors() {
		return &plan.Mistakes{Diags: diags, Files: p.Files()}
	}
	var all []addr.Address
	for _, st := range stages {
		all = append(all, st.Addr)
	}
	for _, want := range named {
		if !slices.ContainsFunc(all, matcher([]addr.Address{want})) {
			return &UnknownStageError{Addr: want, Similar: similar(want, all)}
		}
	}
	return nil
}

func similar(want addr.Address, all []addr.Address) string {
	best, distance := "", 4
	for _, a := range all {
		for _, name := range []string{a.String(), a.Block().String(), a.Module.String(), a.Module.Declared().String()} {
			if d := levenshtein.Distance(strings.ToLower(want.String()), strings.ToLower(name), nil); d < distance {
				best, distance = name, d
			}
		}
	}
	return best
}
