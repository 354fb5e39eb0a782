package sdk_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flow-pipelines/flow/plugins/conformance"
	"github.com/flow-pipelines/flow/plugins/protocol"
	"github.com/flow-pipelines/flow/plugins/sdk"
)

type greeting struct {
	Who   string       `json:"who" flow:"required" doc:"Whom to greet."`
	Times int          `json:"times" default:"1" doc:"How often."`
	From  sdk.Artifact `json:"from" doc:"A file with more to say."`
}

func plugin() sdk.Plugin {
	times := "times"
	outputs := map[string]string{"text": "out/greeting.txt"}
	return sdk.Plugin{Name: "hello", Version: "0.1.0", Types: []sdk.StageType{sdk.Type[greeting]{
		Name: "greet", Summary: "A greeting in a file", Example: "greet \"x\" {\n  who = \"world\"\n}",
		Checkpoint: true, ResumeOver: []string{"times"}, Outputs: []sdk.Output{{Name: "text", Path: "greeting.txt", Doc: "The greeting."}},
		Trials: []sdk.Trial{
			{Name: "greets", Args: json.RawMessage(`{"who":"world","times":2,"from":"more.txt"}`), Files: map[string]string{"more.txt": "!"}, Outputs: outputs},
			{Name: "not less than once", Args: json.RawMessage(`{"who":"world","times":0}`), Outputs: outputs, Problem: &times},
		},
		Run: func(_ context.Context, g greeting, run *sdk.Run) (sdk.Metrics, error) {
			if g.Who == "panic" {
				panic("at the disco")
			}
			if g.Times < 1 {
				return nil, sdk.Problemf("times", "Not once", "Give 1 or more.")
			}
			if run.Checkpoint != "" {
				return sdk.Metrics{"saved": run.Checkpoint}, nil
			}
			more := ""
			if g.From != "" {
				b, err := os.ReadFile(string(g.From))
				if err != nil {
					return nil, err
				}
				more = string(b)
			}
			run.Progress(sdk.Progress{Step: 1, Total: int64(g.Times)})
			return sdk.Metrics{"letters": len(g.Who)}, os.WriteFile(run.Output("text"), []byte(strings.Repeat("Hello, "+g.Who+more+"\n", g.Times)), 0o644)
		},
		Check: func(g greeting, _ map[string]sdk.Input) (map[string][]string, error) {
			if g.Who == "panic" {
				panic("at the disco")
			}
			if g.Who == "nobody" {
				return nil, sdk.Problemf("who", "Nobody is there", "Greet somebody.")
			}
			return map[string][]string{"text": {"line"}}, nil
		},
	}}}
}

// TestMain lets the test binary be the plugin, under its name.
func TestMain(m *testing.M) {
	if strings.HasPrefix(filepath.Base(os.Args[0]), protocol.Prefix) {
		sdk.Main("hello", "0.1.0", plugin().Types...)
	}
	os.Exit(m.Run())
}

func TestAPluginMadeWithItConforms(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), protocol.Prefix+"hello")
	if err := os.Symlink(self, program); err != nil {
		t.Fatal(err)
	}
	checks := conformance.Checks(program, os.Environ())
	for _, c := range checks {
		t.Run(c.Name, func(t *testing.T) {
			if err := c.Run(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	if len(checks) != 11 {
		t.Errorf("%d checks were made, want 11", len(checks))
	}
}

func ask(t *testing.T, word, question string) (status int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	status = plugin().Main([]string{word}, strings.NewReader(question), &o, &e)
	return status, o.String(), e.String()
}

func TestMistakesAreSaidAsEvents(t *testing.T) {
	status, out, errs := ask(t, "run", `{"protocol":1,"type":"greet","args":{"who":"x","times":0},"outputs":{"text":"t"}}`)
	if want := `{"type":"problem","path":"times","summary":"Not once","detail":"Give 1 or more."}` + "\n"; status != protocol.ExitProblem || out != want || errs != "" {
		t.Errorf("got %d %q %q, want %d %q", status, out, errs, protocol.ExitProblem, want)
	}
	status, out, _ = ask(t, "check", `{"protocol":1,"id":7,"type":"greet","args":{"who":"nobody"}}`+"\n"+`{"protocol":1,"id":8,"type":"greet","args":{"who":"x"}}`)
	if want := `{"id":7,"problems":[{"path":"who","summary":"Nobody is there","detail":"Greet somebody."}]}` + "\n" + `{"id":8,"columns":{"text":["line"]}}` + "\n"; status != 0 || out != want {
		t.Errorf("got %d %q, want 0 %q", status, out, want)
	}
}

func TestARunKnowsWhereToSave(t *testing.T) {
	status, out, _ := ask(t, "run", `{"protocol":1,"type":"greet","args":{"who":"x","times":1},"outputs":{"text":"t"},"checkpoint":"saved"}`)
	if want := `{"type":"metrics","values":{"saved":"saved"}}` + "\n"; status != 0 || out != want {
		t.Errorf("got %d %q, want 0 %q", status, out, want)
	}
	if _, out, _ := ask(t, "describe", ""); !strings.Contains(out, `"checkpoint":true,"resume_over":["times"]`) {
		t.Errorf("no checkpoint in %s", out)
	}
}

func TestFailuresAreNoMistakesOfTheUsers(t *testing.T) {
	status, out, errs := ask(t, "run", `{"protocol":1,"type":"greet","args":{"who":"x","times":1,"from":"missing.txt"},"outputs":{"text":"t"}}`)
	if status != 1 || out != "" || !strings.Contains(errs, "missing.txt") {
		t.Errorf("got %d, %q, %q", status, out, errs)
	}
	// A panic is one too: the status that it ends a program with, 2, means a mistake.
	for _, word := range []string{"run", "check"} {
		status, out, errs = ask(t, word, `{"protocol":1,"id":1,"type":"greet","args":{"who":"panic","times":1},"outputs":{"text":"t"}}`)
		if status != 1 || out != "" || !strings.HasSuffix(errs, "error: panic: at the disco\n") {
			t.Errorf("%s: got %d, %q, %q", word, status, out, errs)
		}
	}
}

// A plugin that does not conform is told why, check by check.
func TestTheSuiteFindsFaults(t *testing.T) {
	bin, err := filepath.Abs("../host/testdata/bin")
	if err != nil {
		t.Fatal(err)
	}
	failed := map[string]string{}
	for _, name := range []string{"nasty", "garbled"} {
		for _, c := range conformance.Checks(filepath.Join(bin, protocol.Prefix+name), os.Environ()) {
			if err := c.Run(t.Context()); err != nil {
				failed[name+": "+c.Name] = err.Error()
			}
		}
	}
	for check, want := range map[string]string{
		"garbled: describes itself":                         "not JSON of the expected form",
		"nasty: documents what it takes":                    "nasty's example",
		"nasty: refuses a word that it does not know":       `the word "sing"`,
		"nasty: refuses another version of the protocol":    "spec of version 99",
		"nasty: refuses a stage type that it does not have": "does not have",
		"nasty: nasty has a trial that succeeds":            "a trial in the description",
	} {
		if !strings.Contains(failed[check], want) {
			t.Errorf("%s: got %q, want %q in it", check, failed[check], want)
		}
		delete(failed, check)
	}
	if len(failed) > 0 {
		t.Error(errors.New("and also"), failed)
	}
}
