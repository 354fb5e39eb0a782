package protocol

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/go-version"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/flow-pipelines/flow/engine/stage"
)

var (
	pluginName = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
	identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)
)

// ValidName reports whether a plugin may be called so.
func ValidName(name string) bool { return pluginName.MatchString(name) }

func (d *Description) validate() error {
	switch {
	case !ValidName(d.Name):
		return fmt.Errorf("name %q: want small letters, digits and -", d.Name)
	case len(d.Types) == 0:
		return errors.New("no stage type")
	}
	if _, err := version.NewVersion(d.Version); err != nil || strings.ContainsAny(d.Version, " \t\n") {
		return fmt.Errorf("version %q: want a number such as 1.2.0", d.Version)
	}
	seen := map[string]bool{}
	for i := range d.Types {
		t := &d.Types[i]
		if seen[t.Name] {
			return fmt.Errorf("stage type %s stands there twice", t.Name)
		}
		seen[t.Name] = true
		if err := t.validate(); err != nil {
			return fmt.Errorf("stage type %s: %w", t.Name, err)
		}
	}
	return nil
}

func (t *Type) validate() error {
	switch {
	case !identifier.MatchString(t.Name):
		return fmt.Errorf("name %q: want an identifier", t.Name)
	case t.Version < 1:
		return errors.New("version: want 1 or more")
	case t.Summary == "":
		return errors.New("no summary")
	}
	if _, err := t.Body.body(); err != nil {
		return err
	}
	for _, o := range t.Outputs {
		if err := t.validOutput(o); err != nil {
			return fmt.Errorf("output %s: %w", o.Name, err)
		}
	}
	for _, name := range stage.Common().Names() {
		if t.Body.has(name) {
			return fmt.Errorf("argument %s: every stage has that, and flow sees to it", name)
		}
	}
	return t.validResume()
}

func (t *Type) validResume() error {
	if len(t.ResumeOver) > 0 && !t.Checkpoint {
		return errors.New("resume_over: want checkpoint as well, in which a run leaves what another goes on from")
	}
	for _, name := range t.ResumeOver {
		isNumber := func(a Argument) bool { return a.Name == name && a.Type == "number" }
		if !slices.ContainsFunc(t.Body.Arguments, isNumber) {
			return fmt.Errorf("resume_over: there is no argument %q that is a number", name)
		}
	}
	if len(t.ResumeOver) > 0 && t.Body.has(ResumeArgument) {
		return fmt.Errorf("resume_over: there is an argument %q, which is flow's", ResumeArgument)
	}
	return nil
}

// ResumeArgument is the argument that blocks of a type with ResumeOver have. The
// plugin does not see it.
const ResumeArgument = "resume_over"

func (t *Type) validOutput(o Output) error {
	switch {
	case !identifier.MatchString(o.Name):
		return errors.New("want an identifier for a name")
	case o.Path == "" || strings.HasPrefix(o.Path, "/") || strings.Contains("/"+o.Path+"/", "/../"):
		return fmt.Errorf("path %q: want one below the stage's place", o.Path)
	case o.If != "" && !t.Body.has(o.If):
		return fmt.Errorf("if: there is no argument %q", o.If)
	case o.Each != "" && !t.Body.keyed(o.Each):
		return fmt.Errorf("each: %q is neither a map nor a repeated block with a label", o.Each)
	}
	for _, word := range placeholder.FindAllString(o.Path, -1) {
		name := strings.Trim(word, "{}")
		ofEach := o.Each != "" && (name == "key" || name == t.Body.label(o.Each) || t.Body.block(o.Each).has(name))
		if !ofEach && !t.Body.has(name) {
			return fmt.Errorf("path %q: there is no argument %q", o.Path, name)
		}
	}
	return nil
}

// block is what a block of this name holds.
func (b Body) block(name string) Body {
	for _, blk := range b.Blocks {
		if blk.Name == name {
			return blk.Body
		}
	}
	return Body{}
}

func (b Body) has(name string) bool {
	for _, a := range b.Arguments {
		if a.Name == name {
			return true
		}
	}
	for _, blk := range b.Blocks {
		if blk.Name == name {
			return true
		}
	}
	return false
}

func (b Body) keyed(name string) bool {
	for _, a := range b.Arguments {
		if a.Name == name {
			return strings.HasPrefix(a.Type, "map(")
		}
	}
	for _, blk := range b.Blocks {
		if blk.Name == name {
			return blk.Kind == "repeated" && blk.Label != ""
		}
	}
	return false
}

// Schema is the type as flow sees its own.
func (t *Type) Schema() (*stage.Schema, error) {
	body, err := t.Body.body()
	if err != nil {
		return nil, err
	}
	if len(t.ResumeOver) > 0 {
		body.Attributes = append(body.Attributes, stage.Attribute{
			Name: ResumeArgument, Type: cty.List(cty.String), Unkeyed: true,
			Doc: fmt.Sprintf("Of %s: what a run saved by the time it succeeded is kept, and a run with more that differs in nothing else goes on from there instead of from nothing. Not part of the key.", strings.Join(t.ResumeOver, ", ")),
		})
	}
	s := &stage.Schema{
		Name: t.Name, Version: t.Version, Summary: t.Summary, Doc: t.Doc, Example: t.Example, Effect: t.Effect,
		Body: body, Metrics: t.Metrics,
	}
	for _, o := range t.Outputs {
		s.Outputs = append(s.Outputs, stage.OutputDoc{Name: o.Name, Doc: o.Doc})
	}
	return s, nil
}

var kinds = map[string]stage.BlockKind{"single": stage.Single, "repeated": stage.Repeated, "choice": stage.Choice, "steps": stage.Steps}

func (b Body) body() (stage.Body, error) {
	var out stage.Body
	seen := map[string]bool{}
	name := func(s string) error {
		if !identifier.MatchString(s) {
			return fmt.Errorf("%q: want an identifier", s)
		}
		if seen[s] {
			return fmt.Errorf("%s stands there twice", s)
		}
		seen[s] = true
		return nil
	}
	for _, a := range b.Arguments {
		attr, err := a.attribute()
		if err = errors.Join(name(a.Name), err); err != nil {
			return out, fmt.Errorf("argument %s: %w", a.Name, err)
		}
		out.Attributes = append(out.Attributes, attr)
	}
	for _, blk := range b.Blocks {
		sb, err := blk.block()
		if err = errors.Join(name(blk.Name), err); err != nil {
			return out, fmt.Errorf("block %s: %w", blk.Name, err)
		}
		out.Blocks = append(out.Blocks, sb)
	}
	return out, nil
}

func (b Block) block() (stage.Block, error) {
	kind, ok := kinds[b.Kind]
	if !ok {
		return stage.Block{}, fmt.Errorf("kind %q: want single, repeated, choice or steps", b.Kind)
	}
	body, err := b.Body.body()
	if err != nil {
		return stage.Block{}, err
	}
	out := stage.Block{Name: b.Name, Kind: kind, Required: b.Required, Label: b.Label, Doc: b.Doc, Body: body}
	many := kind == stage.Choice || kind == stage.Steps
	if many != (len(b.Variants) > 0) {
		return out, fmt.Errorf("a block of the kind %s and %d variants", b.Kind, len(b.Variants))
	}
	for _, v := range b.Variants {
		v.Kind = "single"
		sv, err := v.block()
		if err != nil {
			return out, fmt.Errorf("variant %s: %w", v.Name, err)
		}
		out.Variants = append(out.Variants, sv)
	}
	return out, nil
}

func (a Argument) attribute() (stage.Attribute, error) {
	t, err := parseType(a.Type)
	if err != nil {
		return stage.Attribute{}, err
	}
	out := stage.Attribute{Name: a.Name, Type: t, Required: a.Required, OneOf: a.OneOf, Doc: a.Doc}
	if len(a.OneOf) > 0 && t != cty.String {
		return out, errors.New("one_of is for strings")
	}
	if len(a.Default) == 0 || string(a.Default) == "null" {
		return out, nil
	}
	if t.HasDynamicTypes() || t == stage.ArtifactType || t == stage.ReferenceType || t == stage.ExpressionType {
		t, err = ctyjson.ImpliedType(a.Default)
		if err != nil {
			return out, fmt.Errorf("default: %w", err)
		}
	}
	if out.Default, err = ctyjson.Unmarshal(a.Default, t); err != nil {
		return out, fmt.Errorf("default: %w", err)
	}
	return out, nil
}

var plainTypes = map[string]cty.Type{
	"string": cty.String, "number": cty.Number, "bool": cty.Bool, "any": cty.DynamicPseudoType,
	"artifact": stage.ArtifactType, "stage": stage.ReferenceType, "expression": stage.ExpressionType,
}

func parseType(s string) (cty.Type, error) {
	if t, ok := plainTypes[s]; ok {
		return t, nil
	}
	for prefix, of := range map[string]func(cty.Type) cty.Type{"list(": cty.List, "set(": cty.Set, "map(": cty.Map} {
		inner, ok := strings.CutPrefix(s, prefix)
		if !ok || !strings.HasSuffix(inner, ")") {
			continue
		}
		elem, err := parseType(strings.TrimSuffix(inner, ")"))
		if err != nil {
			return cty.NilType, err
		}
		if elem == cty.DynamicPseudoType {
			return elem, nil // a list of anything is not forced to one type
		}
		return of(elem), nil
	}
	return cty.NilType, fmt.Errorf("unknown type %q", s)
}

// BodyOf describes a body of flow's own form, for plugins in Go.
func BodyOf(b stage.Body) (Body, error) {
	var out Body
	for _, a := range b.Attributes {
		arg := Argument{Name: a.Name, Type: formatType(a.Type), Required: a.Required, OneOf: a.OneOf, Doc: a.Doc}
		if a.Default != cty.NilVal {
			raw, err := ctyjson.Marshal(a.Default, a.Default.Type())
			if err != nil {
				return out, fmt.Errorf("default of %s: %w", a.Name, err)
			}
			arg.Default = json.RawMessage(raw)
		}
		out.Arguments = append(out.Arguments, arg)
	}
	for _, blk := range b.Blocks {
		pb, err := blockOf(blk)
		if err != nil {
			return out, err
		}
		out.Blocks = append(out.Blocks, pb)
	}
	return out, nil
}

func blockOf(b stage.Block) (Block, error) {
	out := Block{Name: b.Name, Required: b.Required, Label: b.Label, Doc: b.Doc}
	for name, k := range kinds {
		if k == b.Kind {
			out.Kind = name
		}
	}
	var err error
	if out.Body, err = BodyOf(b.Body); err != nil {
		return out, err
	}
	for _, v := range b.Variants {
		pv, err := blockOf(v)
		if err != nil {
			return out, err
		}
		out.Variants = append(out.Variants, pv)
	}
	return out, nil
}

func formatType(t cty.Type) string {
	for name, plain := range plainTypes {
		if t == plain {
			return name
		}
	}
	switch {
	case t.IsListType():
		return "list(" + formatType(t.ElementType()) + ")"
	case t.IsSetType():
		return "set(" + formatType(t.ElementType()) + ")"
	case t.IsMapType():
		return "map(" + formatType(t.ElementType()) + ")"
	}
	panic(fmt.Sprintf("BUG: the type %s has no name in the protocol", t.FriendlyName()))
}
