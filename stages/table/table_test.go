package table

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// show renders a cell with its type: text:a, int:1, -.
func show(v Value) string {
	if v.IsMissing() {
		return "-"
	}
	return v.Type().String() + ":" + v.Text()
}

func readAll(r *Reader) (rows [][]Value, err error) {
	for {
		row := make([]Value, len(r.Columns()))
		switch err := r.Read(row); {
		case errors.Is(err, io.EOF):
			return rows, r.Close()
		case err != nil:
			return nil, errors.Join(err, r.Close())
		}
		rows = append(rows, row)
	}
}

// contents reads a table as text: a line for the columns, one for each row.
func contents(t *testing.T, path string, options Options) string {
	t.Helper()
	r, err := OpenWith(path, options)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, c := range r.Columns() {
		b.WriteString(c.Name + ":" + c.Type.String() + " ")
	}
	rows, err := readAll(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		b.WriteString("\n")
		for _, v := range row {
			b.WriteString(show(v) + " ")
		}
	}
	return b.String()
}

func openError(path string, options Options) error {
	r, err := OpenWith(path, options)
	if err != nil {
		return err
	}
	_, err = readAll(r)
	return err
}

func TestReadsEveryFormOfCSV(t *testing.T) {
	for _, c := range []struct {
		name, file, content string
		options             Options
		want                string
	}{
		{"plain", "a.csv", "a,b\n1,x\n", Options{}, "a:text b:text \ntext:1 text:x "},
		{"no line break at the end", "a.csv", "a,b\n1,x", Options{}, "a:text b:text \ntext:1 text:x "},
		{"byte order mark and CRLF", "a.csv", "\xef\xbb\xbfa,b\r\n1,x\r\n", Options{}, "a:text b:text \ntext:1 text:x "},
		{"quotes", "a.csv", "a,\"b\"\n\"1,2\",\"say \"\"x\"\"\"\n", Options{}, "a:text b:text \ntext:1,2 text:say \"x\" "},
		{"line breaks in quotes stay as they are", "a.csv", "a,b\n\"x\r\ny\nz\",2\n", Options{}, "a:text b:text \ntext:x\r\ny\nz text:2 "},
		{"a quote inside a bare field", "a.csv", "a,b\n5\" pipe,2\n", Options{}, "a:text b:text \ntext:5\" pipe text:2 "},
		{"missing words, but not quoted ones", "a.csv", "a,b,c\nNA,,\"NA\"\nnan,\"\",null\n", Options{}, "a:text b:text c:text \n- - text:NA \n- - - "},
		{"missing words of one's own", "a.csv", "a,b\n?,NA\n", Options{Missing: []string{"?"}}, "a:text b:text \n- text:NA "},
		{"empty lines", "a.csv", "a,b\n\n1,2\n\n", Options{}, "a:text b:text \ntext:1 text:2 "},
		{"column without a name", "a.csv", ", b \n0,1\n", Options{}, "column_1:text b:text \ntext:0 text:1 "},
		{"tabs", "a.tsv", "a\tb\n1,5\tx\n", Options{}, "a:text b:text \ntext:1,5 text:x "},
		{"semicolons", "a.csv", "a;b\n1,5;x\n", Options{Delimiter: ';'}, "a:text b:text \ntext:1,5 text:x "},
		{"no header", "a.csv", "569,30,malignant,benign\n1,2\n", Options{Skip: 1, Names: []string{"x", "y"}}, "x:text y:text \ntext:1 text:2 "},
		{"header alone", "a.csv", "a,b\n", Options{}, "a:text b:text "},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(contents(t, write(t, c.file, c.content), c.options), c.want); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReadsJSONLines(t *testing.T) {
	path := write(t, "a.jsonl", `{"a": 1, "b": "x\n\u00e9\ud83d\ude00", "c": [1, {"d": "]"}]}

{"b": null, "a": 2.5, "e": true}
{"a": 3, "b": "", "g": 18446744073709551615}
`)
	want := "a:float b:string c:json e:bool g:json \n" +
		"float:1 string:x\né😀 json:[1, {\"d\": \"]\"}] - - \n" +
		"float:2.5 - - bool:true - \n" +
		"float:3 string: - - json:18446744073709551615 "
	if diff := cmp.Diff(contents(t, path, Options{}), want); diff != "" {
		t.Error(diff)
	}
	mixed := write(t, "b.ndjson", "{\"a\":1}\n{\"a\":\"x\"}\n")
	if diff := cmp.Diff(contents(t, mixed, Options{}), "a:string \nstring:1 \nstring:x "); diff != "" {
		t.Error(diff)
	}
}

func TestReadsGzip(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte("a\n1\n"))
	_ = z.Close()
	path := write(t, "a.csv.gz", b.String())
	if diff := cmp.Diff(contents(t, path, Options{}), "a:text \ntext:1 "); diff != "" {
		t.Error(diff)
	}
	if _, err := Create(path, []Column{{"a", Text}}); err == nil {
		t.Error("a gzip table was created")
	}
}

func TestReadsADirectoryInNameOrder(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"b.csv": "x,y\n3,4\n", "a.csv": "x,y\n1,2\n", "_SUCCESS": "", ".hidden": "?"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(contents(t, dir, Options{}), "x:text y:text \ntext:1 text:2 \ntext:3 text:4 "); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []struct{ name, content, want string }{
		{"c.csv", "x,z\n", `column 2 is "z", want "y" as in`},
		{"c.jsonl", "{}\n", "c.jsonl is jsonl, but a.csv is csv"},
		{"README", "", "not a table"},
	} {
		path := filepath.Join(dir, bad.name)
		if err := os.WriteFile(path, []byte(bad.content), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := openError(dir, Options{}); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%s: got %v, want %q", bad.name, err, bad.want)
		}
		_ = os.Remove(path)
	}
}

func TestErrorsNameThePlace(t *testing.T) {
	for _, c := range []struct{ name, file, content, want string }{
		{"too few fields", "a.csv", "a,b\n1,2\n3\n", "a.csv:3: 1 fields, want 2"},
		{"too many fields", "a.csv", "a,b\n1,2,3\n", "a.csv:2: 3 fields, want 2"},
		{"ragged after a quoted line break", "a.csv", "a,b\n\"x\ny\",2\n\"1\",2,3\n", "a.csv:4: 3 fields, want 2"},
		{"open quote", "a.csv", "a,b\n1,2\n\"3,4\n5,6\n", "a.csv:3: a quoted field opens here and is never closed"},
		{"text after a quote", "a.csv", "a,b\n\"1\"x,2\n", "a.csv:2: field 1 goes on after its closing quote"},
		{"duplicate names", "a.csv", "a,b,a\n", `header: column "a" appears twice`},
		{"empty file", "a.csv", "", "empty, want a header line"},
		{"Latin 1", "a.csv", "a\nM\xfcller\n", "a.csv:2: bytes that are not UTF-8"},
		{"UTF-16", "a.csv", "\xff\xfea\x00", "UTF-16"},
		{"JSON array", "a.jsonl", "[1]\n", "a.jsonl:1: want one JSON object a line"},
		{"broken JSON", "a.jsonl", "{\"a\":1}\n{\"a\":}\n", "a.jsonl:2: column 6: not a JSON value"},
		{"a key twice", "a.jsonl", "{\"a\":1,\"a\":2}\n", `a.jsonl:1: key "a" appears twice`},
		{"unknown extension", "a.xlsx", "", "not a table: want .csv"},
		{"not Parquet", "a.parquet", "hello", "a.parquet"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := openError(write(t, c.file, c.content), Options{})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestMissingColumnSuggestsAName(t *testing.T) {
	columns := []Column{{"diagnosis", Text}, {"radius", Text}}
	_, err := Index(columns, "diagnoses")
	if want := `no column "diagnoses"; did you mean "diagnosis"?`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	_, err = Index(columns, "xyz")
	if want := `no column "xyz"; the columns are diagnosis, radius`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestDescribeFindsTypes(t *testing.T) {
	path := write(t, "a.csv", "i,f,b,s,zip,none,t\n1,1,true,1,01234,,1\n-2,2.5,False,x,99999,NA,NA\n")
	got, err := Describe(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	want := &Summary{
		Rows:    2,
		Columns: []Column{{"i", Int}, {"f", Float}, {"b", Bool}, {"s", String}, {"zip", String}, {"none", String}, {"t", Int}},
		Missing: []int64{0, 0, 0, 0, 0, 2, 1},
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Error(diff)
	}
}

func TestFloatsAreShortAndReadBack(t *testing.T) {
	for f, want := range map[float64]string{
		41: "41", 0.1: "0.1", 1e-6: "0.000001", 1e-7: "1e-7", 1e20: "100000000000000000000", 1e21: "1e+21",
		-2.5e-10: "-2.5e-10", 1e100: "1e+100", math.Copysign(0, -1): "0", math.Inf(-1): "-Inf",
	} {
		if got := string(AppendFloat(nil, f)); got != want {
			t.Errorf("AppendFloat(%v) = %s, want %s", f, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.Float64().Draw(t, "f")
		if math.IsNaN(f) {
			return
		}
		if got, ok := ParseFloat(string(AppendFloat(nil, f))); !ok || got != f {
			t.Fatalf("got %v, want %v", got, f)
		}
	})
}

func TestKeysAreEqualOnlyForEqualCells(t *testing.T) {
	key := func(vs ...Value) string {
		var b []byte
		for _, v := range vs {
			b = v.AppendKey(b)
		}
		return string(b)
	}
	if key(TextValue("7")) != key(IntValue(7)) || key(IntValue(7)) != key(FloatValue(7)) {
		t.Error("equal cells of different types have different keys")
	}
	if key(Value{}) == key(StringValue("")) {
		t.Error("missing equals the empty string")
	}
	if key(TextValue("a"), TextValue("bc")) == key(TextValue("ab"), TextValue("c")) {
		t.Error("keys run into each other")
	}
}

func drawValue(t *rapid.T, typ Type) Value {
	if rapid.IntRange(0, 9).Draw(t, "missing") == 0 {
		return Value{}
	}
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"NA", "null", "a,b", "\"", "x\r\ny", "\n", " ", "\ufeff", "12", "1e5", "true"}))
	switch typ {
	case Int:
		return IntValue(rapid.Int64().Draw(t, "int"))
	case Float:
		return FloatValue(rapid.Float64Range(-1e300, 1e300).Draw(t, "float"))
	case Bool:
		return BoolValue(rapid.Bool().Draw(t, "bool"))
	case JSON:
		return JSONValue(rapid.SampledFrom([]string{"[1]", `{"a":[]}`}).Draw(t, "json"))
	case Text:
		if s := text.Draw(t, "text"); s != "" { // CSV has no other empty field than a missing one
			return TextValue(s)
		}
	case String:
		return StringValue(text.Draw(t, "string"))
	case Missing:
	}
	return Value{}
}

func roundTrip(t *rapid.T, dir, ext string, types []Type) {
	columns := make([]Column, rapid.IntRange(1, 5).Draw(t, "columns"))
	for i := range columns {
		columns[i] = Column{Name: string(rune('z' - i)), Type: rapid.SampledFrom(types).Draw(t, "type")}
	}
	path := filepath.Join(dir, "t"+ext)
	w, err := Create(path, columns)
	if err != nil {
		t.Fatal(err)
	}
	var want [][]Value
	for range rapid.IntRange(0, 20).Draw(t, "rows") {
		row := make([]Value, len(columns))
		for i := range row {
			row[i] = drawValue(t, columns[i].Type)
		}
		if err := w.Write(row); err != nil {
			t.Fatal(err)
		}
		want = append(want, row)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if ext == ".jsonl" && len(want) == 0 {
		return // JSON Lines without a line have no columns
	}
	r, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Names(r.Columns()), Names(columns)); diff != "" {
		t.Fatal(diff)
	}
	got, err := readAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("got %d rows, want %d", len(got), len(want))
	}
	for i := range want {
		for j, v := range want[i] {
			if ext == ".parquet" && got[i][j] != v && (got[i][j].Text() != "0" || v.Text() != "0") {
				t.Fatalf("row %d column %d: got %#v, want %#v", i, j, got[i][j], v)
			}
			if ext != ".parquet" && got[i][j].Text() != v.Text() {
				t.Fatalf("row %d column %d: got %q, want %q", i, j, got[i][j].Text(), v.Text())
			}
		}
	}
}

func TestEveryFormatReadsWhatItWrote(t *testing.T) {
	dir := t.TempDir()
	typed := []Type{String, Int, Float, Bool, JSON}
	for ext, types := range map[string][]Type{".csv": {Text, Int, Float, Bool}, ".tsv": {Text, Int, Float, Bool}, ".jsonl": typed, ".parquet": typed} {
		t.Run(ext, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) { roundTrip(t, dir, ext, types) })
		})
	}
}

func TestTextColumnsGetTypesInTypedFormats(t *testing.T) {
	dir := t.TempDir()
	for _, ext := range []string{".jsonl", ".parquet"} {
		path := filepath.Join(dir, "t"+ext)
		w, err := Create(path, []Column{{"i", Text}, {"s", Text}, {"f", Float}, {"z", Text}})
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range [][]Value{
			{TextValue("1"), TextValue("1"), FloatValue(3), TextValue("007")},
			{Value{}, TextValue("x"), Value{}, TextValue("7")},
		} {
			if err := w.Write(row); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		want := "i:int s:string f:float z:string \nint:1 string:1 float:3 string:007 \n- string:x - string:7 "
		if diff := cmp.Diff(contents(t, path, Options{}), want); diff != "" {
			t.Error(diff)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 2 {
		t.Errorf("temporary files are left: %v", left)
	}
}

func TestAbortLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"t.csv", "t.parquet"} {
		w, err := Create(filepath.Join(dir, name), []Column{{"a", Text}})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Write([]Value{TextValue("1")}); err != nil {
			t.Fatal(err)
		}
		if err := w.Abort(); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err == nil {
			t.Error("Close after Abort succeeded")
		}
	}
	left, _ := os.ReadDir(dir)
	if len(left) != 0 {
		t.Errorf("files are left: %v", left)
	}
}

func TestWriterRefusesWhatDoesNotFit(t *testing.T) {
	w, err := Create(filepath.Join(t.TempDir(), "t.parquet"), []Column{{"a", Int}})
	if err != nil {
		t.Fatal(err)
	}
	err = w.Write([]Value{TextValue("x")})
	if want := `row 1: column "a": "x" is no int`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
	if w.Close() == nil {
		t.Error("Close succeeded after a failed Write")
	}
}

// The bytes of each format for given rows are part of keys and locks: they may
// only change with the versions of the stage types that write them. The digest
// of Parquet is the same with and without assembly (go test -tags
// purego,noasm), so on every architecture.
func TestBytesAreTheSameEverywhere(t *testing.T) {
	columns := []Column{{"id", Int}, {"name", String}, {"x", Float}, {"ok", Bool}, {"more", JSON}}
	for ext, want := range map[string]string{
		".csv":     "1095243 bytes, e86ef713904ddf834be0f3049dd7f8c191df7dd30d23dbecfd7afb77f233b88a",
		".jsonl":   "1662179 bytes, 238c2a9d33bf32e5bf5a86a31432f488037fe2e9122db5ad7a8e9ad671466a76",
		".parquet": "187370 bytes, 35a4230b9349235dc203f8a74f4ee4274f507e1bda455bdf0876ce9d9228ceec",
	} {
		path := filepath.Join(t.TempDir(), "t"+ext)
		w, err := Create(path, columns)
		if err != nil {
			t.Fatal(err)
		}
		state := uint64(1)
		for i := range 20_000 {
			state = state*6364136223846793005 + 1442695040888963407
			row := []Value{
				IntValue(int64(i)), StringValue(strings.Repeat("word ", int(state>>61)) + string(rune('a'+state>>60))),
				FloatValue(float64(state>>40) / 8), BoolValue(state>>63 == 1), JSONValue(`{"a":[1]}`),
			}
			if state>>59 == 7 {
				row[state>>32%4] = Value{}
			}
			if err := w.Write(row); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%d bytes, %x", len(b), sha256.Sum256(b)); got != want {
			t.Errorf("%s: got %s, want %s", ext, got, want)
		}
	}
}

func TestReadsWhatArrowWrites(t *testing.T) {
	want := "z:int f:float d:string ts:string tz:string dec:float u:int b:bool s:string dict:string bin:string u8:int d9:float ns:string \n" +
		"int:1 float:1.5 string:2020-02-29 string:2020-01-02T03:04:05.006000 string:2020-01-02T03:04:05.000Z float:1.25 int:1 bool:true string:a string:x string:q int:255 float:1.5 string:2020-01-02T03:04:05.000000001 \n" +
		"int:2 - - - - float:-0.01 int:2 - string: string:y - int:0 float:-2.5 - \n" +
		"- - string:1969-12-31 string:1960-01-01T00:00:00.000000 string:2020-01-01T00:00:00.000Z - int:3 bool:false - string:x string:r - - string:1970-01-01T00:00:00.000000000 "
	if diff := cmp.Diff(contents(t, "testdata/pyarrow.parquet", Options{}), want); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(contents(t, "testdata/pyarrow-no-rows.parquet", Options{}), "z:int "); diff != "" {
		t.Error(diff)
	}
}

// A file that was cut off or overwritten is an error or other cells, never a
// panic.
func TestDamagedParquetDoesNotPanic(t *testing.T) {
	whole, err := os.ReadFile("testdata/pyarrow.parquet")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "t.parquet")
	failed := 0
	for i := 0; i < len(whole); i += 29 {
		b := bytes.Clone(whole)
		b[i] ^= 0xff
		if i%2 == 0 {
			b = b[:i]
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		if openError(path, Options{}) != nil {
			failed++
		}
	}
	if failed == 0 {
		t.Error("no damage was noticed")
	}
}

func TestAMissingColumnIsExplainedInOneLine(t *testing.T) {
	var have []string
	for i := range 32 {
		have = append(have, fmt.Sprintf("feature%d", i))
	}
	have[3] = "median_age"
	for name, want := range map[string]string{
		"median_aeg": `Did you mean "median_age"?`,
		"zzz":        "The columns are feature0, feature1, feature2, median_age, feature4, feature5, feature6, feature7, feature8, feature9 and 22 more.",
	} {
		if got := Hint(name, have); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}
