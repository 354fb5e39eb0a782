package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/json"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// variable is a variable block, and after setVariables its value.
type variable struct {
	name        string
	description string
	typ         cty.Type // DynamicPseudoType if not said
	defaults    *typeexpr.Defaults
	hasDefault  bool
	value       cty.Value // marked if sensitive
	valueRange  hcl.Range
	sensitive   bool
	nullable    bool
	validations []validation
	Range       hcl.Range
}

type validation struct {
	condition, message hcl.Expression
	scope              scope
}

// VariableEnv begins the names of variables of the environment that set those of
// a pipeline.
const VariableEnv = "FLOW_VAR_"

const variableSuffix = ".auto.hclvars" // or, in JSON, with .json behind it

func (m *module) declareVariable(h *hcl.Block) hcl.Diagnostics {
	if diags := labels(h, "variable", 1); diags.HasErrors() {
		return diags
	}
	v := &variable{name: h.Labels[0], typ: cty.DynamicPseudoType, nullable: true, Range: h.DefRange}
	if old := m.vars[v.name]; old != nil {
		return hcl.Diagnostics{duplicate(h.DefRange, old.Range, fmt.Sprintf("variable %q", v.name))}
	}
	m.vars[v.name] = v
	c, diags := content(h, []string{"type", "default", "description", "sensitive", "nullable"}, []string{"validation"})
	diags = append(diags, m.constantString(c, "description", &v.description)...)
	for name, to := range map[string]*bool{"sensitive": &v.sensitive, "nullable": &v.nullable} {
		if a, ok := c.Attributes[name]; ok {
			b, more := m.constant(a, cty.Bool)
			diags = append(diags, more...)
			*to = !more.HasErrors() && b.IsKnown() && !b.IsNull() && b.True()
		}
	}
	if a, ok := c.Attributes["type"]; ok {
		t, defaults, more := typeConstraint(a.Expr)
		diags = append(diags, more...)
		if !more.HasErrors() {
			v.typ, v.defaults = t, defaults
		}
	}
	if a, ok := c.Attributes["default"]; ok && !diags.HasErrors() {
		d, more := m.constant(a, cty.DynamicPseudoType)
		diags = append(diags, more...)
		if !more.HasErrors() {
			v.hasDefault = true
			diags = append(diags, v.set(d, a.Expr.Range())...)
		}
	}
	for _, b := range c.Blocks {
		diags = append(diags, v.declareValidation(b)...)
	}
	return diags
}

// typeConstraint reads a type and helps with the old quoted form.
func typeConstraint(e hcl.Expression) (cty.Type, *typeexpr.Defaults, hcl.Diagnostics) {
	t, defaults, diags := typeexpr.TypeConstraintWithDefaults(e)
	if !diags.HasErrors() {
		return t, defaults, diags
	}
	if v, more := e.Value(nil); !more.HasErrors() && v.Type() == cty.String && v.IsKnown() && !v.IsNull() {
		return t, nil, hcl.Diagnostics{errorAt(e.Range(), "A type is written without quotes",
			fmt.Sprintf("Write type = %s. The types are string, number, bool, any, list(…), set(…), map(…), tuple([…]) and object({…}).", v.AsString()))}
	}
	name := hcl.ExprAsKeyword(e)
	if call, more := hcl.ExprCall(e); !more.HasErrors() {
		name = call.Name
	}
	for _, known := range []struct{ names, instead string }{
		{"float int integer double float64 int64 numeric", "number"},
		{"str text path file", "string"},
		{"boolean", "bool"},
		{"dict dictionary hash", "map(…)"},
		{"array vector", "list(…)"},
		{"struct record", "object({…})"},
	} {
		if name != "" && slices.Contains(strings.Fields(known.names), strings.ToLower(name)) {
			return t, nil, hcl.Diagnostics{errorAt(e.Range(), fmt.Sprintf("There is no type %s", name), fmt.Sprintf("Write %s.", known.instead))}
		}
	}
	return t, nil, diags
}

func (v *variable) declareValidation(h *hcl.Block) hcl.Diagnostics {
	c, diags := content(h, []string{"condition", "error_message"}, nil)
	condition, message := c.Attributes["condition"], c.Attributes["error_message"]
	if condition == nil || message == nil {
		return append(diags, errorAt(h.DefRange, "Incomplete validation", "A validation block needs a condition and an error_message."))
	}
	v.validations = append(v.validations, validation{condition: condition.Expr, message: message.Expr})
	return diags
}

// set converts and stores a value.
func (v *variable) set(value cty.Value, rng hcl.Range) hcl.Diagnostics {
	got, diags := v.convert(value, rng)
	if !diags.HasErrors() {
		v.value, v.valueRange = got, rng
	}
	return diags
}

// setVariables takes values from the environment, *.auto.hclvars and
// *.auto.hclvars.json, --var-file and --var, the later winning, and validates
// them.
func (p *Pipeline) setVariables(opts Options) hcl.Diagnostics {
	diags := p.variablesFromEnviron(opts.Environ)
	fromFile := func(name, file string) {
		diags = append(diags, p.variablesFromFile(name, file)...)
		if p.files[name] != nil && p.keepsSecrets() {
			p.files[name] = &hcl.File{}
		}
	}
	for _, f := range p.looks.variables(p.dir) {
		fromFile(filepath.Base(f), f)
	}
	for _, f := range opts.VarFiles {
		full := f
		if !filepath.IsAbs(f) {
			full = filepath.Join(p.dir, f)
		}
		fromFile(filepath.ToSlash(f), full)
	}
	for _, name := range mapKeys(opts.Vars) {
		diags = append(diags, p.variableFromText(name, opts.Vars[name], fmt.Sprintf("--var %s", name), true)...)
	}
	p.setPinned(opts.Values)
	for _, name := range mapKeys(p.vars) {
		v := p.vars[name]
		if v.value == cty.NilVal && opts.Unset {
			v.value = cty.UnknownVal(v.typ).Mark(brokenMark{}) // and so is all that is made of it
		} else if v.value == cty.NilVal {
			if !diags.HasErrors() {
				diags = append(diags, errorAt(v.Range, fmt.Sprintf("No value for variable %q", name),
					fmt.Sprintf("It has no default. Give it a value on the command line, --var %s=…, in a file such as values.auto.hclvars, %s = …, or in the environment, %s%s=….%s", name, name, VariableEnv, name, p.ofTerraform())))
			}
			v.value = cty.DynamicVal
		}
		if v.sensitive {
			p.secrets.add(v.value)
			v.value = v.value.Mark(sensitiveMark{})
		}
	}
	if diags.HasErrors() {
		return diags
	}
	for _, name := range mapKeys(p.vars) {
		diags = append(diags, p.linkValidations(p.vars[name])...)
	}
	if diags.HasErrors() {
		return diags
	}
	root := newEvaluation(p, NoResults{}, nil).root
	for _, name := range mapKeys(p.vars) {
		diags = append(diags, root.validate(p.vars[name], p.vars[name].valueRange)...)
	}
	return diags
}

// ofTerraform says that a file of variables of Terraform's is not read, "" if there
// is none.
func (p *Pipeline) ofTerraform() string {
	const name = "terraform.tfvars"
	if _, err := os.Stat(filepath.Join(p.dir, name)); err != nil {
		return ""
	}
	return fmt.Sprintf(" The file %s is not read: call it terraform%s.", name, variableSuffix)
}

// keepsSecrets reports whether a variable is sensitive. Then no line of a file
// of variables is shown: the value may stand in it, or in that of a name that
// is misspelled.
func (p *Pipeline) keepsSecrets() bool {
	for _, v := range p.vars {
		if v.sensitive {
			return true
		}
	}
	return false
}

func globEscape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}

func (p *Pipeline) variablesFromEnviron(environ []string) hcl.Diagnostics {
	values := map[string]string{}
	for _, kv := range environ {
		if name, value, ok := strings.Cut(kv, "="); ok && strings.HasPrefix(name, VariableEnv) {
			values[strings.TrimPrefix(name, VariableEnv)] = value
		}
	}
	var diags hcl.Diagnostics
	for _, name := range mapKeys(values) {
		// The environment is shared by projects: a name that this one does
		// not declare is no mistake.
		if p.vars[name] != nil {
			diags = append(diags, p.variableFromText(name, values[name], VariableEnv+name, false)...)
		}
	}
	return diags
}

func (p *Pipeline) variablesFromFile(name, file string) hcl.Diagnostics {
	if _, err := os.Stat(file); err != nil {
		return hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "Cannot read a file of variables", Detail: err.Error() + "."}}
	}
	if strings.HasSuffix(name, ".json") {
		return p.variablesFromJSON(name, file)
	}
	f := p.parseFile(name, file)
	body, diags := p.keep(f), f.diags
	if diags.HasErrors() {
		return diags
	}
	for _, b := range body.Blocks {
		diags = append(diags, errorAt(b.DefRange(), "Only values stand in a file of variables", "Write NAME = VALUE. Blocks belong in a *.hcl file."))
	}
	for _, a := range sortedAttributes(body.Attributes) {
		diags = append(diags, p.variableFromFile(a.AsHCLAttribute(), func() (cty.Value, hcl.Diagnostics) {
			return p.constant(a.AsHCLAttribute(), cty.DynamicPseudoType)
		})...)
	}
	return diags
}

// variablesFromJSON reads an object of values. Its texts are taken as they are:
// a program has written them, and ${ in a value means nothing to it.
func (p *Pipeline) variablesFromJSON(name, file string) hcl.Diagnostics {
	src, err := p.looks.read(file)
	if err != nil {
		return hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "Cannot read a file of variables", Detail: err.Error() + "."}}
	}
	f, diags := json.Parse(src, name)
	if f == nil || diags.HasErrors() {
		return diags
	}
	p.files[name] = f
	attrs, diags := f.Body.JustAttributes()
	for _, a := range mapKeys(attrs) {
		diags = append(diags, p.variableFromFile(attrs[a], func() (cty.Value, hcl.Diagnostics) { return attrs[a].Expr.Value(nil) })...)
	}
	return diags
}

// variableFromFile sets the variable that a line of a file of variables names.
func (p *Pipeline) variableFromFile(a *hcl.Attribute, value func() (cty.Value, hcl.Diagnostics)) hcl.Diagnostics {
	v := p.vars[a.Name]
	if v == nil {
		return hcl.Diagnostics{undeclared(a.NameRange, "variable", a.Name, mapKeys(p.vars), fmt.Sprintf("Declare it in a *.hcl file: variable %q {}.", a.Name))}
	}
	got, diags := value()
	if !diags.HasErrors() {
		diags = append(diags, v.set(got, a.Expr.Range())...)
	}
	return diags
}

// variableFromText reads HCL, or, if that is not what it is, plain text. A
// variable of type string always takes the text as it is.
func (p *Pipeline) variableFromText(name, text, source string, explicit bool) hcl.Diagnostics {
	file := "<" + source + ">"
	rng := hcl.Range{Filename: file, Start: hcl.InitialPos, End: hcl.Pos{Line: 1, Column: 1 + len(text), Byte: len(text)}}
	v := p.vars[name]
	if v == nil {
		d := undeclared(rng, "variable", name, mapKeys(p.vars), fmt.Sprintf("Declare it: variable %q {}.", name))
		d.Subject = nil
		d.Summary += " in " + source
		return hcl.Diagnostics{d}
	}
	if !v.sensitive {
		p.files[file] = &hcl.File{Bytes: []byte(text)}
	}
	if v.typ == cty.String {
		return v.set(cty.StringVal(text), rng)
	}
	expr, diags := hclsyntax.ParseExpression([]byte(text), file, hcl.InitialPos)
	if !diags.HasErrors() && len(expr.Variables()) == 0 {
		value, more := expr.Value(&hcl.EvalContext{Functions: p.funcs.table})
		if !more.HasErrors() {
			return v.set(value, rng)
		}
		diags = more
	}
	if v.typ == cty.DynamicPseudoType || v.typ.IsPrimitiveType() {
		return v.set(cty.StringVal(text), rng)
	}
	return hcl.Diagnostics{errorAt(rng, fmt.Sprintf("Cannot read the value of variable %q", name),
		fmt.Sprintf("The variable is declared as %s, so its value is written as in HCL: [\"a\", \"b\"] or { a = 1 }. In a shell, put single quotes around it.", typeexpr.TypeString(v.typ)))}
}

// linkValidations resolves what the variable's validation blocks mention.
func (m *module) linkValidations(v *variable) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for i := range v.validations {
		c := &v.validations[i]
		diags = append(diags, m.mention(&c.scope, append(c.condition.Variables(), c.message.Variables()...), false)...)
		diags = append(diags, c.scope.forbid("the validation of a variable", true, true, true)...)
		for _, r := range c.scope.refs {
			if r.to.Type != "var" {
				diags = append(diags, errorAt(r.Range, "A validation looks at variables only", fmt.Sprintf("It cannot refer to %s.", nodeText(r.to))))
			}
		}
	}
	return diags
}

// validate evaluates a variable's validation blocks. rng is where its value
// comes from.
func (f *frame) validate(v *variable, rng hcl.Range) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for i := range v.validations {
		c := &v.validations[i]
		ctx := f.context(&c.scope)
		ok, more := c.condition.Value(ctx)
		diags = append(diags, more...)
		if more.HasErrors() {
			continue
		}
		ok, found := strip(ok)
		if found.broken || f.up != nil && !ok.IsKnown() {
			continue // reported, or for when it is known
		}
		ok, err := convert.Convert(ok, cty.Bool)
		if err != nil || ok.IsNull() || !ok.IsKnown() {
			diags = append(diags, errorAt(c.condition.Range(), "A condition is true or false", "This one is neither."))
			continue
		}
		if ok.True() {
			continue
		}
		message := "The value does not meet the condition."
		if m, more := c.message.Value(ctx); !more.HasErrors() {
			m, f := strip(m)
			if m, err := convert.Convert(m, cty.String); err == nil && !f.sensitive && m.IsKnown() && !m.IsNull() {
				message = m.AsString()
			}
		}
		diags = append(diags, errorAt(rng, fmt.Sprintf("Invalid value for variable %q", v.name),
			fmt.Sprintf("%s\n\nThis is required at %s:%d.", message, c.condition.Range().Filename, c.condition.Range().Start.Line)))
	}
	return diags
}
