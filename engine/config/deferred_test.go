package config_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/stage"
)

// wrote is what stages have written, by address and output: files by path, or,
// under "", the output as a file.
type wrote map[string]map[string]string

func (w wrote) Metrics(a addr.Address) (stage.Metrics, bool) {
	for at := range w {
		if strings.HasPrefix(at, a.String()+" ") {
			return stage.Metrics{}, true
		}
	}
	return nil, false
}

func (w wrote) Content(a addr.Address, output string) config.Content {
	if files, ok := w[a.String()+" "+output]; ok {
		return content(files)
	}
	return nil
}

type content map[string]string

func (c content) Files() []config.File {
	var files []config.File
	for _, p := range slices.Sorted(maps.Keys(c)) {
		files = append(files, config.File{Path: p, Digest: digest.OfBytes([]byte(c[p])), Size: int64(len(c[p]))})
	}
	return files
}

func (c content) Read(f config.File) ([]byte, error) {
	if _, ok := c[f.Path]; !ok {
		return nil, errors.New("no such file")
	}
	return []byte(c[f.Path]), nil
}

func addresses(t *testing.T, p *config.Pipeline, r config.Results) []string {
	t.Helper()
	ss, diags := p.Stages(r)
	if diags.HasErrors() {
		t.Fatal(render(p, diags))
	}
	var as []string
	for _, s := range ss {
		as = append(as, s.Addr.String())
	}
	return as
}

func deferred(p *config.Pipeline) []string {
	var ds []string
	for _, d := range p.Deferred() {
		ds = append(ds, d.String())
	}
	return ds
}

const fanOut = `
exec "list" {
  command = ["list"]
  outputs = { names = "names.json" }
}
exec "shard" {
  for_each = toset(jsondecode(file(exec.list.path)))
  command  = ["shard", each.value, self.outputs.o.path]
  outputs  = { o = "shards/${each.key}" }
}
exec "merge" {
  command = concat(["merge"], [for s in exec.shard : s.path])
  outputs = { all = "all" }
}
exec "other" {
  command = ["other"]
  outputs = { o = "other" }
}
`

func TestABlockOverWhatAStageWritesIsDeferredUntilThatIsKnown(t *testing.T) {
	p := load(t, fanOut)
	if got, want := addresses(t, p, config.NoResults{}), []string{"exec.list", "exec.other", "exec.merge"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got, want := deferred(p), []string{"exec.shard[*]"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	merge := stages(t, p, config.NoResults{})["exec.merge"]
	if got, want := deps(merge), []string{"exec.list"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if len(merge.Awaits) != 1 || !slices.Equal(merge.Unknown, []string{"command"}) {
		t.Errorf("merge awaits %v, and does not know %v", merge.Awaits, merge.Unknown)
	}
	if p.Expand(config.NoResults{}) != p {
		t.Error("expanded though nothing is known")
	}
	r := wrote{"exec.list names": {"": `["b", "a"]`}}
	next := p.Expand(r)
	if got, want := addresses(t, next, r), []string{"exec.list", "exec.other", `exec.shard["a"]`, `exec.shard["b"]`, "exec.merge"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if len(next.Deferred()) > 0 {
		t.Errorf("still deferred: %v", deferred(next))
	}
	ss := stages(t, next, r)
	if got, want := deps(ss["exec.merge"]), []string{"exec.list", `exec.shard["a"]`, `exec.shard["b"]`}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if m := ss["exec.merge"]; len(m.Awaits)+len(m.Unknown) > 0 {
		t.Errorf("merge awaits %v, and does not know %v", m.Awaits, m.Unknown)
	}
	// An entry of the list counts in the key, not the list: another entry
	// changes nothing for this one.
	if s := ss[`exec.shard["a"]`]; len(s.Job.Inputs) > 0 || !slices.Equal(deps(s), []string{"exec.list"}) {
		t.Errorf("inputs %v, dependencies %v", s.Job.Inputs, deps(s))
	}
	// What has no part in it is the same.
	if stages(t, p, r)["exec.other"] != ss["exec.other"] {
		t.Error("exec.other was evaluated again")
	}
	if p.Expand(r) == p || len(p.Deferred()) != 1 {
		t.Error("the pipeline itself has changed")
	}
}

func TestExpansionsFollowEachOther(t *testing.T) {
	p := load(t, `
exec "a" {
  command = ["a"]
  outputs = { o = "a.json" }
}
exec "b" {
  for_each = jsondecode(file(exec.a.path))
  command  = ["b", each.value]
  outputs  = { dir = "b/${each.key}/" }
}
exec "c" {
  for_each = merge([for k, b in exec.b : { for f in fileset(b.dir.path, "*.csv") : "${k}-${f}" => "${b.dir.path}/${f}" }]...)
  command  = ["c", each.value]
  outputs  = { o = "c/${each.key}" }
}
exec "d" {
  command    = ["d"]
  outputs    = { o = "d" }
  depends_on = [exec.c]
}
`)
	if got, want := deferred(p), []string{"exec.b[*]", "exec.c[*]"}; !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	if got, want := deps(stages(t, p, config.NoResults{})["exec.d"]), []string{"exec.a"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	r := wrote{"exec.a o": {"": `{"x": "1", "y": "2"}`}}
	p = p.Expand(r)
	if got, want := deferred(p), []string{"exec.c[*]"}; !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	r[`exec.b["x"] dir`] = map[string]string{"1.csv": "", "2.csv": "", "n.txt": ""}
	if p.Expand(r) != p {
		t.Error("expanded with half of it known")
	}
	r[`exec.b["y"] dir`] = map[string]string{"1.csv": ""}
	p = p.Expand(r)
	if got, want := addresses(t, p, r), []string{"exec.a", `exec.b["x"]`, `exec.b["y"]`, `exec.c["x-1.csv"]`, `exec.c["x-2.csv"]`, `exec.c["y-1.csv"]`, "exec.d"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if d := stages(t, p, r)["exec.d"]; len(d.Deps) != 6 || len(d.Awaits) > 0 {
		t.Errorf("d depends on %v and awaits %v", d.Deps, d.Awaits)
	}
}

func TestAModuleOverWhatAStageWritesIsDeferredAsAWhole(t *testing.T) {
	p := loadFiles(t, map[string]string{"pipeline.hcl": `
exec "list" {
  command = ["list"]
  outputs = { names = "names.json" }
}
module "m" {
  source   = "./lib"
  for_each = toset(jsondecode(file(exec.list.path)))
  name     = each.key
}
exec "use" {
  command    = ["use", jsonencode([for m in module.m : m.o])]
  outputs    = { o = "use" }
}
exec "after" {
  command    = ["after"]
  outputs    = { o = "after" }
  depends_on = [module.m]
}
`, "lib/main.hcl": `
variable "name" {}
exec "x" {
  command = ["x", var.name]
  outputs = { o = "x/${var.name}" }
}
output "o" { value = exec.x.path }
`})
	if got, want := deferred(p), []string{"module.m[*]"}; !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	for name, s := range stages(t, p, config.NoResults{}) {
		if name != "exec.list" && (len(s.Awaits) != 1 || !slices.Equal(deps(s), []string{"exec.list"})) {
			t.Errorf("%s awaits %v and depends on %v", name, s.Awaits, deps(s))
		}
	}
	r := wrote{"exec.list names": {"": `["a"]`}}
	p = p.Expand(r)
	ss := stages(t, p, r)
	for _, name := range []string{"exec.use", "exec.after"} {
		if got, want := deps(ss[name]), []string{"exec.list", `module.m["a"].exec.x`}; !slices.Equal(got, want) || len(ss[name].Awaits) > 0 {
			t.Errorf("%s: got %v and %v, want %v", name, got, ss[name].Awaits, want)
		}
	}
}

func TestWhatIsWrongWithAListIsToldWhenItIsKnown(t *testing.T) {
	for list, want := range map[string]string{
		`["a", "a/b"]`:   "An output inside another output",
		`["a", "a"]`:     "",
		`"a"`:            "cannot convert string to set",
		`{`:              "EOF",
		`[{ "a": 1 }]`:   "for_each",
		`["a", "../.."]`: "cannot be at",
	} {
		p := load(t, fanOut)
		r := wrote{"exec.list names": {"": list}}
		p = p.Expand(r)
		if _, diags := p.Stages(r); diags.HasErrors() { // the block alone is wrong
			t.Errorf("%s: %s", list, render(p, diags))
		}
		var diags hcl.Diagnostics
		for _, d := range p.Deferred() {
			diags = append(diags, d.Mistakes...)
		}
		if p.Expand(r) != p {
			t.Errorf("%s: expanded again", list)
		}
		if got := render(p, diags); want == "" && diags.HasErrors() || !strings.Contains(got, want) {
			t.Errorf("%s: got %s, want %s", list, got, want)
		}
	}
}
