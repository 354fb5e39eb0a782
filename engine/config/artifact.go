package config

import (
	"fmt"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/stage"
)

// noPath complains about a stage that has no output or several.
func (e *encoder) noPath(v cty.Value, where string) {
	a := addressOf(v)
	names := v.GetAttr("outputs").Type().AttributeTypes()
	if len(names) == 0 {
		e.fail(where, "The stage has no outputs", fmt.Sprintf("%s makes no file that could be used here.", a))
		return
	}
	var choices []string
	for _, name := range mapKeys(names) {
		choices = append(choices, fmt.Sprintf("%s.%s", a, name))
	}
	e.fail(where, "Several outputs, where one is needed", fmt.Sprintf("%s makes %d files; name one of them: %s.", a, len(names), strings.Join(choices, ", ")))
}

// artifact encodes a file: a stage, one of its outputs, or a path.
func (e *encoder) artifact(v cty.Value, marks cty.ValueMarks, where string, around []role) (arg, hash any) {
	switch {
	case v.IsKnown() && !v.IsNull() && isStage(v):
		e.note(marks, where, around)
		if !v.Type().HasAttribute("path") {
			e.noPath(v, where)
			return nil, nil
		}
		// The output's mark is on the path; the object's own marks only say
		// which stage it is, and the path has that too.
		return e.value(v.GetAttr("path"), stage.ArtifactType, where, around)
	case v.IsKnown() && !v.IsNull() && isOutput(v):
		return e.value(v.GetAttr("path").WithMarks(marks), stage.ArtifactType, where, around)
	}
	roles := e.note(marks, where, around)
	switch {
	case !v.IsKnown():
		e.unknown = true
		return nil, nil
	case v.IsNull():
		return nil, nil
	case isInstances(v):
		e.fail(where, "Several stages, where one is needed", fmt.Sprintf("The block has for_each or count, so it stands for several stages; name one of them, as in %s.", firstInstance(v)))
		return nil, nil
	case v.Type() != cty.String:
		e.wrong(v, stage.ArtifactType, where)
		return nil, nil
	}
	text := v.AsString()
	for _, r := range roles {
		if text != r.path && !strings.HasPrefix(text, r.path+"/") {
			continue
		}
		if r.name == "" {
			e.fail(where, "A stage cannot read its own output", "Its inputs are there before it runs, its outputs after.")
			return nil, nil
		}
		e.narrow(v, roles[len(around):])
		return text, hashText(text, []role{r})
	}
	if parts := strings.SplitN(text, ".", 3); len(parts) > 1 {
		name, _, _ := strings.Cut(parts[1], "[")
		if a := (addr.Address{Module: e.b.mod.path, Type: parts[0], Name: name}); e.b.mod.blocks[a] != nil {
			instead := text + " without quotes"
			if strings.HasSuffix(e.b.Range.Filename, ".json") {
				instead = `"${` + text + `}"`
			}
			e.fail(where, "A reference in quotes", fmt.Sprintf("In quotes it is the path of a file, and not the stage %s. Write %s; for a file of that name, write \"./%s\".", a.Local(), instead, text))
			return nil, nil
		}
	}
	clean, problem := projectPath(text)
	if problem != "" {
		e.fail(where, "Not a path in the project", fmt.Sprintf("%q cannot be used: %s. Data from elsewhere comes into the project with a stage that fetches it.", text, problem))
		return nil, nil
	}
	return clean, map[string]any{"input": e.input(where, stage.Input{Path: clean})}
}

// reference encodes a whole stage.
func (e *encoder) reference(v cty.Value, marks cty.ValueMarks, where string) (arg, hash any) {
	e.note(marks, where, nil)
	switch {
	case !v.IsKnown():
		e.unknown = true
		return nil, nil
	case v.IsNull():
		return nil, nil
	case !isStage(v):
		if isInstances(v) {
			e.fail(where, "Several stages, where one is needed", fmt.Sprintf("The block has for_each or count, so it stands for several stages; name one of them, as in %s.", firstInstance(v)))
		} else {
			e.wrong(v, stage.ReferenceType, where)
		}
		return nil, nil
	}
	a, err := addr.Parse(addressOf(v))
	in := e.ev.p.known(e.ev, a)
	if err != nil || in == nil {
		e.wrong(v, stage.ReferenceType, where)
		return nil, nil
	}
	e.found.instance(a)
	outputs, hashedOutputs := map[string]any{}, map[string]any{}
	for _, o := range in.outputs {
		r := e.input(where+".outputs."+o.output, stage.Input{Path: o.path, From: &stage.Source{Address: a.String(), Output: o.output}})
		outputs[o.output], hashedOutputs[o.output] = o.path, map[string]any{"input": r}
	}
	metrics, ok := e.ev.metrics(a)
	if !ok {
		e.unknown = true
		return nil, nil
	}
	m := plain(metricsValue(metrics))
	return map[string]any{"address": a.String(), "outputs": outputs, "metrics": m},
		map[string]any{"address": a.String(), "outputs": hashedOutputs, "metrics": m}
}

// known returns the base's instance.
func (p *Pipeline) known(ev *evaluation, a addr.Address) *instance {
	if ev.base != nil {
		ev = ev.base
	}
	return ev.instance(a)
}
