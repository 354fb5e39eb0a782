package config

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"math/big"
	"net/url"
	"path"
	"strings"

	"github.com/flow-pipelines/flow/engine/suggest"
	yaml "github.com/zclconf/go-cty-yaml"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// functions are what expressions can call. All are pure: the same arguments
// and files of the project give the same value, for the values end up in keys.
// env is the exception, and has to be declared.
type functions struct {
	table map[string]function.Function
	files *projectFiles
}

func newFunctions(dir string, env *environment, hidden *secrets, seen *looks) *functions {
	f := &functions{table: pureFunctions()}
	files := newProjectFiles(dir, seen)
	f.files = files
	maps.Copy(f.table, reader{project: files}.functions(f.table))
	maps.Copy(f.table, map[string]function.Function{
		"env":       env.function(),
		"sensitive": sensitiveFunction(hidden.add), "nonsensitive": sensitiveFunction(nil),
	})
	for name, why := range map[string]string{
		"timestamp":     "every plan would find a new value and run the stage again",
		"plantimestamp": "every plan would find a new value and run the stage again",
		"uuid":          "every plan would find a new value and run the stage again",
		"bcrypt":        "it gives another value each time, so that every plan would run the stage again",
		"pathexpand":    "home directories differ between people, and a key holds for all of them",
		"abspath":       "absolute paths differ between machines, and a key holds for all of them",
	} {
		f.table[name] = refused(name, why)
	}
	return f
}

// refusal says why there is no such function.
type refusal struct{ name, why string }

func (r *refusal) Error() string { return fmt.Sprintf("flow has no function %s: %s", r.name, r.why) }

// refused is a function that explains why there is none of this name.
func refused(name, why string) function.Function {
	fail := func([]cty.Value) (cty.Type, error) {
		return cty.DynamicPseudoType, &refusal{name, why}
	}
	return function.New(&function.Spec{
		VarParam: &function.Parameter{Name: "arguments", Type: cty.DynamicPseudoType, AllowNull: true, AllowDynamicType: true},
		Type:     fail,
		Impl: func([]cty.Value, cty.Type) (cty.Value, error) {
			panic("BUG: a refused function was called")
		},
	})
}

func pureFunctions() map[string]function.Function {
	return map[string]function.Function{
		"abs": stdlib.AbsoluteFunc, "ceil": stdlib.CeilFunc, "floor": stdlib.FloorFunc,
		"log": finite(stdlib.LogFunc, "only a number above zero has a logarithm, and the base is above zero and not 1"), "max": stdlib.MaxFunc, "min": stdlib.MinFunc,
		"parseint": stdlib.ParseIntFunc, "pow": finite(stdlib.PowFunc, "the power is no real number, or too large for one of 64 bits"), "signum": stdlib.SignumFunc,
		"sum": sumFunction(),

		"chunklist": stdlib.ChunklistFunc, "coalesce": stdlib.CoalesceFunc,
		"coalescelist": stdlib.CoalesceListFunc, "compact": stdlib.CompactFunc,
		"concat": stdlib.ConcatFunc, "contains": stdlib.ContainsFunc,
		"distinct": stdlib.DistinctFunc, "element": stdlib.ElementFunc,
		"flatten": stdlib.FlattenFunc, "index": stdlib.IndexFunc, "keys": stdlib.KeysFunc,
		"length": lengthFunction(), "lookup": stdlib.LookupFunc, "merge": stdlib.MergeFunc,
		"one": oneFunction(), "range": rangeFunction(), "reverse": stdlib.ReverseListFunc,
		"setintersection": stdlib.SetIntersectionFunc, "setproduct": stdlib.SetProductFunc,
		"setsubtract": stdlib.SetSubtractFunc, "setunion": stdlib.SetUnionFunc,
		"slice": stdlib.SliceFunc, "sort": stdlib.SortFunc, "values": stdlib.ValuesFunc,
		"zipmap": stdlib.ZipmapFunc, "alltrue": allFunction(true), "anytrue": allFunction(false),

		"chomp": stdlib.ChompFunc, "format": stdlib.FormatFunc, "formatlist": stdlib.FormatListFunc,
		"indent": stdlib.IndentFunc, "join": stdlib.JoinFunc, "lower": stdlib.LowerFunc,
		"regex": stdlib.RegexFunc, "regexall": stdlib.RegexAllFunc, "replace": replaceFunction(),
		"split": stdlib.SplitFunc, "strrev": stdlib.ReverseFunc, "substr": stdlib.SubstrFunc,
		"title": stdlib.TitleFunc, "trim": stdlib.TrimFunc, "trimprefix": stdlib.TrimPrefixFunc,
		"trimspace": stdlib.TrimSpaceFunc, "trimsuffix": stdlib.TrimSuffixFunc, "upper": stdlib.UpperFunc,
		"startswith":  textTest("text", "prefix", strings.HasPrefix),
		"endswith":    textTest("text", "suffix", strings.HasSuffix),
		"strcontains": textTest("text", "part", strings.Contains),

		"jsonencode": stdlib.JSONEncodeFunc, "jsondecode": stdlib.JSONDecodeFunc,
		"yamlencode": yaml.YAMLEncodeFunc, "yamldecode": yaml.YAMLDecodeFunc,
		"csvdecode":    stdlib.CSVDecodeFunc,
		"base64encode": textFunction("text", func(s string) (string, error) { return base64.StdEncoding.EncodeToString([]byte(s)), nil }),
		"base64decode": textFunction("text", decodeBase64),
		"urlencode":    textFunction("text", func(s string) (string, error) { return url.QueryEscape(s), nil }),
		"md5":          textFunction("text", func(s string) (string, error) { h := md5.Sum([]byte(s)); return hex.EncodeToString(h[:]), nil }),
		"sha1":         textFunction("text", func(s string) (string, error) { h := sha1.Sum([]byte(s)); return hex.EncodeToString(h[:]), nil }),
		"sha256":       textFunction("text", func(s string) (string, error) { h := sha256.Sum256([]byte(s)); return hex.EncodeToString(h[:]), nil }),
		"sha512":       textFunction("text", func(s string) (string, error) { h := sha512.Sum512([]byte(s)); return hex.EncodeToString(h[:]), nil }),
		"formatdate":   stdlib.FormatDateFunc, "timeadd": stdlib.TimeAddFunc,

		"basename": textFunction("path", func(s string) (string, error) { return path.Base(s), nil }),
		"dirname":  textFunction("path", func(s string) (string, error) { return path.Dir(s), nil }),

		"tobool": stdlib.MakeToFunc(cty.Bool), "tonumber": stdlib.MakeToFunc(cty.Number),
		"tostring": toString(),
		"tolist":   collectionFunction(cty.List),
		"tomap":    collectionFunction(cty.Map),
		"toset":    collectionFunction(cty.Set),
		"try":      tryFunction(), "can": canFunction(),
	}
}

func decodeBase64(s string) (string, error) {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return "", fmt.Errorf("not base64: %w", err)
	}
	return string(b), nil
}

// textFunction makes a function from text to text.
func textFunction(param string, f func(string) (string, error)) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: param, Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			s, err := f(args[0].AsString())
			if err != nil {
				return cty.NilVal, err
			}
			return cty.StringVal(s), nil
		},
	})
}

func textTest(a, b string, f func(string, string) bool) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: a, Type: cty.String}, {Name: b, Type: cty.String}},
		Type:   function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return cty.BoolVal(f(args[0].AsString(), args[1].AsString())), nil
		},
	})
}

// replaceFunction replaces text, or, between slashes, a regular expression.
func replaceFunction() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "text", Type: cty.String}, {Name: "substring", Type: cty.String}, {Name: "replacement", Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			s := args[1].AsString()
			if len(s) > 1 && s[0] == '/' && s[len(s)-1] == '/' {
				return stdlib.RegexReplace(args[0], cty.StringVal(s[1:len(s)-1]), args[2])
			}
			return stdlib.Replace(args[0], args[1], args[2])
		},
	})
}

// collectionFunction is tolist, tomap or toset. cty compares the types of all
// elements in pairs to find one that they have in common, which for 8,000
// instances of a block takes seconds. As a rule they have it already.
func collectionFunction(of func(cty.Type) cty.Type) function.Function {
	want := of(cty.DynamicPseudoType)
	general := stdlib.MakeToFunc(want)
	return function.New(&function.Spec{
		Params: general.Params(),
		Type: func(args []cty.Value) (cty.Type, error) {
			if alike(args[0].Type(), want) {
				return want, nil
			}
			return general.ReturnTypeForValues(args)
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			v := args[0]
			switch {
			case v.IsNull() || !alike(v.Type(), want):
				return general.Call(args)
			case want.IsMapType():
				return cty.MapVal(v.AsValueMap()), nil
			case want.IsSetType():
				return cty.SetVal(v.AsValueSlice()), nil
			}
			return cty.ListVal(v.AsValueSlice()), nil
		},
	})
}

// alike reports whether t is a tuple, or for a map an object, whose elements are
// all of one type.
func alike(t, want cty.Type) bool {
	first, n := cty.NilType, 0
	same := func(e cty.Type) bool {
		n++
		if n == 1 {
			first = e
		}
		return e.Equals(first)
	}
	switch {
	case want.IsMapType() && t.IsObjectType():
		for _, e := range t.AttributeTypes() {
			if !same(e) {
				return false
			}
		}
	case !want.IsMapType() && t.IsTupleType():
		for _, e := range t.TupleElementTypes() {
			if !same(e) {
				return false
			}
		}
	}
	return n > 0
}

// lengthFunction counts elements, or the letters of a text.
func lengthFunction() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType, AllowDynamicType: true, AllowUnknown: true, AllowMarked: true}},
		Type: func(args []cty.Value) (cty.Type, error) {
			t := args[0].Type()
			if t == cty.String || t.IsCollectionType() || t.IsTupleType() || t.IsObjectType() || t == cty.DynamicPseudoType {
				return cty.Number, nil
			}
			return cty.Number, function.NewArgErrorf(0, "a list, a map or a text is needed")
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			// How many there are depends on the list, not on what is in it.
			v, marks := args[0].Unmark()
			n, err := length(v)
			return n.WithMarks(marks), err
		},
	})
}

func length(v cty.Value) (cty.Value, error) {
	t := v.Type()
	switch {
	case t == cty.DynamicPseudoType:
		return cty.UnknownVal(cty.Number), nil
	case t == cty.String:
		return stdlib.Strlen(v)
	case t.IsTupleType():
		return cty.NumberIntVal(int64(len(t.TupleElementTypes()))), nil
	case t.IsObjectType():
		return cty.NumberIntVal(int64(len(t.AttributeTypes()))), nil
	}
	return v.Length(), nil
}

// elements returns the elements of a list, set or tuple.
func elements(v cty.Value, arg int) ([]cty.Value, error) {
	t := v.Type()
	if !t.IsListType() && !t.IsSetType() && !t.IsTupleType() {
		return nil, function.NewArgErrorf(arg, "a list is needed")
	}
	return v.AsValueSlice(), nil
}

func sumFunction() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "numbers", Type: cty.DynamicPseudoType}},
		Type:   function.StaticReturnType(cty.Number),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			items, err := elements(args[0], 0)
			if err != nil {
				return cty.NilVal, err
			}
			total := cty.NumberVal(new(big.Float))
			for i, item := range items {
				n, err := convert.Convert(item, cty.Number)
				if err != nil || n.IsNull() {
					return cty.NilVal, function.NewArgErrorf(0, "entry %d is not a number", i)
				}
				if !n.IsKnown() {
					return cty.UnknownVal(cty.Number), nil
				}
				total = total.Add(n)
			}
			return total, nil
		},
	})
}

// allFunction is alltrue or anytrue.
func allFunction(all bool) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "values", Type: cty.List(cty.Bool)}},
		Type:   function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			unknown := false
			for _, v := range args[0].AsValueSlice() {
				switch {
				case !v.IsKnown():
					unknown = true
				case v.IsNull() || v.False():
					if all {
						return cty.False, nil
					}
				case !all:
					return cty.True, nil
				}
			}
			if unknown {
				return cty.UnknownVal(cty.Bool), nil
			}
			return cty.BoolVal(all), nil
		},
	})
}

// oneFunction takes the only element of a list, null if it is empty.
func oneFunction() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "list", Type: cty.DynamicPseudoType}},
		Type: func(args []cty.Value) (cty.Type, error) {
			t := args[0].Type()
			switch {
			case t.IsListType() || t.IsSetType():
				return t.ElementType(), nil
			case t.IsTupleType() && len(t.TupleElementTypes()) == 1:
				return t.TupleElementType(0), nil
			case t.IsTupleType() && len(t.TupleElementTypes()) == 0:
				return cty.DynamicPseudoType, nil
			}
			return cty.NilType, function.NewArgErrorf(0, "a list with at most one entry is needed")
		},
		Impl: func(args []cty.Value, t cty.Type) (cty.Value, error) {
			items := args[0].AsValueSlice()
			switch len(items) {
			case 0:
				return cty.NullVal(t), nil
			case 1:
				return items[0], nil
			}
			return cty.NilVal, function.NewArgErrorf(0, "a list with at most one entry is needed, this one has %d", len(items))
		},
	})
}

// sensitiveFunction adds the mark of sensitive values, and has them noted, or, if
// nobody notes them, takes it off.
func sensitiveFunction(note func(cty.Value)) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType, AllowUnknown: true, AllowNull: true, AllowMarked: true, AllowDynamicType: true}},
		Type:   func(args []cty.Value) (cty.Type, error) { return args[0].Type(), nil },
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			if note != nil {
				note(args[0])
				return args[0].Mark(sensitiveMark{}), nil
			}
			v, marks := args[0].Unmark()
			delete(marks, sensitiveMark{})
			return v.WithMarks(marks), nil
		},
	})
}

// unknown explains that there is no function of a name.
func (f *functions) unknown(name string) string {
	for _, known := range []struct{ name, instead string }{
		{"getenv", "The function is called env; the pipeline block lists the names that it may read."},
		{"len", "The function is called length."},
		{"str", "The function is called tostring."},
		{"int", "The function is called floor, or, for a text, tonumber."},
		{"float", "The function is called tonumber."},
		{"list", "A list is written [a, b]."},
		{"map", "A map is written { a = 1 }."},
		{"round", "floor(x + 0.5) rounds."},
	} {
		if known.name == name {
			return known.instead
		}
	}
	if s := suggest.Nearest(name, mapKeys(f.table)); s != "" {
		return fmt.Sprintf("Did you mean %s?", s)
	}
	return "flow has the functions that Terraform has, as far as they give the same value each time."
}
