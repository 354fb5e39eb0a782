package torch_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What the plugin says of its stage types is recorded, for tests that have no
// PyTorch: the examples in the documentation are held to it.
func TestTheTypesAreAsRecorded(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("python3 is not installed")
	}
	const script = `import json, sys
sys.path[:0] = [".", "../python"]
from flow_plugin_torch import plugin
print(json.dumps({"protocol": 1, "name": plugin.name, "version": plugin.version, "summary": plugin.summary, "check": True, "types": [t.description for t in plugin.types.values()]}, indent=2))`
	c := exec.Command("python3", "-B", "-c", script)
	c.Stderr = os.Stderr
	got, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	const file = "testdata/description.json"
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(want, got) {
		t.Errorf("%s is not what the plugin says of itself (UPDATE=1 writes it): %v", file, err)
	}
}

// That ONNX cannot be written is said by the check, by what is known of PyTorch
// without starting it: a plan does not wait, and nothing is trained in vain.
func TestALackOfONNXIsFoundWhilePlanning(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("python3 is not installed")
	}
	// Without site-packages there is no other PyTorch than this, and no onnx.
	const script = `import sys
sys.path[:0] = [".", "../python", sys.argv[1]]
from flow_plugin_torch import plugin
del sys.argv[1]
plugin.main()`
	for version, want := range map[string]string{"2.8.0": "PyTorch 2.8.0 needs it to write ONNX. Install it: ", "1.13.0": "", "": ""} {
		dir := t.TempDir()
		if version != "" {
			write(t, dir, map[string]string{filepath.Join("torch-"+version+".dist-info", "METADATA"): "Metadata-Version: 2.1\nName: torch\nVersion: " + version + "\n"})
		}
		for _, onnx := range []string{"true", "false"} {
			c := exec.Command("python3", "-B", "-I", "-S", "-c", script, dir)
			c.Args = append(c.Args, "check")
			c.Stdin, c.Stderr = strings.NewReader(`{"protocol":1,"id":1,"type":"torch_train","args":{"onnx":`+onnx+`},"inputs":{}}`+"\n"), os.Stderr
			got, err := c.Output()
			if err != nil {
				t.Fatal(err)
			}
			if found := strings.Contains(string(got), `"path": "onnx"`); found != (want != "" && onnx == "true") || found && !strings.Contains(string(got), want) {
				t.Errorf("PyTorch %q, onnx %s: got %s", version, onnx, got)
			}
		}
	}
}
