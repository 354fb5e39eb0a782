package split

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/stages/table"
)

// Every row is in one part; no part is a whole row away from its share, in all
// and in each class; the same seed gives the same parts.
func TestAssignKeepsTheShares(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		classes := rapid.IntRange(1, 5).Draw(t, "classes")
		class := rapid.SliceOfN(rapid.Map(rapid.IntRange(0, classes-1), func(i int) int32 { return int32(i) }), 0, 300).Draw(t, "rows")
		weights := rapid.SliceOfN(rapid.IntRange(1, 10), 1, 5).Draw(t, "shares")
		sum := 0
		for _, w := range weights {
			sum += w
		}
		shares := make([]float64, len(weights))
		for i, w := range weights {
			shares[i] = float64(w) / float64(sum)
		}
		seed := rapid.Uint64().Draw(t, "seed")
		part := assign(class, classes, shares, seed)
		if len(part) != len(class) {
			t.Fatalf("%d rows have a part, want %d", len(part), len(class))
		}
		count := func(c int32) (n int, got []int) {
			got = make([]int, len(shares))
			for i, p := range part {
				if c < 0 || class[i] == c {
					n++
					got[p]++
				}
			}
			return n, got
		}
		for c := range classes {
			n, got := count(int32(c))
			for p := range shares {
				if d := math.Abs(float64(got[p]) - float64(n)*shares[p]); d >= 1 {
					t.Fatalf("class %d, part %d: %d of %d rows, share %v", c, p, got[p], n, shares[p])
				}
			}
		}
		// Over all classes the errors do not add up to one row a class.
		n, got := count(-1)
		for p := range shares {
			if d := math.Abs(float64(got[p]) - float64(n)*shares[p]); d >= float64(max(2, classes)) {
				t.Fatalf("part %d: %d of %d rows, share %v", p, got[p], n, shares[p])
			}
		}
		if d := cmp.Diff(part, assign(class, classes, shares, seed)); d != "" {
			t.Fatal(d)
		}
	})
}

func TestAnotherSeedIsAnotherSplit(t *testing.T) {
	class := make([]int32, 100)
	a, b := assign(class, 1, []float64{0.5, 0.5}, 1), assign(class, 1, []float64{0.5, 0.5}, 2)
	if cmp.Equal(a, b) {
		t.Error("seeds 1 and 2 give one split")
	}
}

func job(t *testing.T, args string, path string) (*stage.Job, error) {
	t.Helper()
	return Type{}.Job(&stage.Request{Args: json.RawMessage(args), Dir: "out/split/s", Inputs: []stage.Input{{Role: "input", Path: path}}})
}

func TestOutputsAreThePartsInTheFormatOfTheInput(t *testing.T) {
	for _, tt := range []struct{ args, path, want string }{
		{`{"parts":{"train":0.8,"test":0.2}}`, "data/a.csv", "out/split/s/test.csv out/split/s/train.csv"},
		{`{"parts":{"all":1}}`, "data/a.parquet", "out/split/s/all.parquet"},
		{`{"parts":{"all":1}}`, "data/a.csv.gz", "out/split/s/all.csv"},
		{`{"parts":{"all":1}}`, "data/dir", "out/split/s/all.csv"},
		{`{"parts":{"all":1},"format":"jsonl"}`, "data/a.csv", "out/split/s/all.jsonl"},
	} {
		j, err := job(t, tt.args, tt.path)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, o := range j.Outputs {
			got = append(got, o.Path)
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s of %s: got %v, want %s", tt.args, tt.path, got, tt.want)
		}
	}
}

func TestWrongPartsAreRefused(t *testing.T) {
	for args, want := range map[string]string{
		`{"parts":{"train":0.8,"test":0.3}}`:  "add up to 1.1",
		`{"parts":{"train":1.2,"test":-0.2}}`: "share of part",
		`{"parts":{"a b":1}}`:                 "no name for a part",
		`{"parts":{"metrics":1}}`:             "cannot be called",
		`{"parts":{}}`:                        "add up to 0",
	} {
		_, err := job(t, args, "a.csv")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", args, err, want)
		}
	}
	if _, err := job(t, `{"parts":{"a":0.1,"b":0.2,"c":0.7}}`, "a.csv"); err != nil {
		t.Errorf("shares that add up to 1 but for rounding: %v", err)
	}
}

func runSplit(t *testing.T, table, args string) (map[string]string, stage.Metrics, error) {
	t.Helper()
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.WriteFile("in.csv", []byte(table), 0o644); err != nil {
		t.Fatal(err)
	}
	run := &stage.Run{Spec: stage.Spec{Type: "split", Args: json.RawMessage(args), Outputs: map[string]string{"train": "train.csv", "test": "test.csv"}}}
	m, err := Type{}.Run(t.Context(), run)
	if err != nil {
		left, _ := filepath.Glob("t*.csv")
		if len(left) > 0 {
			t.Errorf("a failed split leaves %v", left)
		}
		return nil, nil, err
	}
	got := map[string]string{}
	for _, name := range []string{"train", "test"} {
		b, err := os.ReadFile(name + ".csv")
		if err != nil {
			t.Fatal(err)
		}
		got[name] = string(b)
	}
	return got, m, nil
}

func TestRowsAreWrittenAsTheyWereInTheirOrder(t *testing.T) {
	in := "id,text,class\n"
	for i := range 10 {
		in += fmt.Sprintf("%d,\"a, \"\"quoted\"\"\nline\",%s\n", i, []string{"x", "y"}[i%2])
	}
	got, m, err := runSplit(t, in, `{"input":"in.csv","parts":{"train":0.8,"test":0.2},"stratify":"class","seed":7}`)
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.Count(got["train"], "quoted") + strings.Count(got["test"], "quoted")
	if rows != 10 || !strings.HasPrefix(got["train"], "id,text,class\n0,\"a, \"\"quoted\"\"\nline\",x\n") {
		t.Errorf("%d rows; train:\n%s", rows, got["train"])
	}
	want := stage.Metrics{
		"rows":    map[string]any{"train": 8, "test": 2},
		"classes": map[string]any{"train": map[string]int{"x": 4, "y": 4}, "test": map[string]int{"x": 1, "y": 1}},
	}
	if d := cmp.Diff(want, m); d != "" {
		t.Error(d)
	}
	again, _, err := runSplit(t, in, `{"input":"in.csv","parts":{"train":0.8,"test":0.2},"stratify":"class","seed":7}`)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(got, again); d != "" {
		t.Error(d)
	}
}

func TestWhatCannotBeSplitSaysSo(t *testing.T) {
	parts := `"parts":{"train":0.8,"test":0.2}`
	for name, tt := range map[string]struct{ table, args, path, want string }{
		"no rows":   {"a\n", `{"input":"in.csv",` + parts + `}`, "input", "no rows"},
		"no column": {"class\n1\n", `{"input":"in.csv","stratify":"clas",` + parts + `}`, "stratify", `Did you mean "class"`},
		"ragged":    {"a,b\n1,2\n3\n", `{"input":"in.csv",` + parts + `}`, "input", "in.csv:3"},
	} {
		_, _, err := runSplit(t, tt.table, tt.args)
		var p *stage.Problem
		if !errors.As(err, &p) || p.Path != tt.path || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want a problem at %s with %q", name, err, tt.path, tt.want)
		}
	}
}

// A part alone may not show a column's type; the parts have that of the whole.
func TestPartsOfCSVHaveTheTypesOfTheWholeTable(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("in.csv", []byte("x,class\n1,a\n2,a\n2.5,a\n4,a\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	outputs := map[string]string{}
	parts := []string{"p", "q", "r", "s"}
	for _, name := range parts {
		outputs[name] = name + ".parquet"
	}
	args := `{"input":"in.csv","parts":{"p":0.25,"q":0.25,"r":0.25,"s":0.25}}`
	if _, err := (Type{}).Run(t.Context(), &stage.Run{Spec: stage.Spec{Type: "split", Args: json.RawMessage(args), Outputs: outputs}}); err != nil {
		t.Fatal(err)
	}
	want := []table.Column{{Name: "x", Type: table.Float}, {Name: "class", Type: table.String}}
	for _, name := range parts {
		r, err := table.Open(outputs[name])
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(r.Columns(), want); d != "" {
			t.Errorf("part %s: %s", name, d)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
