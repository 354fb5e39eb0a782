package config

import (
	"fmt"
	"maps"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/zclconf/go-cty/cty"
)

// secrets are the texts and numbers that must not be seen, as far as they have
// been met. It may be used concurrently.
type secrets struct {
	mu sync.Mutex
	// given are in the values of sensitive variables and of sensitive(…); made
	// are what expressions in arguments make of them.
	given, made map[string]bool
}

func newSecrets() *secrets { return &secrets{given: map[string]bool{}, made: map[string]bool{}} }

// add notes what is in a value that is declared to be sensitive.
func (s *secrets) add(v cty.Value) {
	v, _ = v.UnmarkDeep()
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = cty.Walk(v, func(_ cty.Path, leaf cty.Value) (bool, error) {
		if t := leaf.Type(); leaf.IsKnown() && !leaf.IsNull() && (t == cty.String || t == cty.Number) {
			s.given[literalText(leaf)] = true
		}
		return true, nil
	})
}

// derive notes what has become of one.
func (s *secrets) derive(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made[text] = true
}

// in reports whether one is in the text.
func (s *secrets) in(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for secret := range s.given {
		if utf8.RuneCountInString(secret) >= 4 && strings.Contains(text, secret) {
			return true
		}
	}
	return false
}

// Secrets returns the texts and numbers that must not be seen: of sensitive
// variables, also of modules, of sensitive(…), and what arguments make of them;
// sorted. Of the latter there are those that have been evaluated: after Stages,
// all that need no result.
func (p *Pipeline) Secrets() []string {
	p.secrets.mu.Lock()
	defer p.secrets.mu.Unlock()
	all := maps.Clone(p.secrets.given)
	maps.Copy(all, p.secrets.made)
	return mapKeys(all)
}

// secretPaths refuses paths with a secret in them: paths are shown, recorded in
// flow.lock, and are names of files. Only those of a stage with sensitive
// arguments can have one.
func (ev *evaluation) secretPaths(s *Stage) bool {
	if len(s.Sensitive) == 0 {
		return true
	}
	job := s.Job
	ok := true
	check := func(at, path string) {
		if !ev.p.secrets.in(path) {
			return
		}
		ok = false
		ev.diags = append(ev.diags, errorAt(ev.p.ArgRange(s.Addr, at), "A sensitive value is part of a path",
			"Paths are shown and recorded in flow.lock, so everyone would see it. Name the file by something that may be seen."))
	}
	for _, o := range job.Outputs {
		check("outputs."+o.Name, o.Path)
	}
	for i, m := range job.MetricsFiles {
		check(fmt.Sprintf("metrics[%d]", i), m)
	}
	for _, in := range job.Inputs {
		check(in.Role, in.Path)
	}
	return ok
}
