package config_test

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/stage"
)

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	var keys []K
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// results are metrics by address.
type results map[string]stage.Metrics

func (r results) Metrics(a addr.Address) (stage.Metrics, bool) {
	m, ok := r[a.String()]
	return m, ok
}

// Content is nil: nothing that was written is known.
func (r results) Content(addr.Address, string) config.Content { return nil }

// project writes files and returns their directory.
func project(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		f := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(f), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func render(p *config.Pipeline, diags hcl.Diagnostics) string {
	var b bytes.Buffer
	w := hcl.NewDiagnosticTextWriter(&b, p.Files(), 0, false)
	if err := w.WriteDiagnostics(diags); err != nil {
		fmt.Fprintln(&b, err)
	}
	return b.String()
}

// load reads a pipeline that has to be right.
func load(t testing.TB, hcl string) *config.Pipeline {
	t.Helper()
	return loadFiles(t, map[string]string{"pipeline.hcl": hcl})
}

func loadFiles(t testing.TB, files map[string]string) *config.Pipeline {
	t.Helper()
	p, diags := config.Load(config.Options{Dir: project(t, files), Types: types(), Version: "0.1.0"})
	if diags.HasErrors() {
		t.Fatal(render(p, diags))
	}
	return p
}

func stages(t testing.TB, p *config.Pipeline, r config.Results) map[string]*config.Stage {
	t.Helper()
	ss, diags := p.Stages(r)
	if diags.HasErrors() {
		t.Fatal(render(p, diags))
	}
	m := map[string]*config.Stage{}
	for _, s := range ss {
		m[s.Addr.String()] = s
	}
	return m
}

func show(s *config.Stage) string {
	var b strings.Builder
	fmt.Fprintf(&b, "args %s\nhashed %s\n", s.Args, s.Hashed)
	if len(s.Unknown)+len(s.Sensitive) > 0 {
		fmt.Fprintf(&b, "unknown %v sensitive %v\n", s.Unknown, s.Sensitive)
	}
	for _, in := range s.Job.Inputs {
		from := "project"
		if in.From != nil {
			from = in.From.Address + " " + in.From.Output
		}
		fmt.Fprintf(&b, "input %s = %s (%s)\n", in.Role, in.Path, from)
	}
	for _, o := range s.Job.Outputs {
		fmt.Fprintf(&b, "output %s = %s\n", o.Name, o.Path)
	}
	if s.When.Text != "" {
		fmt.Fprintf(&b, "when %s: %s\n", s.When.Text, s.When.Value)
	}
	for _, d := range s.Deps {
		fmt.Fprintf(&b, "dep %s\n", d)
	}
	return b.String()
}
