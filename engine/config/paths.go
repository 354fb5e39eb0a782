package config

import (
	"cmp"
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/stage"
)

// place is an output on the map of the project, or where a stage acts outside of
// its outputs; that has no out.
type place struct {
	path  string
	owner *Stage
	out   *stage.Output
}

func (p place) String() string { return fmt.Sprintf("the output %q of %s", p.out.Name, p.owner.Addr) }

// checkPaths looks across stages: two that would write one file, and inputs
// that name by path what another stage writes, so that the order would be
// left to chance.
func (p *Pipeline) checkPaths() hcl.Diagnostics {
	var places []place
	for _, at := range p.placed {
		if at.in.stage.Job == nil {
			continue
		}
		for i := range at.in.stage.Job.Outputs {
			o := &at.in.stage.Job.Outputs[i]
			places = append(places, place{o.Path, at.in.stage, o})
		}
	}
	diags := overlaps(places, p.collision)
	p.written = slices.DeleteFunc(places, func(q place) bool { return q.owner.Job.Given })
	return slices.Concat(diags, p.checkEffects(), p.checkInputs())
}

// overlaps judges each place that lies at or in another. Sorted by path, what lies
// below a directory follows it at once, so one pass with a stack is enough.
func overlaps(places []place, judge func(inner, outer place) hcl.Diagnostics) hcl.Diagnostics {
	slices.SortStableFunc(places, func(a, b place) int {
		return cmp.Or(comparePaths(a.path, b.path), addr.Compare(a.owner.Addr, b.owner.Addr))
	})
	var diags hcl.Diagnostics
	var above []place
	for _, q := range places {
		for len(above) > 0 && !within(q.path, above[len(above)-1].path) {
			above = above[:len(above)-1]
		}
		if len(above) > 0 {
			diags = append(diags, judge(q, above[len(above)-1])...)
		}
		above = append(above, q)
	}
	return diags
}

// checkEffects looks for stages that act on one place outside of the project's
// outputs, as two that deploy to one directory: each would undo what the other
// did, with every apply anew.
func (p *Pipeline) checkEffects() hcl.Diagnostics {
	var places []place
	for _, at := range p.placed {
		st := at.in.stage
		lasting, ok := st.Type.(stage.Lasting)
		if !ok || st.Job == nil {
			continue
		}
		if at := lasting.Place(p.dir, st.Args); at != "" {
			places = append(places, place{path: filepath.ToSlash(at), owner: st})
		}
	}
	return overlaps(places, p.rivals)
}

// rivals are two stages of which one acts where the other does, or within.
func (p *Pipeline) rivals(inner, outer place) hcl.Diagnostics {
	other := fmt.Sprintf("%s (%s:%d)", outer.owner.Addr, outer.owner.Range.Filename, outer.owner.Range.Start.Line)
	rng := p.ArgRange(inner.owner.Addr, "")
	if inner.path == outer.path {
		return hcl.Diagnostics{errorAt(rng, "Two stages that act on one place",
			fmt.Sprintf("%s acts where %s does, and each would undo what the other did. Give one of them another place, or let one stage choose what goes there.", inner.owner.Addr, other))}
	}
	return hcl.Diagnostics{errorAt(rng, "A stage that acts within another's place",
		fmt.Sprintf("%s acts inside the place of %s, which is for that alone. Give one of them another place.", inner.owner.Addr, other))}
}

// Writer returns the stage that writes what lies at a path of the project,
// among those whose instances are known.
func (p *Pipeline) Writer(name string) (addr.Address, bool) {
	p.evaluateBase()
	q := holderOf(name, p.written)
	if q == nil {
		return addr.Address{}, false
	}
	return q.owner.Addr, true
}

// collision judges an output that lies at or in another. Two stages may watch
// the same files of the user; nothing else may share a place.
func (p *Pipeline) collision(inner, outer place) hcl.Diagnostics {
	if inner.owner.Job.Given && outer.owner.Job.Given {
		return nil
	}
	rng := p.ArgRange(inner.owner.Addr, "outputs."+inner.out.Name)
	at := fmt.Sprintf("%s:%d", outer.owner.Range.Filename, outer.owner.Range.Start.Line)
	if inner.path == outer.path {
		return hcl.Diagnostics{errorAt(rng, "Two stages with one output path",
			fmt.Sprintf("%s and %s (%s) are both %q. Give one of them another path.", capital(inner.String()), outer, at, inner.path))}
	}
	return hcl.Diagnostics{errorAt(rng, "An output inside another output",
		fmt.Sprintf("%s, %q, lies in %s (%s), %q. Give one of them another path.", capital(inner.String()), inner.path, outer, at, outer.path))}
}

// checkInputs looks at inputs that are paths or globs.
func (p *Pipeline) checkInputs() hcl.Diagnostics {
	var diags hcl.Diagnostics
	named := map[string]*place{} // many stages may read the same
	for _, at := range p.placed {
		if at.in.stage.Job == nil {
			continue
		}
		for _, input := range at.in.stage.Job.Inputs {
			if input.From != nil {
				continue
			}
			q, known := named[input.Path]
			if !known {
				q = p.namedBy(input.Path)
				named[input.Path] = q
			}
			if q != nil {
				diags = append(diags, p.byPath(at.in.stage, input, *q))
			}
		}
	}
	return diags
}

func (p *Pipeline) byPath(s *Stage, input stage.Input, q place) *hcl.Diagnostic {
	rng := p.ArgRange(s.Addr, input.Role)
	switch {
	case q.owner == s:
		return errorAt(rng, "An output is also an input", fmt.Sprintf("%s would read %q and write it too. A stage leaves its inputs as they are: write to another path.", s.Addr, q.path))
	case isGlob(input.Path):
		return errorAt(rng, "The output of a stage is named by a glob",
			fmt.Sprintf("%q takes in %s, %q. Write %s.%s instead, or name the files more narrowly: so flow knows that %s comes after it.", input.Path, q, q.path, q.owner.Addr, q.out.Name, s.Addr))
	}
	return errorAt(rng, "The output of a stage is named by its path",
		fmt.Sprintf("%q is %s. Write %s.%s instead of the path, so that flow knows that %s comes after it.", input.Path, q, q.owner.Addr, q.out.Name, s.Addr))
}

// checkReads looks at what functions have read of the project's files.
func (p *Pipeline) checkReads() hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, r := range p.funcs.files.requests() {
		q := p.namedBy(r.path)
		for i := 0; i < len(r.found) && q == nil; i++ {
			q = holderOf(r.found[i], p.written)
		}
		if q == nil {
			continue
		}
		d := &hcl.Diagnostic{Severity: hcl.DiagError, Subject: p.callRange(r)}
		d.Summary, d.Detail = readByPath(r.function, *q)
		diags = append(diags, d)
	}
	return diags
}

func readByPath(function string, q place) (summary, detail string) {
	more := ""
	if function == "fileset" || function == "templatefile" {
		more = ", …"
	}
	return "A function reads the output of a stage by its path",
		fmt.Sprintf("%s takes in %s, %q. Write %s(%s.%s.path%s), so that flow reads what the stage has written and not what lies there by chance, or name other files.",
			function, q, q.path, function, q.owner.Addr, q.out.Name, more)
}

// missingFile is what functions say of a file that is not there.
var missingFile = regexp.MustCompile(`^there is no file (.+) in the project$`)

// checkMissing says of files that functions have not found, and that stages
// write, how they are read. reads is what checkReads says, which knows no more
// than one call of each path; what is told of a call here is taken out there.
func (p *Pipeline) checkMissing(diags, reads hcl.Diagnostics) hcl.Diagnostics {
	var told []*hcl.Range
	for _, d := range diags {
		call, ok := hcl.DiagnosticExtra[hclsyntax.FunctionCallDiagExtra](d)
		if !ok || call.FunctionCallError() == nil || d.Subject == nil {
			continue
		}
		m := missingFile.FindStringSubmatch(call.FunctionCallError().Error())
		if m == nil {
			continue
		}
		if q := p.namedBy(m[1]); q != nil {
			d.Summary, d.Detail = readByPath(call.CalledFunctionName(), *q)
			told = append(told, d.Subject)
		}
	}
	return append(diags, slices.DeleteFunc(reads, func(r *hcl.Diagnostic) bool {
		return r.Subject != nil && slices.ContainsFunc(told, func(at *hcl.Range) bool { return r.Subject.Overlaps(*at) })
	})...)
}

// callRange finds the call of a function that a request came from: the one with
// this path in quotes, else the first one of the function.
func (p *Pipeline) callRange(r request) *hcl.Range {
	var rng *hcl.Range
	exact := false
	for _, folder := range mapKeys(p.parsed) {
		for _, body := range p.parsed[folder] {
			_ = hclsyntax.VisitAll(body, func(n hclsyntax.Node) hcl.Diagnostics {
				call, ok := n.(*calling)
				if !ok || exact || call.Name != r.function || len(call.Args) == 0 {
					return nil
				}
				v, diags := call.Args[0].Value(nil)
				exact = !diags.HasErrors() && v.Type() == cty.String && v.IsKnown() && !v.IsNull() && v.AsString() == r.argument
				if exact || rng == nil {
					rng = call.Range().Ptr()
				}
				return nil
			})
		}
	}
	return rng
}

// namedBy finds the output of a stage that a path or glob names: that is at a
// path, around it or in it, or that a glob matches or leads into. A glob that
// merely might match what lies in a directory of outputs, as **/*.py might, does
// not name it, and takes in nothing of it.
func (p *Pipeline) namedBy(name string) *place {
	name = path.Clean(name)
	if !isGlob(name) {
		return writerOf(name, p.written)
	}
	fixed, _ := doublestar.SplitPattern(name)
	if q := holderOf(fixed, p.written); q != nil {
		return q
	}
	below := p.written
	if fixed != "." {
		below = below[searchPlace(fixed, below):]
	}
	leads := waysInto(name)
	for i := range below {
		if fixed != "." && !within(below[i].path, fixed) {
			break
		}
		for _, glob := range leads {
			if doublestar.MatchUnvalidated(glob, below[i].path) {
				return &below[i]
			}
		}
	}
	return nil
}

// Names reports whether a glob means what a stage has written at a path: it leads
// there, or matches it without **, behind which there is anything.
func Names(glob, name string) bool {
	glob = path.Clean(glob)
	if fixed, _ := doublestar.SplitPattern(glob); fixed != "." && within(fixed, name) {
		return true
	}
	return slices.ContainsFunc(waysInto(glob), func(way string) bool {
		return !strings.Contains(way, "**") && doublestar.MatchUnvalidated(way, name)
	})
}

// waysInto are a glob and the directories that it leads through up to the first
// **, behind which it leads anywhere.
func waysInto(glob string) []string {
	globs := []string{glob}
	braces, start := 0, 0
	for i := range len(glob) {
		switch glob[i] {
		case '{':
			braces++
		case '}':
			braces--
		case '/':
			if braces > 0 {
				continue
			}
			if strings.Contains(glob[start:i], "**") {
				return globs
			}
			globs, start = append(globs, glob[:i]), i+1
		}
	}
	return globs
}

func isGlob(name string) bool { return strings.ContainsAny(name, "*?[{") }

// writerOf finds the output that is at the path, around it or in it.
func writerOf(name string, places []place) *place {
	if i := searchPlace(name, places); i < len(places) && within(places[i].path, name) {
		return &places[i]
	}
	return holderOf(name, places)
}

// holderOf finds the output that is at the path or around it.
func holderOf(name string, places []place) *place {
	for at := name; ; {
		if i := searchPlace(at, places); i < len(places) && places[i].path == at {
			return &places[i]
		}
		cut := strings.LastIndexByte(at, '/')
		if cut < 0 {
			return nil
		}
		at = at[:cut]
	}
}

// searchPlace returns where a path, and then what is in it, would stand.
func searchPlace(name string, places []place) int {
	i, _ := slices.BinarySearchFunc(places, name, func(q place, name string) int { return comparePaths(q.path, name) })
	return i
}

func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, dir) && path[len(dir)] == '/'
}

// comparePaths sorts a directory right before what is in it: "/" comes before
// every other byte.
func comparePaths(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] == b[i] {
			continue
		}
		if a[i] == '/' {
			return -1
		}
		if b[i] == '/' {
			return 1
		}
		return cmp.Compare(a[i], b[i])
	}
	return cmp.Compare(len(a), len(b))
}
