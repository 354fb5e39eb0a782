package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/flow-pipelines/flow/engine/stage"
)

// Whatever a query or setup tries, it comes to no file that is not declared, to no
// extension, and to no setting.
func TestNothingUndeclaredIsReached(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("FLOW_TEST_SECRET", "hidden")
	secret := filepath.Join(home, "secret.csv")
	if err := os.WriteFile(secret, []byte("a\nhidden\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	in(t, map[string]string{"t.csv": "a\n1\n", "other.csv": "a\nhidden\n"})
	for _, c := range []struct {
		setup       []string
		query, path string
	}{
		{nil, "select * from read_csv('" + secret + "')", "query"},
		{nil, "select * from '" + secret + "'", "query"},
		{nil, "select * from 'other.csv'", "query"},
		{nil, "select * from \"other.csv\"", "query"},
		{nil, "select * from read_text('/etc/passwd')", "query"},
		{nil, "select * from READ_BLOB('/etc/passwd')", "query"},
		{nil, "select * from glob('/etc/*')", "query"},
		{nil, "select * from sniff_csv('other.csv')", "query"},
		{nil, "select * from read_csv('/dev/stdin')", "query"},
		{nil, "select * from read_csv('/proc/self/environ')", "query"},
		{nil, "select * from read_csv('file://" + secret + "')", "query"},
		{nil, "select * from read_csv('./other.csv')", "query"},
		{nil, "select * from read_csv('t.csv')", "query"},
		{nil, "select * from query('select * from read_csv(''other.csv'')')", "query"},
		{nil, "select (select content from read_text('" + secret + "')) as x from t", "query"},
		{nil, "with x as (from read_json('" + secret + "')) select * from x", "query"},
		{nil, "select getenv('FLOW_TEST_SECRET') from t", "query"},
		{nil, "select * from duckdb_settings()", "query"},
		{nil, "select * from pg_catalog.pg_settings", "query"},
		{nil, "select current_setting('threads') as n from t", "query"},
		{nil, "select * from read_csv('https://localhost:1/t.csv')", "query"},
		{nil, "select st_point(1, a) as p from t", "query"},
		{[]string{"create macro f() as table select * from read_csv('" + secret + "')"}, "from f()", "setup[0]"},
		{[]string{"create view v as select * from '" + secret + "'"}, "from v", "setup[0]"},
		{[]string{"create table v as select * from read_csv('other.csv')"}, "from v", "setup[0]"},
		{[]string{"install spatial"}, "from t", "setup[0]"},
		{[]string{"/* a comment */ install spatial"}, "from t", "setup[0]"},
		{[]string{"-- a comment\nfOrCe\tinstall spatial"}, "from t", "setup[0]"},
		{[]string{"load '/tmp/x.duckdb_extension'"}, "from t", "setup[0]"},
		{[]string{"create macro f() as 1;\n\tinstall spatial"}, "from t", "setup[0]"},
		{[]string{"create macro f() as 1", "set autoload_known_extensions = true"}, "from t", "setup[1]"},
		{[]string{"set enable_external_access = true"}, "from t", "setup[0]"},
		{[]string{"set threads = 7"}, "from t", "setup[0]"},
		{[]string{"pragma threads = 7"}, "from t", "setup[0]"},
		{[]string{"set variable x = now()"}, "select getvariable('x') as x from t", "setup[0]"},
		{[]string{"attach '" + filepath.Join(home, "x.db") + "' as x"}, "from t", "setup[0]"},
		{[]string{"copy t to '" + filepath.Join(home, "x.csv") + "'"}, "from t", "setup[0]"},
		{[]string{"export database '" + home + "/x'"}, "from t", "setup[0]"},
		{[]string{"import database '" + home + "'"}, "from t", "setup[0]"},
		{[]string{"call enable_logging(storage = 'file', storage_path = '" + home + "/log')"}, "from t", "setup[0]"},
		{[]string{"create table x as select now() as t"}, "from x", "setup"},
		{[]string{"create sequence s"}, "select nextval('s') from t", "setup"},
		{[]string{"drop view t"}, "from t", "setup[0]"},
		{[]string{"  "}, "from t", "setup[0]"},
	} {
		got, _, err := do(t, 1, Config{Inputs: inputs("t", "t.csv"), Query: c.query, Setup: c.setup})
		if ps := stage.ProblemsIn(err); len(ps) != 1 || ps[0].Path != c.path || strings.Contains(got, "hidden") {
			t.Errorf("%q; %s: got %q and %v, want one problem at %s", c.setup, c.query, got, err, c.path)
		}
		_ = os.Remove("data.csv")
	}
	var left []string
	_ = filepath.WalkDir(home, func(p string, _ os.DirEntry, _ error) error {
		left = append(left, p)
		return nil
	})
	if !slices.Equal(left, []string{home, secret}) {
		t.Errorf("it left %v", left)
	}
}

// The clock is no more to be had by a macro, a view or a text than by itself.
func TestTheClockIsNotReached(t *testing.T) {
	in(t, map[string]string{"t.csv": "a\n1\n"})
	for _, c := range []struct {
		setup []string
		query string
	}{
		{nil, "select now() as x from t"},
		{nil, "select main.now() as x from t"},
		{nil, "select system.main.NOW() as x from t"},
		{nil, "select current_timestamp as x from t"},
		{nil, "select localtimestamp as x from t"},
		{nil, "select age(timestamp '2020-01-01') as x from t"},
		{nil, "select ago(interval 1 day) as x from t"},
		{nil, "select list_transform([1], lambda i: now()) as x from t"},
		{nil, "select [today() for i in [1]] as x from t"},
		{nil, "select a from t order by now()"},
		{nil, "select a from t where (select today()) > date '2020-01-01'"},
		{nil, "select uuid() as x from t"},
		{nil, "select pg_postmaster_start_time() as x from t"},
		{nil, "from query('select now() as x')"},
		{[]string{"create macro f() as now()"}, "select f() as x from t"},
		{[]string{"create macro g() as today()", "create macro f() as g()"}, "select f() as x from t"},
		{[]string{"create macro f() as table select current_timestamp as x"}, "from f()"},
		{[]string{"create view v as select now() as x"}, "from v"},
		{[]string{`create view "a AS select 1 --" as select now() as x`}, `from "a AS select 1 --"`},
		{[]string{"create or replace view t as select today() as x"}, "from t"},
		{[]string{"create view v(\"x AS y\") as select uuid()"}, "from v"},
	} {
		got, _, err := do(t, 1, Config{Inputs: inputs("t", "t.csv"), Query: c.query, Setup: c.setup})
		if ps := stage.ProblemsIn(err); len(ps) != 1 || ps[0].Path != "query" {
			t.Errorf("%q; %s: got %q and %v, want a problem of query", c.setup, c.query, got, err)
		}
	}
	got, _, err := do(t, 1, Config{Inputs: inputs("t", "t.csv"), Query: "select f(a) as x, 'now()' as y from v", Setup: []string{"create macro f(x) as x + 1", "create view v as select a, timestamp '2020-01-01' - interval 1 day as b from t"}})
	if want := "x,y\n2,now()\n"; err != nil || got != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

// What would come out differently on several threads is refused there, also where
// a macro or a view hides it.
func TestWhatThreadsWouldChangeIsRefused(t *testing.T) {
	in(t, map[string]string{"t.csv": "a,b\n1,2.5\n", "u.csv": "a,b\n1,2.5\n"})
	for _, c := range []struct {
		setup []string
		query string
	}{
		{nil, "select sum(b) as x from t"},
		{nil, "select weighted_avg(b, a) as x from t"},
		{nil, "select first(b) as x from t group by a"},
		{nil, "select a, list(b) as x from t group by a"},
		{nil, "select distinct on (a) a, b from t"},
		{nil, "select * from (select a, count(*) as n from t group by a limit 1)"},
		{nil, "select t.b from t positional join u"},
		{nil, "select sum(a) over () as x from t"},
		{nil, "select a from t order by random()"},
		{nil, "from (summarize t)"},
		{[]string{"create macro total(x) as sum(x)"}, "select total(b) as x from t"},
		{[]string{"create view v as select sum(b) as x from t"}, "from v"},
	} {
		_, _, err := do(t, 2, Config{Inputs: inputs("t", "t.csv", "u", "u.csv"), Query: c.query, Setup: c.setup, Threads: 2})
		if ps := stage.ProblemsIn(err); len(ps) != 1 || ps[0].Path != "threads" {
			t.Errorf("%q; %s: got %v, want a problem of threads", c.setup, c.query, err)
		}
		if _, _, err := do(t, 2, Config{Inputs: inputs("t", "t.csv", "u", "u.csv"), Query: c.query, Setup: c.setup}); err != nil {
			t.Errorf("on one thread: %q; %s: %v", c.setup, c.query, err)
		}
	}
}

// The lists of functions are those of this version of DuckDB.
func TestFunctionsAreThoseOfTheEngine(t *testing.T) {
	e, err := open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer e.close()
	all := func(query string) []string {
		t.Helper()
		names, err := e.texts(t.Context(), query)
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: %v, %v", query, names, err)
		}
		return names
	}
	begin := []string{"random", "setseed", "error"} // with a seed, or not at all
	for _, f := range all("select distinct function_name from duckdb_functions() where stability <> 'CONSISTENT'") {
		if !slices.Contains(unsettled, f) && !slices.Contains(begin, f) {
			t.Errorf("%s is not consistent", f)
		}
	}
	for _, f := range all("select distinct function_name from duckdb_functions() where function_type = 'aggregate'") {
		if slices.Contains(exact, f) == slices.Contains(timed, f) {
			t.Errorf("the aggregate %s is to be in one of the lists exact and timed", f)
		}
	}
	for _, v := range all("select view_name from duckdb_views() where internal and schema_name not in ('information_schema', 'pg_catalog')") {
		if !slices.Contains(inner, v) {
			t.Errorf("the view %s is of the engine's own", v)
		}
	}
	// Macros that come with it are no better than what they call.
	for _, m := range all("select function_name || ' ' || macro_definition from duckdb_functions() where function_type in ('macro', 'table_macro')") {
		name, text, _ := strings.Cut(m, " ")
		for _, list := range [][]string{unsettled, timed} {
			for _, f := range list {
				pattern := `(^|\W)` + f + `\(`
				if strings.HasPrefix(f, "current_") || strings.HasPrefix(f, "local") {
					pattern = `\b` + f + `\b`
				}
				calls := regexp.MustCompile(pattern).MatchString(text)
				if calls && !strings.HasPrefix(name, "list_") && !slices.Contains(list, name) && !slices.Contains(tables, name) {
					t.Errorf("%s calls %s: %s", name, f, text)
				}
			}
		}
	}
}
