package formula

import (
	"fmt"
	"math"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/flow-pipelines/flow/stages/portable"
	"github.com/flow-pipelines/flow/stages/table"
)

// function compiles a call. Names, arguments and their order are Terraform's
// where it has the function.
type function struct {
	min, max int // number of arguments; max -1: any
	usage    string
	compile  func(args []node) (node, error)
}

// functions is the whole list; the documentation is made from it.
var functions = map[string]function{
	"abs":    numeric("abs(number)", math.Abs),
	"ceil":   numeric("ceil(number)", math.Ceil),
	"floor":  numeric("floor(number)", math.Floor),
	"round":  numeric("round(number), halves away from zero", math.Round),
	"sqrt":   numeric("sqrt(number)", math.Sqrt),
	"exp":    numeric("exp(number)", portable.Exp),
	"signum": numeric("signum(number): -1, 0 or 1", signum),
	"log":    {1, 2, "log(number), the natural logarithm, or log(number, base)", compileLog},
	"pow": {2, 2, "pow(number, exponent)", func(args []node) (node, error) {
		return numbers(args, func(x []float64) float64 { return portable.Pow(x[0], x[1]) })
	}},
	"min": {1, -1, "min(number, …)", func(args []node) (node, error) {
		return numbers(args, func(x []float64) float64 { return fold(x, math.Min) })
	}},
	"max": {1, -1, "max(number, …)", func(args []node) (node, error) {
		return numbers(args, func(x []float64) float64 { return fold(x, math.Max) })
	}},
	"lower":      text("lower(text)", func(s string) table.Value { return table.StringValue(strings.ToLower(s)) }),
	"upper":      text("upper(text)", func(s string) table.Value { return table.StringValue(strings.ToUpper(s)) }),
	"trimspace":  text("trimspace(text)", func(s string) table.Value { return table.StringValue(strings.TrimSpace(s)) }),
	"length":     {1, 1, "length(text), in characters", compileLength},
	"trim":       {1, 2, "trim(text), or trim(text, characters)", compileTrim},
	"replace":    {3, 3, "replace(text, old, new); /old/ is a regular expression", compileReplace},
	"substr":     {3, 3, "substr(text, offset, length), in characters; a negative offset counts from the end, length -1 is the rest", compileSubstr},
	"contains":   {2, 2, "contains(text, part), or contains([value, …], value)", texts(strings.Contains)},
	"startswith": {2, 2, "startswith(text, prefix)", texts(strings.HasPrefix)},
	"endswith":   {2, 2, "endswith(text, suffix)", texts(strings.HasSuffix)},
	"matches":    {2, 2, "matches(pattern, text): whether the regular expression occurs in the text", compileMatches},
	"regex":      {2, 2, "regex(pattern, text): the first match, or its first group; missing if there is none", compileRegex},
	"coalesce":   {1, -1, "coalesce(value, …): the first that is not missing", compileCoalesce},
	"tonumber":   {1, 1, "tonumber(value): missing if it is no number", converter(table.Float)},
	"tostring":   {1, 1, "tostring(value)", converter(table.String)},
	"tobool":     {1, 1, "tobool(value): missing if it is neither true nor false", converter(table.Bool)},
}

// Functions describes every function, by its name.
func Functions() map[string]string {
	usage := make(map[string]string, len(functions))
	for name, f := range functions {
		usage[name] = f.usage
	}
	return usage
}

func numeric(usage string, apply func(float64) float64) function {
	return function{1, 1, usage, func(args []node) (node, error) {
		return numbers(args, func(x []float64) float64 { return apply(x[0]) })
	}}
}

// numbers compiles a function of numbers. The arguments are evaluated into one
// slice, which the closure owns: a Formula is not used concurrently.
func numbers(args []node, apply func([]float64) float64) (node, error) {
	for i, arg := range args {
		n, err := number(arg)
		if err != nil {
			return node{}, err
		}
		args[i] = n
	}
	x := make([]float64, len(args))
	return node{typ: table.Float, eval: func(f *frame) table.Value {
		for i, arg := range args {
			var ok bool
			if x[i], ok = arg.eval(f).Float(); !ok {
				return table.Value{}
			}
		}
		return finite(apply(x))
	}}, nil
}

func fold(x []float64, f func(a, b float64) float64) float64 {
	r := x[0]
	for _, v := range x[1:] {
		r = f(r, v)
	}
	return r
}

func signum(x float64) float64 {
	switch {
	case x > 0:
		return 1
	case x < 0:
		return -1
	}
	return 0
}

func compileLog(args []node) (node, error) {
	if len(args) == 1 {
		return numbers(args, func(x []float64) float64 { return portable.Log(x[0]) })
	}
	return numbers(args, func(x []float64) float64 { return logBase(x[0], x[1]) })
}

// words compiles a function of the arguments' texts.
func words(args []node, t table.Type, apply func(f *frame, s []string) table.Value) node {
	s := make([]string, len(args))
	return node{typ: t, eval: func(f *frame) table.Value {
		for i, arg := range args {
			v := arg.eval(f)
			if v.IsMissing() {
				return v
			}
			s[i] = v.Text()
		}
		return apply(f, s)
	}}
}

func text(usage string, apply func(string) table.Value) function {
	return function{1, 1, usage, func(args []node) (node, error) {
		return words(args, table.String, func(_ *frame, s []string) table.Value { return apply(s[0]) }), nil
	}}
}

func texts(test func(s, part string) bool) func([]node) (node, error) {
	return func(args []node) (node, error) {
		return words(args, table.Bool, func(_ *frame, s []string) table.Value { return table.BoolValue(test(s[0], s[1])) }), nil
	}
}

func compileLength(args []node) (node, error) {
	return words(args, table.Int, func(_ *frame, s []string) table.Value {
		return table.IntValue(int64(utf8.RuneCountInString(s[0])))
	}), nil
}

func compileTrim(args []node) (node, error) {
	return words(args, table.String, func(_ *frame, s []string) table.Value {
		if len(s) == 1 {
			return table.StringValue(strings.TrimSpace(s[0]))
		}
		return table.StringValue(strings.Trim(s[0], s[1]))
	}), nil
}

func compileReplace(args []node) (node, error) {
	old := args[1].known.Text()
	if !args[1].constant || len(old) < 2 || old[0] != '/' || old[len(old)-1] != '/' {
		return words(args, table.String, func(_ *frame, s []string) table.Value {
			return table.StringValue(strings.ReplaceAll(s[0], s[1], s[2]))
		}), nil
	}
	re, err := regexp.Compile(old[1 : len(old)-1])
	if err != nil {
		return node{}, err
	}
	return words(args, table.String, func(_ *frame, s []string) table.Value {
		return table.StringValue(re.ReplaceAllString(s[0], s[2]))
	}), nil
}

func compileSubstr(args []node) (node, error) {
	rest := args[1:]
	for i := range rest {
		if rest[i].typ != table.Int {
			return node{}, fmt.Errorf("%s is no whole number", rest[i].source)
		}
	}
	return node{typ: table.String, eval: func(f *frame) table.Value {
		v := args[0].eval(f)
		offset, ok := rest[0].eval(f).Int()
		length, ok2 := rest[1].eval(f).Int()
		if v.IsMissing() || !ok || !ok2 {
			return table.Value{}
		}
		return table.StringValue(substr(v.Text(), offset, length))
	}}, nil
}

func substr(s string, offset, length int64) string {
	r := []rune(s)
	n := int64(len(r))
	if offset < 0 {
		offset += n
	}
	if offset = max(offset, 0); offset >= n {
		return ""
	}
	end := n
	if length >= 0 && length < n-offset {
		end = offset + length
	}
	return string(r[offset:end])
}

// pattern compiles the regular expression that a call's first argument is. It
// must not depend on the row, so that its mistakes show before the first one.
func pattern(args []node) (*regexp.Regexp, error) {
	if !args[0].constant || args[0].typ != table.String {
		return nil, fmt.Errorf("the pattern comes first and must not depend on the row")
	}
	return regexp.Compile(args[0].known.Text())
}

func compileMatches(args []node) (node, error) {
	re, err := pattern(args)
	if err != nil {
		return node{}, err
	}
	return words(args[1:], table.Bool, func(_ *frame, s []string) table.Value { return table.BoolValue(re.MatchString(s[0])) }), nil
}

func compileRegex(args []node) (node, error) {
	re, err := pattern(args)
	if err != nil {
		return node{}, err
	}
	group := min(re.NumSubexp(), 1)
	return words(args[1:], table.String, func(_ *frame, s []string) table.Value {
		at := re.FindStringSubmatchIndex(s[0])
		if at == nil || at[2*group] < 0 {
			return table.Value{}
		}
		return table.StringValue(s[0][at[2*group]:at[2*group+1]])
	}), nil
}

func compileCoalesce(args []node) (node, error) {
	t, err := unify(args...)
	if err != nil {
		return node{}, err
	}
	for i := range args {
		args[i] = args[i].as(t)
	}
	return node{typ: t, eval: func(f *frame) table.Value {
		for _, arg := range args {
			if v := arg.eval(f); !v.IsMissing() {
				return v
			}
		}
		return table.Value{}
	}}, nil
}

func converter(t table.Type) func([]node) (node, error) {
	return func(args []node) (node, error) {
		n := args[0]
		if t == table.Float && n.typ == table.Int {
			return n, nil
		}
		return node{typ: t, eval: func(f *frame) table.Value {
			v, ok := n.eval(f).Convert(t)
			if !ok {
				return table.Value{}
			}
			return v
		}}, nil
	}
}
