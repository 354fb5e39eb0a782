package preprocess

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/stages/table"
)

// files are written into a directory that becomes the current one.
func files(t *testing.T, content map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range content {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func run(t *testing.T, args, out string) (string, stage.Metrics, error) {
	t.Helper()
	m, err := Type{}.Run(t.Context(), &stage.Run{Spec: stage.Spec{
		Type: "preprocess", Args: json.RawMessage(args), Outputs: map[string]string{"data": out},
	}})
	if err != nil {
		if left, _ := filepath.Glob(".*" + out + "*"); len(left) > 0 {
			t.Errorf("a failed run leaves %v", left)
		}
		return "", nil, err
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return string(b), m, nil
}

const census = `rooms,people,city,note
10,4,Oslo,"a, ""b""
c"
NA,2,Bergen,
6.0,0,,x
10,4,Oslo,"a, ""b""
c"
`

func TestSteps(t *testing.T) {
	for _, c := range []struct{ name, steps, want string }{
		{"none", ``, "rooms,people,city,note\n10,4,Oslo,\"a, \"\"b\"\"\nc\"\n,2,Bergen,\n6.0,0,,x\n10,4,Oslo,\"a, \"\"b\"\"\nc\"\n"},
		{"select", `{"select":{"columns":["city","rooms"]}}`, "city,rooms\nOslo,10\nBergen,\n,6.0\nOslo,10\n"},
		{"select by pattern", `{"select":{"columns":["*o*","people"]}},{"drop":{"columns":["note"]}}`, "rooms,people\n10,4\n,2\n6.0,0\n10,4\n"},
		{"drop", `{"drop":{"columns":["note","city"]}}`, "rooms,people\n10,4\n,2\n6.0,0\n10,4\n"},
		{"rename", `{"rename":{"columns":{"rooms":"people","people":"rooms"}}},{"drop":{"columns":["note","city"]}}`, "people,rooms\n10,4\n,2\n6.0,0\n10,4\n"},
		{"cast", `{"select":{"columns":["rooms"]}},{"cast":{"columns":{"rooms":"int"}}}`, "rooms\n10\n\"\"\n6\n10\n"},
		{"filter", `{"select":{"columns":["rooms"]}},{"filter":{"where":{"source":"row.rooms > var.low","constants":{"var.low":6}}}}`, "rooms\n10\n10\n"},
		{"derive", `{"derive":{"column":"density","value":{"source":"row.people / row.rooms"}}},{"select":{"columns":["density"]}}`, "density\n0.4\n\"\"\n0\n0.4\n"},
		{"derive in place", `{"derive":{"column":"city","value":{"source":"upper(row.city)"}}},{"select":{"columns":["city","people"]}}`, "city,people\nOSLO,4\nBERGEN,2\n,0\nOSLO,4\n"},
		{"recode", `{"recode":{"column":"city","values":{"Oslo":"O"}}},{"select":{"columns":["city","people"]}}`, "city,people\nO,4\nBergen,2\n,0\nO,4\n"},
		{"drop_missing in one column", `{"drop_missing":{"columns":["city"]}},{"drop":{"columns":["note"]}}`, "rooms,people,city\n10,4,Oslo\n,2,Bergen\n10,4,Oslo\n"},
		{"drop_missing anywhere", `{"drop_missing":{}},{"select":{"columns":["city"]}}`, "city\nOslo\nOslo\n"},
		{"fill", `{"fill":{"columns":{"rooms":0,"city":"?"}}},{"drop":{"columns":["note"]}}`, "rooms,people,city\n10,4,Oslo\n0,2,Bergen\n6.0,0,?\n10,4,Oslo\n"},
		{"deduplicate", `{"deduplicate":{}},{"select":{"columns":["people"]}}`, "people\n4\n2\n0\n"},
		{"deduplicate by a column", `{"deduplicate":{"columns":["city"]}},{"select":{"columns":["people"]}}`, "people\n4\n2\n0\n"},
		{"order matters", `{"filter":{"where":{"source":"row.people > 0"}}},{"derive":{"column":"people","value":{"source":"0"}}},{"select":{"columns":["people","city"]}}`, "people,city\n0,Oslo\n0,Bergen\n0,Oslo\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			files(t, map[string]string{"in.csv": census})
			got, _, err := run(t, `{"input":"in.csv","steps":[`+c.steps+`]}`, "out.csv")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got, c.want); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestJoinAndConcatenate(t *testing.T) {
	for _, c := range []struct{ name, args, want string }{
		{"inner", `{"input":"a.csv","inputs":{"r":"r.csv"},"steps":[{"join":{"input":"r","on":["k"],"how":"inner"}}]}`, "k,x,y\n1,a,p\n1,a,q\n1,c,p\n1,c,q\n"},
		{"left", `{"input":"a.csv","inputs":{"r":"r.csv"},"steps":[{"join":{"input":"r","on":["k"],"how":"left"}}]}`, "k,x,y\n1,a,p\n1,a,q\n2,b,\n1,c,p\n1,c,q\n,d,\n"},
		{"across formats", `{"input":"a.csv","inputs":{"r":"r.jsonl"},"steps":[{"join":{"input":"r","on":["k"],"how":"inner"}}]}`, "k,x,z\n2,b,true\n"},
		{"concatenate", `{"input":"a.csv","inputs":{"b":"b.csv"},"steps":[{"concatenate":{"inputs":["b"]}}]}`, "k,x\n1,a\n2,b\n1,c\n,d\n9,z\n"},
		{"concatenate without input", `{"inputs":{"a":"a.csv","b":"b.csv"},"steps":[{"concatenate":{"inputs":["b","a"]}}]}`, "x,k\nz,9\na,1\nb,2\nc,1\nd,\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			files(t, map[string]string{
				"a.csv": "k,x\n1,a\n2,b\n1,c\n,d\n", "b.csv": "x,k\nz,9\n",
				"r.csv": "y,k\np,1\nq,1\nn,\n", "r.jsonl": `{"k":2,"z":true}`,
			})
			got, _, err := run(t, c.args, "out.csv")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got, c.want); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMetricsCountRows(t *testing.T) {
	files(t, map[string]string{"in.csv": census, "r.csv": "city,region\nOslo,east\n"})
	_, got, err := run(t, `{"input":"in.csv","inputs":{"r":"r.csv"},"steps":[{"filter":{"where":{"source":"row.people > 0"}}},{"join":{"input":"r","on":["city"],"how":"inner"}},{"filter":{"where":{"source":"true"}}},{"deduplicate":{}}]}`, "out.parquet")
	if err != nil {
		t.Fatal(err)
	}
	want := stage.Metrics{
		"rows": int64(1), "columns": 5,
		"rows_in": map[string]any{"input": int64(4), "r": int64(1)},
		"dropped": map[string]any{"filter": int64(1), "join": int64(1), "filter_2": int64(0), "deduplicate": int64(1)},
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Error(diff)
	}
}

func TestReadsAFileWithoutAHeader(t *testing.T) {
	files(t, map[string]string{"in.csv": "569,30,malignant,benign\n17.99;?;0\n20.57;1;1\n"})
	got, _, err := run(t, `{"input":"in.csv","header":{"skip":1,"names":["radius","texture","diagnosis"],"delimiter":";","missing":["?"]},
		"steps":[{"derive":{"column":"diagnosis","value":{"source":"row.diagnosis == 0 ? \"malignant\" : \"benign\""}}}]}`, "out.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	want := `{"radius":17.99,"texture":null,"diagnosis":"malignant"}
{"radius":20.57,"texture":1,"diagnosis":"benign"}
`
	if diff := cmp.Diff(got, want); diff != "" {
		t.Error(diff)
	}
}

func TestMistakesNameTheArgumentAndTheCause(t *testing.T) {
	for _, c := range []struct{ name, args, path, want string }{
		{"no such file", `{"input":"no.csv"}`, "input", "no such file"},
		{"ragged", `{"input":"ragged.csv"}`, "input", "ragged.csv:3: 1 fields, want 2"},
		{"unknown column", `{"input":"in.csv","steps":[{"drop":{"columns":["roms"]}}]}`, "steps[0].drop.columns[0]", `Did you mean "rooms"?`},
		{"unknown column that is no word", `{"input":"in.csv","steps":[{"rename":{"columns":{"a b c":"x"}}}]}`, `steps[0].rename.columns["a b c"]`, "At this step, the rows have"},
		{"pattern without a match", `{"input":"in.csv","steps":[{"drop":{"columns":["z*"]}}]}`, "steps[0].drop.columns[0]", `No column is like "z*"`},
		{"no columns left", `{"input":"in.csv","steps":[{"drop":{"columns":["*"]}}]}`, "steps[0].drop.columns", "No columns are left"},
		{"unknown column in an expression", `{"input":"in.csv","steps":[{"filter":{"where":{"source":"row.cty == \"x\""}}}]}`, "steps[0].filter.where", `did you mean "city"?`},
		{"an expression that fails", `{"input":"in.csv","steps":[{"filter":{"where":{"source":"row.city > 3"}}}]}`, "steps[0].filter.where", `in.csv:2: row.city: "Oslo" is no number`},
		{"cast", `{"input":"in.csv","steps":[{"cast":{"columns":{"city":"int"}}}]}`, "steps[0].cast.columns.city", `in.csv:2: "Oslo"`},
		{"rename onto another", `{"input":"in.csv","steps":[{"rename":{"columns":{"city":"rooms"}}}]}`, "steps[0].rename.columns", `Two columns are called "rooms"`},
		{"join with a clash", `{"input":"in.csv","inputs":{"r":"in.csv"},"steps":[{"join":{"input":"r","on":["city"]}}]}`, "steps[0].join", `Both tables have a column "rooms"`},
		{"other columns", `{"input":"in.csv","inputs":{"r":"r.csv"},"steps":[{"concatenate":{"inputs":["r"]}}]}`, "steps[0].concatenate.inputs[0]", `no column "rooms"`},
		{"header of Parquet", `{"input":"x.jsonl","header":{"skip":1}}`, "input", "for csv and tsv"},
	} {
		t.Run(c.name, func(t *testing.T) {
			files(t, map[string]string{"in.csv": census, "ragged.csv": "a,b\n1,2\n3\n", "r.csv": "city\nOslo\n", "x.jsonl": "{\"a\":1}\n"})
			_, _, err := run(t, c.args, "out.csv")
			var p *stage.Problem
			if !errors.As(err, &p) || p.Path != c.path || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want a problem at %s with %s", err, c.path, c.want)
			}
		})
	}
}

func TestJobFindsMistakesWithoutReading(t *testing.T) {
	for _, c := range []struct{ name, args, want string }{
		{"no input", `{}`, "No input"},
		{"several inputs", `{"inputs":{"a":"a.csv","b":"b.csv"}}`, "Which table"},
		{"unknown input", `{"input":"a.csv","inputs":{"right":"b.csv"},"steps":[{"join":{"input":"rigth","on":["k"]}}]}`, `Did you mean "right"?`},
		{"type", `{"input":"a.csv","steps":[{"cast":{"columns":{"a":"integer"}}}]}`, `steps[0].cast.columns.a: No type "integer"`},
		{"column without a name", `{"input":"a.csv","steps":[{"rename":{"columns":{"":"a"}}}]}`, "steps[0].rename.columns: A column without a name"},
		{"delimiter", `{"input":"a.csv","header":{"delimiter":";;"}}`, "one character"},
	} {
		_, err := Type{}.Job(&stage.Request{Args: json.RawMessage(c.args)})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

func TestOutputHasTheFormatOfTheInput(t *testing.T) {
	for _, c := range []struct{ args, role, path, want string }{
		{`{"input":"x"}`, "input", "data/a.csv", "data.csv"},
		{`{"input":"x"}`, "input", "data/a.jsonl.gz", "data.jsonl"},
		{`{"input":"x"}`, "input", "data/dir", "data.csv"},
		{`{"inputs":{"only":"x"}}`, "inputs.only", "data/a.parquet", "data.parquet"},
		{`{"input":"x","format":"parquet"}`, "input", "data/a.csv", "data.parquet"},
	} {
		job, err := Type{}.Job(&stage.Request{Args: json.RawMessage(c.args), Dir: "out", Inputs: []stage.Input{{Role: c.role, Path: c.path}}})
		if err != nil {
			t.Fatal(err)
		}
		if got := job.Outputs[0].Path; got != "out/"+c.want {
			t.Errorf("%s: got %s, want out/%s", c.args, got, c.want)
		}
	}
}

// A filter and its opposite, with the rows whose condition is missing, are the
// whole table; and each part is what a second run writes again.
func TestFiltersPartitionTheRows(t *testing.T) {
	files(t, nil)
	rapid.Check(t, func(r *rapid.T) {
		text := "x,y\n"
		for range rapid.IntRange(0, 30).Draw(r, "rows") {
			x := rapid.SampledFrom([]string{"", "1", "2.5", "-3", "NA"}).Draw(r, "x")
			text += x + "," + rapid.StringMatching(`[a-z]{0,3}`).Draw(r, "y") + "\n"
		}
		if err := os.WriteFile("in.csv", []byte(text), 0o644); err != nil {
			r.Fatal(err)
		}
		var total int64
		for _, where := range []string{"row.x > 1", "!(row.x > 1)", "row.x == null"} {
			args := `{"input":"in.csv","steps":[{"filter":{"where":{"source":"` + where + `"}}}]}`
			got, m, err := run(t, args, "out.csv")
			if err != nil {
				r.Fatal(err)
			}
			if again, _, _ := run(t, args, "out.csv"); again != got {
				r.Fatal("a second run wrote other bytes")
			}
			total += m["rows"].(int64)
		}
		if want := int64(strings.Count(text, "\n") - 1); total != want {
			r.Fatalf("%d rows came out, want %d", total, want)
		}
	})
}

func TestSchemaIsWellFormed(t *testing.T) {
	s := Type{}.Schema()
	if len(s.Body.Blocks) != 2 || len(s.Body.Blocks[1].Variants) != 12 {
		t.Errorf("got %d blocks", len(s.Body.Blocks))
	}
	if !strings.Contains(s.Doc, "- abs(number)\n") {
		t.Error("the functions are not documented")
	}
	var step Step
	if got := step.name(); got != "step" {
		t.Errorf("an empty step is called %s", got)
	}
}

// BenchmarkFilter measures CSV through a filter and a derived column.
func BenchmarkFilter(b *testing.B) {
	b.Chdir(b.TempDir())
	w, err := table.Create("in.csv", []table.Column{{Name: "a", Type: table.Float}, {Name: "b", Type: table.Float}, {Name: "c", Type: table.Float}, {Name: "d", Type: table.Float}, {Name: "e", Type: table.Int}, {Name: "city", Type: table.String}})
	if err != nil {
		b.Fatal(err)
	}
	for i := range 200_000 {
		f := float64(i)
		if err := w.Write([]table.Value{table.FloatValue(f / 7), table.FloatValue(f / 3), table.FloatValue(f * 1.25), table.FloatValue(1 / (f + 1)), table.IntValue(int64(i)), table.StringValue([]string{"NEAR BAY", "INLAND", "ISLAND"}[i%3])}); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	info, err := os.Stat("in.csv")
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct{ name, steps, out string }{
		{"filter", `{"filter":{"where":{"source":"row.a > 1000 && row.city != \"ISLAND\""}}}`, "out.csv"},
		{"filter and derive", `{"filter":{"where":{"source":"row.a > 1000 && row.city != \"ISLAND\""}}},{"derive":{"column":"q","value":{"source":"row.a / row.b"}}}`, "out.csv"},
		{"to parquet", `{"filter":{"where":{"source":"row.a > 1000 && row.city != \"ISLAND\""}}}`, "out.parquet"},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(info.Size())
			b.ReportAllocs()
			for b.Loop() {
				if _, err := (Type{}).Run(b.Context(), &stage.Run{Spec: stage.Spec{Args: json.RawMessage(`{"input":"in.csv","steps":[` + c.steps + `]}`), Outputs: map[string]string{"data": c.out}}}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
