package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/plugins/conformance"
	"github.com/flow-pipelines/flow/plugins/protocol"
	"github.com/flow-pipelines/flow/plugins/sdk"
)

// TestMain lets the test binary be the plugin, under its name.
func TestMain(m *testing.M) {
	if strings.HasPrefix(filepath.Base(os.Args[0]), protocol.Prefix) {
		plugin().Exit()
	}
	os.Exit(m.Run())
}

func TestThePluginConforms(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), protocol.Prefix+"duckdb")
	if err := os.Symlink(self, program); err != nil {
		t.Fatal(err)
	}
	for _, c := range conformance.Checks(program, os.Environ()) {
		t.Run(c.Name, func(t *testing.T) {
			if err := c.Run(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// in is a directory with files, which becomes the current one.
func in(t *testing.T, files map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// do runs a stage with CPUs as a job, and returns what it wrote to data.
func do(t *testing.T, cpus int, cfg Config) (string, sdk.Metrics, error) {
	t.Helper()
	if cfg.Threads == 0 {
		cfg.Threads = 1
	}
	if cfg.Format == "" {
		cfg.Format = "csv"
	}
	run := &sdk.Run{Log: os.Stderr}
	run.Spec = stage.Spec{Type: "sql", Outputs: map[string]string{"data": "data." + cfg.Format}, CPUs: cpus}
	for _, r := range cfg.Results {
		run.Outputs[r.Name] = r.Name + ".out"
	}
	m, err := cfg.run(t.Context(), run)
	b, _ := os.ReadFile("data." + cfg.Format)
	return string(b), m, err
}

func inputs(pairs ...string) map[string]sdk.Artifact {
	m := map[string]sdk.Artifact{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = sdk.Artifact(pairs[i+1])
	}
	return m
}

func TestTablesOfAllFormatsAreRead(t *testing.T) {
	in(t, map[string]string{"a.csv": "k,v\nx,1\ny,2\n", "b.tsv": "k\tw\nx\t3\ny\t4\n", "c/2.jsonl": `{"k":"y","u":6}` + "\n", "c/1.jsonl": `{"k":"x","u":5}` + "\n", "c/.hidden": "no"})
	if _, _, err := do(t, 2, Config{Inputs: inputs("a", "a.csv"), Query: "from a", Format: "parquet"}); err != nil {
		t.Fatal(err)
	}
	got, m, err := do(t, 2, Config{Inputs: inputs("a", "data.parquet", "b", "b.tsv", "c", "c"), Query: "select k, v, w, u from a join b using (k) join c using (k);"})
	if want := "k,v,w,u\nx,1,3,5\ny,2,4,6\n"; err != nil || got != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	if fmt.Sprint(m) != "map[columns:4 rows:2]" {
		t.Errorf("metrics: %v", m)
	}
	got, _, err = do(t, 2, Config{Inputs: inputs("c", "c"), Query: "from c", Format: "jsonl"})
	if want := `{"k":"x","u":5}` + "\n" + `{"k":"y","u":6}` + "\n"; err != nil || got != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

// A directory of files of any format is one table; columns go by their names.
func TestDirectoriesAreTables(t *testing.T) {
	in(t, map[string]string{
		"csv/1.csv": "k,v\nx,1\n", "csv/sub/2.csv": "v,k\n2,y\n", "csv/.part": "no",
		"jsonl/1.jsonl": `{"k":"x","v":1}` + "\n", "jsonl/2.ndjson": `{"v":2,"k":"y"}` + "\n",
		"parquet/.keep": "", "empty/.keep": "",
	})
	for i, query := range []string{"select 'x' as k, 1 as v", "select 2 as v, 'y' as k"} {
		if _, _, err := do(t, 1, Config{Query: query, Format: "parquet"}); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename("data.parquet", fmt.Sprintf("parquet/%d.parquet", i)); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"csv", "jsonl", "parquet"} {
		got, _, err := do(t, 2, Config{Inputs: inputs("t", dir), Query: "select k, v from t"})
		if want := "k,v\nx,1\ny,2\n"; err != nil || got != want {
			t.Errorf("%s: got %q, %v; want %q", dir, got, err, want)
		}
	}
	// Directories in the input that say so are columns, and those it lies in are not.
	in(t, map[string]string{"t/k=x/1.csv": "v\n1\n", "t/k=y/1.csv": "v\n2\n", "run=3/u.csv": "v\n1\n", "empty/.keep": ""})
	for path, want := range map[string]string{"t": "v,k\n1,x\n2,y\n", "run=3/u.csv": "v\n1\n"} {
		if got, _, err := do(t, 2, Config{Inputs: inputs("t", path), Query: "from t"}); err != nil || got != want {
			t.Errorf("%s: got %q, %v; want %q", path, got, err, want)
		}
	}
	_, _, err := do(t, 1, Config{Inputs: inputs("t", "empty"), Query: "from t"})
	if ps := stage.ProblemsIn(err); len(ps) != 1 || ps[0].Path != "inputs.t" || !strings.Contains(ps[0].Error(), "holds no file") {
		t.Errorf("an empty directory: got %v", err)
	}
}

// A name is a name, also where it looks like a pattern.
func TestNamesAreNoPatterns(t *testing.T) {
	in(t, map[string]string{"x1.csv": "a\nother\n", "x[1].csv": "a\n1\n", "d/y*.csv": "a\n2\n", "d/y?.csv": "a\n3\n", "yes.csv": "a\nother\n", "it's.csv": "a\n4\n"})
	for path, want := range map[string]string{"x[1].csv": "a\n1\n", "d": "a\n2\n3\n", "it's.csv": "a\n4\n"} {
		if got, _, err := do(t, 1, Config{Inputs: inputs("t", path), Query: "from t"}); err != nil || got != want {
			t.Errorf("%s: got %q, %v; want %q", path, got, err, want)
		}
	}
}

// Times are UTC wherever the machine stands.
func TestTimesAreUTC(t *testing.T) {
	t.Setenv("TZ", "Asia/Kolkata")
	in(t, map[string]string{"t.csv": "seen\n2026-01-31T23:30:00+02:00\n"})
	got, _, err := do(t, 1, Config{Inputs: inputs("t", "t.csv"), Query: "select seen::timestamptz as a, (seen::timestamptz)::timestamp as b, hour(seen::timestamptz) as h, to_timestamp(0)::varchar as z from t"})
	if want := "a,b,h,z\n2026-01-31 21:30:00+00,2026-01-31 21:30:00,21,1970-01-01 00:00:00+00\n"; err != nil || got != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

// The order of rows is that of the input, or completed to a total one.
func TestTheOrderOfRowsIsSettled(t *testing.T) {
	in(t, map[string]string{"t.csv": "a,b\n2,x\n1,z\n2,w\n1,y\n"})
	for query, want := range map[string]string{
		"from t":                                                 "a,b\n2,x\n1,z\n2,w\n1,y\n",
		"select b from t where a = 2":                            "b\nx\nw\n",
		"select * from t order by a":                             "a,b\n1,y\n1,z\n2,w\n2,x\n",
		"select * from t order by a desc":                        "a,b\n2,w\n2,x\n1,y\n1,z\n",
		"from t order by a limit 1":                              "a,b\n1,y\n",
		"select distinct a from t":                               "a\n1\n2\n",
		"select distinct a from t limit 1":                       "a\n1\n",
		"select a, count(*) as n from t group by a -- a comment": "a,n\n1,2\n2,2\n",
		"with s as (from t) select b from s union select 'v'":    "b\nv\nw\nx\ny\nz\n",
	} {
		for _, threads := range []int{1, 3} {
			got, _, err := do(t, 2, Config{Inputs: inputs("t", "t.csv"), Query: query, Threads: threads})
			if err != nil || got != want {
				t.Errorf("%s: got %q, %v; want %q", query, got, err, want)
			}
		}
	}
}

// A conversion gives the same bytes on any number of CPUs, a grouping on any
// number of threads.
func TestBytesDoNotDependOnCPUs(t *testing.T) {
	var b strings.Builder
	b.WriteString("id,x,label\n")
	for i := range 150_000 {
		fmt.Fprintf(&b, "%d,%d.%06d,label%d\n", i, i%977, i*7919%1000003, i%13)
	}
	in(t, map[string]string{"t.csv": b.String()})
	for name, cfg := range map[string]Config{
		"parquet": {Query: "select * from t where x < 900", Format: "parquet"},
		"csv":     {Query: "select id, x * 2 as y from t"},
		"group":   {Query: "select label, count(*) as n, max(x) as m from t group by label", Threads: 4},
		"sum":     {Query: "select label, sum(x) as s, avg(x) as a from t group by label"},
	} {
		var first string
		for _, cpus := range []int{1, 2, 3, 8, 1} {
			cfg.Inputs = inputs("t", "t.csv")
			got, _, err := do(t, cpus, cfg)
			if err != nil {
				t.Fatal(err)
			}
			if first == "" {
				first = got
			}
			if got != first {
				t.Errorf("%s: other bytes on %d CPUs", name, cpus)
			}
		}
	}
}

func TestWhatIsNotSettledIsRefused(t *testing.T) {
	in(t, map[string]string{"t.csv": "a,b\n2,x\n", "u.txt": "no table", "mixed/a.csv": "a\n1\n", "mixed/b.jsonl": "{}\n", "q.sql": "select\n  a,\n  zz\nfrom t\n", "s.sql": "\n\nfrom t x\nwher a = 2\n"})
	for name, c := range map[string]struct {
		cfg        Config
		path, text string
	}{
		"clock":          {Config{Query: "select now() as t from t"}, "query", "now() gives another result each time"},
		"date":           {Config{Query: "select current_date as t from t"}, "query", "current_date() gives another"},
		"threads":        {Config{Query: "select sum(a) from t", Threads: 2}, "threads", "sum() may differ from run to run"},
		"window":         {Config{Query: "select row_number() over (order by a) from t", Threads: 2}, "threads", "row_number() may differ"},
		"column":         {Config{Query: "select aa from t"}, "query", `Referenced column "aa" not found in FROM clause`},
		"file":           {Config{File: "q.sql"}, "file", "At q.sql:3:\n\n    zz\n    ^"},
		"table":          {Config{Query: "from s"}, "query", "Table with name s does not exist"},
		"syntax":         {Config{Query: "select from where"}, "query", "syntax error at or near \"where\": In line 1 of the query:\n\n  select from where\n              ^"},
		"syntax below":   {Config{Query: "select a\nfrom t\nwhere where a = 1"}, "query", "In line 3 of the query:\n\n  where where a = 1\n        ^"},
		"syntax of file": {Config{File: "s.sql"}, "file", "At s.sql:4:\n\n  wher a = 2\n  ^"},
		"insert":         {Config{Query: "insert into t values (1)"}, "query", "Not a single SELECT statement: It is another statement. What"},
		"several":        {Config{Query: "select 1; select 2"}, "query", "single SELECT statement"},
		"no select":      {Config{Query: "drop view t"}, "query", ""},
		"none":           {Config{}, "", "No query"},
		"both":           {Config{Query: "from t", File: "q.sql"}, "file", "Both query and file"},
		"result":         {Config{Results: []Result{{Name: "x", Query: "from t"}, {Name: "y", Query: "from s"}}}, "result[1].query", "Table with name s"},
		"setup":          {Config{Query: "from t", Setup: []string{"creat macro f() as 1"}}, "setup[0]", "syntax error"},
		"cast":           {Config{Query: "select b::int from t"}, "query", "Could not convert string 'x' to INT32"},
		"no table":       {Config{Inputs: inputs("t", "u.txt"), Query: "from t"}, "inputs.t", "u.txt is no table"},
		"mixed formats":  {Config{Inputs: inputs("t", "mixed"), Query: "from t"}, "inputs.t", "different formats"},
		"no threads":     {Config{Query: "from t", Threads: -1}, "threads", "No threads"},
	} {
		if c.cfg.Inputs == nil {
			c.cfg.Inputs = inputs("t", "t.csv")
		}
		_, _, err := do(t, 2, c.cfg)
		ps := stage.ProblemsIn(err)
		if len(ps) != 1 || ps[0].Path != c.path || !strings.Contains(ps[0].Error(), c.text) {
			t.Errorf("%s: got %v, want a problem at %q with %q", name, err, c.path, c.text)
		}
	}
}

// What is wrong with a file is said with its line, and not made a table of.
func TestTheLinesOfAFileAreAlike(t *testing.T) {
	long := strings.Repeat("1,2\n", 30_000)
	in(t, map[string]string{
		"ragged.csv": "a,b\n1,2\n3,4,5\n6\n", "more.csv": "a,b\n1,2\n3,4,5\n", "less.tsv": "a\tb\n1\t2\n3\n", "one.csv": "a\n1,2\n", "d/1.csv": "a,b\n1,2\n", "d/2.csv": "a,b\n1,2,3\n4\n",
		"title.csv": "Sales of May\n\na,b\n1,2\n", "empty.csv": "", "blank.csv": "\n\n", "far.csv": "a,b\n" + long + "1,2,3\n", "typed.csv": "a,b\n" + long + "x,2\n",
		"typed.jsonl": strings.Repeat("{\"a\":1}\n", 30_000) + "{\"a\":\"x\"}\n",
		"top.csv":     "\n\na,b\n1,2\n", "text.csv": "\"a, b\"\nc\n", "none.csv": "a,b\n", "comment.csv": "# of May\na,b\n1,2\n", "comments.csv": "# of May, June\n# and July\na,b\n1,2\n# end\n", "end.csv": "a,b\n1,2,\n",
	})
	for file, want := range map[string][2]string{
		"ragged.csv":  {"ragged.csv:3 has another number of columns than the header", "The line has 3 and the header 2:\n\n  3,4,5\n"},
		"more.csv":    {"more.csv:3 has another number", "  3,4,5\n"},
		"less.tsv":    {"less.tsv:3 has another number", "The line has 1 and the header 2"},
		"one.csv":     {"one.csv:2 has another number", "The line has 2 and the header 1"},
		"d":           {"d/2.csv:2 has another number", "The line has 3 and the header 2"},
		"title.csv":   {"title.csv:3 has another number", "The line has 2 and the header 1"},
		"empty.csv":   {"empty.csv is empty", "one without rows is that line alone"},
		"blank.csv":   {"blank.csv is empty", ""},
		"far.csv":     {"far.csv:30002 has another number", "The line has 3 and the header 2"},
		"typed.csv":   {"typed.csv:30002 is not as the lines before", `With types = "all"`},
		"typed.jsonl": {"typed.jsonl:30001 is not as the lines before", `With types = "all"`},
	} {
		_, _, err := do(t, 2, Config{Inputs: inputs("t", file), Query: "from t"})
		ps := stage.ProblemsIn(err)
		if len(ps) != 1 || !strings.Contains(ps[0].Summary, want[0]) || !strings.Contains(ps[0].Detail, want[1]) {
			t.Errorf("%s: got %v, want %q", file, err, want)
		}
	}
	for file, want := range map[string]string{
		"top.csv": "a,b\n1,2\n", "text.csv": "\"a, b\"\nc\n", "none.csv": "a,b\n", "comment.csv": "a,b\n1,2\n", "comments.csv": "a,b\n1,2\n", "end.csv": "a,b\n1,2\n",
	} {
		if got, _, err := do(t, 2, Config{Inputs: inputs("t", file), Query: "from t"}); err != nil || got != want {
			t.Errorf("%s: got %q, %v; want %q", file, got, err, want)
		}
	}
	for file, want := range map[string]string{"typed.csv": "t,n\nVARCHAR,30001\n", "typed.jsonl": "t,n\nJSON,30001\n"} {
		got, _, err := do(t, 2, Config{Inputs: inputs("t", file), Query: "select typeof(a) as t, count(a) as n from t group by all", Types: "all"})
		if err != nil || got != want {
			t.Errorf("%s: got %q, %v; want %q", file, got, err, want)
		}
	}
}

// A query is checked before anything runs, against the columns that are known.
func TestQueriesAreCheckedBeforehand(t *testing.T) {
	in(t, map[string]string{"t.csv": "a,b\n2,x\n", "q.sql": "select zz from t"})
	here := sdk.Input{Path: "t.csv", File: "t.csv"}
	later := sdk.Input{Path: "t.csv", Columns: []string{"a", "b"}}
	checks := &bench{} // of one process
	for name, c := range map[string]struct {
		query string
		in    sdk.Input
		want  string
		wrong string
	}{
		"columns":       {"select a, b as c from t", here, "[a c]", ""},
		"no column":     {"select c from t", here, "[]", `Referenced column "c" not found`},
		"not there yet": {"select sum(a) as s from t", later, "[]", ""},
		"known later":   {"select a, a || b as c from t", later, "[a c]", ""},
		"no column yet": {"select c from t", later, "[]", `Referenced column "c" not found`},
		"unknown":       {"select c from t", sdk.Input{Path: "t.csv"}, "[]", ""},
		"clock":         {"select now() from t", here, "[]", "now()"},
	} {
		cfg := Config{Inputs: inputs("t", "t.csv"), Query: c.query, Threads: 1, Format: "csv"}
		columns, err := cfg.check(checks, map[string]sdk.Input{"inputs.t": c.in})
		if c.wrong == "" && (err != nil || fmt.Sprint(columns["data"]) != c.want) {
			t.Errorf("%s: got %v, %v; want %s", name, columns, err, c.want)
		}
		if c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)) {
			t.Errorf("%s: got %v, want %q", name, err, c.wrong)
		}
	}
}

// Files are called what the pipeline calls them, wherever they lie for the check.
func TestAChecksProblemNamesTheFileOfThePipeline(t *testing.T) {
	in(t, map[string]string{"t.csv": "a,b\n1,2\n3\n"})
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Inputs: inputs("t", "t.csv"), Query: "from t", Threads: 1, Format: "csv"}
	_, err = cfg.check(&bench{}, map[string]sdk.Input{"inputs.t": {Path: "t.csv", File: filepath.Join(dir, "t.csv")}})
	if ps := stage.ProblemsIn(err); len(ps) != 1 || ps[0].Path != "inputs.t" || ps[0].Summary != "t.csv:3 has another number of columns than the header" {
		t.Errorf("got %v", err)
	}
}

// So are files with queries.
func TestAChecksProblemNamesTheFileOfTheQuery(t *testing.T) {
	in(t, map[string]string{"t.csv": "a,b\n1,2\n", "src/q.sql": "from t\nwhere c = 1\n"})
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Inputs: inputs("t", "t.csv"), File: "src/q.sql", Threads: 1, Format: "csv"}
	_, err = cfg.check(&bench{}, map[string]sdk.Input{"inputs.t": {Path: "t.csv", File: "t.csv"}, "file": {Path: "src/q.sql", File: filepath.Join(dir, "src/q.sql")}})
	if ps := stage.ProblemsIn(err); len(ps) != 1 || ps[0].Path != "file" || !strings.Contains(ps[0].Detail, "At src/q.sql:2:") {
		t.Errorf("got %v", err)
	}
}

func TestTheDescriptionIsAsRecorded(t *testing.T) {
	var out bytes.Buffer
	if status := plugin().Main([]string{protocol.Describe}, nil, &out, os.Stderr); status != 0 {
		t.Fatalf("status %d", status)
	}
	var d bytes.Buffer
	if err := json.Indent(&d, out.Bytes(), "", "  "); err != nil {
		t.Fatal(err)
	}
	const file = "testdata/description.json"
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(file, d.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(want, d.Bytes()) {
		t.Errorf("%s is not what the plugin says of itself (UPDATE=1 writes it): %v", file, err)
	}
}
