package selection_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/stages/selection"
)

// candidate is a reference whose model is in a directory of its own.
func candidate(t *testing.T, address, metrics string) stage.Reference {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "model")
	if err := os.MkdirAll(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"model.onnx", "sub/card.md"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(address+name), 0o444); err != nil {
			t.Fatal(err)
		}
	}
	r := stage.Reference{Address: address, Outputs: map[string]stage.Artifact{"model": stage.Artifact(dir)}}
	if err := json.Unmarshal([]byte(metrics), &r.Metrics); err != nil {
		t.Fatal(err)
	}
	return r
}

func run(t *testing.T, cfg selection.Config) (stage.Metrics, string, error) {
	t.Helper()
	if cfg.Output == "" {
		cfg.Output = "model"
	}
	args, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (selection.Type{}).Job(&stage.Request{Args: args}); err != nil {
		return nil, "", err
	}
	out := filepath.Join(t.TempDir(), "out")
	m, err := selection.Type{}.Run(t.Context(), &stage.Run{
		Spec: stage.Spec{Type: "select", Args: args, Outputs: map[string]string{"model": out}},
		Log:  io.Discard,
	})
	return m, out, err
}

func TestTheBestByTheMetricWins(t *testing.T) {
	candidates := []stage.Reference{
		candidate(t, `train.mlp["wide"]`, `{"validation": {"f1": 0.95, "loss": 0.4}, "epochs": 7}`),
		candidate(t, `train.mlp["deep"]`, `{"validation": {"f1": 0.97, "loss": 0.5}, "epochs": 9}`),
		candidate(t, `train.mlp["thin"]`, `{"validation": {"f1": 0.91, "loss": 0.3}, "epochs": 5}`),
	}
	for _, row := range []struct{ metric, mode, want string }{
		{"validation.f1", "", "deep"},
		{"validation.f1", "min", "thin"},
		{"validation.loss", "", "thin"},
		{"validation.loss", "max", "deep"},
	} {
		m, out, err := run(t, selection.Config{Candidates: candidates, Metric: row.metric, Mode: row.mode})
		if err != nil {
			t.Errorf("%v: %v", row, err)
			continue
		}
		winner := fmt.Sprintf("train.mlp[%q]", row.want)
		if m["winner"] != winner {
			t.Errorf("%v: got %v, want %s", row, m["winner"], winner)
		}
		for _, name := range []string{"model.onnx", "sub/card.md"} {
			got, err := os.ReadFile(filepath.Join(out, name))
			if err != nil || string(got) != winner+name {
				t.Errorf("%v: %s: got %q, %v", row, name, got, err)
			}
		}
	}
}

func TestTheWinnersMetricsAndTheRankingAreReported(t *testing.T) {
	m, _, err := run(t, selection.Config{Metric: "f1", Candidates: []stage.Reference{
		candidate(t, "train.a", `{"f1": 0.5, "rows": 10}`),
		candidate(t, "exec.b", `{"f1": 1, "name": "x"}`),
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := stage.Metrics{
		"f1": json.Number("1"), "name": "x",
		"winner": "exec.b", "score": 1.0, "metric": "f1", "mode": "max",
		"ranking": []any{
			map[string]any{"candidate": "exec.b", "score": 1.0},
			map[string]any{"candidate": "train.a", "score": 0.5},
		},
	}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Errorf("want then got:\n%s", diff)
	}
}

func TestTiesAreBrokenByAddress(t *testing.T) {
	m, _, err := run(t, selection.Config{Metric: "f1", Candidates: []stage.Reference{
		candidate(t, "train.m[10]", `{"f1": 1}`), candidate(t, "train.m[2]", `{"f1": 1}`), candidate(t, "train.m[3]", `{"f1": 1}`),
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := m["winner"], "train.m[2]"; got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestAModelThatIsAFileIsPutInADirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "model.pkl")
	if err := os.WriteFile(file, []byte("pickle"), 0o444); err != nil {
		t.Fatal(err)
	}
	_, out, err := run(t, selection.Config{Metric: "val.acc", Output: "weights", Candidates: []stage.Reference{{
		Address: "exec.a", Outputs: map[string]stage.Artifact{"weights": stage.Artifact(file)}, Metrics: stage.Metrics{"val.acc": 0.5},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(out, "model.pkl")); err != nil || string(got) != "pickle" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestMistakesAreExplained(t *testing.T) {
	a := candidate(t, "train.a", `{"validation": {"f1": 0.5, "recall": 0.4}, "note": "x"}`)
	b := candidate(t, "train.b", `{"rows": 3}`)
	c := candidate(t, "train.c", `{}`)
	for _, row := range []struct {
		metric, output string
		candidates     []stage.Reference
		want           string
	}{
		{"validation.recal", "", []stage.Reference{a}, `metric: train.a has no metric "validation.recal": Did you mean "validation.recall"? Its metrics are "validation.f1", "validation.recall".`},
		{"f1", "", []stage.Reference{a}, `Did you mean "validation.f1"?`},
		{"validation.f1", "", []stage.Reference{a, b}, `candidates[1]: train.b has no metric "validation.f1": Its metrics are "rows".`},
		{"validation.f1", "", []stage.Reference{b, c}, `metric: 2 candidates, among them train.b, have no metric "validation.f1": The metrics of train.b are "rows".`},
		{"validation.f1", "", []stage.Reference{c}, `It reported no numbers at all.`},
		{"validation", "", []stage.Reference{a}, `The metric "validation" of train.a is not a number: It holds "f1", "recall"; name one: "validation.NAME".`},
		{"note", "", []stage.Reference{a}, `The metric "note" of train.a is not a number`},
		{"", "", []stage.Reference{a}, `metric: The metric has no name`},
		{"f1", "", nil, `candidates: There are no candidates`},
		{"f1", "", []stage.Reference{a, a}, `candidates[1]: A candidate is there twice`},
		{"f1", "weights", []stage.Reference{a}, `candidates[0]: train.a has no output "weights": Its outputs are model; say which is the model: output = "model".`},
		{"f1", "weights", []stage.Reference{a, b, c}, `candidates: 3 candidates, among them train.a, have no output "weights": The outputs of all candidates are model; say which is the model: output = "model".`},
		{"validation.f1", "", []stage.Reference{a, b, c}, `candidates: 2 candidates, among them train.b, have no metric "validation.f1": The metrics of train.b are "rows".`},
	} {
		_, _, err := run(t, selection.Config{Candidates: row.candidates, Metric: row.metric, Output: row.output})
		var problems stage.Problems
		if !errors.As(err, &problems) || len(problems) != 1 {
			t.Errorf("%q: got %v, want one problem", row.metric, err)
			continue
		}
		if got := problems.Error(); !strings.Contains(got, row.want) {
			t.Errorf("got  %s\nwant %s", got, row.want)
		}
	}
}

func TestAMissingOutputIsSeenBeforeTheMetricsAreKnown(t *testing.T) {
	var inputs []stage.Input
	for i := range 300 {
		for _, name := range []string{"plots", "weights"} {
			inputs = append(inputs, stage.Input{
				Role: fmt.Sprintf("candidates[%d].outputs.%s", i, name),
				From: &stage.Source{Address: fmt.Sprintf("exec.e[%d]", i), Output: name},
			})
		}
	}
	for output, want := range map[string]string{
		"model":   `candidates: 300 candidates, among them exec.e[0], have no output "model": The outputs of all candidates are plots, weights; say which is the model: output = "plots".`,
		"weights": "",
	} {
		_, err := selection.Type{}.Job(&stage.Request{
			Args:    json.RawMessage(fmt.Sprintf(`{"metric": "f1", "output": %q}`, output)),
			Unknown: []string{"candidates"}, Inputs: inputs, Dir: "out/select/best",
		})
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: got  %s\nwant %s", output, got, want)
		}
	}
}

func TestAnUnknownCandidateIsNoMistake(t *testing.T) {
	job, err := selection.Type{}.Job(&stage.Request{
		Args: json.RawMessage(`{"metric": "f1", "output": "model"}`), Unknown: []string{"candidates"}, Dir: "out/select/best",
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]stage.Output{{Name: "model", Path: "out/select/best/model", Dir: true, Kind: stage.Model}}, job.Outputs); diff != "" {
		t.Errorf("want then got:\n%s", diff)
	}
}
