package config

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/flow-pipelines/flow/engine/addr"
)

// placeholder is how other languages put a value into a text: {{ var.x }} as in
// Jinja, $var.x and $(var.x) as in a shell. To HCL these are texts like any other,
// and a program would get them as they stand.
var placeholder = regexp.MustCompile(`\{\{\s*([a-zA-Z][\w-]*(?:\.[a-zA-Z_][\w-]*|\["[^"]*"\]|\[\d+\])+)\s*\}\}` +
	`|\$\(?((?:var|local|each|count|self)(?:\.[a-zA-Z_][\w-]*)+)\)?`)

// placeholders warns of those that name something that there is; others may well
// be meant for the program.
func (p *Pipeline) placeholders() hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, m := range p.tree {
		for _, body := range p.parsed[m.folder] {
			f := p.files[body.SrcRange.Filename]
			if f == nil || !mayHold(f.Bytes) || !bytes.Contains(f.Bytes, []byte("{{")) && !placeholder.Match(f.Bytes) {
				continue // nearly all files
			}
			_ = hclsyntax.VisitAll(body, func(n hclsyntax.Node) hcl.Diagnostics {
				if l, ok := n.(*hclsyntax.LiteralValueExpr); ok && l.Val.Type() == cty.String && l.Val.IsKnown() && !l.Val.IsNull() {
					diags = append(diags, m.placeholdersIn(l, f.Bytes)...)
				}
				return nil
			})
		}
	}
	return diags
}

// mayHold reports whether a text has {{, or a $ that begins no ${, without which
// placeholder matches nothing: to match takes many times as long.
func mayHold(text []byte) bool {
	if bytes.Contains(text, []byte("{{")) {
		return true
	}
	for {
		i := bytes.IndexByte(text, '$')
		if i < 0 {
			return false
		}
		if text = text[i+1:]; len(text) > 0 && text[0] != '{' {
			return true
		}
	}
}

func (m *module) placeholdersIn(l *hclsyntax.LiteralValueExpr, src []byte) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, found := range placeholder.FindAllStringSubmatch(l.Val.AsString(), -1) {
		ref := found[1] + found[2]
		if !m.knows(ref) {
			continue
		}
		d := errorAt(placeIn(l.SrcRange, src, found[0]), fmt.Sprintf("%s is not replaced by a value", found[0]),
			fmt.Sprintf("To HCL it is text like any other, which is passed on as it stands. A value is put into a text by ${…}: write ${%s}.", ref))
		d.Severity = hcl.DiagWarning
		diags = append(diags, d)
	}
	return diags
}

// knows reports whether a reference names something of the module.
func (m *module) knows(ref string) bool {
	names := strings.FieldsFunc(ref, func(r rune) bool { return r == '.' || r == '[' })
	if len(names) < 2 {
		return false
	}
	switch names[0] {
	case "var":
		return m.vars[names[1]] != nil
	case "local":
		return m.locals[names[1]] != nil
	case "module":
		return m.calls[names[1]] != nil
	case "each":
		return names[1] == "key" || names[1] == "value"
	case "count":
		return names[1] == "index"
	case "self":
		return names[1] == "outputs" || names[1] == "path"
	}
	return m.blocks[addr.Address{Module: m.path, Type: names[0], Name: names[1]}] != nil
}

// placeIn is the place of a text in a literal, or that of the literal if it is
// written with escapes.
func placeIn(rng hcl.Range, src []byte, text string) hcl.Range {
	if rng.End.Byte > len(src) {
		return rng
	}
	raw := src[rng.Start.Byte:rng.End.Byte]
	i := bytes.Index(raw, []byte(text))
	if i < 0 {
		return rng
	}
	start := rng.Start
	start.Byte += i
	if nl := bytes.LastIndexByte(raw[:i], '\n'); nl >= 0 {
		start.Line += bytes.Count(raw[:i], []byte("\n"))
		start.Column = len([]rune(string(raw[nl+1:i]))) + 1
	} else {
		start.Column += len([]rune(string(raw[:i])))
	}
	end := start
	end.Byte += len(text)
	end.Column += len([]rune(text))
	return hcl.Range{Filename: rng.Filename, Start: start, End: end}
}
