package plan

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/flow-pipelines/flow/engine/key"
	"github.com/flow-pipelines/flow/engine/stage"
)

// body has each kind of block.
var body = stage.Body{Blocks: []stage.Block{
	{Name: "steps", Kind: stage.Steps, Variants: []stage.Block{{Name: "filter"}, {Name: "derive", Label: "column"}}},
	{Name: "model", Kind: stage.Choice, Variants: []stage.Block{{Name: "mlp"}, {Name: "linear"}}},
	{Name: "features", Body: stage.Body{Blocks: []stage.Block{{Name: "numeric", Kind: stage.Repeated, Label: "columns"}}}},
}}

func someManifest(t *rapid.T, what string) key.Manifest {
	var m key.Manifest
	add := func(name, value string) {
		m = append(m, key.Fact{Kind: key.Argument, Name: name, Value: value})
	}
	value := rapid.SampledFrom([]string{`"a"`, `"b"`, `"c"`})
	for i := range rapid.IntRange(0, 4).Draw(t, what+" steps") {
		if rapid.Bool().Draw(t, "derive") {
			add(fmt.Sprintf("steps[%d].derive.column", i), value.Draw(t, "column"))
			add(fmt.Sprintf("steps[%d].derive.value", i), value.Draw(t, "value"))
		} else {
			add(fmt.Sprintf("steps[%d].filter.where", i), value.Draw(t, "where"))
		}
	}
	switch rapid.IntRange(0, 3).Draw(t, what+" model") {
	case 1:
		add("model.mlp", "{}")
	case 2:
		add("model.mlp.hidden", value.Draw(t, "hidden"))
	case 3:
		add("model.linear", "{}")
	}
	for i := range rapid.IntRange(0, 2).Draw(t, what+" features") {
		add(fmt.Sprintf("features.numeric[%d].columns", i), value.Draw(t, "columns"))
	}
	return m.Sorted()
}

func TestBlocksDifferIfAndOnlyIfTheirFactsDo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before, after := someManifest(t, "before"), someManifest(t, "after")
		differ := before.Key() != after.Key()
		rs := changes(body, before, after, nil)
		if (len(rs) > 0) != differ {
			t.Fatalf("before %v, after %v: got %v", before, after, rs)
		}
		if same := changes(body, before, before, nil); len(same) > 0 {
			t.Fatalf("%v differs from itself: %v", before, same)
		}
		for _, r := range rs {
			if r.Text == "" || r.Change == nil || r.Change.Name == "" {
				t.Fatalf("got the reason %+v", r)
			}
		}
	})
}
