package torch_test

import (
	"bytes"
	"os"
	"os/exec"
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
