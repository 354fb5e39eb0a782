package config

import (
	"encoding/base64"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/flow-pipelines/flow/engine/suggest"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// reader is what the functions that read files read: files of the project, and
// what stages have written. To those a path leads that is, or begins with, the
// path of an output, which its mark tells from a text that looks the same:
//
//	jsondecode(file(exec.list.path))
//	fileset(exec.shards.path, "*.csv")
//
// What is read there is the output's content in this evaluation, wherever that
// is; while it is not known, so is what the function returns. The result is
// made from the stage, as its metrics are, and does not stand for the output:
// a stage that uses one entry of a list runs again if the entry changes, and
// not if another does.
type reader struct {
	project *projectFiles
	written func(outputMark) Content // nil: nothing is known of what stages write
}

// callable are the functions of the evaluation's expressions.
func (ev *evaluation) callable() map[string]function.Function {
	if ev.functions == nil {
		ev.functions = maps.Clone(ev.p.funcs.table)
		maps.Copy(ev.functions, reader{ev.p.funcs.files, ev.content}.functions(ev.p.funcs.table))
	}
	return ev.functions
}

// functions returns those that read files. others are what templates can call.
func (r reader) functions(others map[string]function.Function) map[string]function.Function {
	inTemplates := maps.Clone(others)
	inTemplates["file"] = r.function("file", cty.String, r.text)
	return map[string]function.Function{
		"file": inTemplates["file"],
		"filebase64": r.function("filebase64", cty.String, func(at whereabouts) (cty.Value, error) {
			b, err := r.bytes(at)
			return cty.StringVal(base64.StdEncoding.EncodeToString(b)), err
		}),
		"filedigest":   r.function("filedigest", cty.String, r.digest),
		"fileexists":   r.function("fileexists", cty.Bool, r.exists),
		"fileset":      r.fileset(),
		"templatefile": r.template(inTemplates),
	}
}

// whereabouts is a path, of a file of the project or in what a stage has written.
type whereabouts struct {
	text    string
	written Content // nil: the project's
	stage   outputMark
	rel     string // in the output; "" is the output itself
}

// find finds out where a path leads. Its marks are those of what is read there.
// known is false as long as that is not known.
func (r reader) find(path cty.Value) (at whereabouts, marks cty.ValueMarks, known bool) {
	path, marks = path.Unmark()
	if !path.IsKnown() {
		return at, marks, false
	}
	at.text = path.AsString()
	var f found
	f.add(marks)
	for _, o := range f.outputs {
		rel, ok := strings.CutPrefix(at.text, o.path)
		if !ok || rel != "" && rel[0] != '/' {
			continue
		}
		marks = maps.Clone(marks)
		delete(marks, o)
		marks[instanceMark{o.addr}] = struct{}{}
		at.stage, at.rel = o, strings.Trim(rel, "/")
		if r.written != nil {
			at.written = r.written(o)
		}
		return at, marks, at.written != nil
	}
	return at, marks, true
}

// ask notes that a function reads there, if that is in the project.
func (r reader) ask(function string, at whereabouts) {
	if clean, problem := projectPath(at.text); at.written == nil && problem == "" {
		r.project.ask(request{function: function, argument: at.text, path: clean})
	}
}

// function makes a function of a path.
func (r reader) function(name string, t cty.Type, read func(whereabouts) (cty.Value, error)) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "path", Type: cty.String, AllowMarked: true, AllowUnknown: true}},
		Type:   function.StaticReturnType(t),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			at, marks, known := r.find(args[0])
			if !known {
				return cty.UnknownVal(t).WithMarks(marks), nil
			}
			r.ask(name, at)
			v, err := read(at)
			if err != nil {
				return cty.NilVal, err
			}
			return v.WithMarks(marks), nil
		},
	})
}

// file returns the file of an output that the path names.
func (at whereabouts) file() (File, error) {
	files := at.written.Files()
	i, ok := slices.BinarySearchFunc(files, at.rel, func(f File, rel string) int { return strings.Compare(f.Path, rel) })
	if ok {
		return files[i], nil
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Path)
	}
	below := at.rel + "/"
	switch {
	case at.rel == "", slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, below) }):
		return File{}, function.NewArgErrorf(0, "%s is a directory that %s writes; name a file in it, or list them with fileset", at.text, at.stage.addr)
	case len(names) == 0:
		return File{}, function.NewArgErrorf(0, "there is no file %s: the directory that %s has written is empty", at.text, at.stage.addr)
	case len(names) == 1 && names[0] == "":
		return File{}, function.NewArgErrorf(0, "there is no file %s: %s writes a file %s, and no directory", at.text, at.stage.addr, at.stage.path)
	}
	if s := suggest.Nearest(at.rel, names); s != "" {
		return File{}, function.NewArgErrorf(0, "there is no file %s; perhaps %s/%s is meant", at.text, at.stage.path, s)
	}
	return File{}, function.NewArgErrorf(0, "there is no file %s; %s has written %s there", at.text, at.stage.addr, list(names, 5))
}

func (r reader) bytes(at whereabouts) ([]byte, error) {
	if at.written == nil {
		return r.project.content(at.text)
	}
	f, err := at.file()
	if err != nil {
		return nil, err
	}
	if f.Size > maxFile {
		return nil, function.NewArgErrorf(0, "%s is larger than %d MiB: data is read by stages, not by functions", at.text, maxFile>>20)
	}
	b, err := at.written.Read(f)
	if err != nil {
		return nil, function.NewArgErrorf(0, "cannot read %s: %w", at.text, err)
	}
	return b, nil
}

func (r reader) text(at whereabouts) (cty.Value, error) {
	b, err := r.bytes(at)
	if err != nil {
		return cty.NilVal, err
	}
	if !utf8.Valid(b) {
		return cty.NilVal, function.NewArgErrorf(0, "%s is not UTF-8 text; filebase64 reads any file", at.text)
	}
	return cty.StringVal(string(b)), nil
}

func (r reader) digest(at whereabouts) (cty.Value, error) {
	if at.written == nil {
		d, err := r.project.digest(at.text)
		return cty.StringVal(d), err
	}
	f, err := at.file()
	return cty.StringVal(f.Digest.String()), err
}

func (r reader) exists(at whereabouts) (cty.Value, error) {
	if at.written == nil {
		ok, err := r.project.exists(at.text)
		return cty.BoolVal(ok), err
	}
	return cty.BoolVal(slices.ContainsFunc(at.written.Files(), func(f File) bool { return f.Path == at.rel })), nil
}

func (r reader) fileset() function.Function {
	t := cty.Set(cty.String)
	return function.New(&function.Spec{
		Params: []function.Parameter{
			{Name: "dir", Type: cty.String, AllowMarked: true, AllowUnknown: true},
			{Name: "pattern", Type: cty.String, AllowMarked: true, AllowUnknown: true},
		},
		Type: function.StaticReturnType(t),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			at, marks, known := r.find(args[0])
			glob, more := args[1].Unmark()
			if !known || !glob.IsKnown() {
				return cty.UnknownVal(t).WithMarks(marks, more), nil
			}
			pattern := glob.AsString()
			if strings.HasPrefix(pattern, "/") || slices.Contains(strings.Split(pattern, "/"), "..") || !doublestar.ValidatePattern(pattern) {
				return cty.NilVal, function.NewArgErrorf(1, "%q is not a pattern of paths below the directory", pattern)
			}
			names, err := r.list(at, pattern)
			if err != nil {
				return cty.NilVal, err
			}
			values := make([]cty.Value, len(names))
			for i, n := range names {
				values[i] = cty.StringVal(n)
			}
			if len(names) == 0 {
				return cty.SetValEmpty(cty.String).WithMarks(marks, more), nil
			}
			return cty.SetVal(values).WithMarks(marks, more), nil
		},
	})
}

// list returns the files below a directory that a pattern matches.
func (r reader) list(at whereabouts, pattern string) ([]string, error) {
	if at.written == nil {
		return r.project.set(at.text, pattern)
	}
	var names []string
	for _, f := range at.written.Files() {
		name := f.Path
		if name == at.rel {
			return nil, function.NewArgErrorf(0, "%s is a file; file reads it", at.text)
		}
		if at.rel != "" {
			var below bool
			if name, below = strings.CutPrefix(name, at.rel+"/"); !below {
				continue
			}
		}
		if doublestar.MatchUnvalidated(pattern, name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// template renders a file with variables. A template cannot render others.
func (r reader) template(inTemplates map[string]function.Function) function.Function {
	render := func(args []cty.Value) (cty.Value, error) {
		at, marks, known := r.find(args[0])
		vars, more := args[1].UnmarkDeep()
		if !known || !vars.IsKnown() {
			return cty.DynamicVal.WithMarks(marks, more), nil
		}
		r.ask("templatefile", at)
		name := at.text
		src, err := r.text(at)
		if err != nil {
			return cty.NilVal, err
		}
		expr, diags := hclsyntax.ParseTemplate([]byte(src.AsString()), name, hcl.InitialPos)
		if diags.HasErrors() {
			return cty.NilVal, function.NewArgError(0, diags)
		}
		if t := vars.Type(); !t.IsObjectType() && !t.IsMapType() {
			return cty.NilVal, function.NewArgErrorf(1, "the variables are an object: { NAME = VALUE }")
		}
		ctx := &hcl.EvalContext{Variables: vars.AsValueMap(), Functions: inTemplates}
		for _, t := range expr.Variables() {
			if _, ok := ctx.Variables[t.RootName()]; !ok {
				return cty.NilVal, function.NewArgErrorf(1, "%s uses %s (%s:%d), which is not among the variables", name, t.RootName(), name, t.SourceRange().Start.Line)
			}
		}
		v, diags := expr.Value(ctx)
		if diags.HasErrors() {
			return cty.NilVal, diags
		}
		return v.WithMarks(marks, more), nil
	}
	return function.New(&function.Spec{
		Params: []function.Parameter{
			{Name: "path", Type: cty.String, AllowMarked: true, AllowUnknown: true},
			{Name: "variables", Type: cty.DynamicPseudoType, AllowMarked: true, AllowUnknown: true, AllowDynamicType: true},
		},
		Type: func(args []cty.Value) (cty.Type, error) {
			v, err := render(args)
			if err != nil {
				return cty.NilType, err
			}
			return v.Type(), nil
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) { return render(args) },
	})
}
