package exec_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/stages/exec"
)

func request(args string, inputs ...stage.Input) *stage.Request {
	return &stage.Request{Address: "exec.x", Args: json.RawMessage(args), Dir: "out/exec/x", Inputs: inputs}
}

func TestABlockBecomesAJob(t *testing.T) {
	inputs := []stage.Input{
		{Role: "command[2]", Path: "data/raw.csv", From: &stage.Source{Address: "dataset.raw", Output: "data"}},
		{Role: "inputs[0]", Path: "src/**/*.py"},
	}
	got, err := exec.Type{}.Job(request(`{
		"command": ["python", "src/featurize.py", "data/raw.csv", "--ngrams", 2, 0.10, true],
		"inputs": ["src/**/*.py"],
		"outputs": {"plots": "plots/", "features": "./data/features.parquet"},
		"metrics": ["reports/featurize.json"],
		"env": {"OMP_NUM_THREADS": "1"},
		"isolation": "none"}`, inputs...))
	if err != nil {
		t.Fatal(err)
	}
	want := &stage.Job{
		Command: []string{"python", "src/featurize.py", "data/raw.csv", "--ngrams", "2", "0.10", "true"},
		Env:     map[string]string{"OMP_NUM_THREADS": "1"},
		Inputs:  inputs,
		Outputs: []stage.Output{
			{Name: "features", Path: "data/features.parquet"},
			{Name: "plots", Path: "plots", Dir: true},
		},
		MetricsFiles: []string{"reports/featurize.json"},
		Isolation:    stage.None,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want then got:\n%s", diff)
	}
}

func TestAProgramOfTheProjectIsAnInput(t *testing.T) {
	for _, row := range []struct {
		command string
		inputs  []stage.Input
		want    []stage.Input
	}{
		{`["./tools/run.sh"]`, nil, []stage.Input{{Role: "command[0]", Path: "tools/run.sh"}}},
		{`["tools/run.sh"]`, []stage.Input{{Role: "inputs[0]", Path: "tools"}}, []stage.Input{{Role: "inputs[0]", Path: "tools"}}},
		{`["tools/run.sh"]`, []stage.Input{{Role: "inputs[0]", Path: "**/*.sh"}}, []stage.Input{{Role: "inputs[0]", Path: "**/*.sh"}}},
		{`["python", "tools/run.py"]`, nil, nil},
		{`["/usr/bin/env"]`, nil, nil},
		{`[".venv/bin/python", "run.py"]`, nil, nil},
		{`["node_modules/.bin/tsc"]`, nil, nil},
	} {
		got, err := exec.Type{}.Job(request(`{"command": `+row.command+`}`, row.inputs...))
		if err != nil {
			t.Errorf("%s: %v", row.command, err)
			continue
		}
		if diff := cmp.Diff(row.want, got.Inputs); diff != "" {
			t.Errorf("%s, want then got:\n%s", row.command, diff)
		}
	}
}

func TestAnUnknownCommandStillHasItsOutputs(t *testing.T) {
	req := request(`{"outputs": {"a": "a.txt"}}`)
	req.Unknown = []string{"command"}
	got, err := exec.Type{}.Job(req)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Outputs) != 1 || got.Command != nil {
		t.Errorf("got %+v", got)
	}
}

func TestAStringIsWrittenAsTheListThatWasMeant(t *testing.T) {
	for line, want := range map[string]string{
		"python train.py":     `["python", "train.py"]`,
		"sort a | uniq":       `["sh", "-c", "sort a | uniq"]`,
		"sort a > ${b}":       `["sh", "-c", "sort a > $${b}"]`,
		"python -c 'print()'": `["sh", "-c", "python -c 'print()'"]`,
	} {
		args, err := json.Marshal(map[string]any{"command": line})
		if err != nil {
			t.Fatal(err)
		}
		_, err = exec.Type{}.Job(&stage.Request{Args: args})
		if err == nil || !strings.HasSuffix(err.Error(), "\n\n  command = "+want) || strings.Count(err.Error(), "command = ") != 1 {
			t.Errorf("%s: got %v, want %s alone", line, err, want)
		}
	}
}

func TestMistakesPointAtTheArgument(t *testing.T) {
	file := func(path string) stage.Input { return stage.Input{Role: "inputs[0]", Path: path} }
	for _, row := range []struct {
		args   string
		inputs []stage.Input
		want   []string
	}{
		{args: `{"command": "python train.py"}`, want: []string{"command: The command is a string"}},
		{args: `{"command": {"a": 1}}`, want: []string{"command: The command is not a list"}},
		{args: `{"command": []}`, want: []string{"command: The command is empty"}},
		{args: `{"command": [""]}`, want: []string{"command[0]: The program has no name"}},
		{args: `{"command": ["a", ["b"], null]}`, want: []string{
			"command[1]: An argument of the command is not a string",
			"command[2]: An argument of the command is not a string",
		}},
		{args: `{"command": ["a"], "outputs": {"a": "../x", "b": "/x", "c": "", "d": ".", "e": ".git/x", "f": "flow.lock", "g": "main.hcl"}}`, want: []string{
			"outputs.a: The path leaves the project",
			"outputs.b: The path leaves the project",
			"outputs.c: The path is empty",
			"outputs.d: The path is the project itself",
			"outputs.e: The path is not a stage's to write",
			"outputs.f: The path is not a stage's to write",
			"outputs.g: The path is not a stage's to write",
		}},
		{args: `{"command": ["a"], "outputs": {"a b": "x"}}`, want: []string{"outputs.a b: The name of an output is not an identifier"}},
		{args: `{"command": ["a"], "outputs": {"a": "x.csv", "b": "./x.csv"}}`, want: []string{"outputs.b: Two outputs have one path"}},
		{args: `{"command": ["a"], "outputs": {"a": "out/", "b": "out/x"}}`, want: []string{"outputs.b: An output lies in another"}},
		{args: `{"command": ["a"], "outputs": {"a": "data/x"}}`, inputs: []stage.Input{file("data")}, want: []string{"outputs.a: An output lies in an input"}},
		{args: `{"command": ["a"], "outputs": {"a": "src/gen.py"}}`, inputs: []stage.Input{file("src/**/*.py")}, want: []string{"outputs.a: An output lies in an input"}},
		{args: `{"command": ["a"], "outputs": {"a": "src/gen/x.c"}}`, inputs: []stage.Input{file("src/**")}, want: []string{"outputs.a: An output lies in an input"}},
		{args: `{"command": ["a"], "outputs": {"a": "data/"}}`, inputs: []stage.Input{file("data/x")}, want: []string{"outputs.a: An input lies in an output"}},
		{args: `{"command": ["a"], "outputs": {"a": "out/"}}`, inputs: []stage.Input{file("**/*.py")}},
		{args: `{"command": ["a"], "inputs": ["../x", "", "[a", "/etc/x"]}`, want: []string{
			"inputs[0]: The input leaves the project",
			"inputs[1]: The input is empty",
			"inputs[2]: Not a path or a glob",
			"inputs[3]: The input leaves the project",
		}},
		{args: `{"command": ["a"], "metrics": ["m.txt", "a.json", "./a.json", "../b.json"]}`, want: []string{
			"metrics[0]: Not a kind of file that metrics are read from",
			"metrics[2]: A metrics file is there twice",
			"metrics[3]: The path leaves the project",
		}},
		{args: `{"command": ["a"], "metrics": ["m.json"]}`, inputs: []stage.Input{file("m.json")}, want: []string{"metrics[0]: A metrics file is also an input"}},
		{args: `{"command": ["a"], "env": {"A=B": "1", "FLOW_EVENTS": "x"}}`, want: []string{
			"env.A=B: Not an environment variable",
			"env.FLOW_EVENTS: The environment variable is flow's own",
		}},
	} {
		_, err := exec.Type{}.Job(request(row.args, row.inputs...))
		var problems stage.Problems
		if err != nil && !errors.As(err, &problems) {
			t.Errorf("%s: %v", row.args, err)
			continue
		}
		var got []string
		for _, p := range problems {
			got = append(got, p.Path+": "+p.Summary)
			if p.Detail == "" {
				t.Errorf("%s: %s has no next step", row.args, p.Path)
			}
		}
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s, want then got:\n%s", row.args, diff)
		}
	}
}
