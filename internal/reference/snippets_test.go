package reference_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/plugins/host"
	"github.com/flow-pipelines/flow/stages/builtin"
)

func TestExamplesOfSchemasAreLoaded(t *testing.T) {
	all := schemas()
	for _, name := range pluginTypes {
		_, types, err := recorded(t).Find(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, typ := range types {
			all = append(all, typ.Schema())
		}
	}
	for _, s := range all {
		t.Run(s.Name, func(t *testing.T) { load(t, s.Example) })
	}
}

// A snippet that is marked as HCL is HCL. One that consists of blocks is loaded
// too: what it refers to and does not declare is put beside it. One of
// arguments alone is a part of a block, and only parsed.
func TestSnippetsInDocsAreRight(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, file := range append(files, filepath.Join(root, "README.md")) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range snippets(string(text)) {
			n++
			t.Run(fmt.Sprintf("%s:%d", filepath.Base(file), s.line), func(t *testing.T) { load(t, s.text) })
		}
	}
	if n < 20 {
		t.Errorf("got %d snippets: are they marked as hcl?", n)
	}
}

type snippet struct {
	line int // of its first line
	text string
}

// snippets returns what stands between ```hcl and ```.
func snippets(text string) []snippet {
	var all []snippet
	var open *snippet
	for i, line := range strings.Split(text, "\n") {
		switch {
		case open == nil && strings.TrimSpace(line) == "```hcl":
			open = &snippet{line: i + 2}
		case open != nil && strings.TrimSpace(line) == "```":
			all = append(all, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		}
	}
	return all
}

// load parses the text and, if it consists of blocks, loads it as a pipeline.
func load(t *testing.T, text string) {
	f, diags := hclsyntax.ParseConfig([]byte(text), "snippet.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatalf("%v\n%s", diags, text)
	}
	body := f.Body.(*hclsyntax.Body)
	if len(body.Attributes) > 0 {
		return
	}
	dir := t.TempDir()
	beside := surroundings(body)
	for name, content := range map[string]string{"snippet.hcl": text, "beside.hcl": beside, "params.yaml": "epochs: 5\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, b := range body.Blocks {
		if b.Type == "module" {
			moduleOf(t, dir, b, text)
		}
	}
	p, diags := config.Load(config.Options{
		Dir: dir, Types: builtin.Types(), Version: "0.1.0", Vars: values(body),
		Environ: []string{"DATA_REGION=eu"},
		Remote:  func(_ addr.Module, source string) (string, string, error) { return source, source, nil },
		Plugins: recorded(t),
	})
	if !diags.HasErrors() {
		_, diags = p.Stages(config.NoResults{})
	}
	if diags.HasErrors() {
		var b bytes.Buffer
		_ = hcl.NewDiagnosticTextWriter(&b, p.Files(), 100, false).WriteDiagnostics(diags)
		t.Errorf("%s\nwith\n%s", b.String(), beside)
	}
}

// pluginTypes are the stage types of the plugins that come with flow.
var pluginTypes = map[string]string{"sql": "duckdb", "torch_train": "torch"}

// plugins has those plugins, with the types that they are recorded to have, and
// every other one, without any.
type plugins struct{ recorded host.Host }

// recorded puts programs into PATH that say what the plugins were recorded to say.
func recorded(t *testing.T) plugins {
	t.Helper()
	bin := t.TempDir()
	for _, name := range pluginTypes {
		file, err := filepath.Abs(filepath.Join(root, "plugins", name, "testdata", "description.json"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(bin, "flow-plugin-"+name), []byte("#!/bin/sh\ncat '"+file+"'\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return plugins{host.Host{Environ: []string{"PATH=" + bin + ":" + os.Getenv("PATH")}}}
}

func (p plugins) Find(name string) (*stage.Plugin, []stage.Type, error) {
	for _, known := range pluginTypes {
		if known == name {
			return p.recorded.Find(name)
		}
	}
	return &stage.Plugin{Name: name, Version: "1.0.0"}, nil, nil
}

func (plugins) Offering(string) string { return "" }

// moduleOf writes a module that has the variables that the block sets, and the
// outputs that the text uses.
func moduleOf(t *testing.T, dir string, b *hclsyntax.Block, text string) {
	source, diags := b.Body.Attributes["source"].Expr.Value(nil)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	var content strings.Builder
	for name := range b.Body.Attributes {
		if !slices.Contains([]string{"source", "for_each", "count", "depends_on"}, name) {
			fmt.Fprintf(&content, "variable %q {}\n", name)
		}
	}
	for _, m := range regexp.MustCompile(`\b(?:r|module\.`+b.Labels[0]+`)\.(\w+)`).FindAllStringSubmatch(text, -1) {
		fmt.Fprintf(&content, "output %q { value = 1 }\n", m[1])
	}
	folder := filepath.Join(dir, source.AsString())
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "main.hcl"), []byte(content.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// values gives the variables without a default a value.
func values(body *hclsyntax.Body) map[string]string {
	vars := map[string]string{}
	for _, b := range body.Blocks {
		if b.Type == "variable" && b.Body.Attributes["default"] == nil {
			vars[b.Labels[0]] = "1"
			if b.Body.Attributes["type"] == nil {
				vars[b.Labels[0]] = `"data/x.csv"`
			}
		}
	}
	return vars
}

// surroundings declares what the body refers to and does not declare.
func surroundings(body *hclsyntax.Body) string {
	declared := map[string]bool{}
	for _, b := range body.Blocks {
		switch {
		case b.Type == "locals":
			for name := range b.Body.Attributes {
				declared["local."+name] = true
			}
		case b.Type == "variable":
			declared["var."+b.Labels[0]] = true
		case len(b.Labels) > 0:
			declared[b.Type+"."+b.Labels[0]] = true
		}
	}
	// By address, the outputs that are named.
	missing := map[string]map[string]bool{}
	for _, t := range traversals(body) {
		words := names(t)
		if len(words) < 2 || declared[words[0]+"."+words[1]] || slices.Contains([]string{"each", "count", "self", "row", "path", "module"}, words[0]) {
			continue
		}
		a := words[0] + "." + words[1]
		if missing[a] == nil {
			missing[a] = map[string]bool{}
		}
		if i := slices.Index(words, "outputs"); i == 2 && len(words) > 3 {
			missing[a][words[3]] = true
		} else if len(words) > 2 && words[2] != "path" && words[2] != "metrics" {
			missing[a][words[2]] = true
		}
	}
	var b strings.Builder
	for _, blk := range body.Blocks {
		if name := pluginTypes[blk.Type]; name != "" {
			fmt.Fprintf(&b, "pipeline \"p\" {\n plugin %q {}\n}\n", name)
		}
	}
	for _, a := range slices.Sorted(maps.Keys(missing)) {
		typ, name, _ := strings.Cut(a, ".")
		b.WriteString(standIn(typ, name, slices.Sorted(maps.Keys(missing[a]))))
	}
	return b.String()
}

// standIn is a block of a type with the given outputs.
func standIn(typ, name string, outputs []string) string {
	head := fmt.Sprintf("%s %q ", typ, name)
	data := fmt.Sprintf(`"data/%s_%s.csv"`, typ, name)
	model := fmt.Sprintf(`"models/%s_%s/"`, typ, name)
	switch typ {
	case "var":
		return fmt.Sprintf("variable %q { default = 1 }\n", name)
	case "local":
		return fmt.Sprintf("locals { %s = 1 }\n", name)
	case "dataset":
		return head + "{ path = " + data + " }\n"
	case "exec":
		var o strings.Builder
		for _, out := range append(outputs, "other") {
			fmt.Fprintf(&o, "%s = \"reports/%s/%s.csv\"\n", out, name, out)
		}
		return head + "{\n command = [\"true\"]\n metrics = [\"reports/" + name + ".json\"]\n outputs = {\n" + o.String() + "}\n}\n"
	case "preprocess":
		return head + "{ input = " + data + " }\n"
	case "split":
		var parts []string
		for _, out := range append(outputs, "other") {
			parts = append(parts, fmt.Sprintf("%s = %g", out, 1/float64(len(outputs)+1)))
		}
		return head + "{\n input = " + data + "\n parts = { " + strings.Join(parts, ", ") + " }\n}\n"
	case "train":
		return head + "{\n data = " + data + "\n target = \"y\"\n model \"mlp\" {}\n}\n"
	case "select":
		return head + "{\n candidates = [train." + name + "_candidate]\n metric = \"f1\"\n}\n" + standIn("train", name+"_candidate", nil)
	case "evaluate":
		return head + "{\n model = " + model + "\n data = " + data + "\n}\n"
	}
	return ""
}

func names(t hcl.Traversal) []string {
	var words []string
	for _, step := range t {
		switch step := step.(type) {
		case hcl.TraverseRoot:
			words = append(words, step.Name)
		case hcl.TraverseAttr:
			words = append(words, step.Name)
		default: // an index: which instance does not matter
		}
	}
	return words
}

func traversals(b *hclsyntax.Body) []hcl.Traversal {
	var ts []hcl.Traversal
	for name, a := range b.Attributes {
		if name == "from" {
			continue // of moved and removed: a stage that is gone
		}
		ts = append(ts, a.Expr.Variables()...)
	}
	for _, blk := range b.Blocks {
		ts = append(ts, traversals(blk.Body)...)
	}
	return ts
}
