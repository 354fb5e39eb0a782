package engine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/pinned"
	"github.com/flow-pipelines/flow/engine/plan"
	"github.com/flow-pipelines/flow/engine/suggest"
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
	var names []string
	for _, a := range all {
		block := a.Block().String()
		if want.Wild() {
			names = append(names, block[:strings.LastIndexByte(block, '.')]+".*", block, block+"[*]")
		} else {
			names = append(names, a.String(), block, a.Module.String(), a.Module.Declared().String())
		}
	}
	return suggest.Nearest(want.String(), names)
}

// choose returns what a selection means for the stages there are. A pattern that
// names none of them, and could name no instance of a deferred block, is an
// error. It is nil if nothing was selected.
func choose(sel Selection) plan.Choose {
	if sel.Empty() {
		return nil
	}
	return func(stages []*config.Stage, deferred []config.Deferred) (plan.Choice, error) {
		var c plan.Choice
		var all []addr.Address
		for _, st := range stages {
			all = append(all, st.Addr)
		}
		for _, p := range slices.Concat(sel.Targets, sel.Exclude, sel.Rerun, sel.RerunFrom) {
			if slices.ContainsFunc(deferred, func(d config.Deferred) bool { return p.MayMatch(d.Addr) }) {
				continue
			}
			if err := CheckPatterns(all, p); err != nil {
				return c, err
			}
		}
		without := downstream(stages, deferred, sel.Exclude)
		if targets := addr.AnyOf(sel.Targets); targets != nil || without != nil {
			// What a target needs is planned with it, so a target that needs
			// what is excluded is itself among those left out.
			c.Stages = func(a addr.Address) bool {
				_, out := without[a]
				return !out && (targets == nil || targets(a))
			}
			c.Blocks = func(d config.Deferred) bool {
				_, out := without[d.Addr]
				return !out && (targets == nil || slices.ContainsFunc(sel.Targets, func(p addr.Pattern) bool { return p.MayMatch(d.Addr) }))
			}
		}
		if targets := sel.Targets; len(targets) > 0 {
			c.Part = func(d config.Deferred) string {
				var names []string
				for _, p := range targets {
					switch {
					case p.MatchAll(d.Addr):
						return ""
					case p.MayMatch(d.Addr):
						names = append(names, p.String())
					}
				}
				return strings.Join(names, ", ")
			}
		}
		rerun, from := sel.Rerun, downstream(stages, deferred, sel.RerunFrom)
		if len(rerun)+len(from) > 0 {
			c.Rerun = func(a addr.Address) string {
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
}

// downstream returns the stages and deferred blocks that the patterns name and
// all that depend on them, each with the pattern that it is there for.
func downstream(stages []*config.Stage, deferred []config.Deferred, patterns []addr.Pattern) map[addr.Address]addr.Pattern {
	if len(patterns) == 0 {
		return nil
	}
	in := map[addr.Address]addr.Pattern{}
	for _, d := range deferred {
		if i := slices.IndexFunc(patterns, func(p addr.Pattern) bool { return p.MatchAll(d.Addr) }); i >= 0 {
			in[d.Addr] = patterns[i]
		}
	}
	inherit := func(a addr.Address, from ...addr.Address) {
		for _, d := range from {
			if p, ok := in[d]; ok {
				if _, already := in[a]; !already {
					in[a] = p
				}
			}
		}
	}
	for _, st := range stages {
		for _, p := range patterns {
			if p.Match(st.Addr) {
				in[st.Addr] = p
				break
			}
		}
		inherit(st.Addr, st.Deps...)
		inherit(st.Addr, st.Awaits...)
	}
	for range deferred { // a chain of them is at most this long
		for _, d := range deferred {
			inherit(d.Addr, d.Needs...)
			inherit(d.Addr, d.Awaits...)
		}
	}
	for _, st := range stages {
		inherit(st.Addr, st.Awaits...)
		inherit(st.Addr, st.Deps...)
	}
	return in
}
