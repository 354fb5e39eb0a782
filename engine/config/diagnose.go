package config

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/engine/suggest"
)

// ArgRange returns the place of an argument, named as stage.Problem.Path does:
// "features.numeric[0].impute". If that is not written in the file it returns
// the nearest thing around it, in the end the block's header.
func (p *Pipeline) ArgRange(a addr.Address, path string) hcl.Range {
	b := p.block(a)
	if b == nil {
		return p.settings.Range
	}
	return p.rangeOf(b, path)
}

func (p *Pipeline) rangeOf(b *block, path string) hcl.Range {
	steps := splitPath(path)
	if len(steps) == 0 {
		return b.Range
	}
	if a := b.meta[steps[0]]; a != nil {
		return exprRange(a.Expr, steps[1:])
	}
	for name, m := range map[string]struct {
		block *hcl.Block
		args  map[string]*hcl.Attribute
	}{"retry": {b.retry, b.retryArgs}, "resources": {b.res, b.resArgs}, "lifecycle": {b.life, b.lifeArgs}} {
		if steps[0] != name || m.block == nil {
			continue
		}
		if len(steps) > 1 && m.args[steps[1]] != nil {
			return exprRange(m.args[steps[1]].Expr, steps[2:])
		}
		return m.block.DefRange
	}
	return b.body.rangeOf(steps)
}

func (b *body) rangeOf(steps []string) hcl.Range {
	if len(steps) == 0 {
		return b.open
	}
	if a := b.attrs[steps[0]]; a != nil {
		return exprRange(a.Expr, steps[1:])
	}
	var same []*nested
	for _, n := range b.blocks {
		if n.schema.Name == steps[0] {
			same = append(same, n)
		}
	}
	if len(same) == 0 {
		return b.open
	}
	rest := steps[1:]
	n := same[0]
	body := n.body
	switch kind := n.schema.Kind; kind {
	case stage.Choice:
		if len(rest) == 0 {
			break
		}
		if v, ok := n.variants[rest[0]]; ok {
			body, rest = v.body, rest[1:]
		} else if rest[0] == n.label {
			rest = rest[1:]
		}
	case stage.Repeated, stage.Steps:
		if len(rest) == 0 {
			return n.Range
		}
		i, err := strconv.Atoi(rest[0])
		if err != nil || i < 0 || find(same, i) == nil {
			return n.Range
		}
		n, rest = find(same, i), rest[1:]
		body = n.body
		if kind == stage.Steps && len(rest) > 0 && rest[0] == n.schema.step {
			rest = rest[1:]
		}
	}
	if len(rest) == 0 {
		return n.Range
	}
	return body.rangeOf(rest)
}

// exprRange follows steps through lists and objects as they are written.
func exprRange(e hcl.Expression, steps []string) hcl.Range {
	for _, s := range steps {
		next := hcl.Expression(nil)
		switch e := e.(type) {
		case *hclsyntax.TupleConsExpr:
			if i, err := strconv.Atoi(s); err == nil && i >= 0 && i < len(e.Exprs) {
				next = e.Exprs[i]
			}
		case *object:
			for _, item := range e.Items {
				if k, diags := item.KeyExpr.Value(nil); !diags.HasErrors() && k.Type() == cty.String && k.IsKnown() && !k.IsNull() && k.AsString() == s {
					next = item.ValueExpr
				}
			}
		}
		if next == nil {
			break
		}
		e = next
	}
	return e.Range()
}

// givenAt names the lines at which module blocks give the variables that an
// argument uses: the mistake may well be there.
func (b *block) givenAt(path string) string {
	steps := splitPath(path)
	if len(steps) == 0 || b.mod.call == nil {
		return ""
	}
	var text strings.Builder
	seen := map[string]bool{}
	for _, t := range b.traversals(steps[0]) {
		name, ok := member(t)
		if t.RootName() != "var" || !ok || seen[name] || b.mod.call.args[name] == nil {
			continue
		}
		seen[name] = true
		at := b.mod.call.args[name].attr.NameRange
		fmt.Fprintf(&text, "\n\nvar.%s is given at %s:%d.", name, at.Filename, at.Start.Line)
	}
	return text.String()
}

// traversals are the references in an argument or in the blocks of a name.
func (b *block) traversals(name string) []hcl.Traversal {
	for _, a := range []*hcl.Attribute{b.meta[name], b.body.attrs[name]} {
		if a != nil {
			return a.Expr.Variables()
		}
	}
	var ts []hcl.Traversal
	var within func(*body)
	within = func(b *body) {
		for _, name := range mapKeys(b.attrs) {
			ts = append(ts, b.attrs[name].Expr.Variables()...)
		}
		for _, n := range b.blocks {
			for _, b := range n.bodies() {
				within(b)
			}
		}
	}
	for _, n := range b.body.blocks {
		if n.schema.Name == name {
			for _, b := range n.bodies() {
				within(b)
			}
		}
	}
	return ts
}

// splitPath cuts "a.b[0][\"c d\"]" into a, b, 0 and c d.
func splitPath(path string) []string {
	var steps []string
	for path != "" {
		switch path[0] {
		case '.':
			path = path[1:]
		case '[':
			if strings.HasPrefix(path, `["`) {
				if q, err := strconv.QuotedPrefix(path[1:]); err == nil {
					s, _ := strconv.Unquote(q)
					steps = append(steps, s)
					path = strings.TrimPrefix(path[1+len(q):], "]")
					continue
				}
			}
			inside, rest, _ := strings.Cut(path[1:], "]")
			steps, path = append(steps, inside), rest
		default:
			n := strings.IndexAny(path, ".[")
			if n < 0 {
				n = len(path)
			}
			steps, path = append(steps, path[:n]), path[n:]
		}
	}
	return steps
}

// step is how a path goes on to the value of a map's key.
func step(key string) string {
	if addr.IsName(key) {
		return "." + key
	}
	return "[" + strconv.Quote(key) + "]"
}

// Diagnose turns what a stage type complained about, at planning time or in a
// run, into diagnostics at the right lines.
func (p *Pipeline) Diagnose(a addr.Address, err error) hcl.Diagnostics {
	var sensitive []string
	if in := p.evaluateBase().instance(a); in != nil {
		sensitive = in.stage.Sensitive
	}
	return p.diagnose(a, err, sensitive)
}

// diagnose does so for a stage whose sensitive arguments are given: what is
// said about them may quote them, and is not shown.
func (p *Pipeline) diagnose(a addr.Address, err error, sensitive []string) hcl.Diagnostics {
	var many stage.Problems
	var one *stage.Problem
	switch {
	case errors.As(err, &many):
	case errors.As(err, &one):
		many = stage.Problems{one}
	default:
		many = stage.Problems{{Summary: fmt.Sprintf("Cannot prepare %s", a), Detail: capital(err.Error()) + "."}}
	}
	var diags hcl.Diagnostics
	for _, problem := range many {
		summary, detail := problem.Summary, problem.Detail
		if steps := splitPath(problem.Path); len(steps) > 0 && slices.ContainsFunc(sensitive, func(path string) bool { return splitPath(path)[0] == steps[0] }) {
			summary, detail = unshown(problem.Path)
		}
		if a != a.Block() {
			detail = strings.TrimPrefix(detail+fmt.Sprintf("\n\nThis is in %s.", a), "\n\n")
		}
		if b := p.block(a); b != nil {
			detail = strings.TrimPrefix(detail+b.givenAt(problem.Path), "\n\n")
		}
		diags = append(diags, errorAt(p.ArgRange(a, problem.Path), summary, detail))
	}
	return diags
}

// exprText is the source of an expression, on one line.
func exprText(p *Pipeline, e hcl.Expression) string {
	return strings.Join(strings.Fields(p.source(e.Range())), " ")
}

// improve says more about references that lead nowhere than HCL can, which
// does not know what a stage is.
func (p *Pipeline) improve(diags hcl.Diagnostics) hcl.Diagnostics {
	for _, d := range diags {
		if t, ok := d.Expression.(*hclsyntax.ScopeTraversalExpr); ok && d.EvalContext != nil {
			if summary, detail := wrongStep(t.Traversal, d.EvalContext); summary != "" {
				d.Summary, d.Detail = summary, detail
			}
		}
		if call, ok := hcl.DiagnosticExtra[hclsyntax.FunctionCallUnknownDiagExtra](d); ok {
			// HCL's own guess depends on the order of a map.
			d.Summary = fmt.Sprintf("Unknown function %s", call.CalledFunctionName())
			d.Detail = p.funcs.unknown(call.CalledFunctionName())
		}
		if call, ok := hcl.DiagnosticExtra[hclsyntax.FunctionCallDiagExtra](d); ok {
			var r *refusal
			var base *baselineError
			switch {
			case errors.As(call.FunctionCallError(), &base):
				d.Summary = fmt.Sprintf("No baseline %q", base.rev)
				d.Detail = capital(base.err.Error()) + ". Until there is one, try(…, VALUE) gives a value in its place."
			case call.FunctionCallError() != nil && mentionsSecret(d.Expression, d.EvalContext):
				d.Detail = fmt.Sprintf("Call to function %q failed. The reason is not shown, for a sensitive value is among the arguments.", call.CalledFunctionName())
			case errors.As(call.FunctionCallError(), &r):
				d.Summary = fmt.Sprintf("flow has no function %s", r.name)
				d.Detail = fmt.Sprintf("With %s, %s. Such a value can be passed in as a variable.", r.name, r.why)
			}
		}
		if d.Summary == "Unsupported attribute" && d.Subject != nil {
			if block := p.splatBefore(*d.Subject); block != "" {
				d.Summary = fmt.Sprintf("%s[*] is no list of instances", block)
				d.Detail = fmt.Sprintf("[*] goes over a list, and the instances of for_each are a map, by key. Write values(%s)[*]%s.", block, p.source(*d.Subject))
			}
		}
		switch v := aboutValue(d); {
		case v == cty.NilVal:
		case d.Summary == "Invalid operand" && v.Type() == cty.String && strings.Contains(p.source(*d.Context), "+"):
			d.Subject, d.Summary, d.Detail = d.Context, "+ adds numbers", "A text is put together from others by ${…}: \"${A}${B}\"."
		case d.Summary == "Invalid template interpolation value" && (v.Type().IsTupleType() || v.Type().IsListType() || v.Type().IsSetType()):
			d.Summary = "A list within a text"
			d.Detail = fmt.Sprintf("It has to be said what stands between its entries: ${join(\", \", %s)}.", exprText(p, d.Expression))
		}
		if op, ok := d.Expression.(*hclsyntax.BinaryOpExpr); ok && d.Summary == "Operation failed" {
			d.Summary = "Cannot compute " + exprText(p, op)
			d.Detail = "There is no such number: " + strings.TrimPrefix(d.Detail, "Error during operation: ")
		}
		d.Expression, d.EvalContext = nil, nil
	}
	return slices.CompactFunc(diags, func(a, b *hcl.Diagnostic) bool { // of two texts that are added
		return a.Summary == b.Summary && a.Subject != nil && a.Subject == b.Subject
	})
}

// aboutValue is the value of the expression that a diagnostic is about.
func aboutValue(d *hcl.Diagnostic) cty.Value {
	if d.Expression == nil || d.EvalContext == nil || d.Context == nil {
		return cty.NilVal
	}
	v, diags := d.Expression.Value(d.EvalContext)
	if diags.HasErrors() {
		return cty.NilVal
	}
	return v
}

// splatBefore names the block whose instances a [*] right before rng goes over, ""
// if none stands there.
func (p *Pipeline) splatBefore(rng hcl.Range) string {
	f := p.files[rng.Filename]
	if f == nil || rng.Start.Byte > len(f.Bytes) {
		return ""
	}
	found := splat.FindSubmatch(f.Bytes[:rng.Start.Byte])
	if found == nil {
		return ""
	}
	for _, m := range p.tree {
		for a, b := range m.blocks {
			if b.meta["for_each"] != nil && a.Local().String() == string(found[1]) {
				return a.Local().String()
			}
		}
	}
	return ""
}

var splat = regexp.MustCompile(`([\w-]+\.[\w-]+)\[\*\]$`)

// mentionsSecret reports whether a sensitive value takes part in e. Functions
// quote their arguments in errors.
func mentionsSecret(e hcl.Expression, ctx *hcl.EvalContext) bool {
	if e == nil || ctx == nil {
		return false
	}
	for _, t := range e.Variables() {
		v, _ := t.TraverseAbs(ctx)
		if _, f := strip(v); f.sensitive {
			return true
		}
	}
	return false
}

// improveSyntax says more about text that does not parse where HCL sees only
// characters.
func improveSyntax(src []byte, diags hcl.Diagnostics) hcl.Diagnostics {
	if d := mergeMark(src, diags); d != nil {
		return hcl.Diagnostics{d}
	}
	var kept hcl.Diagnostics
	var template *hcl.Range // a ${…} outside of quotes
	var open *hcl.Range     // where a text begins to go on to the end of the file
	told := map[int]bool{}  // lines with a habit from elsewhere
	for _, d := range diags {
		if d.Subject == nil || d.Subject.Start.Byte >= len(src) {
			unended(src, d)
			kept = append(kept, d)
			continue
		}
		at := d.Subject.Start.Byte
		switch {
		case template != nil && d.Subject.Start.Line == template.Start.Line, told[d.Subject.Start.Line]:
			continue
		case shell(src, d):
			told[d.Subject.Start.Line] = true
			if bytes.Contains(d.Subject.SliceBytes(src), []byte("#")) {
				open = d.Subject
			}
		case d.Summary == "Unclosed template interpolation sequence":
			d.Summary, d.Detail = "${ is not closed", "A value is put into a text by ${…}: its } is missing here, before the text ends."
			told[d.Subject.Start.Line], open = true, d.Subject
		case d.Summary == "Invalid character" && src[at] == '\'':
			d.Summary, d.Detail = "Texts are in double quotes", `Write "…" instead of single quotes.`
			told[d.Subject.Start.Line] = true
		case habit(src, d), unclosed(src, d):
			told[d.Subject.Start.Line] = true
		case escape(src, d):
		case src[at] == '$' && strings.HasPrefix(string(src[at+1:]), "{"):
			template = d.Subject
			d.Summary = "${ } outside of quotes"
			d.Detail = "${…} puts a value into a text, and stands in quotes. A value alone is written without it: NAME = var.x."
		case d.Summary == "Missing item separator":
			d.Summary, d.Detail = "A comma is missing", "Entries of a list are separated by commas, and so are arguments of a function: [A, B]."
		case d.Summary == "Invalid single-argument block definition":
			d.Summary = "Two arguments in a block on one line"
			d.Detail = "A block on one line holds one argument. Write each argument on a line of its own, without commas."
		}
		kept = append(kept, d)
	}
	return slices.DeleteFunc(kept, func(d *hcl.Diagnostic) bool {
		return open != nil && d.Subject != nil && d.Subject.Start.Byte > open.Start.Byte
	})
}

// mergeMark complains about the first mark of an unresolved git merge in a file
// that has syntax errors, in place of all that follows from it.
func mergeMark(src []byte, diags hcl.Diagnostics) *hcl.Diagnostic {
	if !diags.HasErrors() || diags[0].Subject == nil {
		return nil
	}
	line, at := 0, 0
	for text := range strings.Lines(string(src)) {
		line++
		if strings.HasPrefix(text, "<<<<<<< ") {
			start := hcl.Pos{Line: line, Column: 1, Byte: at}
			end := hcl.Pos{Line: line, Column: 8, Byte: at + 7}
			return errorAt(hcl.Range{Filename: diags[0].Subject.Filename, Start: start, End: end},
				mergeConflict, mergeConflictDetail)
		}
		at += len(text)
	}
	return nil
}

// wrongStep follows a traversal to the step that fails.
func wrongStep(t hcl.Traversal, ctx *hcl.EvalContext) (summary, detail string) {
	v := cty.NilVal
	for c := ctx; c != nil && v == cty.NilVal; c = c.Parent() {
		v = c.Variables[t.RootName()]
	}
	if v == cty.NilVal {
		return "", ""
	}
	owner, text := "", t.RootName()
	for _, s := range t[1:] {
		v, _ = v.Unmark()
		if isStage(v) {
			owner = addressOf(v)
		}
		var next cty.Value
		var diags hcl.Diagnostics
		var name string
		switch s := s.(type) {
		case hcl.TraverseAttr:
			name = s.Name
			next, diags = hcl.GetAttr(v, name, &s.SrcRange)
		case hcl.TraverseIndex:
			name = literalText(s.Key)
			next, diags = hcl.Index(v, s.Key, &s.SrcRange)
		default:
			return "", ""
		}
		if diags.HasErrors() {
			_, isAttr := s.(hcl.TraverseAttr)
			return explainStep(v, name, isAttr, text, owner)
		}
		v, text = next, text+"."+name
	}
	return "", ""
}

func explainStep(v cty.Value, name string, isAttr bool, text, owner string) (summary, detail string) {
	switch {
	case v.IsNull() || !v.IsKnown():
		return "", ""
	case isAttr && text == "each.value" && v.Type().IsPrimitiveType():
		return fmt.Sprintf("each.value has no %q", name),
			fmt.Sprintf("for_each has texts or numbers, and each.value is one of them. For instances with several values write a map of objects: { NAME = { %s = … }, … }.", name)
	case isAttr && v.Type().IsPrimitiveType():
		return fmt.Sprintf("%s has no %q", text, name), fmt.Sprintf("It is %s, and nothing is in it.", describe(v.Type()))
	case isStage(v) && !isAttr:
		return fmt.Sprintf("%s has no instances", owner),
			fmt.Sprintf("The block has neither for_each nor count: it is one stage, without a key. Write %s.", owner)
	case isStage(v):
		names := mapKeys(v.Type().AttributeTypes())
		outputs := mapKeys(v.GetAttr("outputs").Type().AttributeTypes())
		detail = fmt.Sprintf("%s has the outputs %s, and metrics.", owner, list(outputs, 10))
		switch len(outputs) {
		case 0:
			detail = fmt.Sprintf("%s has no outputs, only metrics.", owner)
		case 1:
			detail = fmt.Sprintf("%s has the output %s, and metrics.", owner, outputs[0])
		}
		if s := suggest.Nearest(name, names); s != "" {
			detail += fmt.Sprintf(" Did you mean %s.%s?", owner, s)
		} else {
			detail += fmt.Sprintf(" A result of the stage is written %s.metrics.%s.", owner, name)
		}
		return fmt.Sprintf("%s has no %q", owner, name), detail
	case isInstances(v) && v.LengthInt() > 0:
		var keys, names []string
		for it := v.ElementIterator(); it.Next(); {
			k, _ := it.Element()
			keys = append(keys, literalText(k))
			names = append(names, fmt.Sprintf("%s[%s]", text, literal(k)))
		}
		if isAttr {
			return fmt.Sprintf("%s stands for several stages", text),
				fmt.Sprintf("The block has for_each or count. Name one of its instances: %s.", list(names, 5))
		}
		detail = fmt.Sprintf("There is %s.", list(names, 8))
		if s := suggest.Nearest(name, keys); s != "" {
			detail += fmt.Sprintf(" Did you mean %s?", names[slices.Index(keys, s)])
		}
		return fmt.Sprintf("%s has no instance %q", text, name), detail
	case owner != "" && strings.HasSuffix(text, ".metrics") && v.Type().IsObjectType():
		if v.LengthInt() == 0 {
			return fmt.Sprintf("%s has no metric %q", owner, name),
				"It has no metrics. If it is a program, let it write them to a file, and name that: metrics = [\"FILE.json\"]."
		}
		return fmt.Sprintf("%s has no metric %q", owner, name), fmt.Sprintf("Its last run gave these metrics: %s.%s", list(mapKeys(v.Type().AttributeTypes()), 20), guess(name, mapKeys(v.Type().AttributeTypes())))
	case strings.HasPrefix(text, "module.") && strings.Count(text, ".") == 1 && v.LengthInt() > 0:
		var keys, names []string
		for it := v.ElementIterator(); it.Next(); {
			k, _ := it.Element()
			keys, names = append(keys, literalText(k)), append(names, fmt.Sprintf("%s[%s]", text, literal(k)))
		}
		detail = fmt.Sprintf("There is %s.", list(names, 8))
		if s := suggest.Nearest(name, keys); s != "" {
			detail += fmt.Sprintf(" Did you mean %s?", names[slices.Index(keys, s)])
		}
		return fmt.Sprintf("%s has no instance %q", text, name), detail
	case v.Type().IsObjectType():
		return fmt.Sprintf("%s has no %q", text, name), strings.TrimSpace(fmt.Sprintf("The object has %s.%s", list(mapKeys(v.Type().AttributeTypes()), 12), guess(name, mapKeys(v.Type().AttributeTypes()))))
	}
	return "", ""
}

// What is wrong with a file that has git's marks in it.
const (
	mergeConflict       = "Unresolved merge conflict"
	mergeConflictDetail = "git could not merge this file. Choose between the two sides, and remove the lines with <<<<<<<, ======= and >>>>>>>."
)
