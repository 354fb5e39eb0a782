package config

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/zclconf/go-cty/cty"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/stage"
)

// Secrets returns the texts and numbers in the values of sensitive variables.
func (p *Pipeline) Secrets() []string {
	p.secretsOnce.Do(func() {
		for _, v := range p.Variables() {
			if !v.Sensitive {
				continue
			}
			_ = cty.Walk(v.Value, func(_ cty.Path, leaf cty.Value) (bool, error) {
				if t := leaf.Type(); leaf.IsKnown() && !leaf.IsNull() && (t == cty.String || t == cty.Number) {
					p.secrets = append(p.secrets, literalText(leaf))
				}
				return true, nil
			})
		}
	})
	return p.secrets
}

// secretPaths refuses paths with a secret in them: paths are shown, recorded in
// flow.lock, and are names of files.
func (ev *evaluation) secretPaths(a addr.Address, job *stage.Job) bool {
	ok := true
	check := func(at, path string) {
		for _, secret := range ev.p.Secrets() {
			if utf8.RuneCountInString(secret) < 4 || !strings.Contains(path, secret) {
				continue
			}
			ok = false
			ev.diags = append(ev.diags, errorAt(ev.p.ArgRange(a, at), "A sensitive value is part of a path",
				"Paths are shown and recorded in flow.lock, so everyone would see it. Name the file by something that may be seen."))
		}
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
