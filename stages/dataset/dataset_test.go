package dataset_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/stages/dataset"
)

func request(args string) *stage.Request {
	return &stage.Request{Address: "dataset.x", Args: json.RawMessage(args), Dir: "out/dataset/x"}
}

func TestTheOutputIsTheUsersOwnFile(t *testing.T) {
	for _, row := range []struct {
		args string
		want stage.Output
	}{
		{`{"path": "data/a.csv", "store": true}`, stage.Output{Name: "data", Path: "data/a.csv"}},
		{`{"path": "./data//scans/", "store": false}`, stage.Output{Name: "data", Path: "data/scans", Dir: true, NoStore: true}},
		{
			`{"path": "data", "store": true, "include": ["**/*.png"], "ignore": ["tmp/**"]}`,
			stage.Output{Name: "data", Path: "data", Dir: true, Include: []string{"**/*.png"}, Ignore: []string{"tmp/**"}},
		},
	} {
		got, err := dataset.Type{}.Job(request(row.args))
		if err != nil {
			t.Errorf("%s: %v", row.args, err)
			continue
		}
		want := &stage.Job{Given: true, Outputs: []stage.Output{row.want}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s, want then got:\n%s", row.args, diff)
		}
	}
}

func TestMistakesPointAtTheArgument(t *testing.T) {
	for args, want := range map[string]string{
		`{"path": ""}`:                                       "path: The path is empty",
		`{"path": "/data/a.csv"}`:                            "path: The path leaves the project",
		`{"path": "../a.csv"}`:                               "path: The path leaves the project",
		`{"path": "data/../../a.csv"}`:                       "path: The path leaves the project",
		`{"path": "~/a.csv"}`:                                "path: The path leaves the project",
		`{"path": "."}`:                                      "path: The path is the project itself",
		`{"path": ".flow/cache"}`:                            "path: The path belongs to flow",
		`{"path": ".git"}`:                                   "path: The path belongs to git",
		`{"path": "data/*.csv"}`:                             "path: The path is a pattern",
		`{"path": "data", "ignore": ["a", "[b"]}`:            "ignore[1]: Not a glob",
		`{"path": "data", "include": ["../b"]}`:              "include[0]: The glob leaves the dataset",
		`{"path": "data", "include": ["/abs"], "ignore":[]}`: "include[0]: The glob leaves the dataset",
	} {
		_, err := dataset.Type{}.Job(request(args))
		var problems stage.Problems
		if !errors.As(err, &problems) || len(problems) != 1 {
			t.Errorf("%s: got %v, want one problem", args, err)
			continue
		}
		if got := problems[0].Path + ": " + problems[0].Summary; got != want {
			t.Errorf("%s: got %q, want %q", args, got, want)
		}
		if problems[0].Detail == "" {
			t.Errorf("%s: no next step", args)
		}
	}
}

func TestTheSchemaFollowsFromTheConfig(t *testing.T) {
	if got := len(dataset.Type{}.Schema().Body.Attributes); got != 4 {
		t.Errorf("got %d arguments, want 4", got)
	}
}
