package stage_test

import (
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/flow-pipelines/flow/engine/stage"
)

func TestTypesHaveNamesForPeople(t *testing.T) {
	for want, typ := range map[string]cty.Type{
		"string":                          cty.String,
		"any":                             cty.DynamicPseudoType,
		"list of numbers":                 cty.List(cty.Number),
		"list of lists of bools":          cty.List(cty.List(cty.Bool)),
		"map of stages, outputs or paths": cty.Map(stage.ArtifactType),
		"map of lists of row expressions": cty.Map(cty.List(stage.ExpressionType)),
		"set of anything":                 cty.Set(cty.DynamicPseudoType),
		"list":                            cty.Tuple([]cty.Type{cty.Bool}),
		"list of objects":                 cty.List(cty.EmptyObject),
		"stage, output or path":           stage.ArtifactType,
	} {
		if got := stage.TypeName(typ); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
