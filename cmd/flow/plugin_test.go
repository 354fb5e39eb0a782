package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What flow plugin new writes works at once, in each language.
func TestANewPluginConforms(t *testing.T) {
	flow, err := exec.LookPath("flow")
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for lang, build := range map[string]string{
		"python": "true",
		// The SDK of this checkout, with the modules that it was built with.
		"go": `cd plugins/my-plugin && cp "$ROOT/go.sum" . && go mod edit -replace "github.com/flow-pipelines/flow=$ROOT" && GOFLAGS=-mod=mod GOPROXY=off go build -o flow-plugin-my-plugin .`,
	} {
		t.Run(lang, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(map[string]string{"python": "python3", "go": "go"}[lang]); err != nil {
				t.Skip(err)
			}
			dir := t.TempDir()
			script := `set -e
"$FLOW" plugin new my-plugin --lang ` + lang + `
` + build + `
cd "$DIR"
"$FLOW" plugin test my-plugin
"$FLOW" apply --yes
"$FLOW" plan --detailed-exitcode
cat out/my_plugin/head/data.txt`
			pipeline := "pipeline \"x\" {\n  plugin \"my-plugin\" {}\n}\nmy_plugin \"head\" {\n  input = \"words.txt\"\n  lines = 2\n}\n"
			for name, text := range map[string]string{"pipeline.hcl": pipeline, "words.txt": "a\nb\nc\n"} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			c := exec.Command("sh", "-c", script)
			c.Dir, c.Env = dir, append(os.Environ(), "FLOW="+flow, "ROOT="+root, "DIR="+dir, "XDG_CACHE_HOME="+t.TempDir())
			if gocache, err := exec.Command("go", "env", "GOCACHE").Output(); err == nil {
				c.Env = append(c.Env, "GOCACHE="+strings.TrimSpace(string(gocache)))
			}
			out, err := c.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "9 checks passed.") || !strings.HasSuffix(string(out), "a\nb\n") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
