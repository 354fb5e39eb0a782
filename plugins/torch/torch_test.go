// Package torch_test holds the plugin torch, which is in Python, to what every
// plugin must do, and to what it says of itself.
package torch_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/internal/oracle"
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
	write(t, dir, map[string]string{"in.csv": table.String(), "text.csv": text.String(), "src/net.py": net})
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

// A run over more epochs goes on from what one over fewer has saved, and comes to
// the bytes that it would have come to from nothing.
func TestMoreEpochsGoOnToTheSameBytes(t *testing.T) {
	p := program(t)
	want, _, log, err := train(t, p, files(t), "", nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	dir := files(t)
	if err := os.Mkdir(filepath.Join(dir, "saved"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, _, log, err := train(t, p, dir, "saved", map[string]any{"epochs": 2}); err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	got, _, log, err := train(t, p, dir, "saved", nil)
	if err != nil || !strings.Contains(log, "going on after epoch 2") {
		t.Fatalf("%v\n%s", err, log)
	}
	if !bytes.Equal(got, want) {
		t.Error("a run over more epochs comes to other bytes")
	}
}

// torchrunWorks reports whether several processes can be started. That of PyTorch
// 1.13 does not work on Python 3.11, where a loop over flags leaves out zero.
func torchrunWorks() bool {
	return exec.Command("python3", "-c", "from torch.distributed.elastic.multiprocessing import Std; Std.from_str('0').value").Run() == nil
}

func TestCommonDataIsLearnt(t *testing.T) {
	p := program(t)
	several := 2
	if !torchrunWorks() {
		t.Log("torchrun of this PyTorch does not start: training by several processes is not tested")
		several = 1
	}
	for name, more := range map[string]map[string]any{
		"table":     {"epochs": 10},
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
	}
}

// The bytes follow from the seed and the precision.
func TestBytesFollowFromTheSeed(t *testing.T) {
	p := program(t)
	once := func(more map[string]any) string {
		t.Helper()
		more["code"], more["model"], more["dataset"] = []string{"src/net.py"}, "net.Net", "net.rows"
		b, m, said, err := train(t, p, files(t), "", more)
		loss, _ := m["loss"].(json.Number)
		if v, _ := loss.Float64(); err != nil || len(b) == 0 || v > 0.3 {
			t.Fatalf("%v: loss %v, %v\n%s", more, loss, err, said)
		}
		return string(b)
	}
	first := once(map[string]any{"epochs": 20})
	if once(map[string]any{"epochs": 20}) != first {
		t.Error("the same seed comes to other bytes")
	}
	if once(map[string]any{"epochs": 20, "seed": 8}) == first {
		t.Error("another seed comes to the same bytes")
	}
	mixed := once(map[string]any{"epochs": 20, "precision": "bfloat16"})
	if mixed == first {
		t.Error("bfloat16 comes to the bytes of float32")
	}
	if once(map[string]any{"epochs": 20, "precision": "bfloat16"}) != mixed {
		t.Error("bfloat16 comes to other bytes the second time")
	}
}

// writesONNX reports whether this PyTorch needs no package that is not there.
func writesONNX() bool {
	return exec.Command("python3", "-c", "import importlib.util, torch; assert torch.__version__.startswith('1.') or importlib.util.find_spec('onnx')").Run() == nil
}

// The model as ONNX gives what the model gives, for the table as it is. That it
// cannot be written is said before the training.
func TestTheModelIsWrittenAsONNX(t *testing.T) {
	p := program(t)
	dir := files(t)
	_, _, said, err := train(t, p, dir, "", map[string]any{"onnx": true})
	if !writesONNX() {
		ps := stage.ProblemsIn(err)
		if len(ps) != 1 || ps[0].Path != "onnx" || !strings.Contains(ps[0].Error(), "-m pip install onnx") || strings.Contains(said, "epoch") {
			t.Errorf("got %v\n%s", err, said)
		}
		return
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	const own = `import json, torch
m = torch.load("model.pt")
rows = [line.split(",")[:2] for line in open("in.csv").read().split()[1:]]
x = torch.tensor([[float(a), float(b)] for a, b in rows])
net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
net.load_state_dict(m["model"])
print(json.dumps([x.tolist(), net((x - m["mean"]) / m["std"]).tolist()]))`
	c := exec.Command("python3", "-c", own)
	c.Dir = dir
	want, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	oracle.Run(t, `import json, sys
import numpy, onnx, onnxruntime
x, y = map(numpy.array, json.load(sys.stdin))
onnx.checker.check_model(onnx.load(sys.argv[1]), full_check=True)
got, = onnxruntime.InferenceSession(sys.argv[1]).run(None, {"input": x.astype("float32")})
numpy.testing.assert_allclose(got, y, rtol=1e-4, atol=1e-5)`, want, filepath.Join(dir, "model.onnx"))
}

func TestAModelThatIsNoONNXIsToldOfAtOnce(t *testing.T) {
	p := program(t)
	if !writesONNX() {
		t.Skip("the package onnx is not installed for this PyTorch")
	}
	dir := files(t)
	write(t, dir, map[string]string{"src/odd.py": "import torch\nclass Odd(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.a = torch.nn.Linear(2, 2)\n    def forward(self, x):\n        return torch.linalg.eigvals(self.a(x)[:, :, None] @ self.a(x)[:, None, :]).real\n"})
	_, _, said, err := train(t, p, dir, "", map[string]any{"onnx": true, "code": []string{"src/odd.py"}, "model": "odd.Odd"})
	if ps := stage.ProblemsIn(err); len(ps) != 1 || ps[0].Path != "onnx" || strings.Contains(said, "epoch") {
		t.Errorf("got %v\n%s", err, said)
	}
}

// write puts files into dir.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// pixel is that of an image of a class: the first is dark on the left.
func pixel(class, x int) byte {
	if (x < 4) == (class == 0) {
		return 20
	}
	return 230
}

// idx are images and their classes as the two files that MNIST is published as.
func idx(n int) (images, labels string) {
	pixels, classes := []byte{0, 0, 8, 3, 0, 0, 0, byte(n), 0, 0, 0, 8, 0, 0, 0, 8}, []byte{0, 0, 8, 1, 0, 0, 0, byte(n)}
	for i := range n {
		for at := range 64 {
			pixels = append(pixels, pixel(i%2, at%8)+byte(i%16))
		}
		classes = append(classes, byte(i%2))
	}
	return string(pixels), string(classes)
}

func TestImagesAreLearnt(t *testing.T) {
	p := program(t)
	dir := files(t)
	images, labels := idx(32)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write([]byte(images)); err != nil || z.Close() != nil {
		t.Fatal("gzip does not write")
	}
	write(t, dir, map[string]string{"idx/train-images-idx3-ubyte.gz": packed.String(), "idx/train-labels.idx1-ubyte": labels, "torn/x-images-idx3-ubyte": images[:99], "torn/x-labels-idx1-ubyte": labels, "lone/x-labels-idx1-ubyte": labels})
	for i := range 16 {
		picture := image.NewGray(image.Rect(0, 0, 8, 8))
		for at := range 64 {
			picture.SetGray(at%8, at/8, color.Gray{Y: pixel(i%2, at%8)})
		}
		var b bytes.Buffer
		if err := png.Encode(&b, picture); err != nil {
			t.Fatal(err)
		}
		write(t, dir, map[string]string{fmt.Sprintf("folders/%s/%d.png", []string{"left", "right"}[i%2], i): b.String()})
	}
	learn := map[string]any{"kind": "images", "target": nil, "epochs": 5}
	for _, data := range []string{"idx", "folders"} {
		if data == "folders" && exec.Command("python3", "-c", "import PIL").Run() != nil {
			t.Log("Pillow is not installed: images in folders are not tested; `make torch` installs it")
			continue
		}
		learn["data"], learn["validation"] = data, data
		_, m, said, err := train(t, p, dir, "", learn)
		if err != nil || accuracy(m) != 1 {
			t.Errorf("%s: accuracy %v, %v\n%s", data, accuracy(m), err, said)
		}
	}
	for data, want := range map[string]string{
		"torn": "x-images-idx3-ubyte is no IDX file", "lone": "IDX files come in pairs", "in.csv": "Images lie in a directory",
	} {
		learn["data"], learn["validation"] = data, nil
		_, _, said, err := train(t, p, dir, "", learn)
		if ps := stage.ProblemsIn(err); len(ps) != 1 || ps[0].Path != "data" || !strings.Contains(ps[0].Error(), want) {
			t.Errorf("%s: got %v, want %q\n%s", data, err, want, said)
		}
	}
}

// Processes share each batch, so that as many of them as there happen to be GPUs
// come to the same, but for rounding.
func TestProcessesShareEachBatch(t *testing.T) {
	p := program(t)
	if !torchrunWorks() {
		t.Skip("torchrun of this PyTorch does not start")
	}
	var losses []float64
	for _, n := range []int{1, 2, 4} {
		_, m, said, err := train(t, p, files(t), "", map[string]any{"processes": n, "epochs": 3})
		if err != nil {
			t.Fatalf("%d processes: %v\n%s", n, err, said)
		}
		loss, _ := m["loss"].(json.Number).Float64()
		losses = append(losses, loss)
	}
	for _, l := range losses[1:] {
		if math.Abs(l-losses[0]) > 1e-4 {
			t.Errorf("loss with 1, 2 and 4 processes: %v", losses)
		}
	}
}

// What a table's columns are scaled by is part of the model that is written.
func TestTheModelTakesTheTableAsItIs(t *testing.T) {
	p := program(t)
	dir := files(t)
	if _, _, said, err := train(t, p, dir, "", nil); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	const script = `import torch
m = torch.load("model.pt")
rows = [line.split(",")[:2] for line in open("in.csv").read().split()[1:]]
x = torch.tensor([[float(a), float(b)] for a, b in rows])
assert m["columns"] == ["a", "b"], m["columns"]
assert torch.equal(m["mean"], x.mean(0)) and torch.equal(m["std"], x.std(0)), m`
	c := exec.Command("python3", "-c", script)
	c.Dir = dir
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// fake is a PyTorch that is there, and whose torchrun tells how it was started.
var fake = map[string]string{
	"torch/__init__.py":              "",
	"torch/distributed/__init__.py":  "",
	"torch-2.0.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: torch\nVersion: 2.0.0\n",
	"torch/distributed/run.py": `import json, os, sys
spec = json.load(open(sys.argv[-1]))
open(spec["outputs"]["model"], "w").write(os.environ["CUDA_VISIBLE_DEVICES"] + " " + " ".join(a for a in sys.argv if a.startswith("--nproc")))
print('flow {"type": "metrics", "values": {"loss": 1}}')
`,
}

// A stage that has two GPUs trains in two processes, which see those two. The
// devices are not there, and PyTorch neither.
func TestTheGPUsOfTheStageAreUsed(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("GPUs are lent on Linux only")
	}
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("python3 is not installed")
	}
	dir := t.TempDir()
	flow := filepath.Join(dir, "bin", "flow")
	build := exec.Command("go", "build", "-o", flow, "../../cmd/flow")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	write(t, filepath.Join(dir, "modules"), fake)
	write(t, dir, map[string]string{
		"bin/nvidia-smi":   "#!/bin/sh\ncase $1 in --query-gpu=uuid,name*) for d in a b c; do echo \"GPU-$d, NVIDIA A10, 550.54, 24576, [N/A]\"; done;; esac\n",
		"project/in.csv":   "a,label\n1,x\n2,y\n",
		"project/flow.hcl": "pipeline \"p\" {\n  plugin \"torch\" {}\n}\ntorch_train \"two\" {\n  data = \"in.csv\"\n  target = \"label\"\n  resources { gpus = 2 }\n}\n",
		"runtime/.keep":    "",
	})
	self, err := filepath.Abs("flow-plugin-torch")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(dir, "bin", "flow-plugin-torch")); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"get"}, {"apply", "--yes"}} {
		c := exec.Command(flow, args...)
		c.Dir = filepath.Join(dir, "project")
		c.Env = append(os.Environ(), "PATH="+filepath.Dir(flow)+":"+os.Getenv("PATH"), "HOME="+dir, "XDG_CACHE_HOME="+dir, "XDG_RUNTIME_DIR="+filepath.Join(dir, "runtime"),
			"PYTHONPATH="+filepath.Join(dir, "modules"), "PYTHONDONTWRITEBYTECODE=1")
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("flow %v: %v\n%s", args, err, out)
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, "project/out/torch_train/two/model.pt"))
	if want := "GPU-a,GPU-b --nproc_per_node=2"; err != nil || string(b) != want {
		t.Errorf("got %q, %v; want %q", b, err, want)
	}
}

// What the documentation shows of torch_train trains, with a user's model.
func TestTheSnippetOfTheDocumentationRuns(t *testing.T) {
	self := program(t)
	text, err := os.ReadFile("../../docs/plugins.md")
	if err != nil {
		t.Fatal(err)
	}
	_, snippet, _ := strings.Cut(string(text), "\n```hcl\ntorch_train ")
	snippet, _, found := strings.Cut("torch_train "+snippet, "\n```")
	if !found {
		t.Fatal("docs/plugins.md shows no torch_train")
	}
	if !writesONNX() {
		snippet = strings.Replace(snippet, "onnx       = true", "", 1)
	}
	var rows strings.Builder
	rows.WriteString("a,b,digit\n")
	for i := range 120 {
		fmt.Fprintf(&rows, "%d,%d,%s\n", i%7, i%5, map[bool]string{true: "one", false: "two"}[i%7 > i%5])
	}
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"project/flow.hcl":   "pipeline \"p\" {\n  plugin \"torch\" {}\n}\nsplit \"holdout\" {\n  input = \"rows.csv\"\n  parts = { train = 0.8, validation = 0.2 }\n}\n" + snippet,
		"project/rows.csv":   rows.String(),
		"project/src/net.py": "import torch\n\ndef Net(width):\n    return torch.nn.Sequential(torch.nn.Linear(2, width), torch.nn.ReLU(), torch.nn.Linear(width, 2))\n",
	})
	flow := filepath.Join(dir, "bin", "flow")
	build := exec.Command("go", "build", "-o", flow, "../../cmd/flow")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := os.Symlink(self, filepath.Join(dir, "bin", "flow-plugin-torch")); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"get"}, {"apply", "--yes"}, {"plan", "--detailed-exitcode"}} {
		c := exec.Command(flow, args...)
		c.Dir = filepath.Join(dir, "project")
		c.Env = append(os.Environ(), "PATH="+filepath.Dir(flow)+":"+os.Getenv("PATH"), "XDG_CACHE_HOME="+filepath.Join(dir, "cache"))
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("flow %v: %v\n%s", args, err, out)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "project/out/torch_train/digits/model.pt")); err != nil || info.Size() == 0 {
		t.Errorf("no model: %v", err)
	}
}

// GPUs that PyTorch does not see are told of: training on the CPU instead would
// be a surprise.
func TestGPUsThatPyTorchDoesNotSee(t *testing.T) {
	p := program(t)
	t.Setenv("CUDA_VISIBLE_DEVICES", "GPU-of-nobody")
	_, _, said, err := train(t, p, files(t), "", map[string]any{"device": "auto", "processes": nil})
	if ps := stage.ProblemsIn(err); len(ps) != 1 || ps[0].Path != "device" || !strings.Contains(ps[0].Error(), "does not see the GPUs of the stage") {
		t.Errorf("got %v\n%s", err, said)
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
