package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const pipeline = `pipeline "shop" {
  plugin "duckdb" {
    version = "~> 1.0"
  }
}

dataset "sales" {
  path = "sales.csv"
}

sql "daily" {
  inputs = { sales = dataset.sales }
  query  = "select shop, sum(amount) as total from sales group by shop"
  format = "csv"
}

sql "best" {
  inputs = { daily = sql.daily }
  query  = "from daily order by total desc limit 1"
  format = "jsonl"
}

output "shops" {
  value = sql.daily.metrics.rows
}
`

// newProject is a project with files, and what runs flow in it, with this plugin.
func newProject(t *testing.T) (project string, write func(name, text string), run func(fails bool, want string, args ...string)) {
	t.Helper()
	dir := t.TempDir()
	flow := filepath.Join(dir, "bin", "flow")
	build := exec.Command("go", "build", "-C", "../..", "-o", flow, "./cmd/flow")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(dir, "bin", "flow-plugin-duckdb")); err != nil {
		t.Fatal(err)
	}
	project = filepath.Join(dir, "project")
	write = func(name, text string) {
		t.Helper()
		name = filepath.Join(project, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run = func(fails bool, want string, args ...string) {
		t.Helper()
		c := exec.Command(flow, args...)
		c.Dir = project
		c.Env = append(os.Environ(), "PATH="+filepath.Dir(flow)+":"+os.Getenv("PATH"), "XDG_CACHE_HOME="+filepath.Join(dir, "cache"))
		out, err := c.CombinedOutput()
		if (err != nil) != fails || !strings.Contains(string(out), want) {
			t.Errorf("flow %v: %v, want %q in\n%s", args, err, want, out)
		}
	}
	return project, write, run
}

// What the documentation shows of sql does what one reads from it.
func TestTheSnippetOfTheDocumentationRuns(t *testing.T) {
	text, err := os.ReadFile("../../docs/plugins.md")
	if err != nil {
		t.Fatal(err)
	}
	_, snippet, _ := strings.Cut(string(text), "\n```hcl\nsql ")
	snippet, _, found := strings.Cut("sql "+snippet, "\n```")
	if !found {
		t.Fatal("docs/plugins.md shows no sql")
	}
	project, write, run := newProject(t)
	write("sales.csv", "day,shop,amount\n2026-01-02,b,2\n2026-01-01,a,1.5\n2026-01-01,a,3\n")
	write("shops.csv", "shop,region\na,north\nb,south\n")
	write("pipeline.hcl", `pipeline "shop" {
  plugin "duckdb" {}
}
dataset "sales" {
  path = "sales.csv"
}
sql "shops" {
  inputs = { s = "shops.csv" }
  query  = "from s"
}
`+strings.Replace(snippet, `"data/shops.parquet"`, "sql.shops", 1))
	run(false, "", "get")
	run(false, "2 ran", "apply", "--yes")
	b, err := os.ReadFile(filepath.Join(project, "out/sql/daily/data.csv"))
	if want := "day,region,sales,total\n2026-01-01,north,2,4.5\n2026-01-02,south,1,2.0\n"; err != nil || string(b) != want {
		t.Errorf("got %q, %v; want %q", b, err, want)
	}
}

// The plugin in a pipeline: pinned, planned, applied, kept; and a column that there
// is not is found while planning, also of a table that is not written yet.
func TestPipelinesUseIt(t *testing.T) {
	project, write, run := newProject(t)
	write("sales.csv", "shop,amount\na,1.5\nb,2\na,3\n")
	write("pipeline.hcl", strings.Replace(pipeline, "order by total", "order by totl", 1))
	run(false, "pinned   plugin duckdb 1.0.0", "get")
	run(true, `Referenced column "totl" not found`, "plan")
	run(true, "pipeline.hcl:19", "plan")
	write("pipeline.hcl", pipeline)
	run(false, "3 to run", "plan")
	run(false, "2 ran", "apply", "--yes")
	run(false, "2\n", "output", "shops")
	// The version of the engine and the number of threads count.
	if b, err := os.ReadFile(filepath.Join(project, "flow.lock")); err != nil || !strings.Contains(string(b), "\nplugin duckdb.duckdb "+engineVersion()+"\n") {
		t.Errorf("no version of the engine in flow.lock: %v\n%s", err, b)
	}
	write("pipeline.hcl", strings.Replace(pipeline, `format = "csv"`, "format = \"csv\"\n  threads = 2", 1))
	run(true, "sum() may differ from run to run on several threads", "plan")
	write("pipeline.hcl", strings.Replace(pipeline, `format = "jsonl"`, "format = \"jsonl\"\n  threads = 2", 1))
	run(false, "argument threads: default → 2", "plan")
	write("pipeline.hcl", pipeline)
	run(false, "Nothing to do", "plan", "--detailed-exitcode")
	b, err := os.ReadFile(filepath.Join(project, "out/sql/best/data.jsonl"))
	if want := `{"shop":"a","total":4.5}` + "\n"; err != nil || string(b) != want {
		t.Errorf("got %q, %v; want %q", b, err, want)
	}
	write("pipeline.hcl", strings.Replace(pipeline, "select shop, sum(amount) as total", "select shop, sum(amunt) as total", 1))
	run(true, "pipeline.hcl:13", "apply", "--yes")
}
