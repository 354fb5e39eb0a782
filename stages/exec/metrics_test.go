package exec_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/stages/exec"
)

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestMetricsAreReadByExtension(t *testing.T) {
	nested := map[string]any{
		"f1": 0.93, "rows": int64(120), "name": "mlp", "ok": true,
		"validation": map[string]any{"loss": 1e-3, "curve": []any{0.5, int64(1)}},
	}
	for _, row := range []struct {
		name, content string
		want          map[string]any
	}{
		{"m.json", "\ufeff" + `{"f1": 0.93, "rows": 120, "name": "mlp", "ok": true, "validation": {"loss": 1e-3, "curve": [0.5, 1]}}` + "\n", nested},
		{"m.yaml", "f1: 0.93\nrows: 120\nname: mlp\nok: true\nvalidation:\n  loss: 0.001\n  curve: [0.5, 1]\n", nested},
		{"m.toml", "f1 = 0.93\nrows = 120\nname = \"mlp\"\nok = true\n[validation]\nloss = 1e-3\ncurve = [0.5, 1]\n", nested},
		{"m.csv", "epoch,loss,note,empty\n1,0.5,x,\n2,0.25,\"a,b\",\n", map[string]any{"epoch": int64(2), "loss": 0.25, "note": "a,b"}},
		{"m.tsv", "epoch\tloss\r\n1\t1e-3\r\n", map[string]any{"epoch": int64(1), "loss": 1e-3}},
		{
			"m.JSON", `{"big": 123456789012345678901, "null": null, "exact": 9007199254740993}`,
			map[string]any{"big": 123456789012345678901.0, "null": nil, "exact": int64(9007199254740993)},
		},
		{"m.yml", "1: 2\nday: 2024-01-02\n", map[string]any{"1": int64(2), "day": "2024-01-02"}},
		{"d.toml", "at = 2024-01-02T03:04:05Z\nday = 2024-01-02\nclock = 03:04:05\nlocal = 2024-01-02T03:04:05\n[[run]]\nx = 1\n", map[string]any{
			"at": "2024-01-02T03:04:05Z", "day": "2024-01-02", "clock": "03:04:05", "local": "2024-01-02T03:04:05", "run": []any{map[string]any{"x": int64(1)}},
		}},
	} {
		got, err := exec.ParseMetrics(write(t, row.name, row.content))
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
			continue
		}
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s, want then got:\n%s", row.name, diff)
		}
	}
}

func TestBrokenMetricsAreExplained(t *testing.T) {
	for _, row := range []struct{ name, content, want string }{
		{"m.json", "{\n  \"loss\": NaN\n}", "line 2: NaN is not JSON; write null or leave the metric out"},
		{"m.json", `{"loss": -Infinity}`, "line 1: Infinity is not JSON"},
		{"m.json", "", "the file is empty"},
		{"m.json", `{"a": 1`, "the file ends in the middle of a value"},
		{"m.json", "{\"a\": 1}\n{\"a\": 2}\n", "line 2: something follows the JSON value"},
		{"m.json", "{\"a\": 1,\n}", "line 2 is not JSON: invalid character '}'"},
		{"m.json", "[1, 2]", "the file holds a list, want an object"},
		{"m.json", "0.93", "the file holds a number, want an object"},
		{"m.json", `{"a": {"b": [1e999]}}`, "a.b[0]: the number 1e999 is too large"},
		{"m.yaml", "a: .nan\n", "a: NaN is not a value of a metric"},
		{"m.yaml", "", "the file holds nothing"},
		{"m.yaml", "a: [1\n", "m.yaml"},
		{"m.toml", "a = inf\n", "a: +Inf is not a value of a metric"},
		{"m.toml", "a = \n", "toml"},
		{"m.csv", "", "the file is empty, want a header"},
		{"m.csv", "a,b\n", "the file has a header and no rows"},
		{"m.csv", "a,b\n1,2,3\n", "wrong number of fields"},
		{"m.csv", "a,a\n1,2\n", `line 1: the column "a" is there twice`},
		{"m.csv", "a,\n1,2\n", "line 1: column 2 has no name"},
		{"m.csv", "a\nnan\n", "a: NaN is not a value of a metric"},
		{"m.txt", "a", `the extension ".txt" is none of .json`},
	} {
		path := write(t, row.name, row.content)
		got, err := exec.ParseMetrics(path)
		if err == nil {
			t.Errorf("%s %q: got %v, want an error", row.name, row.content, got)
			continue
		}
		if !strings.Contains(err.Error(), row.want) || !strings.HasPrefix(err.Error(), "read metrics from "+path) {
			t.Errorf("%s %q: got %q, want it to contain %q", row.name, row.content, err, row.want)
		}
	}
	if _, err := exec.ParseMetrics(filepath.Join(t.TempDir(), "none.json")); err == nil || !strings.HasSuffix(err.Error(), "none.json: no such file or directory") {
		t.Errorf("a missing file: got %v", err)
	}
}

func FuzzParseMetrics(f *testing.F) {
	f.Add("json", `{"a": [1, {"b": NaN}]}`)
	f.Add("yaml", "a: &x [1]\nb: *x\n")
	f.Add("toml", "[[a]]\nb = 1979-05-27\n")
	f.Add("csv", "a,b\n1,\"2\n")
	f.Fuzz(func(t *testing.T, ext, content string) {
		switch ext {
		case "json", "yaml", "toml", "csv":
		default:
			t.Skip()
		}
		m, err := exec.ParseMetrics(write(t, "m."+ext, content))
		if (m == nil) == (err == nil) {
			t.Errorf("got %v and %v", m, err)
		}
	})
}

func TestSeveralMetricsFilesAreMergedInOrder(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"a.json": `{"train": {"loss": 1, "f1": 0.5}, "rows": 10, "kind": {"x": 1}}`,
		"b.yaml": "train: {loss: 2}\nrows: 20\nkind: plain\n",
		"c.json": `{"loss": NaN}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := exec.Type{}.Measure(dir, []string{"a.json", "b.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	want := stage.Metrics{"train": map[string]any{"loss": int64(2), "f1": 0.5}, "rows": int64(20), "kind": "plain"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want then got:\n%s", diff)
	}

	_, err = exec.Type{}.Measure(dir, []string{"a.json", "c.json"})
	var problem *stage.Problem
	if !errors.As(err, &problem) {
		t.Fatalf("got %v, want a problem", err)
	}
	if got, want := problem.Error(), `metrics[1]: The metrics in "c.json" cannot be read: After the program ended: line 1: NaN is not JSON`; !strings.HasPrefix(got, want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if _, err := (exec.Type{}).Measure(dir, []string{"none.json", "c.json"}); err == nil || !strings.Contains(err.Error(), `"none.json" cannot be read: After the program ended: no such file`) {
		t.Errorf("got %v", err)
	}
	if got, err := (exec.Type{}).Measure(dir, nil); err != nil || len(got) != 0 {
		t.Errorf("got %v, %v from no files", got, err)
	}
}
