package config_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/stage"
)

// blocks is a chain of n blocks of eight lines, in files of a hundred.
func blocks(n int) map[string]string {
	files := map[string]string{}
	for from := 0; from < n; from += 100 {
		var b strings.Builder
		for i := from; i < min(from+100, n); i++ {
			data := `"data/x.csv"`
			if i > 0 {
				data = fmt.Sprintf("exec.s%d.path", i-1)
			}
			fmt.Fprintf(&b, `exec "s%d" {
  command = ["cp", %s, self.outputs.o.path]
  inputs  = ["src/a.py"]
  outputs = { o = "out/s%d" }
  env     = { RATE = tostring(var.rate), NAME = "s${local.k + 1}" }
  timeout = "10m"
  resources { cpus = 1 }
}
`, i, data, i)
		}
		files[fmt.Sprintf("f%03d.hcl", from/100)] = b.String()
	}
	files["vars.hcl"] = "variable \"rate\" { default = 0.5 }\nlocals { k = 7 }\n"
	return files
}

// instances is one block of n instances, and one that needs each of them.
func instances(n int) map[string]string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("k%d", i)
	}
	return map[string]string{"names": strings.Join(names, "\n"), "pipeline.hcl": `
dataset "raw" { path = "raw.csv" }
exec "a" {
  for_each = { for i, line in split("\n", file("names")) : line => i }
  command  = ["x", dataset.raw.path, tostring(each.value), self.outputs.o.path]
  outputs  = { o = "out/a/${each.key}" }
}
exec "b" {
  for_each = exec.a
  command  = ["y", each.value.path, tostring(try(exec.a[each.key].metrics.rows, 0)), self.outputs.o.path]
  outputs  = { o = "out/b/${each.key}" }
}
`}
}

func benchmark(b *testing.B, files map[string]string, want int) {
	dir := project(b, files)
	ts := types()
	b.ReportAllocs()
	for b.Loop() {
		p, diags := config.Load(config.Options{Dir: dir, Types: ts, Version: "0.1.0"})
		if diags.HasErrors() {
			b.Fatal(render(p, diags))
		}
		ss, diags := p.Stages(config.NoResults{})
		if diags.HasErrors() || len(ss) != want {
			b.Fatal(len(ss), render(p, diags))
		}
	}
}

func BenchmarkFiles10(b *testing.B)     { benchmark(b, blocks(1000), 1000) }
func BenchmarkFiles100(b *testing.B)    { benchmark(b, blocks(10_000), 10_000) }
func BenchmarkPairs1000(b *testing.B)   { benchmark(b, instances(500), 1001) }
func BenchmarkPairs10000(b *testing.B)  { benchmark(b, instances(5_000), 10_001) }
func BenchmarkPairs100000(b *testing.B) { benchmark(b, instances(50_000), 100_001) }

// The floor: HCL's parser alone, one file after the other.
func BenchmarkParseAlone10000(b *testing.B) {
	files := blocks(10_000)
	b.ReportAllocs()
	for b.Loop() {
		for name, text := range files {
			if _, diags := hclsyntax.ParseConfig([]byte(text), name, hcl.InitialPos); diags.HasErrors() {
				b.Fatal(diags)
			}
		}
	}
}

// During an apply each stage is resolved once more, when what it needs is
// known.
func benchmarkResolve(b *testing.B, n int) {
	p := loadFiles(b, instances(n))
	if _, diags := p.Stages(config.NoResults{}); diags.HasErrors() {
		b.Fatal(render(p, diags))
	}
	r := results{}
	for i := range n {
		r[fmt.Sprintf(`exec.a["k%d"]`, i)] = stage.Metrics{"rows": float64(i)}
	}
	a := addr.Address{Type: "exec", Name: "b"}
	i := 0
	for b.Loop() {
		a.Key = addr.StringKey(fmt.Sprintf("k%d", i%n))
		if _, diags := p.Resolve(a, r); diags.HasErrors() {
			b.Fatal(render(p, diags))
		}
		i++
	}
}

func BenchmarkResolveOneOf1000(b *testing.B)  { benchmarkResolve(b, 1000) }
func BenchmarkResolveOneOf10000(b *testing.B) { benchmarkResolve(b, 10_000) }
