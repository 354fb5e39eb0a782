package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/engine/suggest"
)

// describe names a type with an article.
func describe(t cty.Type) string {
	switch t {
	case cty.Bool:
		return "true or false"
	case cty.DynamicPseudoType:
		return "any value"
	}
	name := stage.TypeName(t)
	if strings.ContainsRune("aeiou", rune(name[0])) {
		return "an " + name
	}
	return "a " + name
}

// describeValue names what a value is, for "got …".
func describeValue(v cty.Value) string {
	t := v.Type()
	switch {
	case v.IsNull():
		return "null"
	case isStage(v):
		if a := addressOf(v); a != "" {
			return "the stage " + a
		}
		return "a stage"
	case isOutput(v):
		return "an output of a stage"
	case isInstances(v) && v.LengthInt() > 0:
		return fmt.Sprintf("a block of %d stages", v.LengthInt())
	case t == cty.Number && v.IsKnown():
		return "the number " + literalText(v)
	case t == cty.Bool && v.IsKnown():
		return literalText(v)
	case t == cty.String && v.IsKnown() && len(v.AsString()) <= 40:
		return "the string " + literal(v)
	}
	return describe(t)
}

// literal shows a primitive value as HCL.
func literal(v cty.Value) string {
	if v.Type() == cty.String {
		return fmt.Sprintf("%q", v.AsString())
	}
	return literalText(v)
}

// literalText is a primitive value as text.
func literalText(v cty.Value) string {
	s, err := convert.Convert(asText(v), cty.String)
	if err != nil || s.IsNull() || !s.IsKnown() {
		return ""
	}
	return s.AsString()
}

// wrongHint is the next step after a value of a wrong type.
func wrongHint(v cty.Value, t cty.Type) string {
	vt := v.Type()
	switch {
	case isStage(v) && t.IsPrimitiveType():
		if vt.HasAttribute("path") {
			return " The path of a stage's output is .path, a result is .metrics.NAME."
		}
		return " A result of a stage is .metrics.NAME."
	case isOutput(v) && t == cty.String:
		return " Its path is .path."
	case isInstances(v) && v.LengthInt() > 0:
		return fmt.Sprintf(" Name one, as in %s.", firstInstance(v))
	case (isStage(v) || isOutput(v)) && t.IsMapType():
		return " A map gives it a name: { NAME = … }."
	case t == cty.Bool && vt == cty.String:
		return " true, false and conditions stand without quotes."
	case t.IsListType() && vt.IsPrimitiveType():
		return " Put it in brackets: [ … ]."
	case t.IsListType() && (vt.IsObjectType() || vt.IsMapType()):
		return " A list is written in brackets: [ … ]; values(…) makes one of a map's values."
	case t.IsMapType() && (vt.IsTupleType() || vt.IsListType()):
		return " A map is written in braces, each value with a name: { NAME = … }."
	case t == stage.ReferenceType && isOutput(v):
		return " Name the stage itself, not one of its outputs."
	case t == stage.ReferenceType && vt == cty.String:
		return " A stage is written without quotes."
	case t.IsPrimitiveType() && (vt.IsTupleType() || vt.IsListType()):
		return " A single value stands without brackets."
	}
	return ""
}

// convertTo converts an argument of flow's own.
func convertTo(v cty.Value, want cty.Type, rng hcl.Range) (cty.Value, hcl.Diagnostics) {
	got, err := convert.Convert(v, want)
	if err != nil {
		bare, f := strip(v)
		got := describeValue(bare)
		if f.sensitive {
			got = describe(bare.Type())
		}
		return cty.DynamicVal, hcl.Diagnostics{errorAt(rng, "Wrong type of value",
			fmt.Sprintf("Expected %s, got %s.%s", describe(want), got, wrongHint(bare, want)))}
	}
	return got, nil
}

// explainConversion is cty's reason, with the place within the value.
func explainConversion(err error) string {
	var p cty.PathError
	if errors.As(err, &p) && len(p.Path) > 0 {
		var b strings.Builder
		for _, s := range p.Path {
			switch s := s.(type) {
			case cty.GetAttrStep:
				b.WriteString("." + s.Name)
			case cty.IndexStep:
				b.WriteString("[" + literal(s.Key) + "]")
			}
		}
		return fmt.Sprintf("in %s, %s", strings.TrimPrefix(b.String(), "."), err.Error())
	}
	return err.Error()
}

// isOutput tells the object of an output.
func isOutput(v cty.Value) bool {
	t := v.Type()
	return t.IsObjectType() && len(t.AttributeTypes()) == 1 && t.HasAttribute("path")
}

// isInstances tells the value of a block with for_each or count. Instances
// that failed are of unknown type.
func isInstances(v cty.Value) bool {
	t := v.Type()
	is := func(t cty.Type) bool {
		return t == cty.DynamicPseudoType || isStage(cty.UnknownVal(t))
	}
	switch {
	case v.IsNull() || !v.IsKnown():
	case t.IsObjectType():
		for _, at := range t.AttributeTypes() {
			if !is(at) {
				return false
			}
		}
		return true
	case t.IsTupleType():
		return !slices.ContainsFunc(t.TupleElementTypes(), func(t cty.Type) bool { return !is(t) })
	}
	return false
}

// addressOf returns the address that a stage's object holds.
func addressOf(v cty.Value) string {
	a, _ := v.GetAttr("address").Unmark()
	if a.Type() != cty.String || a.IsNull() || !a.IsKnown() {
		return ""
	}
	return a.AsString()
}

func firstInstance(v cty.Value) string {
	for it := v.ElementIterator(); it.Next(); {
		_, item := it.Element()
		item, _ = item.Unmark()
		if isStage(item) && item.IsKnown() {
			return addressOf(item)
		}
	}
	return `TYPE.NAME["KEY"]`
}

func quoted(names []string) string {
	qs := make([]string, len(names))
	for i, n := range names {
		qs[i] = fmt.Sprintf("%q", n)
	}
	return list(qs, 20)
}

func guess(given string, names []string) string {
	if s := suggest.Nearest(given, names); s != "" {
		return fmt.Sprintf(" Did you mean %q?", s)
	}
	return ""
}
