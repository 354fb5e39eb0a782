package config

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/json"
	"github.com/zclconf/go-cty/cty"

	"github.com/flow-pipelines/flow/engine/stage"
)

// The JSON syntax of HCL says less than the native one: whether an object is a
// block or a value, and how many labels a block has, is for a schema to say. So
// a *.hcl.json file is read by the schemas into the tree that the native syntax
// gives, and all else in the package knows that tree alone.

// jsonSuffix ends the names of such files.
const jsonSuffix = ".hcl.json"

// jsonObject says which names in a JSON object are blocks.
type jsonObject struct {
	blocks map[string]jsonBlock
	// exprs are arguments whose texts are expressions rather than templates.
	exprs map[string]bool
}

type jsonBlock struct {
	labels int
	body   func(labels []string) jsonObject
}

func plainBlock(labels int, body jsonObject) jsonBlock {
	return jsonBlock{labels, func([]string) jsonObject { return body }}
}

// jsonShape says what is a block in a file.
func (p *Pipeline) jsonShape() jsonObject {
	s := jsonObject{blocks: map[string]jsonBlock{
		"pipeline": plainBlock(1, jsonObject{}),
		"variable": plainBlock(1, jsonObject{
			blocks: map[string]jsonBlock{"validation": plainBlock(0, jsonObject{})},
			exprs:  map[string]bool{"type": true},
		}),
		"locals": plainBlock(0, jsonObject{}),
		"output": plainBlock(1, jsonObject{}),
		"module": plainBlock(1, jsonObject{exprs: map[string]bool{"depends_on": true}}),
		"check":  plainBlock(1, jsonObject{blocks: map[string]jsonBlock{assertion: plainBlock(0, jsonObject{})}}),
		"moved":  plainBlock(0, jsonObject{exprs: map[string]bool{"from": true, "to": true}}),
		"removed": plainBlock(0, jsonObject{
			blocks: map[string]jsonBlock{"lifecycle": plainBlock(0, jsonObject{})},
			exprs:  map[string]bool{"from": true},
		}),
	}}
	for name, st := range p.types {
		s.blocks[name] = jsonBlock{1, func([]string) jsonObject { return st.jsonShape() }}
	}
	return s
}

func (st *stageType) jsonShape() jsonObject {
	s := st.body.jsonShape()
	for _, name := range metaBlocks {
		if st.meta[name] {
			s.blocks[name] = plainBlock(0, jsonObject{})
		}
	}
	s.exprs = map[string]bool{"depends_on": st.meta["depends_on"]}
	return s
}

func (b *bodySchema) jsonShape() jsonObject {
	s := jsonObject{blocks: map[string]jsonBlock{}}
	for name, n := range b.blocks {
		labels := 0
		if n.takesLabel() {
			labels = 1
		}
		s.blocks[name] = jsonBlock{labels, func(labels []string) jsonObject {
			inner := n.body
			if n.Kind == stage.Choice {
				inner = n.variants[labels[0]]
			}
			if inner == nil {
				return jsonObject{}
			}
			return inner.jsonShape()
		}}
	}
	if _, taken := s.blocks[dynamicBlock]; !taken && len(s.blocks) > 0 {
		s.blocks[dynamicBlock] = b.jsonDynamic()
	}
	return s
}

// parseJSON reads a *.hcl.json file.
func (p *Pipeline) parseJSON(src []byte, to *parsedFile) {
	to.file, to.diags = json.Parse(src, to.name)
	if d := jsonMistake(src, to.name, to.diags); d != nil {
		to.diags = hcl.Diagnostics{d}
		return
	}
	c := &jsonConverter{to}
	body := c.object(to.file.Body, p.jsonShape())
	// What stands at the top is a block, though of no type that there is.
	for _, a := range sortedAttributes(body.Attributes) {
		body.Blocks = append(body.Blocks, &hclsyntax.Block{
			Type: a.Name, Body: &hclsyntax.Body{}, TypeRange: a.NameRange, OpenBraceRange: a.NameRange, CloseBraceRange: a.NameRange,
		})
	}
	body.Attributes = nil
	to.body = body
}

// jsonMistake says in one message why a file cannot be read; nil: it can. Of one
// mistake the parser makes several: that the root is no object, and what it
// expected instead.
func jsonMistake(src []byte, name string, diags hcl.Diagnostics) *hcl.Diagnostic {
	text := bytes.TrimLeft(src, " \t\r\n")
	start := hcl.Pos{Line: 1 + bytes.Count(src[:len(src)-len(text)], []byte("\n")), Column: 1, Byte: len(src) - len(text)}
	start.Column += start.Byte - (bytes.LastIndexByte(src[:start.Byte], '\n') + 1)
	end := start
	end.Column, end.Byte = end.Column+1, min(end.Byte+1, len(src))
	root := hcl.Range{Filename: name, Start: start, End: end}
	const form = `A file of a pipeline is an object of blocks, by type and label: {"exec": {"NAME": {…}}}.`
	const comment, noComment = "JSON has no comments", `Write an entry of the name "//": {"//": "written by a program"}.`
	switch {
	case len(text) == 0:
		return errorAt(root, "The file is empty", form+" Write {} for one without blocks.")
	case bytes.HasPrefix(text, []byte("\ufeff")):
		return errorAt(root, "The file begins with a byte order mark", "JSON has none. Save the file as UTF-8 without it.")
	case bytes.HasPrefix(text, []byte("//")), bytes.HasPrefix(text, []byte("/*")), text[0] == '#':
		return errorAt(root, comment, noComment)
	case text[0] == '[':
		return errorAt(root, "The file is a list", form+" Several blocks of one type stand in one object, by their labels.")
	case text[0] == '{':
	case text[0] == '"' || text[0] == '-' || text[0] >= '0' && text[0] <= '9',
		bytes.HasPrefix(text, []byte("null")), bytes.HasPrefix(text, []byte("true")), bytes.HasPrefix(text, []byte("false")):
		return errorAt(root, "The file is a value, and no object", form)
	case bytes.HasPrefix(text, []byte("<<<<<<<")):
		return errorAt(root, mergeConflict, mergeConflictDetail)
	default:
		return errorAt(root, "The file is not JSON", form+" A file in the usual syntax has a name that ends with .hcl, without .json.")
	}
	i := slices.IndexFunc(diags, func(d *hcl.Diagnostic) bool {
		return d.Severity == hcl.DiagError && d.Summary != "Root value must be object"
	})
	if i < 0 {
		return nil
	}
	d := *diags[i]
	d.Summary = strings.Replace(d.Summary, "seperator", "separator", 1)
	var rest []byte
	if d.Subject != nil {
		rest = src[min(d.Subject.Start.Byte, len(src)):]
	}
	switch {
	case bytes.HasPrefix(rest, []byte("'")):
		d.Summary, d.Detail = "A text in single quotes", "In JSON, texts and names stand in double quotes."
	case bytes.HasPrefix(rest, []byte("//")), bytes.HasPrefix(rest, []byte("/*")), bytes.HasPrefix(rest, []byte("#")):
		d.Summary, d.Detail = comment, noComment
	case bytes.HasPrefix(rest, []byte("<<<<<<<")), bytes.HasPrefix(rest, []byte("=======")), bytes.HasPrefix(rest, []byte(">>>>>>>")):
		d.Summary, d.Detail = mergeConflict, mergeConflictDetail
	}
	return &d
}

type jsonConverter struct{ *parsedFile }

// object converts an object: first what the schemas call blocks, then the rest.
func (c *jsonConverter) object(b hcl.Body, s jsonObject) *hclsyntax.Body {
	out := &hclsyntax.Body{Attributes: hclsyntax.Attributes{}, SrcRange: b.MissingItemRange(), EndRange: b.MissingItemRange()}
	want := &hcl.BodySchema{}
	for _, name := range mapKeys(s.blocks) {
		h := hcl.BlockHeaderSchema{Type: name}
		for range s.blocks[name].labels {
			h.LabelNames = append(h.LabelNames, "name")
		}
		want.Blocks = append(want.Blocks, h)
	}
	content, rest, diags := b.PartialContent(want)
	c.diags = append(c.diags, diags...)
	for _, h := range content.Blocks {
		out.Blocks = append(out.Blocks, &hclsyntax.Block{
			Type: h.Type, Labels: h.Labels, Body: c.object(h.Body, s.blocks[h.Type].body(h.Labels)),
			TypeRange: h.TypeRange, LabelRanges: h.LabelRanges, OpenBraceRange: h.DefRange, CloseBraceRange: h.DefRange,
		})
	}
	slices.SortStableFunc(out.Blocks, func(a, b *hclsyntax.Block) int { return cmp.Compare(blockStart(a), blockStart(b)) })
	attrs, diags := rest.JustAttributes()
	c.diags = append(c.diags, diags...)
	for name, a := range attrs {
		expr := c.expression(a.Expr, s.exprs[name])
		out.Attributes[name] = &hclsyntax.Attribute{Name: name, Expr: expr, SrcRange: a.Range, NameRange: a.NameRange, EqualsRange: a.NameRange}
	}
	return out
}

func blockStart(b *hclsyntax.Block) int {
	if n := len(b.LabelRanges); n > 0 {
		return b.LabelRanges[n-1].Start.Byte
	}
	return b.OpenBraceRange.Start.Byte
}

// expression converts a value. Texts are templates, or, if code says so,
// expressions.
func (c *jsonConverter) expression(e hcl.Expression, code bool) hclsyntax.Expression {
	rng := e.Range()
	if pairs, diags := hcl.ExprMap(e); !diags.HasErrors() {
		o := &hclsyntax.ObjectConsExpr{SrcRange: rng, OpenRange: rng}
		for _, kv := range pairs {
			o.Items = append(o.Items, hclsyntax.ObjectConsItem{
				KeyExpr:   &hclsyntax.ObjectConsKeyExpr{Wrapped: c.expression(kv.Key, false), ForceNonLiteral: true},
				ValueExpr: c.expression(kv.Value, code),
			})
		}
		return o
	}
	if items, diags := hcl.ExprList(e); !diags.HasErrors() {
		t := &hclsyntax.TupleConsExpr{SrcRange: rng, OpenRange: rng}
		for _, item := range items {
			t.Exprs = append(t.Exprs, c.expression(item, code))
		}
		return t
	}
	v, diags := e.Value(nil)
	c.diags = append(c.diags, diags...)
	if v.Type() != cty.String || v.IsNull() || !v.IsKnown() {
		return &hclsyntax.LiteralValueExpr{Val: v, SrcRange: rng}
	}
	return c.text(v.AsString(), rng, code)
}

// text parses a text. Its places are those in the file, off only by escapes
// before them in the same text.
func (c *jsonConverter) text(text string, rng hcl.Range, code bool) hclsyntax.Expression {
	at := hcl.Pos{Line: rng.Start.Line, Column: rng.Start.Column + 1, Byte: rng.Start.Byte + 1}
	if raw := rng.SliceBytes(c.file.Bytes); len(raw) != len(text)+2 {
		c.decoded = append(c.decoded, decodedText{at.Byte, text})
	}
	parse := hclsyntax.ParseTemplate
	if code {
		parse = hclsyntax.ParseExpression
	}
	expr, diags := parse([]byte(text), rng.Filename, at)
	for _, d := range diags {
		d.Subject = rng.Ptr()
		d.Context = nil
	}
	c.diags = append(c.diags, diags...)
	if diags.HasErrors() {
		return &hclsyntax.LiteralValueExpr{Val: cty.DynamicVal, SrcRange: rng}
	}
	if w, ok := expr.(*hclsyntax.TemplateWrapExpr); ok {
		return w.Wrapped
	}
	return expr
}

// decodedText is a text of a JSON file that is written with escapes.
type decodedText struct {
	start int // of what is between the quotes
	text  string
}

// source returns the text of an expression, "" if it is not to be had.
func (p *Pipeline) source(rng hcl.Range) string {
	f := p.files[rng.Filename]
	if f == nil || rng.End.Byte > len(f.Bytes) {
		return ""
	}
	if strings.HasSuffix(rng.Filename, jsonSuffix) {
		for _, d := range p.decoded[rng.Filename] {
			if from, to := rng.Start.Byte-d.start, rng.End.Byte-d.start; from >= 0 && to <= len(d.text) {
				return d.text[from:to]
			}
		}
	}
	return string(rng.SliceBytes(f.Bytes))
}
