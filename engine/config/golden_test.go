package config_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/flow-pipelines/flow/engine/config"
)

var update = flag.Bool("update", os.Getenv("UPDATE") != "", "rewrite the golden files")

// Each archive in testdata/wrong is a pipeline with a mistake. Its comment may
// give variables, one a line, as --var NAME=VALUE; its last file, "want", is
// what the user sees.
func TestWrongPipelines(t *testing.T) {
	archives(t, "wrong", func(t *testing.T, opts config.Options) string {
		p, diags := config.Load(opts)
		if !diags.HasErrors() {
			_, diags = p.Stages(config.NoResults{})
		}
		if !diags.HasErrors() {
			t.Error("got no error")
		}
		return render(p, diags)
	})
}

// Each archive in testdata/right is a pipeline; "want" is what becomes of it.
func TestRightPipelines(t *testing.T) {
	archives(t, "right", func(t *testing.T, opts config.Options) string {
		p, diags := config.Load(opts)
		if diags.HasErrors() {
			t.Fatal(render(p, diags))
		}
		ss, diags := p.Stages(config.NoResults{})
		if diags.HasErrors() {
			t.Fatal(render(p, diags))
		}
		var b strings.Builder
		for _, s := range ss {
			fmt.Fprintf(&b, "%s\n  %s\n", s.Addr, strings.ReplaceAll(strings.TrimSpace(show(s)), "\n", "\n  "))
		}
		return b.String()
	})
}

func archives(t *testing.T, dir string, got func(*testing.T, config.Options) string) {
	files, err := filepath.Glob(filepath.Join("testdata", dir, "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatal("no archives", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			opts := config.Options{Types: types(), Version: "0.1.0", Vars: map[string]string{}}
			for _, line := range strings.Split(string(a.Comment), "\n") {
				if v, ok := strings.CutPrefix(line, "--var "); ok {
					name, value, _ := strings.Cut(v, "=")
					opts.Vars[name] = value
				}
			}
			contents := map[string]string{}
			want := ""
			var kept []txtar.File
			for _, f := range a.Files {
				if f.Name == "want" {
					want = string(f.Data)
					continue
				}
				contents[f.Name] = string(f.Data)
				kept = append(kept, f)
			}
			opts.Dir = project(t, contents)
			text := strings.ReplaceAll(got(t, opts), opts.Dir, "DIR")
			if *update {
				a.Files = append(kept, txtar.File{Name: "want", Data: []byte(text)})
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(want, text); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}
