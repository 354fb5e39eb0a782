package config

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/graph"
	"github.com/flow-pipelines/flow/engine/par"
)

// Load reads the *.hcl and *.hcl.json files of a directory, not of those below it, and those
// of its modules, and checks all that needs no evaluation. The pipeline is
// never nil, for the sake of Files; if there are errors it has no stages.
func Load(opts Options) (*Pipeline, hcl.Diagnostics) {
	p, diags := Read(opts)
	if !diags.HasErrors() {
		diags = append(diags, p.setVariables(opts)...)
		p.take()
	}
	if !diags.HasErrors() {
		diags = append(diags, p.link()...)
		diags = append(diags, p.placeholders()...)
	}
	diags = tidy(diags)
	p.failed = diags.HasErrors()
	return p, append(diags, p.baselineWarnings()...)
}

// baselineWarnings evaluates a pipeline that compares itself with revisions, and
// returns what try has hidden about them: a warning that comes with a plan comes
// too late for who only looks at the gates.
func (p *Pipeline) baselineWarnings() hcl.Diagnostics {
	uses := func(f *hcl.File) bool { return bytes.Contains(f.Bytes, []byte(baselineName)) }
	if p.failed || !slices.ContainsFunc(slices.Collect(maps.Values(p.files)), uses) {
		return nil
	}
	_, _ = p.Stages(NoResults{}) // what is wrong with them, plan says
	_, _ = p.Outputs(NoResults{})
	p.Checks(NoResults{})
	return tidy(slices.Clone(p.faults.warnings))
}

// Read does the part of Load that needs no values of variables, and so finds
// all modules. The pipeline is good for Files alone.
func Read(opts Options) (*Pipeline, hcl.Diagnostics) {
	p := &Pipeline{text: &text{
		version: opts.Version,
		dir:     opts.Dir,
		remote:  opts.Remote,
		finder:  opts.Plugins,
		files:   map[string]*hcl.File{},
		taken:   map[string]bool{},
		types:   map[string]*stageType{},
		modules: map[addr.Module]*module{},
		parsed:  map[string][]*hclsyntax.Body{},
		decoded: map[string][]decodedText{},
		failed:  true,
		faults:  &faults{},
		looks:   newLooks(),
	}}
	p.module = newModule(p, ".", ".", nil)
	p.settings = Settings{Name: filepath.Base(opts.Dir), OutputDir: "out"}
	p.env = newEnvironment(opts.Environ, p.looks)
	p.secrets = newSecrets()
	p.funcs = newFunctions(opts.Dir, p.env, p.secrets, p.looks)
	p.funcs.files.recorded = opts.Recorded
	p.funcs.table[baselineName] = baselineFunction(opts.Baseline, p.faults)
	for _, t := range opts.Types {
		st := newStageType(t)
		p.types[st.schema.Name] = st
	}
	files, diags := p.parseFolder(".")
	if !diags.HasErrors() {
		diags = append(diags, p.declare(files)...)
	}
	return p, tidy(diags)
}

// parseFolder reads the files of a directory of the project, sorted by name.
func (p *Pipeline) parseFolder(folder string) ([]*hclsyntax.Body, hcl.Diagnostics) {
	if bodies, ok := p.parsed[folder]; ok {
		return bodies, nil
	}
	dir := filepath.Join(p.dir, folder)
	names, err := p.looks.folder(dir)
	if err != nil {
		return nil, hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "Cannot read the project", Detail: err.Error() + "."}}
	}
	for i, name := range names {
		names[i] = path.Join(folder, name)
	}
	var bodies []*hclsyntax.Body
	var diags hcl.Diagnostics
	for _, f := range p.parseAll(names) {
		diags = append(diags, f.diags...)
		if body := p.keep(f); body != nil {
			bodies = append(bodies, body)
		}
	}
	if folder == "." && len(p.files) == 0 && !diags.HasErrors() {
		diags = append(diags, &hcl.Diagnostic{
			Severity: hcl.DiagError, Summary: "No pipeline here",
			Detail: fmt.Sprintf("The directory %s has no *.hcl file. Run flow in the project's directory, name it with --dir, or start a pipeline with: flow init", p.dir),
		})
	}
	p.parsed[folder] = bodies
	return bodies, diags
}

// isPipelineFile reports whether a file of this name is text of a pipeline.
func isPipelineFile(name string) bool {
	return !strings.HasPrefix(name, ".") && (strings.HasSuffix(name, ".hcl") || strings.HasSuffix(name, jsonSuffix))
}

// Present reports whether a directory holds files of a pipeline.
func Present(dir string) bool {
	names, err := pipelineFiles(dir)
	return err == nil && len(names) > 0
}

// parsedFile is what became of one file.
type parsedFile struct {
	name    string
	file    *hcl.File
	body    *hclsyntax.Body
	decoded []decodedText
	diags   hcl.Diagnostics
}

// parseAll reads files of the project, as many at once as there are CPUs:
// parsing is a third of what a plan of thousands of blocks costs.
func (p *Pipeline) parseAll(names []string) []*parsedFile {
	files := make([]*parsedFile, len(names))
	par.Each(len(names), func(i int) { files[i] = p.parseFile(names[i], filepath.Join(p.dir, names[i])) })
	return files
}

// parseFile reads one file; name is what diagnostics call it. It changes
// nothing in p but what was looked at.
func (p *Pipeline) parseFile(name, file string) *parsedFile {
	f := &parsedFile{name: name}
	src, err := p.looks.read(file)
	if err != nil {
		f.diags = hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "Cannot read a file", Detail: err.Error() + "."}}
		return f
	}
	if strings.HasSuffix(name, jsonSuffix) {
		p.parseJSON(src, f)
	} else {
		f.file, f.diags = parse(src, name, pieceSize)
		f.diags = improveSyntax(src, f.diags)
		if f.file != nil {
			f.body = f.file.Body.(*hclsyntax.Body)
		}
	}
	if f.body != nil {
		refineBody(f.body)
	}
	return f
}

// keep remembers a file for snippets, and returns its body if it has one.
func (p *Pipeline) keep(f *parsedFile) *hclsyntax.Body {
	if f.file != nil {
		p.files[f.name] = f.file
	}
	if len(f.decoded) > 0 {
		p.decoded[f.name] = f.decoded
	}
	return f.body
}

// take notes where the text of the pipeline lies.
func (p *Pipeline) take() {
	for name := range p.files {
		for at := path.Clean(name); at != "." && at != "/" && !p.taken[at]; at = path.Dir(at) {
			p.taken[at] = true
		}
	}
}

// declare turns top-level blocks into declarations.
func (m *module) declare(files []*hclsyntax.Body) hcl.Diagnostics {
	var diags hcl.Diagnostics
	var stages, calls, rest []*hcl.Block
	for _, f := range files {
		for _, a := range sortedAttributes(f.Attributes) {
			diags = append(diags, errorAt(a.NameRange, "Argument outside of a block",
				fmt.Sprintf("%s = … stands alone in the file. A value for use in expressions belongs in a locals block: locals { %s = … }.", a.Name, a.Name)))
		}
		for _, b := range f.Blocks {
			// What others may read, such as variables of the environment, is
			// said in the pipeline block.
			if h := b.AsHCLBlock(); h.Type == "pipeline" {
				diags = append(diags, m.declareSettings(h)...)
			} else {
				rest = append(rest, h)
			}
		}
	}
	for _, h := range rest {
		switch h.Type {
		case "variable":
			diags = append(diags, m.declareVariable(h)...)
		case "locals":
			diags = append(diags, m.declareLocals(h)...)
		case "output":
			diags = append(diags, m.declareOutput(h)...)
		case "moved":
			diags = append(diags, m.declareMoved(h)...)
		case "removed":
			diags = append(diags, m.declareRemoved(h)...)
		case "check":
			diags = append(diags, m.declareCheck(h)...)
		case "module":
			calls = append(calls, h)
		default:
			stages = append(stages, h)
		}
	}
	diags = append(diags, m.declareStages(stages)...)
	for _, h := range calls {
		diags = append(diags, m.declareModule(h)...)
	}
	return diags
}

func sortedAttributes(attrs hclsyntax.Attributes) []*hclsyntax.Attribute {
	as := make([]*hclsyntax.Attribute, 0, len(attrs))
	for _, a := range attrs {
		as = append(as, a)
	}
	slices.SortFunc(as, func(a, b *hclsyntax.Attribute) int {
		return cmp.Compare(a.SrcRange.Start.Byte, b.SrcRange.Start.Byte)
	})
	return as
}

// labels checks a block's labels, which must be names.
func labels(h *hcl.Block, what string, n int) hcl.Diagnostics {
	if len(h.Labels) != n {
		form := h.Type + strings.Repeat(" \"NAME\"", n) + " { … }"
		detail := fmt.Sprintf("%s takes no label: %s.", h.Type, form)
		if n == 1 {
			detail = fmt.Sprintf("%s takes one label, its name: %s.", h.Type, form)
		}
		return hcl.Diagnostics{errorAt(h.DefRange, fmt.Sprintf("Wrong number of labels on %s", h.Type), detail)}
	}
	for i, l := range h.Labels {
		if !addr.IsName(l) {
			return hcl.Diagnostics{errorAt(h.LabelRanges[i], fmt.Sprintf("%q is not a name", l),
				fmt.Sprintf("The name of a %s starts with a letter and holds letters, digits, _ and -.", what))}
		}
	}
	return nil
}

func duplicate(rng, first hcl.Range, what string) *hcl.Diagnostic {
	return errorAt(rng, "Duplicate "+what,
		fmt.Sprintf("%s was declared before, at %s:%d. Rename one of them.", capital(what), first.Filename, first.Start.Line))
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// link resolves references and puts the blocks in order.
func (p *Pipeline) link() hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, m := range p.tree {
		diags = append(diags, m.link()...)
	}
	diags = append(diags, p.linkChecks()...)
	if !diags.HasErrors() {
		diags = append(diags, p.checkMoves()...)
	}
	if diags.HasErrors() {
		return diags
	}
	g := graph.New(addr.Compare)
	for _, m := range p.tree {
		m.depend(g.Add, g.Depend)
	}
	order, cycle := g.Sort()
	if cycle != nil {
		return append(diags, p.cycle(cycle))
	}
	depths := g.Depths(order, func(n node) bool { return p.block(n) != nil })
	for i, n := range order {
		b := p.block(n)
		if b == nil {
			continue
		}
		p.order = append(p.order, b)
		for len(p.ranks) <= depths[i] {
			p.ranks = append(p.ranks, nil)
		}
		p.ranks[depths[i]] = append(p.ranks[depths[i]], b)
	}
	return diags
}

// cycle shows a circle of references, each hop with its place.
func (p *Pipeline) cycle(circle []node) *hcl.Diagnostic {
	hop := func(from, to node) hcl.Range {
		for _, s := range p.scopesOf(from) {
			for _, r := range s.refs {
				if r.to.Block() == to {
					return r.Range
				}
			}
		}
		if m := p.modules[from.Module]; m.call != nil {
			return m.call.Range
		}
		return hcl.Range{}
	}
	if len(circle) == 1 {
		return errorAt(hop(circle[0], circle[0]), fmt.Sprintf("%s refers to itself", nodeText(circle[0])),
			"Its value would depend on itself. A block's own outputs are self.outputs.NAME.path; another instance of the same block cannot be referred to.")
	}
	var text strings.Builder
	for i, n := range circle {
		next := circle[(i+1)%len(circle)]
		at := hop(n, next)
		fmt.Fprintf(&text, "  %s needs %s (%s:%d)\n", nodeText(n), nodeText(next), at.Filename, at.Start.Line)
	}
	return errorAt(hop(circle[0], circle[1]), "The pipeline goes in a circle",
		"Each of these waits for the next, and the last for the first:\n\n"+text.String()+"\nTake one of these references out.")
}

// nodeText is a node as it is written in a reference.
func nodeText(n node) string {
	if n.Type == "output" {
		return n.Module.String() + "." + n.Name
	}
	return n.String()
}

// forbid reports uses of names that mean nothing in such a place.
func (s *scope) forbid(place string, each, count, self bool) hcl.Diagnostics {
	var diags hcl.Diagnostics
	if each && s.each != nil {
		diags = append(diags, errorAt(*s.each, "Nothing is called each here",
			fmt.Sprintf("each.key and each.value belong to a block with for_each; this is %s.", place)))
	}
	if count && s.count != nil {
		diags = append(diags, errorAt(*s.count, "Nothing is called count here",
			fmt.Sprintf("count.index belongs to a block with count; this is %s.", place)))
	}
	if self && s.self != nil {
		diags = append(diags, errorAt(*s.self, "Nothing is called self here",
			fmt.Sprintf("self is the stage whose arguments it stands in; this is %s.", place)))
	}
	return diags
}
