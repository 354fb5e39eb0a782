package config

import (
	"errors"
	"fmt"
	"slices"

	"github.com/hashicorp/go-version"
	"github.com/hashicorp/hcl/v2"

	"github.com/flow-pipelines/flow/engine/stage"
)

// Plugins finds plugins. An error that is a *stage.Problem is shown as it is.
type Plugins interface {
	// Find returns an installed plugin with its stage types, whose schemas
	// name it.
	Find(name string) (*stage.Plugin, []stage.Type, error)
	// Offering returns the name of an installed plugin with a stage type, ""
	// if there is none.
	Offering(stageType string) string
}

// ownBlocks are the blocks of the language that are no stages.
var ownBlocks = [...]string{"pipeline", "variable", "locals", "output", "module", "check", "moved", "removed"}

// ownNames begin references that lead to no stage.
var ownNames = [...]string{"var", "local", "each", "count", "self", "row", "path"}

// declarePlugin reads a block plugin "NAME" { version = "…" } of the pipeline
// block, and lets the pipeline use the plugin's stage types.
func (p *Pipeline) declarePlugin(h *hcl.Block) hcl.Diagnostics {
	name := h.Labels[0]
	if i := slices.IndexFunc(p.plugins, func(old *Plugin) bool { return old.Name == name }); i >= 0 {
		return hcl.Diagnostics{duplicate(h.DefRange, p.plugins[i].Range, fmt.Sprintf("plugin %q", name))}
	}
	c, diags := content(h, []string{"version"}, nil)
	var required string
	diags = append(diags, p.constantString(c, "version", &required)...)
	if diags.HasErrors() {
		return diags
	}
	if p.finder == nil {
		return hcl.Diagnostics{errorAt(h.DefRange, "Plugins are not to be had here", "This program has no plugins.")}
	}
	found, types, err := p.finder.Find(name)
	p.looks.note(lookPlugin, name, "", pluginAnswer(found, err))
	p.lacking = p.lacking || err != nil
	var wrong *stage.Problem
	switch {
	case errors.As(err, &wrong):
		return hcl.Diagnostics{errorAt(h.LabelRanges[0], wrong.Summary, wrong.Detail)}
	case err != nil:
		return hcl.Diagnostics{errorAt(h.LabelRanges[0], fmt.Sprintf("Plugin %q is not to be had", name), capital(err.Error())+".")}
	}
	p.plugins = append(p.plugins, &Plugin{Plugin: found, Range: h.DefRange})
	if a := c.Attributes["version"]; a != nil {
		if d := checkPlugin(a.Expr.Range(), required, found); d != nil {
			diags = append(diags, d)
		}
	}
	return append(diags, p.addTypes(h, found, types)...)
}

// addTypes makes a plugin's stage types known.
func (p *Pipeline) addTypes(h *hcl.Block, from *stage.Plugin, types []stage.Type) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, t := range types {
		st := newStageType(t)
		name := st.schema.Name
		old := p.types[name]
		switch {
		case slices.Contains(ownBlocks[:], name) || slices.Contains(ownNames[:], name):
			diags = append(diags, errorAt(h.LabelRanges[0], fmt.Sprintf("Plugin %q has a stage type called %q", from.Name, name),
				fmt.Sprintf("%s means something else in a pipeline. A plugin that calls a stage type so cannot be used.", name)))
		case old != nil && old.schema.Plugin != nil:
			diags = append(diags, errorAt(h.LabelRanges[0], fmt.Sprintf("Two plugins with the stage type %q", name),
				fmt.Sprintf("The plugin %s has it too. A pipeline can use one of them.", old.schema.Plugin.Name)))
		case old != nil:
			diags = append(diags, errorAt(h.LabelRanges[0], fmt.Sprintf("Plugin %q has the stage type %q, which flow has itself", from.Name, name),
				"A plugin cannot take the place of a stage type of flow's own."))
		default:
			p.types[name] = st
		}
	}
	return diags
}

func checkPlugin(rng hcl.Range, required string, found *stage.Plugin) *hcl.Diagnostic {
	want, err := version.NewConstraint(required)
	if err != nil {
		return errorAt(rng, "Not a version constraint", fmt.Sprintf(`%q is not of the form ">= 0.1" or "~> 1.2, != 1.2.3".`, required))
	}
	have, err := version.NewVersion(found.Version)
	if err != nil || want.Check(have) {
		return nil //nolint:nilerr // a plugin without a number for a version is refused when it is described
	}
	return errorAt(rng, fmt.Sprintf("Another version of plugin %s is required", found.Name),
		fmt.Sprintf("This pipeline requires %s %s; %s is %s. Install a matching version, or change the version if the pipeline works with this one.", found.Name, required, found.Program, found.Version))
}

// Plugin is a plugin that the pipeline declares.
type Plugin struct {
	*stage.Plugin
	Range hcl.Range
}

// Plugins returns the plugins that the pipeline declares, in the order of the
// text.
func (p *Pipeline) Plugins() []*Plugin { return p.plugins }
