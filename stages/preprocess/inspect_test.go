package preprocess_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/stages/preprocess"
)

// inspect looks at a table that is in place (left), one whose columns are known
// (right) and one of which nothing is.
func inspect(t *testing.T, args string) (stage.Heads, error) {
	t.Helper()
	left := filepath.Join(t.TempDir(), "left.csv")
	if err := os.WriteFile(left, []byte("id,a\n1,x\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return preprocess.Type{}.Inspect(&stage.Inspection{Args: json.RawMessage(args), Inputs: map[string]stage.InspectedInput{
		"input":        {Path: "left.csv", Head: stage.Head{File: left}},
		"inputs.right": {Path: "right.csv", Head: stage.Head{Columns: []string{"id", "b"}}},
		"inputs.later": {Path: "later.csv"},
		"inputs.typed": {Path: "typed.parquet", Head: stage.Head{Columns: []string{"id", "c"}}},
	}})
}

func TestTheColumnsAfterAllStepsAreKnownBeforeTheRows(t *testing.T) {
	for _, test := range []struct {
		steps string
		want  []string // nil: not known
	}{
		{`{"join": {"input": "right", "on": ["id"], "how": "left"}}, {"rename": {"columns": {"b": "c"}}}, {"drop": {"columns": ["a"]}}`, []string{"id", "c"}},
		{`{"derive": {"column": "n", "value": {"source": "row.id + 1"}}}`, []string{"id", "a", "n"}},
		{`{"deduplicate": {}}, {"fill": {"columns": {"a": 0}}}, {"drop_missing": {}}`, []string{"id", "a"}},
		{`{"join": {"input": "later", "on": ["id"], "how": "inner"}}`, nil},
		{`{"join": {"input": "typed", "on": ["id"], "how": "inner"}}`, nil},
	} {
		heads, err := inspect(t, `{"input": "left.csv", "inputs": {"right": "right.csv", "later": "later.csv", "typed": "typed.parquet"}, "steps": [`+test.steps+`]}`)
		if err != nil || !slices.Equal(heads["data"], test.want) {
			t.Errorf("%s: got %v, %v, want %v", test.steps, heads["data"], err, test.want)
		}
	}
}

func TestAColumnThatIsNotThereIsFoundBeforeTheRows(t *testing.T) {
	for steps, at := range map[string]string{
		`{"filter": {"where": {"source": "row.nope > 1"}}}`:                                                  "steps[0].filter.where",
		`{"join": {"input": "right", "on": ["a"], "how": "inner"}}`:                                          "steps[0].join.on[0]",
		`{"concatenate": {"inputs": ["right"]}}`:                                                             "steps[0].concatenate.inputs[0]",
		`{"rename": {"columns": {"a": "z"}}}, {"select": {"columns": ["a"]}}`:                                "steps[1].select.columns[0]",
		`{"select": {"columns": ["id"]}}, {"join": {"input": "later", "on": ["a"], "how": "inner"}}`:         "",
		`{"drop": {"columns": ["a"]}}, {"recode": {"column": "a", "values": {}}}, {"cast": {"columns": {}}}`: "steps[1].recode",
	} {
		_, err := inspect(t, `{"input": "left.csv", "inputs": {"right": "right.csv", "later": "later.csv"}, "steps": [`+steps+`]}`)
		var p *stage.Problem
		if got := errors.As(err, &p); got != (at != "") || got && p.Path != at {
			t.Errorf("%s: got %v, want a problem at %q", steps, err, at)
		}
	}
}
