package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/suggest"
)

// rowName starts the references in a stage.Expression that are the stage's own.
const rowName = "row"

// node is what can depend on another by its text: a stage block, a local or a
// variable. For locals and variables the type is "local" or "var".
type node = addr.Address

// reference is one mention of a node.
type reference struct {
	to    node
	Range hcl.Range
	keyed bool // only ever with a key behind it
}

// scope is what some expressions mention: what must be in the context that
// they are evaluated in.
type scope struct {
	refs  []reference  // in the order of the text, a node once
	seen  map[node]int // place in refs
	each  *hcl.Range   // first use of each.…
	count *hcl.Range
	self  *hcl.Range
	path  bool // path.module or path.root
}

func (s *scope) add(to node, rng hcl.Range, keyed bool) {
	if s.seen == nil {
		s.seen = map[node]int{}
	}
	i, ok := s.seen[to]
	if !ok {
		i = len(s.refs)
		s.seen[to] = i
		s.refs = append(s.refs, reference{to, rng, keyed})
	}
	s.refs[i].keyed = s.refs[i].keyed && keyed
}

func (s *scope) merge(other *scope) {
	for _, r := range other.refs {
		s.add(r.to, r.Range, r.keyed)
	}
	s.each = cmp.Or(s.each, other.each)
	s.count = cmp.Or(s.count, other.count)
	s.self = cmp.Or(s.self, other.self)
	s.path = s.path || other.path
}

// mention records what the traversals name and reports names that are nothing.
func (m *module) mention(s *scope, traversals []hcl.Traversal, lazy bool) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, t := range traversals {
		root := t.RootName()
		rng := t.SourceRange()
		switch root {
		case rowName:
			if lazy {
				continue
			}
			diags = append(diags, errorAt(rng, "Nothing is called row here",
				"row is the row of a table, and is there only in arguments that are evaluated for each row."))
			continue
		case "each":
			s.each = cmp.Or(s.each, &rng)
			diags = append(diags, checkMember(t, "key", "value")...)
			continue
		case "count":
			s.count = cmp.Or(s.count, &rng)
			diags = append(diags, checkMember(t, "index")...)
			continue
		case "path":
			s.path = true
			diags = append(diags, checkPath(t)...)
			continue
		case "self":
			s.self = cmp.Or(s.self, &rng)
			if name, ok := member(t); ok && name == "metrics" {
				diags = append(diags, errorAt(rng, "A stage cannot use its own metrics",
					"They are known only after it has run. A stage that depends on them can be another block."))
			}
			continue
		}
		to, more := m.target(t, lazy)
		diags = append(diags, more...)
		if !to.IsZero() {
			s.add(to, rng, isKeyed(t))
		}
	}
	return diags
}

// target returns the node that a traversal begins with; it is zero if there is
// none, which the diagnostics explain.
func (m *module) target(t hcl.Traversal, lazy bool) (node, hcl.Diagnostics) {
	root, rng := t.RootName(), t.SourceRange()
	name, ok := member(t)
	switch {
	case root == "var" || root == "local":
		if !ok {
			return node{}, hcl.Diagnostics{errorAt(rng, "Incomplete reference",
				fmt.Sprintf("%s needs a name, as in %s.NAME.", root, root))}
		}
		if root == "var" && m.vars[name] == nil {
			return node{}, hcl.Diagnostics{undeclared(rng, "variable", name, mapKeys(m.vars),
				fmt.Sprintf("Declare it: variable %q {}.", name))}
		}
		if root == "local" && m.locals[name] == nil {
			return node{}, hcl.Diagnostics{undeclared(rng, "local value", name, mapKeys(m.locals),
				fmt.Sprintf("Declare it: locals { %s = … }.", name))}
		}
		return node{Module: m.path, Type: root, Name: name}, nil
	case root == "module":
		return m.moduleTarget(t)
	case m.p.types[root] != nil:
		if !ok {
			return node{}, hcl.Diagnostics{errorAt(rng, "Incomplete reference",
				fmt.Sprintf("%s is a type of stages; a reference needs the stage's name too, as in %s.NAME.%s", root, root, m.declaredOf(root)))}
		}
		a := node{Module: m.path, Type: root, Name: name}
		if m.blocks[a] == nil {
			return node{}, hcl.Diagnostics{m.noStage(rng, a)}
		}
		return a, nil
	}
	return node{}, hcl.Diagnostics{m.unknownName(t, lazy)}
}

func (m *module) noStage(rng hcl.Range, a addr.Address) *hcl.Diagnostic {
	var names, others []string
	for b := range m.blocks {
		if b.Type == a.Type {
			names = append(names, b.Name)
		} else if b.Name == a.Name {
			others = append(others, b.Local().String())
		}
	}
	detail := fmt.Sprintf("The pipeline has no block %s %q.", a.Type, a.Name)
	slices.Sort(others)
	if s := suggest.Nearest(a.Name, names); s != "" {
		detail += fmt.Sprintf(" Did you mean %s.%s?", a.Type, s)
	} else if len(others) > 0 {
		detail += fmt.Sprintf(" Did you mean %s?", others[0])
	} else {
		detail += m.declaredOf(a.Type)
	}
	return errorAt(rng, fmt.Sprintf("No stage %s", a.Local()), detail)
}

// declaredOf lists the stages of a type, for the end of a message.
func (m *module) declaredOf(typ string) string {
	var names []string
	for b := range m.blocks {
		if b.Type == typ {
			names = append(names, b.Local().String())
		}
	}
	slices.Sort(names)
	if len(names) == 0 {
		return fmt.Sprintf(" There is no %s block at all.", typ)
	}
	return fmt.Sprintf(" There is %s.", list(names, 5))
}

// named returns the stages of a name, sorted.
func (m *module) named(name string) []string {
	var same []string
	for b := range m.blocks {
		if b.Name == name {
			same = append(same, b.Local().String())
		}
	}
	slices.Sort(same)
	return same
}

// unknownName explains a reference whose first word means nothing.
func (m *module) unknownName(t hcl.Traversal, lazy bool) *hcl.Diagnostic {
	root, rng := t.RootName(), t.SourceRange()
	switch {
	case lazy:
		return errorAt(rng, fmt.Sprintf("Unknown name %s", root),
			fmt.Sprintf("A column of the table is written %s.%s.", rowName, root))
	case root == "data" || root == "resource" || root == "terraform":
		if name, ok := member(t); ok {
			if same := m.named(name); len(same) > 0 {
				return errorAt(rng, fmt.Sprintf("Unknown name %s", root), fmt.Sprintf("A stage is named by its type and name: did you mean %s?", same[0]))
			}
		}
		return errorAt(rng, fmt.Sprintf("Unknown name %s", root),
			fmt.Sprintf("A stage is named by its type and name alone, as in train.mlp; %s is not part of a reference.", root))
	}
	if same := m.named(root); len(same) > 0 {
		return errorAt(rng, fmt.Sprintf("Unknown name %s", root), fmt.Sprintf("A stage is named by its type and name: did you mean %s?", same[0]))
	}
	for _, kind := range []string{"var", "local"} {
		if (kind == "var" && m.vars[root] != nil) || (kind == "local" && m.locals[root] != nil) {
			return errorAt(rng, fmt.Sprintf("Unknown name %s", root), fmt.Sprintf("Did you mean %s.%s?", kind, root))
		}
	}
	switch strings.ToLower(root) {
	case "true", "false", "null":
		return errorAt(rng, fmt.Sprintf("Unknown name %s", root), fmt.Sprintf("It is written in small letters: %s.", strings.ToLower(root)))
	case "none", "nil", "undefined":
		return errorAt(rng, fmt.Sprintf("Unknown name %s", root), "No value is written null.")
	case "variable", "variables", "vars":
		return errorAt(rng, fmt.Sprintf("Unknown name %s", root), "A variable is written var.NAME.")
	case "locals":
		return errorAt(rng, fmt.Sprintf("Unknown name %s", root), "A local value is written local.NAME, though its block is called locals.")
	}
	roots := append(mapKeys(m.p.types), "var", "local", "module", "path", "each", "count", "self")
	detail := "A reference starts with var, local, module, each, self or a stage type."
	if len(t) == 1 && m.p.aloneInText(rng) {
		return errorAt(rng, fmt.Sprintf("Unknown name %s", root), fmt.Sprintf("${…} in a text is a value of the pipeline. %s For the shell's variable write $%s or $${%s}.", detail, root, root))
	}
	if s := suggest.Nearest(root, roots); s != "" {
		detail += fmt.Sprintf(" Did you mean %s?", s)
	} else if len(t) == 1 {
		detail += fmt.Sprintf(" If it is a text, put it in quotes: %q.", root)
	}
	return errorAt(rng, fmt.Sprintf("Unknown name %s", root), detail)
}

// aloneInText reports whether an expression is all that stands in a ${…}.
func (p *Pipeline) aloneInText(rng hcl.Range) bool {
	if rng.Start.Byte < 2 {
		return false
	}
	rng.Start.Byte, rng.End.Byte = rng.Start.Byte-2, rng.End.Byte+1
	s := p.source(rng)
	return strings.HasPrefix(s, "${") && strings.HasSuffix(s, "}")
}

func member(t hcl.Traversal) (string, bool) {
	if len(t) < 2 {
		return "", false
	}
	switch step := t[1].(type) {
	case hcl.TraverseAttr:
		return step.Name, true
	case hcl.TraverseIndex:
		if step.Key.Type().FriendlyName() == "string" && addr.IsName(step.Key.AsString()) {
			return step.Key.AsString(), true
		}
	}
	return "", false
}

func checkMember(t hcl.Traversal, names ...string) hcl.Diagnostics {
	name, ok := member(t)
	if ok && slices.Contains(names, name) {
		return nil
	}
	return hcl.Diagnostics{errorAt(t.SourceRange(), fmt.Sprintf("Unknown name under %s", t.RootName()),
		fmt.Sprintf("There is %s.%s.", t.RootName(), strings.Join(names, " and "+t.RootName()+".")))}
}

// checkPath judges path.….
func checkPath(t hcl.Traversal) hcl.Diagnostics {
	if name, ok := member(t); ok && name == "cwd" {
		return hcl.Diagnostics{errorAt(t.SourceRange(), "There is no path.cwd", "The directory that flow is called in differs between people and machines, and a key holds for all of them. Paths are relative to the project's directory.")}
	}
	return checkMember(t, "module", "root")
}

func undeclared(rng hcl.Range, what, name string, have []string, fix string) *hcl.Diagnostic {
	detail := fmt.Sprintf("The pipeline declares no %s %q. ", what, name)
	if s := suggest.Nearest(name, have); s != "" {
		detail += fmt.Sprintf("Did you mean %q?", s)
	} else {
		detail += fix
	}
	return errorAt(rng, "Undeclared "+what, detail)
}
