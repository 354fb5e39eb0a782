package config

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/flow-pipelines/flow/engine/stage"
)

// stageType is a stage.Type with its schema prepared for decoding.
type stageType struct {
	typ    stage.Type
	schema *stage.Schema
	body   *bodySchema
	meta   map[string]bool       // the meta-arguments that the schema leaves to flow
	kinds  map[string]stage.Kind // what arguments take
}

// The names of the meta-arguments and meta-blocks of every stage, and of what the
// blocks take, as stage.Common has them. A schema that declares one of these names
// itself has it for itself.
var (
	metaArguments      = attributeNames(stage.Common())
	metaBlocks         = blockNames(stage.Common())
	metaBlockArguments = argumentsOfBlocks(stage.Common())
)

func newStageType(t stage.Type) *stageType {
	s := t.Schema()
	st := &stageType{typ: t, schema: s, body: newBodySchema(s.Body), meta: map[string]bool{}, kinds: map[string]stage.Kind{}}
	for _, a := range s.Body.Attributes {
		if a.Kind != "" {
			st.kinds[a.Name] = a.Kind
		}
	}
	for _, name := range metaArguments {
		if _, taken := st.body.attrs[name]; !taken {
			st.meta[name] = true
		}
	}
	for _, name := range metaBlocks {
		if _, taken := st.body.blocks[name]; !taken {
			st.meta[name] = true
		}
	}
	st.body.accept(st.meta)
	return st
}

// bodySchema is a stage.Body by names.
type bodySchema struct {
	attrs map[string]*attrSchema
	order []*attrSchema
	// blocks are by HCL block type: for Steps, one for each variant.
	blocks map[string]*blockSchema
	names  []*stage.Block // top-level JSON names, in the schema's order
	places map[string]int // of all names in that order
	// content is what HCL is asked for in a body of this kind: the names of the
	// schema and the meta-arguments and meta-blocks that go with it.
	content *hcl.BodySchema
	// attrNames and blockNames are the names in content.
	attrNames, blockNames []string
}

type attrSchema struct {
	*stage.Attribute
	// lazy: the type holds stage.ExpressionType, so that the expression must
	// not be evaluated as a whole.
	lazy bool
	// defaultArg and defaultJSON are the default as it appears in Args.
	defaultArg  any
	defaultJSON string
}

type blockSchema struct {
	*stage.Block
	body     *bodySchema            // Single, Repeated and, for Steps, the variant's
	step     string                 // the variant's name, for Steps
	label    string                 // JSON name of the label
	variants map[string]*bodySchema // Choice
}

func newBodySchema(b stage.Body) *bodySchema {
	s := &bodySchema{attrs: map[string]*attrSchema{}, blocks: map[string]*blockSchema{}, places: map[string]int{}}
	for i := range b.Attributes {
		a := &attrSchema{Attribute: &b.Attributes[i]}
		a.lazy = holdsExpression(a.Type)
		if a.Default != cty.NilVal && !a.Default.IsNull() {
			a.defaultArg = plain(a.Default)
			a.defaultJSON = string(canonical(a.defaultArg))
		}
		s.attrs[a.Name] = a
		s.order = append(s.order, a)
		s.places[a.Name] = len(s.places)
	}
	for i := range b.Blocks {
		blk := &b.Blocks[i]
		s.names = append(s.names, blk)
		s.places[blk.Name] = len(s.places)
		switch blk.Kind {
		case stage.Steps:
			for j := range blk.Variants {
				v := &blk.Variants[j]
				s.blocks[v.Name] = &blockSchema{Block: blk, step: v.Name, label: v.Label, body: newBodySchema(v.Body)}
			}
		case stage.Choice:
			c := &blockSchema{Block: blk, variants: map[string]*bodySchema{}}
			for j := range blk.Variants {
				c.variants[blk.Variants[j].Name] = newBodySchema(blk.Variants[j].Body)
			}
			s.blocks[blk.Name] = c
		default:
			s.blocks[blk.Name] = &blockSchema{Block: blk, label: blk.Label, body: newBodySchema(blk.Body)}
		}
	}
	s.accept(nil)
	return s
}

// accept says which names a body may have, the meta-arguments and meta-blocks in
// meta among them.
func (s *bodySchema) accept(meta map[string]bool) {
	s.content, s.attrNames, s.blockNames = &hcl.BodySchema{}, nil, nil
	attr := func(name string) {
		s.content.Attributes = append(s.content.Attributes, hcl.AttributeSchema{Name: name})
		s.attrNames = append(s.attrNames, name)
	}
	block := func(name string, labels ...string) {
		s.content.Blocks = append(s.content.Blocks, hcl.BlockHeaderSchema{Type: name, LabelNames: labels})
		s.blockNames = append(s.blockNames, name)
	}
	for _, a := range s.order {
		attr(a.Name)
	}
	for _, name := range metaArguments {
		if meta[name] {
			attr(name)
		}
	}
	for _, name := range mapKeys(s.blocks) {
		if s.blocks[name].takesLabel() {
			block(name, "label")
		} else {
			block(name)
		}
	}
	if len(s.blocks) > 0 && s.blocks[dynamicBlock] == nil {
		block(dynamicBlock, "block")
	}
	for _, name := range metaBlocks {
		if meta[name] {
			block(name)
		}
	}
}

func holdsExpression(t cty.Type) bool {
	for t.IsCollectionType() {
		t = t.ElementType()
	}
	return t == stage.ExpressionType
}

// body is one pair of braces, decoded but not evaluated.
type body struct {
	schema *bodySchema
	attrs  map[string]*hcl.Attribute
	blocks []*nested // as written
	open   hcl.Range // the header of the block that it belongs to
}

// nested is a block within a block.
type nested struct {
	schema *blockSchema
	label  string // label, or the chosen variant
	body   *body
	Range  hcl.Range
	// dynamic is nil in a block that stands for itself.
	dynamic *dynamic
	// variants is what the body is for each label that it may get, if that is
	// computed; body is one of them then.
	variants map[string]variant
}

// variant is a body as one of several kinds of a block, and what is wrong with
// it as that.
type variant struct {
	body  *body
	diags hcl.Diagnostics
}

func (s *blockSchema) takesLabel() bool { return s.label != "" || s.Kind == stage.Choice }

// decode checks the names in a body against its schema. what is how messages
// call the block: `train`, `train's block features`.
func decode(hb hcl.Body, s *bodySchema, what string, open hcl.Range) (*body, *hcl.BodyContent, hcl.Diagnostics) {
	found, diags := unknownNames(hb, what, s.attrNames, s.blockNames)
	content, _, more := hb.PartialContent(s.content)
	if !found {
		diags = append(diags, more...)
	}
	b := &body{schema: s, attrs: make(map[string]*hcl.Attribute, len(content.Attributes)), open: open}
	for name, a := range content.Attributes {
		if s.attrs[name] != nil {
			b.attrs[name] = a
		}
	}
	for _, h := range content.Blocks {
		bs := s.blocks[h.Type]
		if bs == nil && h.Type == dynamicBlock {
			n, more := decodeDynamic(h, s, what)
			diags = append(diags, more...)
			if n != nil {
				b.blocks = append(b.blocks, n)
			}
			continue
		}
		if bs == nil {
			continue
		}
		n, more := decodeNested(h, bs, what)
		diags = append(diags, more...)
		if n != nil {
			b.blocks = append(b.blocks, n)
		}
	}
	written := func(name string) bool {
		native, ok := hb.(*hclsyntax.Body)
		return ok && native.Attributes[name] != nil || slices.ContainsFunc(content.Blocks, func(h *hcl.Block) bool { return h.Type == name })
	}
	diags = append(diags, b.complete(what, written)...)
	return b, content, diags
}

func decodeNested(h *hcl.Block, bs *blockSchema, parent string) (*nested, hcl.Diagnostics) {
	n := &nested{schema: bs, Range: h.DefRange}
	s := bs.body
	what := h.Type
	if bs.takesLabel() {
		n.label = h.Labels[0]
	}
	if bs.Kind == stage.Choice {
		s = bs.variants[n.label]
		what = fmt.Sprintf("%s %q", h.Type, n.label)
		if s == nil {
			return nil, hcl.Diagnostics{errorAt(h.LabelRanges[0], fmt.Sprintf("Unknown kind of %s: %q", h.Type, n.label),
				fmt.Sprintf("The label of a %s block in %s chooses one of its kinds.%s", h.Type, parent, didYouMean(n.label, mapKeys(bs.variants))))}
		}
	}
	var diags hcl.Diagnostics
	n.body, _, diags = decode(h.Body, s, what, h.DefRange)
	return n, diags
}

// complete checks that what is required is there, and once where once is all. What
// is written, if wrongly, is not missed.
func (b *body) complete(what string, written func(name string) bool) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, a := range b.schema.order {
		if a.Required && b.attrs[a.Name] == nil {
			d := errorAt(b.open, fmt.Sprintf("Missing argument %q", a.Name), fmt.Sprintf("%s needs %s", what, a.Name))
			if a.Doc != "" {
				d.Detail += ": " + a.Doc
			} else {
				d.Detail += "."
			}
			diags = append(diags, d)
		}
	}
	first := map[string]*nested{}
	for _, n := range b.blocks {
		if old := first[n.schema.Name]; old == nil {
			first[n.schema.Name] = n
		} else if (n.schema.Kind == stage.Single || n.schema.Kind == stage.Choice) && n.dynamic == nil && old.dynamic == nil {
			diags = append(diags, errorAt(n.Range, fmt.Sprintf("Duplicate block %q", n.schema.Name),
				fmt.Sprintf("%s has at most one block %s; the first is at line %d.", what, n.schema.Name, old.Range.Start.Line)))
		}
	}
	for _, blk := range b.schema.names {
		if blk.Required && first[blk.Name] == nil && !written(blk.Name) {
			form := blk.Name + " { … }"
			switch blk.Kind {
			case stage.Choice:
				form = fmt.Sprintf("%s %q { … }", blk.Name, blk.Variants[0].Name)
			case stage.Steps:
				form = blk.Variants[0].Name + " { … }"
			}
			diags = append(diags, errorAt(b.open, fmt.Sprintf("Missing block %q", blk.Name), fmt.Sprintf("%s needs %s.", what, form)))
		}
	}
	return diags
}

// unknownNames reports arguments and blocks that a body should not have, in
// HCL's native syntax, with guesses at what was meant. found says that there
// are some, so that HCL's own complaints can be dropped.
func unknownNames(hb hcl.Body, what string, attrs, blocks []string) (found bool, diags hcl.Diagnostics) {
	native, ok := hb.(*hclsyntax.Body)
	if !ok {
		return false, nil
	}
	for _, a := range sortedAttributes(native.Attributes) {
		switch {
		case slices.Contains(attrs, a.Name):
		case slices.Contains(blocks, a.Name):
			found = true
			form := a.Name
			if v, more := a.Expr.Value(nil); !more.HasErrors() && v.Type() == cty.String && v.IsKnown() && !v.IsNull() {
				form += fmt.Sprintf(" %q", v.AsString()) // a label, it seems
			}
			diags = append(diags, errorAt(a.NameRange, fmt.Sprintf("%q is a block, not an argument", a.Name),
				fmt.Sprintf("Write %s { … } without the equals sign.", form)))
		default:
			found = true
			diags = append(diags, errorAt(a.NameRange, fmt.Sprintf("Unknown argument %q", a.Name),
				fmt.Sprintf("%s has no argument %q.%s", what, a.Name, didYouMean(a.Name, append(slices.Clone(attrs), blocks...)))))
		}
	}
	for _, b := range native.Blocks {
		switch {
		case slices.Contains(blocks, b.Type):
		case slices.Contains(attrs, b.Type):
			found = true
			diags = append(diags, errorAt(b.TypeRange, fmt.Sprintf("%q is an argument, not a block", b.Type),
				fmt.Sprintf("Write %s = … with an equals sign; for a map, %s = { … }.", b.Type, b.Type)))
		default:
			found = true
			detail := fmt.Sprintf("%s has no block %q.", what, b.Type)
			if len(blocks) == 0 {
				detail = fmt.Sprintf("%s holds no blocks.", what)
			}
			diags = append(diags, errorAt(b.TypeRange, fmt.Sprintf("Unknown block %q", b.Type), detail+didYouMean(b.Type, append(slices.Clone(blocks), attrs...))))
		}
	}
	return found, diags
}

func attributeNames(b stage.Body) []string {
	names := make([]string, len(b.Attributes))
	for i, a := range b.Attributes {
		names[i] = a.Name
	}
	return names
}

func blockNames(b stage.Body) []string {
	names := make([]string, len(b.Blocks))
	for i, blk := range b.Blocks {
		names[i] = blk.Name
	}
	return names
}

func argumentsOfBlocks(b stage.Body) map[string][]string {
	names := make(map[string][]string, len(b.Blocks))
	for _, blk := range b.Blocks {
		names[blk.Name] = attributeNames(blk.Body)
	}
	return names
}
