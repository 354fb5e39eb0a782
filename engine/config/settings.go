package config

import (
	"fmt"
	"path"
	"strings"

	"github.com/hashicorp/go-version"
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// content reads a block of flow's own, such as variable, and names what is in
// it but should not be.
func content(h *hcl.Block, attrs []string, blocks []string) (*hcl.BodyContent, hcl.Diagnostics) {
	s := &hcl.BodySchema{}
	for _, a := range attrs {
		s.Attributes = append(s.Attributes, hcl.AttributeSchema{Name: a})
	}
	for _, b := range blocks {
		s.Blocks = append(s.Blocks, hcl.BlockHeaderSchema{Type: b})
	}
	c, diags := unknownNames(h.Body, h.Type, attrs, blocks)
	got, _, more := h.Body.PartialContent(s)
	if !c {
		diags = append(diags, more...)
	}
	return got, diags
}

// constant evaluates an argument that may not refer to anything.
func (p *Pipeline) constant(a *hcl.Attribute, want cty.Type) (cty.Value, hcl.Diagnostics) {
	if refs := a.Expr.Variables(); len(refs) > 0 {
		return cty.DynamicVal, hcl.Diagnostics{errorAt(refs[0].SourceRange(), "A constant is needed here",
			fmt.Sprintf("%s is read before anything else is evaluated, so it cannot refer to %s.", a.Name, refs[0].RootName()))}
	}
	v, diags := a.Expr.Value(&hcl.EvalContext{Functions: p.funcs.table})
	if diags.HasErrors() {
		return cty.DynamicVal, diags
	}
	return convertTo(v, want, a.Expr.Range())
}

func (p *Pipeline) constantString(c *hcl.BodyContent, name string, to *string) hcl.Diagnostics {
	a, ok := c.Attributes[name]
	if !ok {
		return nil
	}
	v, diags := p.constant(a, cty.String)
	if !diags.HasErrors() && !v.IsNull() && v.IsKnown() {
		*to = v.AsString()
	}
	return diags
}

func (p *Pipeline) declareSettings(h *hcl.Block, running string) hcl.Diagnostics {
	if p.settings.Range.Filename != "" {
		return hcl.Diagnostics{duplicate(h.DefRange, p.settings.Range, "pipeline block")}
	}
	p.settings.Range = h.DefRange
	if len(h.Labels) > 1 {
		return hcl.Diagnostics{errorAt(h.DefRange, "Wrong number of labels on pipeline", `pipeline takes one label, its name: pipeline "NAME" { … }.`)}
	}
	if len(h.Labels) == 1 {
		p.settings.Name = h.Labels[0]
	}
	c, diags := content(h, []string{"required_version", "output_dir", "cache", "description"}, nil)
	var description string
	diags = append(diags, p.constantString(c, "required_version", &p.settings.RequiredVersion)...)
	diags = append(diags, p.constantString(c, "output_dir", &p.settings.OutputDir)...)
	diags = append(diags, p.constantString(c, "cache", &p.settings.Cache)...)
	diags = append(diags, p.constantString(c, "description", &description)...)
	if diags.HasErrors() {
		return diags
	}
	if a, ok := c.Attributes["output_dir"]; ok {
		clean, problem := projectPath(p.settings.OutputDir)
		if problem == "" && clean == "." {
			problem = "it would be the project itself"
		}
		if problem != "" {
			diags = append(diags, errorAt(a.Expr.Range(), "output_dir must be a directory in the project",
				fmt.Sprintf("%q is not: %s.", p.settings.OutputDir, problem)))
		}
		p.settings.OutputDir = clean
	}
	if a, ok := c.Attributes["required_version"]; ok {
		diags = append(diags, checkVersion(a.Expr.Range(), p.settings.RequiredVersion, running)...)
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
