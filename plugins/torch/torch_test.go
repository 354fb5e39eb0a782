// Package torch_test holds the plugin torch, which is in Python, to what every
// plugin must do, and to what it says of itself.
package torch_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/plugins/conformance"
	"github.com/flow-pipelines/flow/plugins/host"
)

// program returns the plugin's, with a python3 that has PyTorch first in PATH. It
// is installed by a step of its own: a test run must not reach for the network.
func program(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("FLOW_TORCH")
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		dir = filepath.Join(cache, "flow", "plugin-torch")
	}
	bin := filepath.Join(dir, "bin")
	if _, err := os.Stat(filepath.Join(bin, "python3")); err != nil {
		const missing = "PyTorch is not installed: run `make torch`"
		if os.Getenv("CI") != "" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	t.Setenv("PYTHONDONTWRITEBYTECODE", "1")
	p, err := filepath.Abs("flow-plugin-torch")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestThePluginConforms(t *testing.T) {
	for _, c := range conformance.Checks(program(t), os.Environ()) {
		t.Run(c.Name, func(t *testing.T) {
			if err := c.Run(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// net is a user's model, and a data set of his own.
const net = `import torch

class Net(torch.nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.a, self.drop, self.b = torch.nn.Linear(2, width), torch.nn.Dropout(0.2), torch.nn.Linear(width, 2)

    def forward(self, x):
        return self.b(self.drop(torch.relu(self.a(x))))

def rows(path):
    lines = open(path).read().split()[1:]
    cells = [line.split(",") for line in lines]
    x = torch.tensor([[float(c[0]), float(c[1])] for c in cells])
    return torch.utils.data.TensorDataset(x, torch.tensor([int(c[2] == "x") for c in cells]))

class Stopping(Net):
    """Dies in the third epoch, the first time."""
    steps = 0

    def forward(self, x):
        import os
        if self.training:
            Stopping.steps += 1
        if Stopping.steps == 9 and not os.path.exists("again"):
            os._exit(9)
        return super().forward(x)
`

func files(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	var table, text strings.Builder
	table.WriteString("a,b,label\n")
	text.WriteString("text,label\n")
	for i := range 64 {
		label, word := "y", "cold rain"
		if i%7 > i%5 {
			label, word = "x", "warm sun"
		}
		fmt.Fprintf(&table, "%d,%d,%s\n", i%7, i%5, label)
		fmt.Fprintf(&text, "%s today %d,%s\n", word, i, label)
	}
	for name, content := range map[string]string{"in.csv": table.String(), "text.csv": text.String(), "src/net.py": net} {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// train runs a stage in dir and returns the bytes of the model.
func train(t *testing.T, program, dir, checkpoint string, more map[string]any) ([]byte, stage.Metrics, string, error) {
	t.Helper()
	args := map[string]any{
		"data": "in.csv", "validation": "in.csv", "target": "label", "epochs": 4, "batch_size": 16, "seed": 7, "learning_rate": 0.05,
		"optimizer": "adam", "device": "cpu", "precision": "float32", "threads": 1, "processes": 1, "deterministic": true, "hidden": []int{8},
		"onnx": false, "kind": "table", "model": "mlp", "loss": "auto", "image_size": 8, "buckets": 64, "checkpoint_every": 1,
	}
	maps.Copy(args, more)
	raw, err := json.Marshal(args)
	if err != nil {
		t.Fatal(err)
	}
	var log, events bytes.Buffer
	r := &stage.Run{Log: &log, Events: &events}
	r.Spec = stage.Spec{
		Type: "torch_train", Args: raw, Outputs: map[string]string{"model": "model.pt"}, CPUs: 1, Checkpoint: checkpoint,
		Plugin: &stage.Plugin{Name: "torch", Version: "0.1.0", Program: program},
	}
	if args["onnx"] == true {
		r.Outputs["onnx"] = "model.onnx"
	}
	m, err := host.RunIn(t.Context(), dir, r)
	b, _ := os.ReadFile(filepath.Join(dir, "model.pt"))
	return b, m, log.String() + events.String(), err
}

func accuracy(m stage.Metrics) float64 {
	v, _ := m["validation"].(map[string]any)
	n, _ := v["accuracy"].(json.Number)
	f, _ := n.Float64()
	return f
}

// A run that was killed goes on from its checkpoint, and comes to the same bytes.
func TestARunGoesOnToTheSameBytes(t *testing.T) {
	p := program(t)
	own := map[string]any{"code": []string{"src/net.py"}, "model": "net.Stopping", "dataset": "net.rows", "model_args": map[string]any{"width": 6}}
	whole := files(t)
	if err := os.WriteFile(filepath.Join(whole, "again"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	want, _, log, err := train(t, p, whole, "", own)
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	dir := files(t)
	if err := os.Mkdir(filepath.Join(dir, "saved"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := train(t, p, dir, "saved", own); err == nil || !strings.Contains(err.Error(), "exit status 9") {
		t.Fatalf("the first run: got %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "again"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	got, _, log, err := train(t, p, dir, "saved", own)
	if err != nil || !strings.Contains(log, "going on after epoch 2") {
		t.Fatalf("%v\n%s", err, log)
	}
	if !bytes.Equal(got, want) {
		t.Error("a run that went on comes to other bytes")
	}
}

func TestCommonDataIsLearnt(t *testing.T) {
	p := program(t)
	// torchrun of PyTorch 1.13 does not work on Python 3.11, where a loop over flags
	// leaves out zero.
	several := 2
	if exec.Command("python3", "-c", "from torch.distributed.elastic.multiprocessing import Std; Std.from_str('0').value").Run() != nil {
		t.Log("torchrun of this PyTorch does not start: training by several processes is not tested")
		several = 1
	}
	for name, more := range map[string]map[string]any{
		"table":     {"epochs": 10, "onnx": true},
		"text":      {"kind": "text", "data": "text.csv", "validation": "text.csv", "epochs": 10},
		"processes": {"epochs": 10, "processes": several, "precision": "bfloat16"},
	} {
		dir := files(t)
		b, m, said, err := train(t, p, dir, "", more)
		if err != nil || len(b) == 0 {
			t.Errorf("%s: %v\n%s", name, err, said)
			continue
		}
		if a := accuracy(m); a < 0.9 {
			t.Errorf("%s: accuracy %v\n%s", name, a, said)
		}
		if want := fmt.Sprintf(`{"step":%d,"total":%d,"unit":"epoch","metrics":{"loss":`, more["epochs"], more["epochs"]); !strings.Contains(said, want) {
			t.Errorf("%s: no progress %s in\n%s", name, want, said)
		}
		if info, err := os.Stat(filepath.Join(dir, "model.onnx")); more["onnx"] == true && (err != nil || info.Size() == 0) {
			t.Errorf("%s: no ONNX: %v", name, err)
		}
	}
}

func TestMistakesAreAtTheirArguments(t *testing.T) {
	p := program(t)
	for path, more := range map[string]map[string]any{
		"target":  {"target": "lable"},
		"model":   {"model": "net.Nothing", "code": []string{"src/net.py"}},
		"dataset": {"dataset": "loader.rows"},
		"data":    {"data": "text.csv"},
	} {
		_, _, said, err := train(t, p, files(t), "", more)
		if ps := stage.ProblemsIn(err); len(ps) != 1 || ps[0].Path != path {
			t.Errorf("%s: got %v\n%s", path, err, said)
		}
	}
}
