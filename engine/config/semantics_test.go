package config_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/zclconf/go-cty/cty"
	"pgregory.net/rapid"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/stage"
)

func deps(s *config.Stage) []string {
	var ds []string
	for _, d := range s.Deps {
		ds = append(ds, d.String())
	}
	return ds
}

// The edges are those of the values, whatever way they took.
func TestMarksMakeExactEdges(t *testing.T) {
	const before = `
dataset "raw" { path = "raw.csv" }
train "m" {
  for_each = { a = 1, b = 2, c = 3 }
  data     = dataset.raw
  target   = "y"
}
exec "n" {
  count   = 2
  command = ["n"]
  outputs = { o = "n/${count.index}" }
}
locals {
  paths  = { for k, m in train.m : k => m.model.path if k != "b" }
  chosen = local.paths["a"]
}
variable "on" { default = true }
`
	for expr, want := range map[string][]string{
		`local.chosen`:                                                                      {`train.m["a"]`},
		`join(",", values(local.paths))`:                                                    {`train.m["a"]`, `train.m["c"]`},
		`"${local.paths.c}/x"`:                                                              {`train.m["c"]`},
		`jsonencode(train.m["b"].outputs)`:                                                  {`train.m["b"]`},
		`var.on ? train.m["a"].path : train.m["b"].path`:                                    {`train.m["a"]`},
		`try(train.m["a"].metrics.best, train.m["c"].path)`:                                 {`train.m["a"]`},
		`can(train.m["c"].metrics.best) ? "x" : "y"`:                                        {`train.m["c"]`},
		`train.m["b"].metrics.f1 > 0.5 ? "x" : exec.n[1].o.path`:                            {`exec.n[1]`, `train.m["b"]`},
		`(var.on ? train.m["a"] : train.m["b"]).path`:                                       {`train.m["a"]`},
		`false ? train.m["a"].path : (var.on ? exec.n[0].path : exec.n[1].path)`:            {`exec.n[0]`},
		`"%{ if var.on }${train.m["a"].path}%{ else }${train.m["b"].path}%{ endif }"`:       {`train.m["a"]`},
		`length([for k, m in train.m : k if m.metrics.f1 > 0.5])`:                           {`train.m["a"]`, `train.m["b"]`, `train.m["c"]`},
		`max([for k, m in train.m : m.metrics.f1 if k != "a"]...)`:                          {`train.m["b"]`, `train.m["c"]`},
		`join(",", [for m in [train.m["a"], train.m["b"]] : m.path if m.metrics.f1 > 0.5])`: {`train.m["a"]`, `train.m["b"]`},
		`{ for k, m in train.m : k => m.path }["c"]`:                                        {`train.m["c"]`},
		`{ for k, m in train.m : m.metrics.name => m.path }["c"]`:                           {`train.m["a"]`, `train.m["b"]`, `train.m["c"]`},
		`train.m[train.m["a"].metrics.next].path`:                                           {`train.m["a"]`, `train.m["b"]`, `train.m["c"]`},
		`train.m[train.m["a"].metrics.next].metrics.x`:                                      {`train.m["a"]`, `train.m["b"]`, `train.m["c"]`},
		`{ x = 1, y = 2 }[basename(exec.n[0].path) == "0" ? "x" : "y"]`:                     {`exec.n[0]`},
		`lookup(local.paths, "a", "x")`:                                                     {`train.m["a"]`},
		`merge(local.paths, { z = exec.n[0].path }).z`:                                      {`exec.n[0]`},
		`flatten([[train.m["a"].path], [exec.n[1].path]])[1]`:                               {`exec.n[1]`},
		`"${train.m["b"].metrics.f1}"`:                                                      {`train.m["b"]`},
		`exec.n[0].path`:                                                                    {`exec.n[0]`},
		`(exec.n[*].path)[1]`:                                                               {`exec.n[1]`},
		`templatefile("t", { x = train.m["a"].path })`:                                      {`train.m["a"]`},
		`format("%d", length(train.m))`:                                                     nil,
		`split("/", train.m["a"].path)[0]`:                                                  {`train.m["a"]`},
	} {
		p := loadFiles(t, map[string]string{"pipeline.hcl": before + "exec \"x\" {\n command = [\"x\", " + expr + "]\n}\n", "t": "<${x}>"})
		got := deps(stages(t, p, config.NoResults{})["exec.x"])
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: -want +got:\n%s", expr, d)
		}
	}
}

func TestForEachOverStagesMakesOneEdgeEach(t *testing.T) {
	p := load(t, `
dataset "raw" { path = "raw.csv" }
train "m" {
  for_each = { a = 1, b = 2 }
  data     = dataset.raw
  target   = "y"
}
evaluate "e" {
  for_each = train.m
  model    = each.value.model
  data     = dataset.raw
  threshold = each.value.metrics.threshold
}
`)
	ss := stages(t, p, config.NoResults{})
	if got, want := deps(ss[`evaluate.e["a"]`]), []string{"dataset.raw", `train.m["a"]`}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got, want := ss[`evaluate.e["b"]`].Unknown, []string{"threshold"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	a, _ := addr.Parse(`evaluate.e["b"]`)
	s, diags := p.Resolve(a, results{`train.m["b"]`: {"threshold": 0.25}})
	if diags.HasErrors() {
		t.Fatal(render(p, diags))
	}
	if got, want := string(s.Args), `{"data":"raw.csv","model":"out/train/m/b/model","threshold":0.25}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestResolveIsSafeForConcurrentUse(t *testing.T) {
	p := load(t, `
dataset "raw" { path = "raw.csv" }
train "m" {
  count  = 8
  data   = dataset.raw
  target = "y"
  epochs = 3
}
locals { last = train.m[7].metrics }
evaluate "e" {
  count     = 8
  model     = train.m[count.index]
  data      = dataset.raw
  threshold = train.m[count.index].metrics.t + local.last.t
}
`)
	r := results{}
	for i := range 8 {
		r[fmt.Sprintf("train.m[%d]", i)] = stage.Metrics{"t": float64(i)}
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			a := addr.Address{Type: "evaluate", Name: "e", Key: addr.IntKey(i)}
			s, diags := p.Resolve(a, r)
			if diags.HasErrors() || !strings.Contains(string(s.Args), fmt.Sprintf(`"threshold":%d}`, i+7)) {
				t.Errorf("%s: got %s %v", a, s.Args, diags)
			}
		})
	}
	wg.Wait()
}

func TestMetricsBecomeKnown(t *testing.T) {
	p := load(t, `
dataset "raw" { path = "raw.csv" }
deploy "d" {
  model = dataset.raw
  when  = dataset.raw.metrics.rows > 10 && dataset.raw.metrics.nested.list[1] == "b"
  directory { path = "x" }
}
output "rows" { value = dataset.raw.metrics.rows }
`)
	if got := stages(t, p, config.NoResults{})["deploy.d"].When.Value; got != config.Unknown {
		t.Errorf("got %v, want unknown", got)
	}
	r := results{"dataset.raw": {"rows": json.Number("11"), "nested": map[string]any{"list": []any{"a", "b"}}}}
	if got := stages(t, p, r)["deploy.d"].When.Value; got != config.True {
		t.Errorf("got %v, want true", got)
	}
	r["dataset.raw"]["rows"] = 3
	if got := stages(t, p, r)["deploy.d"].When.Value; got != config.False {
		t.Errorf("got %v, want false", got)
	}
	outs, diags := p.Outputs(r)
	if diags.HasErrors() || len(outs) != 1 || !outs[0].Value.RawEquals(cty.NumberIntVal(3)) || len(outs[0].Deps) != 1 {
		t.Errorf("got %v %v", outs, diags)
	}
	_, diags = p.Outputs(results{"dataset.raw": {"lines": 3}})
	if want := `dataset.raw has no metric "rows"`; len(diags) != 1 || diags[0].Summary != want {
		t.Errorf("got %v, want %s", diags, want)
	}
}

func TestSensitiveValuesAreNamed(t *testing.T) {
	p := load(t, `
variable "token" {
  default   = "hunter2"
  sensitive = true
}
dataset "raw" { path = "raw.csv" }
deploy "d" {
  model = dataset.raw
  token = "Bearer ${upper(var.token)}"
  directory { path = "x" }
}
output "o" { value = [var.token] }
`)
	if got, want := stages(t, p, config.NoResults{})["deploy.d"].Sensitive, []string{"token"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if outs, _ := p.Outputs(config.NoResults{}); !outs[0].Sensitive {
		t.Error("an output made from a sensitive value is not sensitive")
	}
}

func TestVariablesByPrecedence(t *testing.T) {
	dir := project(t, map[string]string{
		"a.hcl": `
variable "v" {
  type    = number
  default = 0
}
variable "s" { type = string }
variable "l" { type = list(string) }
variable "o" { type = object({ a = number, b = optional(string, "b") }) }
exec "x" {
  command = ["x", var.v, var.s, var.l[0], var.o.b]
}
`,
		"1.auto.hclvars":      "v = 2\nl = [\"auto\"]\no = { a = 1 }\ns = \"auto\"\n",
		"2.auto.hclvars.json": `{"v": 2.5, "s": "${as it is}"}`,
		"f.hclvars":           "v = 3\n",
		"g.json":              `{"v": 3.5}`,
		"sub/ignored.hcl":     "nonsense",
	})
	opts := config.Options{Dir: dir, Types: types(), Environ: []string{"FLOW_VAR_v=1", "FLOW_VAR_other=1", "HOME=/x"}}
	for _, want := range []string{"2.5", "3", "3.5", "4"} {
		switch want {
		case "3":
			opts.VarFiles = []string{"f.hclvars"}
		case "3.5":
			opts.VarFiles = []string{"f.hclvars", "g.json"}
		case "4":
			opts.Vars = map[string]string{"v": "4", "s": "[not hcl", "l": `["x"]`}
		}
		p, diags := config.Load(opts)
		if diags.HasErrors() {
			t.Fatal(render(p, diags))
		}
		got := stages(t, p, config.NoResults{})["exec.x"].Job.Command
		wants := []string{"x", want, "${as it is}", "auto", "b"}
		if want == "4" {
			wants = []string{"x", "4", "[not hcl", "x", "b"}
		}
		if !slices.Equal(got, wants) {
			t.Errorf("got %q, want %q", got, wants)
		}
	}
}

func TestFormattingAndCommentsChangeNothing(t *testing.T) {
	a := load(t, "dataset \"raw\" { path = \"r.csv\" }\npreprocess \"p\" {\n  inputs = { r = dataset.raw }\n  filter { where = row.a > 1 && (row.b == \"x\" || row.c) }\n}\n")
	b := load(t, "# one\npreprocess \"p\" {\n  filter {\n    where = row.a>1   && ( # two\n      row.b==\"x\"\n      || /* three */ row.c\n    )\n  }\n  inputs = {\n    r = dataset.raw\n  }\n}\n\ndataset \"raw\" { path = \"r.csv\" }\n")
	got, want := stages(t, b, config.NoResults{})["preprocess.p"], stages(t, a, config.NoResults{})["preprocess.p"]
	if string(got.Hashed) != string(want.Hashed) {
		t.Errorf("got %s, want %s", got.Hashed, want.Hashed)
	}
}

func TestNumbersAreCanonical(t *testing.T) {
	p := load(t, `
dataset "raw" { path = "r.csv" }
train "t" {
  data    = dataset.raw
  target  = "y"
  weights = { a = 0.1, b = 1e3, c = 1/3, d = 9007199254740993, e = 1e400, f = -0, g = 0.1 + 0.2, h = 1e-300 }
}
`)
	_, diags := p.Stages(config.NoResults{})
	// 1e400 is a JSON number that no float64 holds: the stage type says so.
	if !diags.HasErrors() {
		t.Error("got no error for 1e400")
	}
	p = load(t, strings.ReplaceAll(`
dataset "raw" { path = "r.csv" }
exec "t" {
  command = ["x"]
  env     = { a = jsonencode(0.1) }
}
split "s" {
  input = dataset.raw
  parts = { a = 0.1, b = 1e3, c = 1/3, d = 9007199254740993, f = -0, g = 0.1 + 0.2, h = 1e-300 }
}`, "\t", ""))
	s := stages(t, p, config.NoResults{})["split.s"]
	var got struct{ Parts map[string]json.Number }
	if err := json.Unmarshal(s.Args, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]json.Number{"a": "0.1", "b": "1000", "c": "0.3333333333333333", "d": "9007199254740993", "f": "0", "g": "0.3", "h": "1e-300"}
	if d := cmp.Diff(want, got.Parts); d != "" {
		t.Error(d)
	}
}

func TestNumbersInTextsHaveNoMoreDigitsThanInArguments(t *testing.T) {
	p := load(t, `
locals { l = [1, 2, 7] }
exec "t" {
  command = ["a ${1/3}", "${1/3} ${2}", "${1/3}", 1/3, tostring(1/3), "${0.1 + 0.2} ${0.00001} ${10000000000000000000000000000000000000000000}", "%{ for x in local.l }${x/3},%{ endfor }"]
}`)
	s := stages(t, p, config.NoResults{})["exec.t"]
	var got struct{ Command []string }
	if err := json.Unmarshal(s.Args, &got); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"a 0.3333333333333333", "0.3333333333333333 2", "0.3333333333333333", "0.3333333333333333", "0.3333333333333333", "0.3 0.00001 10000000000000000000000000000000000000000000",
		"0.3333333333333333,0.6666666666666666,2.3333333333333335,",
	}
	if d := cmp.Diff(want, got.Command); d != "" {
		t.Error(d)
	}
}

func TestArgRangeFindsTheNearestThing(t *testing.T) {
	p := load(t, `dataset "raw" { path = "r.csv" }
train "t" {
  data   = dataset.raw
  target = "y"
  features {
    numeric "a" { impute = "mean" }
    numeric "b" {
      impute = "median"
    }
  }
  model "mlp" {
    hidden = [
      1,
      2,
    ]
  }
  weights = {
    x     = 1
    "a b" = 2
  }
}
preprocess "p" {
  inputs = { r = dataset.raw }
  filter { where = row.a > 1 }
  drop {
    columns = ["x"]
  }
}
`)
	for path, want := range map[string]int{
		"": 2, "target": 4, "features": 5, "features.numeric[1].impute": 8, "features.numeric[0]": 6,
		"features.numeric[1].scale": 7, "model.mlp.hidden[1]": 14, "model": 11, "weights.x": 18, `weights["a b"]`: 19,
		"nothing": 2, "features.nothing.x": 5, "features.numeric[9].x": 6,
	} {
		if got := p.ArgRange(addr.Address{Type: "train", Name: "t"}, path).Start.Line; got != want {
			t.Errorf("%s: got line %d, want %d", path, got, want)
		}
	}
	if got := p.ArgRange(addr.Address{Type: "preprocess", Name: "p"}, "steps[1].drop.columns[0]").Start.Line; got != 26 {
		t.Errorf("got line %d, want 26", got)
	}
}

func TestOrderIsTopologicalAndStable(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(rt, "n")
		var blocks []string
		want := map[string][]string{}
		for i := range n {
			var refs []string
			command := []string{`"x"`}
			for j := range i {
				if rapid.Bool().Draw(rt, "edge") {
					ref := fmt.Sprintf("exec.s%d", j)
					refs = append(refs, ref)
					command = append(command, ref+".path")
				}
			}
			slices.Sort(refs)
			name := fmt.Sprintf("exec.s%d", i)
			want[name] = refs
			blocks = append(blocks, fmt.Sprintf("exec \"s%d\" {\n  command = [%s]\n  outputs = { o = \"o%d\" }\n}\n", i, strings.Join(command, ", "), i))
		}
		p := load(t, strings.Join(blocks, ""))
		shuffled := rapid.Permutation(blocks).Draw(rt, "order")
		q := load(t, strings.Join(shuffled, ""))
		ss, _ := p.Stages(config.NoResults{})
		qs, _ := q.Stages(config.NoResults{})
		seen := map[string]bool{}
		for i, s := range ss {
			if qs[i].Addr != s.Addr {
				rt.Fatalf("the order of blocks in the file matters: %v, %v", qs[i].Addr, s.Addr)
			}
			for _, d := range deps(s) {
				if !seen[d] {
					rt.Fatalf("%s comes before %s", s.Addr, d)
				}
			}
			if !slices.Equal(deps(s), want[s.Addr.String()]) {
				rt.Fatalf("%s: got %v, want %v", s.Addr, deps(s), want[s.Addr.String()])
			}
			seen[s.Addr.String()] = true
		}
	})
}

func TestFunctions(t *testing.T) {
	files := map[string]string{"data/a.txt": "A\n", "data/b.json": `{"x": [1, 2]}`, "t.tpl": "%{ for x in xs }${upper(x)}%{ endfor }"}
	for expr, want := range map[string]string{
		`trimspace(file("data/a.txt"))`:                         "A",
		`jsondecode(file("data/b.json")).x[1]`:                  "2",
		`join(",", fileset("data", "*"))`:                       "a.txt,b.json",
		`fileexists("data") ? "y" : "n"`:                        "n",
		`templatefile("t.tpl", { xs = ["a", "b"] })`:            "AB",
		`basename("a/b.csv")`:                                   "b.csv",
		`sum([1, 2, 3.5])`:                                      "6.5",
		`jsonencode([range(3), range(2, 0), range(1, 2, 0.5)])`: "[[0,1,2],[2,1],[1,1.5]]",
		`jsonencode([range(-2), range(0), range(5, 1, -2)])`:    "[[0,-1],[],[5,3]]",
		`length(range(100000))`:                                 "100000",
		`one(["x"])`:                                            "x",
		`replace("a1b2", "/[0-9]/", "-")`:                       "a-b-",
		`startswith("abc", "ab") && endswith("abc", "bc")`:      "true",
		`yamldecode("a: [1, 2]").a[0]`:                          "1",
		`length("añb")`:                                         "3",
		`try(jsondecode("{"), "bad")`:                           "bad",
		`can(tonumber("x"))`:                                    "false",
		`sha256("")`:                                            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		`csvdecode("a,b\n1,2")[0].b`:                            "2",
		`join(",", sort(distinct(concat(["b"], ["a", "b"]))))`:  "a,b",
	} {
		all := maps.Clone(files)
		all["p.hcl"] = "exec \"x\" {\n  command = [\"x\", " + expr + "]\n}\n"
		got := stages(t, loadFiles(t, all), config.NoResults{})["exec.x"].Job.Command[1]
		if got != want {
			t.Errorf("%s: got %q, want %q", expr, got, want)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("exec \"a\" { command = [self.outputs.x.path] }")
	f.Add("dataset \"a\" { path = dataset.b.path }\ndataset \"b\" { path = \"x\" }")
	f.Add("train \"a\" {\n for_each = {a=1}\n data = train.b\n target = each.key\n}\n")
	f.Add("preprocess \"p\" {\n inputs = {}\n filter { where = row.x > \"${1}\" }\n derive { columns = { a = row.b[0].*.c } }\n}")
	f.Add("variable \"v\" { type = object({a=optional(number, 3)}) \n default = {} }\nlocals { x = var.v.a }\noutput \"o\" { value = local.x }")
	f.Add("select \"s\" { \n candidates = [for x in [1]: x] \n metric = null }")
	f.Fuzz(func(t *testing.T, text string) {
		p, diags := config.Load(config.Options{Dir: project(t, map[string]string{"a.hcl": text}), Types: types(), Version: "0.1.0"})
		render(p, diags)
		for _, r := range []config.Results{config.NoResults{}, results{"dataset.a": {"x": 1}}} {
			ss, diags := p.Stages(r)
			render(p, diags)
			for _, s := range ss {
				if !diags.HasErrors() && (s.Job == nil || !json.Valid(s.Args) || !json.Valid(s.Hashed)) {
					t.Errorf("%s: no error, yet job %v, arguments %s", s.Addr, s.Job, s.Args)
				}
			}
			_, diags = p.Outputs(r)
			render(p, diags)
		}
		if out, diags := config.Format([]byte(text), "a.hcl"); !diags.HasErrors() {
			if again, _ := config.Format(out, "a.hcl"); string(again) != string(out) {
				t.Errorf("formatting twice differs: %q, %q", out, again)
			}
		}
	})
}

func BenchmarkInstances(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			dir := project(b, map[string]string{"a.hcl": fmt.Sprintf("dataset \"raw\" { path = \"r\" }\ntrain \"t\" {\n count = %d\n data = dataset.raw\n target = \"y\"\n epochs = count.index + 1\n}\nselect \"s\" {\n candidates = train.t\n metric = \"f1\"\n}\n", n)})
			bench(b, dir, n+2)
		})
	}
}

// One text that names 10,000 outputs must not cost their square.
func BenchmarkFanIn(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			dir := project(b, map[string]string{"a.hcl": fmt.Sprintf("exec \"t\" {\n count = %d\n command = [\"t\"]\n outputs = { o = \"o/${count.index}\" }\n}\nexec \"all\" {\n command = [join(\" \", exec.t[*].path)]\n}\n", n)})
			bench(b, dir, n+1)
		})
	}
}

func BenchmarkBlocks(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var s strings.Builder
			s.WriteString("dataset \"d0\" { path = \"r\" }\n")
			for i := 1; i < n; i++ {
				fmt.Fprintf(&s, "exec \"s%d\" {\n  command = [\"sh\", \"run.sh\", %s, self.outputs.o.path]\n  inputs  = [\"run.sh\"]\n  outputs = { o = \"out/%d.txt\" }\n  timeout = \"2h\"\n}\n", i, map[bool]string{true: "dataset.d0.path", false: fmt.Sprintf("exec.s%d.path", i/2)}[i == 1], i)
			}
			bench(b, project(b, map[string]string{"a.hcl": s.String()}), n)
		})
	}
}

func bench(b *testing.B, dir string, want int) {
	for b.Loop() {
		p, diags := config.Load(config.Options{Dir: dir, Types: types()})
		if diags.HasErrors() {
			b.Fatal(render(p, diags))
		}
		ss, diags := p.Stages(config.NoResults{})
		if diags.HasErrors() || len(ss) != want {
			b.Fatal(len(ss), render(p, diags))
		}
	}
}

// What goes into a module and comes out of it keeps its marks, and what was
// not known at first is known later.
func TestMetricsPassThroughModules(t *testing.T) {
	p := loadFiles(t, map[string]string{
		"pipeline.hcl": `
train "m" {
  for_each = { a = 1, b = 2 }
  data     = "d.csv"
  target   = "y"
}
module "gate" {
  for_each = train.m
  source   = "./gate"
  score    = each.value.metrics.f1
  settings = { path = each.value.path }
}
evaluate "e" {
  model     = train.m["a"].model
  data      = "d.csv"
  threshold = module.gate["b"].twice
}
`,
		"gate/gate.hcl": `
variable "score" {
  type = number
  validation {
    condition     = var.score > 0
    error_message = "No score."
  }
}
variable "settings" { type = object({ path = string, format = optional(string, "csv") }) }
exec "x" { command = ["x", var.settings.path, var.settings.format] }
output "twice" { value = var.score * 2 }
`,
	})
	ss := stages(t, p, config.NoResults{})
	if got, want := deps(ss["evaluate.e"]), []string{`train.m["a"]`, `train.m["b"]`}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got, want := deps(ss[`module.gate["a"].exec.x`]), []string{`train.m["a"]`}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	s, diags := p.Resolve(addr.Address{Type: "evaluate", Name: "e"}, results{`train.m["b"]`: {"f1": 0.25}})
	if diags.HasErrors() {
		t.Fatal(render(p, diags))
	}
	if got, want := string(s.Args), `{"data":"d.csv","model":"out/train/m/a/model","threshold":0.5}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	s, diags = p.Resolve(addr.Address{Type: "evaluate", Name: "e"}, results{`train.m["b"]`: {"f1": -1.0}})
	if diags.HasErrors() || !strings.Contains(render(p, s.Mistakes), "No score.") {
		t.Errorf("got %s and %s, want the message of the validation", render(p, diags), render(p, s.Mistakes))
	}
}

func TestSensitiveValuesStaySecretThroughModules(t *testing.T) {
	p := loadFiles(t, map[string]string{
		"pipeline.hcl": `
variable "token" {
  sensitive = true
  default   = "hunter2"
}
module "m" {
  source = "./m"
  token  = var.token
}
`,
		"m/m.hcl": `
variable "token" { type = string }
exec "x" { command = ["x", var.token] }
`,
	})
	if got := stages(t, p, config.NoResults{})["module.m.exec.x"].Sensitive; !slices.Equal(got, []string{"command[1]"}) {
		t.Errorf("got %v, want command[1]", got)
	}
}

// Resolving one stage looks at the instances that matter to it alone, and comes
// to what evaluating everything comes to.
func TestResolveAgreesWithStages(t *testing.T) {
	const text = `
train "m" {
  for_each = { a = 1, b = 2, c = 3 }
  data     = "d.csv"
  target   = "y"
}
train "n" {
  count  = 3
  data   = "d.csv"
  target = "y"
}
locals {
  scores = { for k, m in train.m : k => m.metrics.f1 }
  best   = [for k, s in local.scores : k if s == max(values(local.scores)...)][0]
}
exec "x" {
  for_each = train.m
  command  = ["x", tostring(each.value.metrics.f1), %s]
}
exec "y" {
  for_each = { for k, m in train.m : k => m.metrics.f1 }
  command  = ["y", tostring(each.value)]
}
`
	r := results{}
	for i, k := range []string{"a", "b", "c"} {
		r[fmt.Sprintf("train.m[%q]", k)] = stage.Metrics{"f1": float64(i), "next": "b"}
		r[fmt.Sprintf("train.n[%d]", i)] = stage.Metrics{"f1": float64(10 + i), "next": 1.0}
	}
	for _, expr := range []string{
		`train.m[each.key].path`, `tostring(train.m[each.key].metrics.f1)`, `train.m["a"].path`,
		`tostring(train.m[train.m[each.key].metrics.next].metrics.f1)`, `tostring(train.n[train.n[0].metrics.next].metrics.f1)`,
		`tostring(length(train.m)) == "3" ? train.m[each.key].path : "no"`, `train.m[local.best].path`,
		`join(",", [for k in keys(train.m) : train.m[k].path if train.m[k].metrics.f1 > 0])`,
		`try(train.m["${each.key}x"].path, train.m[each.key].path)`, `can(train.m["${each.key}x"]) ? "yes" : "no"`,
		`tostring({ for k, m in train.m : k => m.metrics.f1 }[each.key])`, `tostring(sum(train.n[*].metrics.f1))`,
		`train.n["0"].path`, `train.n[tonumber("1")].path`,
	} {
		p := load(t, fmt.Sprintf(text, expr))
		if _, diags := p.Stages(config.NoResults{}); diags.HasErrors() {
			t.Fatal(expr, render(p, diags))
		}
		for name, want := range stages(t, p, r) {
			got, diags := p.Resolve(want.Addr, r)
			if diags.HasErrors() {
				t.Fatal(expr, render(p, diags))
			}
			if show(got) != show(want) || len(want.Unknown) > 0 {
				t.Errorf("%s: %s: got\n%s\nwant\n%s", expr, name, show(got), show(want))
			}
		}
	}
}

// Checks of a module are judged once for each of its instances; what a stage in
// it says of its result is about the instance.
func TestChecksInModules(t *testing.T) {
	p := loadFiles(t, map[string]string{
		"pipeline.hcl": `
module "m" {
  source   = "./m"
  for_each = { a = 1, b = 5 }
  least    = each.value
}
moved {
  from = exec.old
  to   = module.m.exec.x
}
moved {
  from = module.m.exec.was
  to   = module.m.exec.y
}
`,
		"m/m.hcl": `
variable "least" {}
exec "x" {
  command = ["x"]
  outputs = { o = "x/${var.least}" }
  postcondition {
    condition     = self.metrics.rows >= var.least
    error_message = "${self.metrics.rows} of ${var.least} rows"
  }
}
exec "y" { command = ["y", exec.x.path] }
check "rows" {
  assert {
    condition     = exec.x.metrics.rows >= var.least
    error_message = "few rows"
  }
}
`,
	})
	r := results{`module.m["a"].exec.x`: {"rows": 3.0}, `module.m["b"].exec.x`: {"rows": 3.0}}
	var got []string
	for _, c := range p.Checks(r) {
		got = append(got, fmt.Sprintf("%s: %s", c.Name, c.Value()))
	}
	if d := cmp.Diff([]string{`module.m["a"].rows: true`, `module.m["b"].rows: false`}, got); d != "" {
		t.Error(d)
	}
	a, _ := addr.Parse(`module.m["b"].exec.x`)
	post, diags := p.Postconditions(a, r, stage.Metrics{"rows": 3.0})
	if diags.HasErrors() || len(post) != 1 || post[0].Message != "3 of 5 rows" {
		t.Errorf("got %+v, %v", post, diags)
	}
	was, _ := addr.Parse(`module.m["b"].exec.was`)
	if to, ok := p.Moves()[1].Apply(was); !ok || to.String() != `module.m["b"].exec.y` {
		t.Errorf("got %s, %v", to, ok)
	}
}
