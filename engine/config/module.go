package config

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/par"
	"github.com/flow-pipelines/flow/engine/suggest"
)

// module is what the files of one directory declare, at the place where a
// module block puts them: two blocks with one source make two modules. The
// project itself is the root of the tree.
type module struct {
	p      *Pipeline
	path   addr.Module // without keys: the module blocks in the text
	folder string      // relative to the project, "." for the project itself
	limit  string      // what sources may not lead out of: the project, or a checkout
	call   *call       // nil for the project itself

	vars    map[string]*variable
	locals  map[string]*local
	blocks  map[addr.Address]*block // by address without keys
	calls   map[string]*call
	outputs []*output // sorted by name
}

// call is a module block.
type call struct {
	name   string
	in     *module // where the block stands
	mod    *module // what it puts there
	Range  hcl.Range
	source *hcl.Attribute

	forEach, count, dependsOn *hcl.Attribute
	keys                      scope // what for_each or count mention
	after                     scope // what depends_on lists
	args                      map[string]*argument
}

// argument is the value that a module block gives to a variable.
type argument struct {
	attr  *hcl.Attribute
	scope scope
}

func newModule(p *Pipeline, folder, limit string, c *call) *module {
	m := &module{
		p: p, folder: folder, limit: limit, call: c,
		vars: map[string]*variable{}, locals: map[string]*local{}, blocks: map[addr.Address]*block{}, calls: map[string]*call{},
	}
	if c != nil {
		m.path = c.in.path.Child(c.name, addr.Key{})
		c.mod = m
	}
	p.tree = append(p.tree, m)
	p.modules[m.path] = m
	return m
}

// node is the one that everything in the module depends on: that the module
// block can be expanded.
func (m *module) node() node { return node{Module: m.path} }

// whole stands for all outputs of the module that c puts there.
func (c *call) whole() node { return node{Module: c.in.path, Type: "module", Name: c.name} }

// declareModule reads a module block and the files that it names.
func (m *module) declareModule(h *hcl.Block) hcl.Diagnostics {
	if diags := labels(h, "module", 1); diags.HasErrors() {
		return diags
	}
	c := &call{name: h.Labels[0], in: m, Range: h.DefRange, args: map[string]*argument{}}
	if old := m.calls[c.name]; old != nil {
		return hcl.Diagnostics{duplicate(h.DefRange, old.Range, fmt.Sprintf("module %q", c.name))}
	}
	m.calls[c.name] = c
	attrs, diags := h.Body.JustAttributes()
	if diags.HasErrors() {
		return hcl.Diagnostics{errorAt(*diags[0].Subject, "A module block holds arguments only",
			"Besides source, for_each, count and depends_on they are the module's variables: NAME = VALUE.")}
	}
	for name, a := range attrs {
		switch name {
		case "source":
			c.source = a
		case "for_each":
			c.forEach = a
		case "count":
			c.count = a
		case "depends_on":
			c.dependsOn = a
		default:
			c.args[name] = &argument{attr: a}
		}
	}
	if c.forEach != nil && c.count != nil {
		diags = append(diags, errorAt(c.count.NameRange, "Both for_each and count", "A block makes its instances by one of them."))
	}
	if c.source == nil {
		return append(diags, errorAt(h.DefRange, `Missing argument "source"`, `module needs the directory that it comes from: source = "./lib/prepare".`))
	}
	return append(diags, m.loadModule(c)...)
}

// loadModule reads the files of a module block's source.
func (m *module) loadModule(c *call) hcl.Diagnostics {
	rng := c.source.Expr.Range()
	v, diags := m.constant(c.source, cty.String)
	if diags.HasErrors() {
		return diags
	}
	if v.IsNull() || !v.IsKnown() {
		return hcl.Diagnostics{errorAt(rng, "The source of a module is a text", `Write the directory: source = "./lib/prepare".`)}
	}
	folder, limit, d := m.resolveSource(c.name, v.AsString(), rng)
	if d != nil {
		return hcl.Diagnostics{d}
	}
	for up := m; up != nil; up = up.parent() {
		if up.folder == folder {
			return hcl.Diagnostics{errorAt(rng, "A module that contains itself",
				fmt.Sprintf("%s is the directory that this block stands in, or one around it in the tree of modules, so it would go on for ever.", folder))}
		}
	}
	bodies, diags := m.p.parseFolder(folder)
	if len(bodies) == 0 && !diags.HasErrors() {
		return hcl.Diagnostics{errorAt(rng, "No module there", fmt.Sprintf("The directory %s has no *.hcl file.", folder))}
	}
	if diags.HasErrors() {
		return diags
	}
	return newModule(m.p, folder, limit, c).declare(bodies)
}

func (m *module) parent() *module {
	if m.call == nil {
		return nil
	}
	return m.call.in
}

// resolveSource finds the directory of a source, relative to the project, and
// the one that its own sources may not lead out of.
func (m *module) resolveSource(name, source string, rng hcl.Range) (folder, limit string, d *hcl.Diagnostic) {
	if strings.Contains(source, "::") && m.p.remote != nil {
		return m.remoteSource(name, source, rng)
	}
	if !strings.HasPrefix(source, "./") && !strings.HasPrefix(source, "../") {
		detail := fmt.Sprintf("%q is not the source of a module. ", source)
		if info, err := os.Stat(filepath.Join(m.p.dir, m.folder, source)); err == nil && info.IsDir() {
			return "", "", errorAt(rng, "Unknown source of a module", detail+fmt.Sprintf(`A directory is written with ./ before it: "./%s".`, source))
		}
		return "", "", errorAt(rng, "Unknown source of a module", detail+`A directory is written with ./ or ../ before it, relative to the file: "./lib/prepare"; a repository with git:: before it: "git::https://HOST/REPOSITORY.git//FOLDER?ref=TAG".`)
	}
	folder = path.Join(m.folder, source)
	if m.limit != "." && folder != m.limit && !strings.HasPrefix(folder, m.limit+"/") || folder == ".." || strings.HasPrefix(folder, "../") {
		return "", "", errorAt(rng, "Not a directory in the project", fmt.Sprintf("%q leads out of it.", source))
	}
	if info, err := os.Stat(filepath.Join(m.p.dir, folder)); err != nil || !info.IsDir() {
		return "", "", errorAt(rng, "No module there", fmt.Sprintf("There is no directory %s in the project.", folder))
	}
	return folder, m.limit, nil
}

// remoteSource finds a module that comes from elsewhere.
func (m *module) remoteSource(name, source string, rng hcl.Range) (folder, limit string, d *hcl.Diagnostic) {
	folder, limit, err := m.p.remote(m.path.Child(name, addr.Key{}), source)
	var wrong *SourceError
	switch {
	case errors.As(err, &wrong):
		return "", "", errorAt(rng, wrong.Summary, wrong.Detail)
	case err != nil:
		return "", "", errorAt(rng, "The module is not to be had", capital(err.Error())+".")
	}
	if info, err := os.Stat(filepath.Join(m.p.dir, folder)); err != nil || !info.IsDir() {
		return "", "", errorAt(rng, "No module there", fmt.Sprintf("What comes from %s has no directory %s.", source, strings.TrimPrefix(folder, limit+"/")))
	}
	return folder, limit, nil
}

// link resolves what the module's declarations mention.
func (m *module) link() hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, name := range mapKeys(m.locals) {
		l := m.locals[name]
		diags = append(diags, m.mention(&l.scope, references(l.expr), false)...)
		diags = append(diags, l.scope.forbid("a local value", true, true, true)...)
	}
	for _, o := range m.outputs {
		diags = append(diags, m.mention(&o.scope, references(o.expr), false)...)
		diags = append(diags, o.scope.forbid("an output", true, true, true)...)
	}
	blocks := m.sortedBlocks()
	found := make([]hcl.Diagnostics, len(blocks))
	par.Each(len(blocks), func(i int) { found[i] = blocks[i].link(m) })
	diags = append(diags, slices.Concat(found...)...)
	for _, name := range mapKeys(m.calls) {
		diags = append(diags, m.calls[name].link()...)
	}
	if m.call != nil {
		for _, name := range mapKeys(m.vars) {
			diags = append(diags, m.linkValidations(m.vars[name])...)
		}
	}
	return diags
}

func (m *module) sortedBlocks() []*block {
	bs := make([]*block, 0, len(m.blocks))
	for _, b := range m.blocks {
		bs = append(bs, b)
	}
	slices.SortFunc(bs, func(a, b *block) int { return addr.Compare(a.addr, b.addr) })
	return bs
}

// link resolves what a module block mentions, and compares its arguments with
// the module's variables.
func (c *call) link() hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, a := range []*hcl.Attribute{c.forEach, c.count} {
		if a != nil {
			diags = append(diags, c.in.mention(&c.keys, references(a.Expr), false)...)
			diags = append(diags, c.keys.forbid(a.Name, true, true, true)...)
		}
	}
	for _, name := range mapKeys(c.args) {
		a := c.args[name]
		diags = append(diags, c.in.mention(&a.scope, references(a.attr.Expr), false)...)
		diags = append(diags, a.scope.forbid("a module block without for_each", c.forEach == nil, false, true)...)
		diags = append(diags, a.scope.forbid("a module block without count", false, c.count == nil, false)...)
		if c.mod.vars[name] == nil {
			diags = append(diags, errorAt(a.attr.NameRange, fmt.Sprintf("Unknown argument %q", name),
				fmt.Sprintf("The arguments of a module block are the variables of its module, and %s declares no variable %q.%s", c.mod.folder, name, didYouMean(name, mapKeys(c.mod.vars)))))
		}
	}
	for _, name := range mapKeys(c.mod.vars) {
		v := c.mod.vars[name]
		if c.args[name] == nil && v.value == cty.NilVal {
			detail := fmt.Sprintf("The module's variable %q has no default (%s:%d). Write %s = … in this block.", name, v.Range.Filename, v.Range.Start.Line, name)
			if v.description != "" {
				detail = strings.TrimSuffix(v.description, ".") + ". " + detail
			}
			diags = append(diags, errorAt(c.Range, fmt.Sprintf("Missing argument %q", name), detail))
		}
	}
	after, more := c.in.linkAfter(c.dependsOn)
	c.after = after
	return append(diags, more...)
}

// depend adds the module's edges to the graph.
func (m *module) depend(add func(n node), edge func(n, on node)) {
	all := func(n node, scopes ...*scope) {
		add(n)
		if m.call != nil {
			edge(n, m.node())
		}
		for _, s := range scopes {
			for _, r := range s.refs {
				edge(n, r.to.Block())
			}
		}
	}
	for _, name := range mapKeys(m.locals) {
		all(node{Module: m.path, Type: "local", Name: name}, &m.locals[name].scope)
	}
	for _, b := range m.blocks { // the graph has an order of its own
		all(b.addr, &b.scope, &b.after)
	}
	for _, name := range mapKeys(m.calls) {
		c := m.calls[name]
		all(c.mod.node(), &c.keys, &c.after)
		add(c.whole())
		for _, o := range c.mod.outputs {
			edge(c.whole(), node{Module: c.mod.path, Type: "output", Name: o.name})
		}
	}
	if m.call == nil {
		return
	}
	for _, o := range m.outputs {
		all(node{Module: m.path, Type: "output", Name: o.name}, &o.scope)
	}
	for _, name := range mapKeys(m.vars) {
		n := node{Module: m.path, Type: "var", Name: name}
		all(n)
		for _, v := range m.vars[name].validations {
			for _, r := range v.scope.refs {
				if r.to != n {
					edge(n, r.to)
				}
			}
		}
		if a := m.call.args[name]; a != nil {
			for _, r := range a.scope.refs {
				edge(n, r.to)
			}
		}
	}
}

// scopesOf are what the node's text mentions, for messages.
func (p *Pipeline) scopesOf(n node) []*scope {
	m := p.modules[n.Module]
	switch {
	case n.IsModule():
		return []*scope{&m.call.keys, &m.call.after}
	case n.Type == "local":
		return []*scope{&m.locals[n.Name].scope}
	case n.Type == "output":
		if o := m.output(n.Name); o != nil {
			return []*scope{&o.scope}
		}
	case n.Type == "var":
		var ss []*scope
		if m.call != nil && m.call.args[n.Name] != nil {
			ss = append(ss, &m.call.args[n.Name].scope)
		}
		for i := range m.vars[n.Name].validations {
			ss = append(ss, &m.vars[n.Name].validations[i].scope)
		}
		return ss
	case m.blocks[n] != nil:
		return []*scope{&m.blocks[n].scope, &m.blocks[n].after}
	}
	return nil
}

func (m *module) output(name string) *output {
	i, ok := slices.BinarySearchFunc(m.outputs, name, func(o *output, name string) int { return strings.Compare(o.name, name) })
	if !ok {
		return nil
	}
	return m.outputs[i]
}

// moduleTarget returns the node that module.… begins with: an output, or, if
// which one is not clear from the text, all of them.
func (m *module) moduleTarget(t hcl.Traversal) (node, hcl.Diagnostics) {
	rng := t.SourceRange()
	name, ok := member(t)
	if !ok {
		return node{}, hcl.Diagnostics{errorAt(rng, "Incomplete reference", "module needs a name and an output, as in module.NAME.OUTPUT.")}
	}
	c := m.calls[name]
	if c == nil {
		d := undeclared(rng, "module", name, mapKeys(m.calls), fmt.Sprintf("Declare it: module %q { source = … }.", name))
		return node{}, hcl.Diagnostics{d}
	}
	if c.mod == nil {
		return node{}, nil // its files have been complained about
	}
	rest := t[2:]
	many := c.forEach != nil || c.count != nil
	if len(rest) > 0 {
		switch s := rest[0].(type) {
		case hcl.TraverseIndex:
			if !many && s.Key.Type() != cty.String {
				return node{}, hcl.Diagnostics{errorAt(rng, fmt.Sprintf("module.%s has no instances", name),
					fmt.Sprintf("The block has neither for_each nor count: write module.%s.OUTPUT.", name))}
			}
			if many {
				rest = rest[1:]
			}
		case hcl.TraverseAttr:
			if many && c.count != nil || many && c.mod.output(s.Name) != nil {
				return node{}, hcl.Diagnostics{errorAt(rng, fmt.Sprintf("module.%s stands for several instances", name),
					fmt.Sprintf("The block has for_each or count. Name one of them: module.%s[KEY].%s.", name, s.Name))}
			}
			if many {
				rest = rest[1:]
			}
		}
	}
	if len(rest) == 0 {
		return c.whole(), nil
	}
	out := hcl.Traversal{t[0], rest[0]}
	output, ok := member(out)
	if !ok {
		return c.whole(), nil
	}
	if c.mod.output(output) == nil {
		return node{}, hcl.Diagnostics{c.noOutput(output, rng)}
	}
	return node{Module: c.mod.path, Type: "output", Name: output}, nil
}

func (c *call) noOutput(name string, rng hcl.Range) *hcl.Diagnostic {
	var names []string
	for _, o := range c.mod.outputs {
		names = append(names, o.name)
	}
	detail := fmt.Sprintf("Of a module, its outputs can be used, and %s declares ", c.mod.folder)
	if len(names) == 0 {
		detail += "none."
	} else {
		detail += list(names, 10) + "."
	}
	if s := suggest.Nearest(name, names); s != "" {
		detail += fmt.Sprintf(" Did you mean module.%s.%s?", c.name, s)
	} else {
		detail += fmt.Sprintf(" Declare it there: output %q { value = … }.", name)
	}
	return errorAt(rng, fmt.Sprintf("module.%s has no output %q", c.name, name), detail)
}

// everything lists all blocks of the module and of those in it.
func (m *module) everything() []addr.Address {
	var all []addr.Address
	for _, b := range m.sortedBlocks() {
		all = append(all, b.addr)
	}
	for _, name := range mapKeys(m.calls) {
		all = append(all, m.calls[name].mod.everything()...)
	}
	return all
}
