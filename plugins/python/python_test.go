package python_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/plugins/conformance"
	"github.com/flow-pipelines/flow/plugins/host"
	"github.com/flow-pipelines/flow/plugins/python"
)

// everything is a plugin that uses all of the SDK.
const everything = `#!/usr/bin/env python3
import helper
from flow_plugin import *

plugin = Plugin("everything", "0.1.0", files=["words.txt"])

@plugin.stage_type(
    summary="All of it", doc="*All* of it.", metrics="n", example="everything \"x\" {}", version=3,
    arguments={
        "input": artifact("A file.", required=True), "tables": map_of(artifact(), "Files."), "n": number("A number.", default=3),
        "kind": string("A kind.", default="a", one_of=["a", "b"]), "names": list_of(string(), "Names."), "flag": boolean("A flag."),
        "other": anything("Anything."), "model": stage("A stage."),
    },
    blocks={
        "part": block("A part.", {"size": number("Its size.")}, many=True, label="name"),
        "optimizer": choice("The optimizer.", {"sgd": block("Plain.", {"rate": number("Rate.")})}),
        "steps": steps("Steps.", {"drop": block("Drop.", {"column": string("It.")})}),
    },
    outputs={"data": file("data.{kind}", "Data."), "parts": directory("{key}", "Parts.", each="part"), "log": file("log.txt", "A log.", if_="flag")},
    trials=[
        trial("all", {"input": "in.txt", "n": 2, "kind": "a", "part": [{"name": "x", "size": 1}]}, {"in.txt": "abc"}, {"data": "o/data.a", "x": "o/x"}),
        trial("a wrong number", {"input": "in.txt", "n": -1}, {"in.txt": "abc"}, {"data": "o/data.a"}, problem="n"),
    ],
)
def everything(run):
    print("this is printed", flush=True)
    if run.args.n < 0:
        raise Problem("n", "Not below zero", "Give 0 or more.")
    if run.args.n == 7:
        raise Problems([Problem("n", "One"), Problem("part[0].size", "Two")])
    if run.args.n == 8:
        return {"n": float("nan")}
    if run.args.n == 9:
        raise RuntimeError("no idea")
    import os
    for i in range(run.args.n):
        run.progress(step=i + 1, total=run.args.n, unit="round", loss=1 / (i + 1), bad=float("inf"))
    run.log("logged")
    for p in run.args.part or []:
        os.mkdir(run.outputs[p.name])
    with open(run.args.input) as f, open(run.outputs["data"], "w") as out:
        out.write(helper.twice(f.read()))
    return {"n": run.args.n, "nothing": run.args.model}

@everything.check
def _(args, inputs):
    if args.n < 0:
        raise Problem("n", "Not below zero")
    return {"data": ["a"]}

if __name__ == "__main__":
    plugin.main()
`

func write(t *testing.T, dir string) string {
	t.Helper()
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("python3 is not installed")
	}
	sdk, err := os.ReadFile("flow_plugin.py")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "flow-plugin-everything")
	for name, text := range map[string]string{
		"flow-plugin-everything": everything, "flow_plugin.py": string(sdk), "words.txt": "words", "helper.py": "def twice(s):\n    return s + s\n",
		"late.py": "# Imported by a function, if at all.\n", "pack/__init__.py": "", "pack/inner.py": "A = 1\n", "other/readme": "no package",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return program
}

func TestAPluginMadeWithItConforms(t *testing.T) {
	t.Parallel()
	checks := conformance.Checks(write(t, t.TempDir()), os.Environ())
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

// A copy of the SDK lies beside each plugin of the examples.
func TestExamplesHaveThisSDK(t *testing.T) {
	t.Parallel()
	copies, err := filepath.Glob("../../examples/*/plugins/*/flow_plugin.py")
	if err != nil || len(copies) == 0 {
		t.Fatalf("no copies: %v", err)
	}
	for _, c := range copies {
		if b, err := os.ReadFile(c); err != nil || string(b) != string(python.SDK) {
			t.Errorf("%s is not plugins/python/flow_plugin.py: %v", c, err)
		}
	}
}

// A check is told the columns of a CSV file that is there, and of a table that
// a stage will write.
func TestAChecksInputsHaveColumns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program := write(t, dir)
	text := strings.Replace(everything, `    return {"data": ["a"]}`, `    return {k: v.columns for k, v in inputs.items() if v.columns}`, 1)
	for name, content := range map[string]string{"flow-plugin-everything": text, "a.csv": "\ufeffx,\"y z\"\n1,2\n", "b.txt": "x,y\n", "c.csv": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	c := exec.Command(program, "check")
	c.Stdin = strings.NewReader(`{"protocol":1,"id":1,"type":"everything","args":{"n":1},"inputs":{` +
		`"a":{"path":"a.csv","file":"` + dir + `/a.csv"}, "b":{"path":"b.txt","file":"` + dir + `/b.txt"}, "c":{"path":"c.csv","file":"` + dir + `/c.csv"},` +
		`"later":{"path":"d.csv","columns":["q"]}, "unknown":{"path":"e.csv"}}}` + "\n")
	out, err := c.Output()
	if want := `{"id": 1, "columns": {"a": ["x", "y z"], "later": ["q"]}}` + "\n"; err != nil || string(out) != want {
		t.Errorf("got %s, %v; want %s", out, err, want)
	}
}

func TestWhatAPluginIsMadeOfCounts(t *testing.T) {
	t.Parallel()
	digest := func(change func(dir string)) string {
		dir := t.TempDir()
		program := write(t, dir)
		change(dir)
		l, err := (&host.Host{Environ: []string{"PATH=" + os.Getenv("PATH")}}).Load(host.Installed{Name: "everything", Program: program, Place: host.InPath})
		if err != nil {
			t.Fatal(err)
		}
		if l.Plugin.Versions["python"] == "" {
			t.Errorf("no version of Python among %v", l.Plugin.Versions)
		}
		return l.Plugin.Digest
	}
	add := func(name string) func(string) {
		return func(dir string) {
			f, err := os.OpenFile(filepath.Join(dir, name), os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.WriteString("\n# changed\n"); err != nil {
				t.Fatal(err)
			}
		}
	}
	before := digest(func(string) {})
	if again := digest(func(string) {}); again != before {
		t.Errorf("in two directories: %s and %s", before, again)
	}
	for _, name := range []string{"flow-plugin-everything", "flow_plugin.py", "helper.py", "words.txt", "late.py", "pack/inner.py"} {
		if digest(add(name)) == before {
			t.Errorf("a change of %s does not count", name)
		}
	}
}

func TestAModuleThatComesLaterCounts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program := write(t, dir)
	// With a memory of what the plugin has said before.
	h := &host.Host{Environ: []string{"PATH=" + os.Getenv("PATH"), "XDG_CACHE_HOME=" + t.TempDir()}}
	load := func() string {
		l, err := h.Load(host.Installed{Name: "everything", Program: program, Place: host.InPath})
		if err != nil {
			t.Fatal(err)
		}
		return l.Plugin.Digest
	}
	before := load()
	time.Sleep(50 * time.Millisecond) // a memory of files that were just written is not trusted
	if again := load(); again != before {
		t.Errorf("the same plugin is %s, then %s", before, again)
	}
	if err := os.WriteFile(filepath.Join(dir, "pack", "more.py"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if load() == before {
		t.Error("a module that came later does not count")
	}
}

func TestHowARunEnds(t *testing.T) {
	t.Parallel()
	program := write(t, t.TempDir())
	once := func(ctx context.Context, n string) (stage.Metrics, string, error) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "in.txt"), []byte("abc"), 0o644); err != nil {
			t.Fatal(err)
		}
		var log, events strings.Builder
		r := &stage.Run{Log: &log, Events: &events}
		r.Spec = stage.Spec{
			Type: "everything", Args: []byte(`{"input":"in.txt","n":` + n + `}`), Outputs: map[string]string{"data": "data.a"}, CPUs: 1,
			Plugin: &stage.Plugin{Name: "everything", Version: "0.1.0", Program: program},
		}
		m, err := host.RunIn(ctx, dir, r)
		return m, log.String() + events.String(), err
	}
	m, said, err := once(t.Context(), "2")
	if err != nil || len(m) != 2 {
		t.Fatalf("got %v, %v", m, err)
	}
	for _, want := range []string{"this is printed\n", "logged\n", `{"step":1,"total":2,"unit":"round","metrics":{"loss":1}}`, `"loss":0.5`} {
		if !strings.Contains(said, want) {
			t.Errorf("got %q, want %q in it", said, want)
		}
	}
	_, _, err = once(t.Context(), "7")
	if ps := stage.ProblemsIn(err); len(ps) != 2 || ps[1].Path != "part[0].size" {
		t.Errorf("two problems: got %v", err)
	}
	for n, want := range map[string]string{"8": "the metrics are not JSON", "9": "RuntimeError: no idea"} {
		_, said, err := once(t.Context(), n)
		if err == nil || len(stage.ProblemsIn(err)) > 0 || !strings.Contains(said, want) {
			t.Errorf("n = %s: got %v and %q, want %q", n, err, said, want)
		}
	}
}
