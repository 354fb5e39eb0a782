package stage

import (
	"strings"

	"github.com/zclconf/go-cty/cty"
)

// TypeName names the type of an argument, the same wherever people read it:
// "string", "list of numbers", "stage, output or path".
func TypeName(t cty.Type) string {
	switch {
	case t == ArtifactType:
		return "stage, output or path"
	case t == ReferenceType:
		return "stage"
	case t == ExpressionType:
		return "row expression"
	case t == cty.DynamicPseudoType:
		return "any"
	case t.IsListType() || t.IsTupleType():
		return "list" + ofElements(t)
	case t.IsSetType():
		return "set" + ofElements(t)
	case t.IsMapType():
		return "map" + ofElements(t)
	case t.IsObjectType():
		return "object"
	}
	return t.FriendlyName()
}

func ofElements(t cty.Type) string {
	if t.IsTupleType() {
		return ""
	}
	switch name := TypeName(t.ElementType()); name {
	case "any":
		return " of anything"
	case "stage, output or path":
		return " of stages, outputs or paths"
	default:
		head, rest, of := strings.Cut(name, " of ")
		if of {
			rest = " of " + rest
		}
		return " of " + head + "s" + rest
	}
}
