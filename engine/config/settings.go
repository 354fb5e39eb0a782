package config

import (
	"fmt"
	"path"
	"strings"

	"github.com/hashicorp/go-version"
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// blockLabels are the labels of those nested blocks of flow's own that have some.
var blockLabels = map[string][]string{"plugin": {"name"}}

// content reads a block of flow's own, such as variable, and names what is in
// it but should not be.
func content(h *hcl.Block, attrs []string, blocks []string) (*hcl.BodyContent, hcl.Diagnostics) {
	s := &hcl.BodySchema{}
	for _, a := range attrs {
		s.Attributes = append(s.Attributes, hcl.AttributeSchema{Name: a})
	}
	for _, b := range blocks {
		s.Blocks = append(s.Blocks, hcl.BlockHeaderSchema{Type: b, LabelNames: blockLabels[b]})
	}
	c, diags := unknownNames(h.Body, h.Type, attrs, blocks)
	got, _, more := h.Body.PartialContent(s)
	if !c {
		diags = append(diags, more...)
	}
	return got, diags
}

// constant evaluates an argument that may not refer to anything.
func (m *module) constant(a *hcl.Attribute, want cty.Type) (cty.Value, hcl.Diagnostics) {
	if refs := a.Expr.Variables(); len(refs) > 0 {
		return cty.DynamicVal, hcl.Diagnostics{errorAt(refs[0].SourceRange(), "A constant is needed here",
			fmt.Sprintf("%s is read before anything else is evaluated, so it cannot refer to %s.", a.Name, refs[0].RootName()))}
	}
	v, diags := a.Expr.Value(&hcl.EvalContext{Functions: m.p.funcs.table})
	if diags.HasErrors() {
		return cty.DynamicVal, diags
	}
	return convertTo(v, want, a.Expr.Range())
}

func (m *module) constantString(c *hcl.BodyContent, name string, to *string) hcl.Diagnostics {
	a, ok := c.Attributes[name]
	if !ok {
		return nil
	}
	v, diags := m.constant(a, cty.String)
	if !diags.HasErrors() && !v.IsNull() && v.IsKnown() {
		*to = v.AsString()
	}
	return diags
}

func (m *module) declareSettings(h *hcl.Block) hcl.Diagnostics {
	if m.call != nil {
		return m.declareRequirement(h)
	}
	if m.p.settings.Range.Filename != "" {
		return hcl.Diagnostics{duplicate(h.DefRange, m.p.settings.Range, "pipeline block")}
	}
	m.p.settings.Range = h.DefRange
	if len(h.Labels) > 1 {
		return hcl.Diagnostics{errorAt(h.DefRange, "Wrong number of labels on pipeline", `pipeline takes one label, its name: pipeline "NAME" { … }.`)}
	}
	if len(h.Labels) == 1 {
		m.p.settings.Name = h.Labels[0]
	}
	c, diags := content(h, []string{"required_version", "output_dir", "cache", "description", "env", "capacity"}, []string{"plugin"})
	var description string
	diags = append(diags, m.constantString(c, "required_version", &m.p.settings.RequiredVersion)...)
	diags = append(diags, m.constantString(c, "output_dir", &m.p.settings.OutputDir)...)
	diags = append(diags, m.constantString(c, "cache", &m.p.settings.Cache)...)
	diags = append(diags, m.constantString(c, "description", &description)...)
	if diags.HasErrors() {
		return diags
	}
	if a, ok := c.Attributes["output_dir"]; ok {
		clean, problem := projectPath(m.p.settings.OutputDir)
		if problem == "" && clean == "." {
			problem = "it would be the project itself"
		}
		if problem != "" {
			diags = append(diags, errorAt(a.Expr.Range(), "output_dir must be a directory in the project",
				fmt.Sprintf("%q is not: %s.", m.p.settings.OutputDir, problem)))
		}
		m.p.settings.OutputDir = clean
	}
	if a, ok := c.Attributes["capacity"]; ok {
		v, more := m.constant(a, cty.Map(cty.Number))
		if !more.HasErrors() && !v.IsNull() {
			m.p.settings.Capacity, more = counts(v, a.Expr.Range(), "capacity")
		}
		diags = append(diags, more...)
	}
	if a, ok := c.Attributes["env"]; ok {
		diags = append(diags, m.p.env.declare(m, a)...)
	}
	if a, ok := c.Attributes["required_version"]; ok {
		diags = append(diags, checkVersion(a.Expr.Range(), m.p.settings.RequiredVersion, m.p.version)...)
	}
	for _, b := range c.Blocks {
		diags = append(diags, m.p.declarePlugin(b)...)
	}
	return diags
}

// declareRequirement reads the pipeline block of a module, which can only say
// what it needs: all else is for the project to say.
func (m *module) declareRequirement(h *hcl.Block) hcl.Diagnostics {
	c, diags := content(h, []string{"required_version", "description"}, nil)
	if diags.HasErrors() {
		return hcl.Diagnostics{errorAt(h.DefRange, "Settings in a module", "In a module the pipeline block holds required_version and description only; the rest is for the project to say.")}
	}
	var required string
	diags = append(diags, m.constantString(c, "required_version", &required)...)
	if a, ok := c.Attributes["required_version"]; ok && !diags.HasErrors() {
		diags = append(diags, checkVersion(a.Expr.Range(), required, m.p.version)...)
	}
	return diags
}

func checkVersion(rng hcl.Range, required, running string) hcl.Diagnostics {
	want, err := version.NewConstraint(required)
	if err != nil {
		return hcl.Diagnostics{errorAt(rng, "Not a version constraint",
			fmt.Sprintf(`%q is not of the form ">= 0.1" or "~> 1.2, != 1.2.3".`, required))}
	}
	have, err := version.NewVersion(running)
	if err != nil || want.Check(have) || want.Check(have.Core()) {
		return nil //nolint:nilerr // a build without a release's number matches everything
	}
	return hcl.Diagnostics{errorAt(rng, "Another version of flow is required",
		fmt.Sprintf("This pipeline requires flow %s; this is flow %s. Install a matching version, or change required_version if the pipeline works with this one.", required, running))}
}

// projectPath cleans a slash-separated path that must lie in the project; a
// problem is the rest of a sentence.
func projectPath(s string) (clean, problem string) {
	switch {
	case s == "":
		return s, "it is empty"
	case strings.HasPrefix(s, "/"), len(s) > 1 && s[1] == ':':
		return s, "it is absolute; write it relative to the project's directory"
	case strings.HasPrefix(s, "~"):
		return s, "it lies in a home directory"
	case strings.ContainsRune(s, 0):
		return s, "it holds a zero byte"
	case strings.Contains(s, "\\"):
		return s, `it has a backslash; write paths with /`
	}
	clean = path.Clean(s)
	if clean == ".." || strings.HasPrefix(clean, "../") {
		return s, "it leaves the project"
	}
	return clean, ""
}
