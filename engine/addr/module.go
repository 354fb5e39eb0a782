package addr

import (
	"cmp"
	"fmt"
	"path"
	"strings"
)

// Module is the way from the project to one instance of a module:
// module.prepare, module.region["eu"].module.prepare. The zero Module is the
// project itself. It is a value, comparable and usable as a map key.
type Module struct{ text string }

// Step is one step of that way: the label of a module block, and which of its
// instances.
type Step struct {
	Name string
	Key  Key
}

// Child returns the module that a block of m declares.
func (m Module) Child(name string, k Key) Module {
	s := "module." + name + k.String()
	if m.text != "" {
		s = m.text + "." + s
	}
	return Module{s}
}

// IsRoot reports whether m is the project itself.
func (m Module) IsRoot() bool { return m.text == "" }

func (m Module) String() string { return m.text }

// Steps returns the way, from the project down.
func (m Module) Steps() []Step {
	var steps []Step
	for rest := m.text; rest != ""; {
		s, after, err := cutStep(rest)
		if err != nil {
			panic(fmt.Sprintf("BUG: module path %q: %v", m.text, err))
		}
		steps, rest = append(steps, s), after
	}
	return steps
}

// Declared returns m without keys: the module blocks in the text, of which it
// is an instance.
func (m Module) Declared() Module {
	if !strings.Contains(m.text, "[") {
		return m
	}
	var d Module
	for _, s := range m.Steps() {
		d = d.Child(s.Name, Key{})
	}
	return d
}

// Within reports whether m is n, or an instance of it, or lies in one. A step
// of n without a key stands for all instances.
func (m Module) Within(n Module) bool {
	if n.text == "" || m == n {
		return true
	}
	have, want := m.Steps(), n.Steps()
	if len(have) < len(want) {
		return false
	}
	for i, s := range want {
		if have[i].Name != s.Name || !s.Key.IsZero() && have[i].Key != s.Key {
			return false
		}
	}
	return true
}

// dir returns the directory that belongs to m alone.
func (m Module) dir() string {
	var d string
	for _, s := range m.Steps() {
		d = path.Join(d, "module", s.Name)
		if !s.Key.IsZero() {
			d = path.Join(d, fileName(s.Key.Text()))
		}
	}
	return d
}

// fileName returns a file name that belongs to m alone, with a dot at its end.
// Dots in keys are encoded, since what follows the key has dots too.
func (m Module) fileName() string {
	var b strings.Builder
	for _, s := range m.Steps() {
		b.WriteString("module." + s.Name + ".")
		if !s.Key.IsZero() {
			b.WriteString(strings.ReplaceAll(fileName(s.Key.Text()), ".", "%2E") + ".")
		}
	}
	return b.String()
}

// compareModules orders a module before what is in it, and otherwise by names
// and keys.
func compareModules(a, b Module) int {
	if a == b {
		return 0
	}
	as, bs := a.Steps(), b.Steps()
	for i := range min(len(as), len(bs)) {
		if c := cmp.Or(cmp.Compare(as[i].Name, bs[i].Name), compareKeys(as[i].Key, bs[i].Key)); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(as), len(bs))
}

// cutModule takes the module path off the beginning of an address.
func cutModule(s string) (m Module, rest string, err error) {
	for strings.HasPrefix(s, "module.") {
		step, after, err := cutStep(s)
		if err != nil {
			return Module{}, "", err
		}
		m, s = m.Child(step.Name, step.Key), after
	}
	return m, s, nil
}

// cutStep reads module.NAME or module.NAME[KEY] and the dot behind it.
func cutStep(s string) (Step, string, error) {
	rest := strings.TrimPrefix(s, "module.")
	n := strings.IndexAny(rest, ".[")
	if n < 0 {
		n = len(rest)
	}
	step := Step{Name: rest[:n]}
	if !IsName(step.Name) {
		return Step{}, "", fmt.Errorf("want module.NAME, as in module.prepare")
	}
	rest = rest[n:]
	if strings.HasPrefix(rest, "[") {
		end := keyEnd(rest)
		if end < 0 {
			return Step{}, "", fmt.Errorf("missing ]")
		}
		k, err := parseKey(rest[1:end], "module."+step.Name)
		if err != nil {
			return Step{}, "", err
		}
		step.Key, rest = k, rest[end+1:]
	}
	if rest == "" {
		return step, "", nil
	}
	after, ok := strings.CutPrefix(rest, ".")
	if !ok || after == "" {
		return Step{}, "", fmt.Errorf("want a dot and a name behind module.%s%s", step.Name, step.Key)
	}
	return step, after, nil
}

// keyEnd returns the place of the bracket that closes the one s begins with,
// -1 if there is none. A quoted key may hold brackets.
func keyEnd(s string) int {
	quoted := false
	for i := 1; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case !quoted && s[i] == ']':
			return i
		}
	}
	return -1
}
