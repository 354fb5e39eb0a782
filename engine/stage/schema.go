package stage

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// Schema describes a stage type. Checking, decoding, `flow explain`, shell
// completion and the reference documentation all come from it.
type Schema struct {
	// Name is the block type: "train".
	Name string
	// Version is part of every key. Raise it when the same arguments and
	// inputs give other results.
	Version int
	// Summary is one line; Doc is Markdown; Example is HCL.
	Summary, Doc, Example string
	// Effect says that a run changes something outside the project's
	// outputs: flow asks first, and never takes its result from the cache.
	Effect bool
	Body   Body
	// Outputs documents the outputs that have fixed names.
	Outputs []OutputDoc
	// Metrics documents the metrics in a sentence or two.
	Metrics string
	// Plugin is where the type comes from; nil for flow's own.
	Plugin *Plugin
}

// OutputDoc documents an output.
type OutputDoc struct{ Name, Doc string }

// Body is what may stand between the braces of a block.
type Body struct {
	Attributes []Attribute
	Blocks     []Block
}

// Names are those of the attributes, and then of the blocks.
func (b Body) Names() []string {
	var names []string
	for _, a := range b.Attributes {
		names = append(names, a.Name)
	}
	for _, blk := range b.Blocks {
		names = append(names, blk.Name)
	}
	return names
}

// Attribute is an argument, `name = value`.
type Attribute struct {
	Name string
	// Type constrains the value. It may contain ArtifactType, ReferenceType
	// and ExpressionType; cty.DynamicPseudoType takes anything.
	Type     cty.Type
	Required bool
	// Default is used when the argument is left out or null; cty.NilVal is none.
	Default cty.Value
	// Kind is what the files hold that it names.
	Kind Kind
	// OneOf lists the only values, for strings.
	OneOf []string
	// Unkeyed arguments say how a job is done and not what it comes to: they
	// are no part of the key. Job sees them and Run does not, so that no result
	// can depend on them. Only arguments directly in Schema.Body may be.
	Unkeyed bool
	Doc     string
}

// BlockKind says how often and in which form a nested block may come.
type BlockKind int

const (
	// Single blocks come at most once. JSON: an object.
	Single BlockKind = iota
	// Repeated blocks come any number of times. JSON: a list of objects.
	Repeated
	// Choice blocks come at most once; the label picks one of Variants.
	// JSON: {"LABEL": {…}}.
	Choice
	// Steps are any number of blocks whose types are Variants' names, in the
	// order they are written. JSON: [{"TYPE": {…}}, …].
	Steps
)

// Block is a nested block.
type Block struct {
	// Name is the block's type; for Steps, the JSON name of the whole list.
	Name     string
	Kind     BlockKind
	Required bool
	// Label is the name under which a label is kept in the JSON object; "" if
	// the block has none.
	Label string
	Doc   string
	// Body is what it holds, for Single and Repeated.
	Body Body
	// Variants are the bodies to choose from, for Choice and Steps.
	Variants []Block
}

// The types of arguments that are not plain values.
var (
	ArtifactType   = cty.Capsule("artifact", reflect.TypeFor[Artifact]())
	ReferenceType  = cty.Capsule("stage", reflect.TypeFor[Reference]())
	ExpressionType = cty.Capsule("expression", reflect.TypeFor[Expression]())
)

// BodyOf describes the arguments that decode into C, a struct whose fields are
// tagged:
//
//	json:"name"      the argument's or block's name; fields without are left out
//	doc:"…"          its documentation
//	default:"…"      its default, as JSON (strings without quotes)
//	oneof:"a b c"    the only values
//	kind:"…"         the Kind of the files that it names
//	flow:"required"  it must be given
//	flow:"unkeyed"   it is no part of the key
//	flow:"label"     the field is the label of the block that the struct is
//	flow:"choice"    a struct of pointers: a block whose label picks one of them
//	flow:"steps"     a slice of structs of pointers: blocks of these types, in order
//
// A field that is a struct, a pointer to one or a slice of them, and has none
// of the types above, is a nested block. The fields of an embedded struct count as
// the struct's own, as they do to encoding/json. BodyOf panics if C is not of this
// form: that is a bug in the stage type, and its first test finds it.
func BodyOf[C any]() Body { return bodyOf(reflect.TypeFor[C]()) }

func bodyOf(t reflect.Type) Body {
	var b Body
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		opts := strings.Split(f.Tag.Get("flow"), ",")
		if f.Anonymous && name == "" {
			inner := bodyOf(f.Type)
			b.Attributes, b.Blocks = append(b.Attributes, inner.Attributes...), append(b.Blocks, inner.Blocks...)
			continue
		}
		if name == "" || name == "-" || has(opts, "label") {
			continue
		}
		if block, ok := blockOf(f, name, opts); ok {
			b.Blocks = append(b.Blocks, block)
			continue
		}
		b.Attributes = append(b.Attributes, attributeOf(t, f, name, opts))
	}
	return b
}

func attributeOf(t reflect.Type, f reflect.StructField, name string, opts []string) Attribute {
	a := Attribute{Name: name, Type: typeOf(f.Type), Required: has(opts, "required"), Unkeyed: has(opts, "unkeyed"), Doc: f.Tag.Get("doc"), Kind: Kind(f.Tag.Get("kind")), OneOf: strings.Fields(f.Tag.Get("oneof"))}
	text, ok := f.Tag.Lookup("default")
	if !ok {
		return a
	}
	if a.Type == cty.String {
		a.Default = cty.StringVal(text)
		return a
	}
	v, err := stdlib.JSONDecode(cty.StringVal(text))
	if err != nil {
		panic(fmt.Sprintf("BUG: %v.%s: default %q: %v", t, f.Name, text, err))
	}
	a.Default = v
	return a
}

func blockOf(f reflect.StructField, name string, opts []string) (Block, bool) {
	b := Block{Name: name, Required: has(opts, "required"), Doc: f.Tag.Get("doc")}
	t := f.Type
	if t.Kind() == reflect.Slice {
		b.Kind, t = Repeated, t.Elem()
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || special(t) != cty.NilType {
		return b, false
	}
	switch {
	case has(opts, "choice"):
		b.Kind, b.Variants = Choice, variantsOf(t)
	case has(opts, "steps"):
		b.Kind, b.Variants = Steps, variantsOf(t)
	default:
		b.Label, b.Body = labelOf(t), bodyOf(t)
	}
	return b, true
}

func variantsOf(t reflect.Type) []Block {
	var vs []Block
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || f.Type.Kind() != reflect.Pointer || f.Type.Elem().Kind() != reflect.Struct {
			panic(fmt.Sprintf("BUG: %v.%s: a variant is a pointer to a struct with a json name", t, f.Name))
		}
		e := f.Type.Elem()
		vs = append(vs, Block{Name: name, Doc: f.Tag.Get("doc"), Label: labelOf(e), Body: bodyOf(e)})
	}
	return vs
}

func labelOf(t reflect.Type) string {
	for i := range t.NumField() {
		f := t.Field(i)
		if has(strings.Split(f.Tag.Get("flow"), ","), "label") {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			return name
		}
	}
	return ""
}

func special(t reflect.Type) cty.Type {
	switch t {
	case reflect.TypeFor[Artifact]():
		return ArtifactType
	case reflect.TypeFor[Reference]():
		return ReferenceType
	case reflect.TypeFor[Expression]():
		return ExpressionType
	case reflect.TypeFor[json.Number]():
		return cty.Number
	case reflect.TypeFor[json.RawMessage](), reflect.TypeFor[any]():
		return cty.DynamicPseudoType
	}
	return cty.NilType
}

func typeOf(t reflect.Type) cty.Type {
	if s := special(t); s != cty.NilType {
		return s
	}
	switch t.Kind() {
	case reflect.Pointer:
		return typeOf(t.Elem())
	case reflect.String:
		return cty.String
	case reflect.Bool:
		return cty.Bool
	case reflect.Int, reflect.Int64, reflect.Float64, reflect.Float32:
		return cty.Number
	case reflect.Slice:
		return collection(cty.List, typeOf(t.Elem()))
	case reflect.Map:
		return collection(cty.Map, typeOf(t.Elem()))
	}
	panic(fmt.Sprintf("BUG: a stage type has an argument of type %v", t))
}

// collection keeps lists and maps of anything from being forced to one type.
func collection(of func(cty.Type) cty.Type, elem cty.Type) cty.Type {
	if elem == cty.DynamicPseudoType {
		return cty.DynamicPseudoType
	}
	return of(elem)
}

func has(opts []string, want string) bool {
	for _, o := range opts {
		if o == want {
			return true
		}
	}
	return false
}
