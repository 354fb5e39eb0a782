package formula

import (
	"encoding/json"
	"math"
	"math/big"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/flow-pipelines/flow/stages/table"
)

var columns = []table.Column{
	{Name: "t", Type: table.Text},
	{Name: "none", Type: table.Text},
	{Name: "word", Type: table.Text},
	{Name: "s", Type: table.String},
	{Name: "i", Type: table.Int},
	{Name: "f", Type: table.Float},
	{Name: "b", Type: table.Bool},
	{Name: "class names", Type: table.Text},
	{Name: "yes", Type: table.Text},
	{Name: "inone", Type: table.Int},
	{Name: "date", Type: table.Text},
}

var row = []table.Value{
	table.TextValue("41.0"),
	{},
	table.TextValue("NEAR BAY"),
	table.StringValue("Ünit 7"), table.IntValue(7), table.FloatValue(2.5),
	table.BoolValue(true), table.TextValue("x"), table.TextValue("True"),
	{},
	table.TextValue("2024-05-01"),
}

var constants = map[string]any{
	"var.limit": json.Number("3"), "var.half": json.Number("0.5"), "local.name": "NEAR BAY", "var.on": true,
	"var.cities": []any{"NEAR BAY", "INLAND"}, "var.object": map[string]any{"a": 1.0}, "var.nothing": nil,
}

// evaluate shows a result with its type: "int 7", "-" if it is missing.
func evaluate(t *testing.T, source string) string {
	t.Helper()
	f, err := Compile(source, constants, columns)
	if err != nil {
		return "error: " + err.Error()
	}
	v, err := f.Eval(row)
	switch {
	case err != nil:
		return "error: " + err.Error()
	case v.IsMissing():
		return "-"
	case v.Type() != f.Type():
		t.Errorf("%s: yields %s, declared %s", source, v.Type(), f.Type())
	}
	return v.Type().String() + " " + v.Text()
}

func TestExpressions(t *testing.T) {
	for source, want := range map[string]string{
		// Cells, literals, names of the pipeline.
		"row.t": "text 41.0", "row.i": "int 7", `row["class names"]`: "text x", "row.none": "-", "null": "-",
		"1": "int 1", "1.5": "float 1.5", "-3": "int -3", `"a"`: "string a", "true": "bool true",
		"var.limit": "int 3", "var.half": "float 0.5", "local.name": "string NEAR BAY", "var.nothing": "-",
		// Arithmetic: Text is floating-point, integers stay exact.
		"row.t + 1": "float 42", "row.i + 1": "int 8", "row.i / 2": "float 3.5", "row.i % 4": "int 3", "-row.i": "int -7",
		"row.f * 2": "float 5", "row.i * row.f": "float 17.5", "row.t % 2": "float 1", "(1 + 2) * 3": "int 9",
		"9007199254740993 + 0": "int 9007199254740993",
		// Missing runs through; so does what is no finite number.
		"row.none + 1": "-", "row.t / 0": "-", "row.i % 0": "-", "log(0)": "-", "sqrt(-1)": "-", "exp(1000)": "-", "row.inone * 2": "-",
		// Comparisons.
		"row.t > 40": "bool true", "row.t == 41": "bool true", `row.t == "41.0"`: "bool true", `row.t == "41"`: "bool false",
		"row.word == 3": "bool false", `row.word != "ISLAND"`: "bool true", "row.word == local.name": "bool true",
		"row.i >= var.limit": "bool true", "row.i == 7.0": "bool true", `row.date >= "2024-01-01"`: "bool true", "row.t < row.date": "bool false",
		"row.b == true": "bool true", "row.yes == true": "bool true", "row.yes != false": "bool true",
		"row.none == 3": "-", "row.none != 3": "-", "row.none > 3": "-", "row.none == row.none": "-",
		"row.none == null": "bool true", "row.t == null": "bool false", "null != row.t": "bool true", "null == null": "bool true",
		// Logic says what is certain.
		"row.none > 3 && false": "bool false", "row.none > 3 || true": "bool true", "row.none > 3 && true": "-", "false || row.none > 3": "-",
		"!(row.none > 3)": "-", "!row.b": "bool false", "row.yes && row.b": "bool true", "false && row.word > 3": "bool false",
		// Conditionals.
		`row.t > 40 ? "old" : "new"`: "string old", "row.none > 1 ? 1 : 2": "-", "row.b ? 1 : 2.5": "float 1", `row.t == null ? 0 : row.t`: "text 41.0",
		`row.none == null ? 0 : row.none`: "text 0", `row.b ? "x" : 1`: "string x", "row.b ? null : 1": "-",
		// Templates.
		`"${row.word}/${row.i}"`: "string NEAR BAY/7", `"${row.none}!"`: "-", `"${row.i}"`: "int 7", `""`: "string ",
		`"%{if row.b}yes%{else}no%{endif}"`: "string yes",
		// Functions.
		"abs(-2.5)": "float 2.5", "ceil(row.f)": "float 3", "floor(row.f)": "float 2", "round(row.f)": "float 3", "signum(-3)": "float -1",
		"sqrt(16)": "float 4", "log(8, 2)": "float 3", "log(1000, 10)": "float 3", "pow(2, 10)": "float 1024", "exp(0)": "float 1",
		"min(3, row.f, 9)": "float 2.5", "max(row.t, 3)": "float 41", "max(row.none, 3)": "-",
		"lower(row.word)": "string near bay", "upper(row.s)": "string ÜNIT 7", `trim(" a ")`: "string a", `trim("xax", "x")`: "string a", `trimspace(" a ")`: "string a",
		`replace(row.word, "NEAR", "BY")`: "string BY BAY", `replace(row.s, "/[0-9]+/", "#")`: "string Ünit #", "length(row.s)": "int 6",
		"substr(row.s, 0, 4)": "string Ünit", "substr(row.s, -1, -1)": "string 7", "substr(row.s, 9, 2)": "string ",
		`contains(row.word, "BAY")`: "bool true", `contains(["a", "NEAR BAY"], row.word)`: "bool true", "contains(var.cities, row.word)": "bool true",
		"contains([1, 2], row.none)": "-", "contains([41, 2], row.t)": "bool true", `contains([null, "q"], row.word)`: "bool false",
		`startswith(row.word, "NEAR")`: "bool true", `endswith(row.word, "NEAR")`: "bool false",
		`matches("^N.*Y$", row.word)`: "bool true", `regex("[0-9]+", row.s)`: "string 7", `regex("(N)E", row.word)`: "string N", `regex("q", row.word)`: "-",
		"coalesce(row.none, row.t)": "text 41.0", "coalesce(row.inone, 0)": "int 0", "coalesce(row.inone, 0.5)": "float 0.5", "coalesce(null)": "-",
		"tonumber(row.word)": "-", "tonumber(row.t)": "float 41", "tonumber(row.i)": "int 7", "tonumber(row.b)": "float 1",
		"tostring(row.i)": "string 7", "tobool(row.yes)": "bool true", "tobool(row.word)": "-",
	} {
		if got := evaluate(t, source); got != want {
			t.Errorf("%s: got %s, want %s", source, got, want)
		}
	}
}

func TestMistakesAreExplained(t *testing.T) {
	for source, want := range map[string]string{
		"row.wrod":                        `did you mean "word"?`,
		"row":                             "name one column",
		"row.t.x":                         "name one column",
		"row[1]":                          "columns have names",
		"word":                            "a column of the row is written row.word",
		"var.unknown":                     "var.unknown: not known here",
		"var.object":                      "not an object",
		"var.cities":                      "a list can stand only in contains",
		"[1]":                             "a list can stand only in contains",
		"row.s * 2":                       "row.s is a text, want a number; tonumber(…) converts",
		"row.s == 3":                      "row.s is a text, but 3 is a number",
		"row.b > true":                    "truth values have no order",
		"row.i && true":                   "row.i is a number, want a condition",
		"row.b ? 1 : true":                "1 is a number, but true is a truth value",
		"lowercase(row.s)":                "no function lowercase",
		"lowr(row.s)":                     "did you mean lower?",
		"pow(1)":                          "1 arguments, want pow(number, exponent)",
		"matches(row.s, row.s)":           "must not depend on the row",
		`matches("[", row.s)`:             "missing closing ]",
		"[for x in row.t : x]":            "not possible in an expression about rows",
		"1 +":                             "",
		"row.word > 3":                    `row.word: "NEAR BAY" is no number`,
		"3 < row.word":                    `row.word: "NEAR BAY" is no number`,
		"row.word + 1":                    `row.word: "NEAR BAY" is no number`,
		"row.word && true":                `row.word: "NEAR BAY" is neither true nor false`,
		"9223372036854775807 + row.i":     "beyond 64 bits",
		"9223372036854775807 * row.i":     "beyond 64 bits",
		strings.Repeat("!", 300) + "true": "nested more than",
	} {
		if got := evaluate(t, source); !strings.HasPrefix(got, "error: ") || !strings.Contains(got, want) {
			t.Errorf("%s: got %s, want an error with %q", source, got, want)
		}
	}
}

func TestAConditionThatIsMissingIsNotTrue(t *testing.T) {
	for source, want := range map[string]bool{"row.none > 3": false, "!(row.none > 3)": false, "row.yes": true, "null": false, "row.t > 3": true} {
		c, err := CompileCondition(source, constants, columns)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.Test(row); err != nil || got != want {
			t.Errorf("%s: got %v, %v, want %v", source, got, err, want)
		}
	}
	if _, err := CompileCondition("row.i + 1", nil, columns); err == nil {
		t.Error("a number is taken for a condition")
	}
}

// draw makes an expression without columns that have a value, together with
// whether it must be missing.
func drawNumber(t *rapid.T, depth int) (source string, missing bool) {
	if depth == 0 || rapid.Bool().Draw(t, "leaf") {
		if rapid.IntRange(0, 3).Draw(t, "cell") == 0 {
			return rapid.SampledFrom([]string{"row.none", "row.inone", "null"}).Draw(t, "missing"), true
		}
		return rapid.SampledFrom([]string{"1", "row.i", "row.f", "row.t", "2.5"}).Draw(t, "number"), false
	}
	l, lm := drawNumber(t, depth-1)
	r, rm := drawNumber(t, depth-1)
	op := rapid.SampledFrom([]string{"%s + %s", "%s - %s", "min(%s, %s)", "max(%s, %s)"}).Draw(t, "op")
	op = strings.Replace(strings.Replace(op, "%s", l, 1), "%s", r, 1)
	return "(" + op + ")", lm || rm
}

func TestMissingRunsThroughArithmeticAndComparisons(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		source, missing := drawNumber(r, 4)
		for _, s := range []string{source, source + " > 3", "!(" + source + " == 3)"} {
			if source == "null" && strings.Contains(s, "==") {
				continue // a test for missing, not a comparison with it
			}
			f, err := Compile(s, nil, columns)
			if err != nil {
				r.Fatalf("%s: %v", s, err)
			}
			v, err := f.Eval(row)
			if err != nil {
				r.Fatalf("%s: %v", s, err)
			}
			if v.IsMissing() != missing {
				r.Fatalf("%s: got %q, want missing: %v", s, v.Text(), missing)
			}
		}
	})
}

// && and || agree with what every completion of the missing values agrees on.
func TestLogicSaysWhatIsCertain(t *testing.T) {
	truth := []string{"true", "false", "row.none > 1"}
	for _, op := range []string{"&&", "||"} {
		for _, l := range truth {
			for _, r := range truth {
				results := map[bool]bool{}
				for _, x := range []bool{true, false} {
					for _, y := range []bool{true, false} {
						if (l == "true" && !x) || (l == "false" && x) || (r == "true" && !y) || (r == "false" && y) {
							continue
						}
						results[op == "&&" && x && y || op == "||" && (x || y)] = true
					}
				}
				want := "-"
				if len(results) == 1 {
					want = "bool " + strconv.FormatBool(results[true])
				}
				if got := evaluate(t, l+" "+op+" "+r); got != want {
					t.Errorf("%s %s %s: got %s, want %s", l, op, r, got, want)
				}
			}
		}
	}
}

func TestIntegersAreExactOrAnError(t *testing.T) {
	near := rapid.OneOf(rapid.Int64(), rapid.Int64Range(-5, 5), rapid.SampledFrom([]int64{math.MinInt64, math.MaxInt64, 1 << 32, -1 << 32}))
	compiled := map[string]*Formula{}
	for _, op := range []string{"+", "-", "*", "%"} {
		f, err := Compile("row.x "+op+" row.y", nil, []table.Column{{Name: "x", Type: table.Int}, {Name: "y", Type: table.Int}})
		if err != nil {
			t.Fatal(err)
		}
		compiled[op] = f
	}
	rapid.Check(t, func(t *rapid.T) {
		x, y := near.Draw(t, "x"), near.Draw(t, "y")
		for op, f := range compiled {
			v, err := f.Eval([]table.Value{table.IntValue(x), table.IntValue(y)})
			want, exact := exactly(op, x, y)
			got, _ := v.Int()
			switch {
			case op == "%" && y == 0:
				if !v.IsMissing() || err != nil {
					t.Fatalf("%d %% 0: got %d, %v", x, got, err)
				}
			case exact && (err != nil || got != want):
				t.Fatalf("%d %s %d: got %d, %v, want %d", x, op, y, got, err, want)
			case !exact && err == nil:
				t.Fatalf("%d %s %d: got %d, want an overflow", x, op, y, got)
			}
		}
	})
}

// exactly computes with numbers of any size.
func exactly(op string, x, y int64) (int64, bool) {
	a, b, z := big.NewInt(x), big.NewInt(y), new(big.Int)
	switch op {
	case "+":
		z.Add(a, b)
	case "-":
		z.Sub(a, b)
	case "*":
		z.Mul(a, b)
	case "%":
		if y == 0 {
			return 0, false
		}
		z.Rem(a, b)
	}
	return z.Int64(), z.IsInt64()
}

// FuzzCompile: no source makes the compiler or what it compiles panic, and the
// result is of the type that was announced.
func FuzzCompile(f *testing.F) {
	for _, s := range []string{
		"row.t > 3 && row.word != \"ISLAND\"", `"${row.i}-%{if row.b}x%{endif}"`, "coalesce(row.none, min(1, -row.f))",
		`contains(["a", var.limit], row.t)`, `replace(row.s, "/(.)/", "$1")`, "substr(row.s, -2, 5) == null ? 1 % 0 : pow(row.f, 1e300)",
		"[for x in row : x]", "row.*", "{a = 1}", "row[row.t]", "<<EOF\n${row.t}\nEOF\n", "1e999", "row.t.t", "!!!!-(((1)))",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, source string) {
		c, err := Compile(source, constants, columns)
		if err != nil {
			return
		}
		v, err := c.Eval(row)
		if err == nil && !v.IsMissing() && v.Type() != c.Type() {
			t.Errorf("yields %s, declared %s", v.Type(), c.Type())
		}
		again, errAgain := c.Eval(row)
		if again != v || (err == nil) != (errAgain == nil) {
			t.Errorf("a second evaluation gives %v, %v after %v, %v", again, errAgain, v, err)
		}
	})
}

func BenchmarkEval(b *testing.B) {
	f, err := Compile(`row.t > 3 && row.word != "ISLAND" && row.i / row.f < 100`, nil, columns)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := f.Eval(row); err != nil {
			b.Fatal(err)
		}
	}
}
