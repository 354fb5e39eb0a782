package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/digest"
)

// environment is what env() can read: of all variables of the environment those
// that the pipeline block lists. The list is what a reader of the pipeline, and
// a colleague who wants the same results, has to know of.
type environment struct {
	declared []string
	values   map[string]string
	looks    *looks
}

func newEnvironment(environ []string, seen *looks) *environment {
	e := &environment{values: map[string]string{}, looks: seen}
	for _, kv := range environ {
		if name, value, ok := strings.Cut(kv, "="); ok {
			e.values[name] = value
		}
	}
	return e
}

// declare reads the argument env of the pipeline block.
func (e *environment) declare(m *module, a *hcl.Attribute) hcl.Diagnostics {
	v, diags := m.constant(a, cty.List(cty.String))
	if diags.HasErrors() || v.IsNull() || !v.IsWhollyKnown() {
		return diags
	}
	for _, item := range v.AsValueSlice() {
		if item.IsNull() || !isEnvName(item.AsString()) {
			diags = append(diags, errorAt(a.Expr.Range(), "Not the name of an environment variable", "env lists names, as in env = [\"DATA_REGION\"]."))
			continue
		}
		e.declared = append(e.declared, item.AsString())
	}
	return diags
}

func isEnvName(s string) bool { return addr.IsName(s) && !strings.Contains(s, "-") }

// undeclaredEnv says that env() was asked for a name that is not listed.
type undeclaredEnv struct {
	name     string
	declared []string
}

func (e *undeclaredEnv) Error() string {
	names := append(slices.Clone(e.declared), e.name)
	return fmt.Sprintf("the pipeline does not declare that it reads %s. Add it to the pipeline block: env = [\"%s\"]", e.name, strings.Join(names, `", "`))
}

// answer is what looking at a variable finds.
func (e *environment) answer(name string) digest.Digest {
	v, ok := e.values[name]
	if !ok {
		return digest.Digest{}
	}
	return answered([]byte(v), nil)
}

// function is env(). It is as pure as the rest as far as keys are concerned:
// what it yields is in the key of what uses it.
func (e *environment) function() function.Function {
	return textFunction("name", func(name string) (string, error) {
		if !slices.Contains(e.declared, name) {
			return "", function.NewArgError(0, &undeclaredEnv{name, e.declared})
		}
		e.looks.note(lookEnv, name, "", e.answer(name))
		v, ok := e.values[name]
		if !ok {
			return "", function.NewArgErrorf(0, "%s is not set in the environment. Where it may be missing, write try(env(%q), \"\")", name, name)
		}
		return v, nil
	})
}
