package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// snippetsOf returns what stands in docs/plugins.md as text of a language.
func snippetsOf(t *testing.T, lang string) []string {
	t.Helper()
	text, err := os.ReadFile("../../docs/plugins.md")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for i, part := range strings.Split(string(text), "\n```"+lang+"\n") {
		if i > 0 {
			s, _, _ := strings.Cut(part, "\n```")
			all = append(all, s+"\n")
		}
	}
	return all
}

// The plugins of the documentation, as they stand there, pass the suite and do
// what it says of them.
func TestThePluginsOfTheDocumentationWork(t *testing.T) {
	flow, err := exec.LookPath("flow")
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	goSnippets := snippetsOf(t, "go")
	for name, c := range map[string]struct{ needs, name, lang, program, source, build, pipeline, want string }{
		"python": {
			needs: "python3", name: "tidy", lang: "python", program: "flow-plugin-tidy", source: snippetsOf(t, "python")[0], build: "true",
			pipeline: "pipeline \"words\" {\n  plugin \"tidy\" {}\n}\ntidy \"head\" {\n  input = \"words.txt\"\n  lines = 2\n}\n",
			want:     "cat out/tidy/head/data.txt | tr '\\n' ,; echo; test \"$(\"$FLOW\" show tidy.head | grep -c 'lines *3')\" = 1",
		},
		// The suite as a package, which a test calls for its plugin.
		"go": {
			needs: "go", name: "hello", lang: "go", program: "main.go", source: goSnippets[0],
			build: `cat >plugin_test.go <<'END'
package main

import (
	"os"
	"testing"

	"github.com/flow-pipelines/flow/plugins/conformance"
)

func TestConforms(t *testing.T) {
	program := "flow-plugin-hello"
` + goSnippets[1] + `
}
END
cp "$ROOT/go.sum" . && go mod edit -replace "github.com/flow-pipelines/flow=$ROOT" && export GOFLAGS=-mod=mod GOPROXY=off && go build -o flow-plugin-hello . && go test -v -run TestConforms . | grep -c '^    --- PASS'`,
			pipeline: "pipeline \"words\" {\n  plugin \"hello\" {}\n}\ngreet \"all\" {\n  who = \"world\"\n}\n",
			want:     "cat out/greet/all/greeting.txt",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(c.needs); err != nil {
				t.Skip(err)
			}
			dir := t.TempDir()
			for file, text := range map[string]string{"pipeline.hcl": c.pipeline, "words.txt": "a\nb\nc\n", "source": c.source} {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			script := `set -e
"$FLOW" plugin new ` + c.name + ` --lang ` + c.lang + `
cat source >plugins/` + c.name + `/` + c.program + `
cd plugins/` + c.name + `
` + c.build + `
cd "$DIR"
"$FLOW" plugin test ` + c.name + `
"$FLOW" apply --yes
` + c.want
			cmd := exec.Command("sh", "-c", script)
			cmd.Dir, cmd.Env = dir, append(os.Environ(), "FLOW="+flow, "ROOT="+root, "DIR="+dir, "XDG_CACHE_HOME="+t.TempDir())
			if gocache, err := exec.Command("go", "env", "GOCACHE").Output(); err == nil {
				cmd.Env = append(cmd.Env, "GOCACHE="+strings.TrimSpace(string(gocache)))
			}
			out, err := cmd.CombinedOutput()
			want := map[string]string{"tidy": "a,b,\n", "hello": "Hello, world\n"}[c.name]
			if err != nil || !strings.Contains(string(out), "checks passed.") || !strings.HasSuffix(string(out), want) {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
