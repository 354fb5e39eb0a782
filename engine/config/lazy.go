package config

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"github.com/flow-pipelines/flow/engine/stage"
)

// lazy encodes an argument whose type holds expressions that the stage will
// evaluate: the expression itself, a list or a map of them as it is written.
func (e *encoder) lazy(expr hcl.Expression, t cty.Type, where string) (arg, hash any) {
	if t == stage.ExpressionType {
		return e.deferred(expr, where)
	}
	if t.IsMapType() {
		pairs, diags := hcl.ExprMap(expr)
		if diags.HasErrors() {
			e.fail(where, "Expressions with names are needed", "They are evaluated later, so the map is written out here: { NAME = EXPRESSION, … }.")
			return nil, nil
		}
		args, hashes := map[string]any{}, map[string]any{}
		for _, p := range pairs {
			k, diags := p.Key.Value(e.ctx)
			k, _ = k.UnmarkDeep()
			if diags.HasErrors() || k.Type() != cty.String || !k.IsKnown() || k.IsNull() {
				e.fail(where, "The name of an expression is a text", "It must be known before anything runs.")
				continue
			}
			name := k.AsString()
			args[name], hashes[name] = e.lazy(p.Value, t.ElementType(), where+step(name))
		}
		return args, hashes
	}
	items, diags := hcl.ExprList(expr)
	if diags.HasErrors() {
		e.fail(where, "A list of expressions is needed", "They are evaluated later, so the list is written out here: [EXPRESSION, …].")
		return nil, nil
	}
	args, hashes := []any{}, []any{}
	for i, item := range items {
		a, h := e.lazy(item, t.ElementType(), fmt.Sprintf("%s[%d]", where, i))
		args, hashes = append(args, a), append(hashes, h)
	}
	return args, hashes
}

// deferred encodes one expression as stage.Expression: its normalised source,
// and the values of the names in it that the pipeline knows. The text of a
// name is its text in the normalised source, so that who parses the source
// finds it by the same range.
func (e *encoder) deferred(expr hcl.Expression, where string) (arg, hash any) {
	if v, diags := expr.Value(nil); !diags.HasErrors() && v.IsNull() {
		return nil, nil
	}
	rng := expr.Range()
	if e.ev.p.files[rng.Filename] == nil {
		panic("BUG: an expression from a file that was not read")
	}
	source := normalise([]byte(e.ev.p.source(rng)))
	again, diags := hclsyntax.ParseExpression([]byte(source), rng.Filename, hcl.InitialPos)
	if diags.HasErrors() {
		e.fail(where, "The expression cannot be used here", fmt.Sprintf("Put it in parentheses. Without its line breaks and comments it reads: %s", source))
		return nil, nil
	}
	source, ok := e.columns(again, source, where)
	if !ok {
		return nil, nil
	}
	if again, diags = hclsyntax.ParseExpression([]byte(source), rng.Filename, hcl.InitialPos); diags.HasErrors() {
		panic("BUG: a text in quotes is no index: " + source)
	}
	constants, hashes := map[string]any{}, map[string]any{}
	for _, t := range again.Variables() {
		if t.RootName() == rowName {
			continue
		}
		text := string(t.SourceRange().SliceBytes([]byte(source)))
		if _, ok := constants[text]; ok {
			continue
		}
		v, diags := t.TraverseAbs(e.ctx)
		if diags.HasErrors() {
			e.failed = true
			for _, d := range diags {
				d.Subject = rng.Ptr()
			}
			e.diags = append(e.diags, diags...)
			continue
		}
		constants[text], hashes[text] = e.value(v, cty.DynamicPseudoType, where, nil)
	}
	if len(constants) == 0 {
		only := map[string]any{"source": source}
		return only, only
	}
	return map[string]any{"source": source, "constants": constants}, map[string]any{"source": source, "constants": hashes}
}

// columns writes the name of the column in the place of each index of row that
// the pipeline knows, such as row[bound.key]: which columns an expression reads
// is clear from its text.
func (e *encoder) columns(expr hclsyntax.Expression, source, where string) (string, bool) {
	var indexes []*hclsyntax.IndexExpr
	_ = hclsyntax.VisitAll(expr, func(n hclsyntax.Node) hcl.Diagnostics {
		if x, ok := n.(*hclsyntax.IndexExpr); ok {
			if row, ok := x.Collection.(*hclsyntax.ScopeTraversalExpr); ok && len(row.Traversal) == 1 && row.Traversal.RootName() == rowName && !mentionsRow(x.Key) {
				indexes = append(indexes, x)
			}
		}
		return nil
	})
	// From the last to the first, so that the ranges stay right.
	slices.SortFunc(indexes, func(a, b *hclsyntax.IndexExpr) int { return b.Key.Range().Start.Byte - a.Key.Range().Start.Byte })
	for _, x := range indexes {
		v, diags := x.Key.Value(e.ctx)
		if diags.HasErrors() {
			e.fail(where, "The column has no name", fmt.Sprintf("%s: %s", diags[0].Summary, diags[0].Detail))
			return "", false
		}
		v, marks := v.UnmarkDeep()
		e.note(marks, where, nil)
		var f found
		f.add(marks)
		switch {
		case f.broken:
			return "", false
		case f.sensitive:
			e.fail(where, "The name of a column is not secret", "It is made from a sensitive value, and stands in the text of the expression.")
			return "", false
		case !v.IsKnown():
			e.unknown = true
			return "", false
		case v.IsNull() || v.Type() != cty.String:
			e.fail(where, "The name of a column is a text", fmt.Sprintf("row[…] is given %s.", describeValue(v)))
			return "", false
		}
		at := x.Key.Range()
		source = source[:at.Start.Byte] + string(hclwrite.TokensForValue(v).Bytes()) + source[at.End.Byte:]
	}
	return source, true
}

func mentionsRow(e hcl.Expression) bool {
	return slices.ContainsFunc(e.Variables(), func(t hcl.Traversal) bool { return t.RootName() == rowName })
}

// normalise drops comments and the line breaks that mean nothing, and spaces
// tokens as `flow fmt` does. Line breaks inside braces separate, and stay.
func normalise(src []byte) string {
	tokens, _ := hclsyntax.LexExpression(src, "", hcl.InitialPos)
	var out hclwrite.Tokens
	var open []hclsyntax.TokenType
	for i, t := range tokens {
		switch t.Type {
		case hclsyntax.TokenComment:
			// A comment to the end of the line takes the line break with it.
			if !bytes.HasSuffix(t.Bytes, []byte("\n")) || !inBraces(open) {
				continue
			}
			t.Type, t.Bytes = hclsyntax.TokenNewline, []byte("\n")
		case hclsyntax.TokenNewline:
			if !inBraces(open) {
				continue
			}
		case hclsyntax.TokenEOF:
			continue
		case hclsyntax.TokenOBrace, hclsyntax.TokenOParen, hclsyntax.TokenOBrack, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			open = append(open, t.Type)
		case hclsyntax.TokenCBrace, hclsyntax.TokenCParen, hclsyntax.TokenCBrack, hclsyntax.TokenTemplateSeqEnd:
			if len(open) > 0 {
				open = open[:len(open)-1]
			}
		}
		spaces := 0
		if i > 0 && t.Range.Start.Byte > tokens[i-1].Range.End.Byte {
			spaces = 1
		}
		out = append(out, &hclwrite.Token{Type: t.Type, Bytes: t.Bytes, SpacesBefore: spaces})
	}
	return string(bytes.TrimSpace(hclwrite.Format(out.Bytes())))
}

func inBraces(open []hclsyntax.TokenType) bool {
	return len(open) > 0 && open[len(open)-1] == hclsyntax.TokenOBrace
}
