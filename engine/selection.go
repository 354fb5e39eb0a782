package engine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/agext/levenshtein"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/pinned"
	"github.com/flow-pipelines/flow/engine/plan"
)

// Selection narrows a plan to some stages. A saved plan has it, too.
type Selection = pinned.Selection

// UnknownStageError says that there is no stage that a pattern names.
type UnknownStageError struct {
	Pattern addr.Pattern
	Similar string // the nearest address there is, or ""
}

func (e *UnknownStageError) Error() string {
	s := fmt.Sprintf("the pipeline has no stage %s", e.Pattern)
	if e.Similar != "" {
		s += fmt.Sprintf("; did you mean %s?", e.Similar)
	}
	return s
}

// CheckPatterns refuses patterns that name none of the stages: a misspelt
// target that silently plans nothing would look like success.
func CheckPatterns(all []addr.Address, named ...addr.Pattern) error {
	for _, want := range named {
		if !slices.ContainsFunc(all, want.Match) {
			return &UnknownStageError{Pattern: want, Similar: similar(want, all)}
		}
	}
	return nil
}

// similar finds the address or block that was probably meant, or for a pattern
// the nearest that says as much: train.* for trian.*.
func similar(want addr.Pattern, all []addr.Address) string {
	best, distance := "", 4
	for _, a := range all {
		names := []string{a.String(), a.Block().String(), a.Module.String(), a.Module.Declared().String()}
		if want.Wild() {
			block := a.Block().String()
			names = []string{block[:strings.LastIndexByte(block, '.')] + ".*", block, block + "[*]"}
		}
		for _, name := range names {
			if d := levenshtein.Distance(strings.ToLower(want.String()), strings.ToLower(name), nil); d < distance {
				best, distance = name, d
			}
		}
	}
	return best
}

// chosen is what a selection means for a pipeline.
type chosen struct {
	// all says that nothing was selected.
	all bool
	// targets reports whether a stage is to be brought up to date; nil: all.
	targets func(addr.Address) bool
	options plan.Options
}

// choose finds out which stages a selection means.
func (p *Project) choose(sel Selection) (*chosen, error) {
	if sel.Empty() {
		return &chosen{all: true}, nil
	}
	stages, diags := p.pipeline.Stages(plan.Known{})
	if diags.HasErrors() {
		return nil, &plan.Mistakes{Diags: diags, Files: p.Files()}
	}
	var all []addr.Address
	for _, st := range stages {
		all = append(all, st.Addr)
	}
	if err := CheckPatterns(all, slices.Concat(sel.Targets, sel.Exclude, sel.Rerun, sel.RerunFrom)...); err != nil {
		return nil, err
	}
	c := &chosen{targets: addr.AnyOf(sel.Targets)}
	if without := downstream(stages, sel.Exclude); without != nil {
		targets := c.targets
		c.targets = func(a addr.Address) bool {
			_, out := without[a]
			return !out && (targets == nil || targets(a))
		}
		// What a target needs is planned with it, so a target that needs
		// what is excluded is itself among those left out.
	}
	rerun, from := sel.Rerun, downstream(stages, sel.RerunFrom)
	if len(rerun)+len(from) > 0 {
		c.options.Rerun = func(a addr.Address) string {
			if slices.ContainsFunc(rerun, func(p addr.Pattern) bool { return p.Match(a) }) {
				return "--rerun"
			}
			if p, ok := from[a]; ok {
				return "--rerun-from " + p.String()
			}
			return ""
		}
	}
	return c, nil
}

// downstream returns the stages that the patterns name and all that depend on
// them, each with the pattern that it is there for.
func downstream(stages []*config.Stage, patterns []addr.Pattern) map[addr.Address]addr.Pattern {
	if len(patterns) == 0 {
		return nil
	}
	in := map[addr.Address]addr.Pattern{}
	for _, st := range stages {
		for _, p := range patterns {
			if p.Match(st.Addr) {
				in[st.Addr] = p
				break
			}
		}
		for _, d := range st.Deps {
			if p, ok := in[d]; ok {
				if _, already := in[st.Addr]; !already {
					in[st.Addr] = p
				}
			}
		}
	}
	return in
}
