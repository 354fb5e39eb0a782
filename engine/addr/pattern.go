package addr

import (
	"fmt"
	"slices"
	"strings"
)

// Pattern names stages as a user types them: an address, in which * stands for
// any text and ? for any one character.
//
//	train.mlp           the stage, or all instances of the block
//	train.mlp["small"]  one instance
//	train.*             every stage of a type
//	exec.shard[*]       all instances, and nothing that has no key
//	train.mlp["w*"]     the instances whose key begins with w
//	*                   everything
//	module.prep         everything in a module
//
// It matches what addresses look like, name by name, so a * never reaches over
// a dot between two names.
type Pattern struct {
	text  string
	names []name
}

// name is a part of an address between two dots.
type name struct {
	text   string
	key    string // without brackets and quotes
	quoted bool   // the key is a text, not a number
	keyed  bool
}

// ParsePattern reads what a user typed.
func ParsePattern(s string) (Pattern, error) {
	names, err := splitNames(s)
	if err != nil {
		return Pattern{}, err
	}
	for _, n := range names {
		if !IsName(strings.NewReplacer("*", "x", "?", "x").Replace(n.text)) {
			return Pattern{}, fmt.Errorf("parse address %q: want TYPE.NAME or TYPE.NAME[KEY], as in train.mlp[\"small\"]", s)
		}
	}
	if len(names)%2 == 1 && s != "*" {
		return Pattern{}, fmt.Errorf("parse address %q: want TYPE.NAME or TYPE.NAME[KEY], as in train.mlp[\"small\"]", s)
	}
	return Pattern{text: s, names: names}, nil
}

// PatternOf is the pattern that names a, or, if a has no key, all its instances.
func PatternOf(a Address) Pattern {
	names, err := splitNames(a.String())
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return Pattern{text: a.String(), names: names}
}

// String returns the pattern as it was typed.
func (p Pattern) String() string { return p.text }

// Match reports whether the pattern names a.
func (p Pattern) Match(a Address) bool {
	if p.text == "*" {
		return true
	}
	names, err := splitNames(a.String())
	if err != nil || len(p.names) > len(names) {
		return false
	}
	inside := len(p.names) < len(names) // in the module that the pattern names
	for i, want := range p.names {
		if inside && i%2 == 0 && want.text != "module" {
			return false
		}
		if !want.match(names[i]) {
			return false
		}
	}
	return true
}

// MayMatch reports whether the pattern could name an instance of a, a block or a
// module without a key, or something in one.
func (p Pattern) MayMatch(a Address) bool { return p.instances(a, false) }

// MatchAll reports whether the pattern names all instances of a, whichever there
// are.
func (p Pattern) MatchAll(a Address) bool { return p.instances(a, true) }

func (p Pattern) instances(a Address, all bool) bool {
	if p.text == "*" {
		return true
	}
	names, err := splitNames(a.String())
	if err != nil {
		return false
	}
	last := len(names) - 1
	for i, want := range p.names {
		switch {
		case i > last: // something in an instance of a module
			return a.IsModule() && !all
		case len(p.names) < len(names) && i%2 == 0 && want.text != "module":
			return false
		case i == last && all && want.keyed && (want.quoted || want.key != "*"):
			return false
		case i == last:
			want.keyed = false
		}
		if !want.match(names[i]) {
			return false
		}
	}
	return true
}

// Wild reports whether the pattern has a wildcard in it.
func (p Pattern) Wild() bool { return strings.ContainsAny(p.text, "*?") }

func (n name) match(given name) bool {
	if !glob(n.text, given.text) {
		return false
	}
	switch {
	case !n.keyed:
		return true
	case !given.keyed:
		return false
	case n.key == "*" && !n.quoted:
		return true
	}
	return n.quoted == given.quoted && glob(n.key, given.key)
}

// MarshalText returns String's form.
func (p Pattern) MarshalText() ([]byte, error) { return []byte(p.text), nil }

// UnmarshalText reads String's form.
func (p *Pattern) UnmarshalText(b []byte) error {
	v, err := ParsePattern(string(b))
	*p = v
	return err
}

// AnyOf reports whether a stage is named by one of the patterns. Without
// patterns it is nil.
func AnyOf(patterns []Pattern) func(Address) bool {
	if len(patterns) == 0 {
		return nil
	}
	return func(a Address) bool {
		return slices.ContainsFunc(patterns, func(p Pattern) bool { return p.Match(a) })
	}
}

// splitNames takes an address apart at the dots between names; a dot in a key
// separates nothing.
func splitNames(s string) ([]name, error) {
	var names []name
	rest := s
	for {
		end := strings.IndexAny(rest, ".[")
		if end < 0 {
			return append(names, name{text: rest}), nil
		}
		n := name{text: rest[:end]}
		if rest[end] == '[' {
			var err error
			if end, err = n.readKey(rest, end+1, s[:len(s)-len(rest)+end]); err != nil {
				return nil, fmt.Errorf("parse address %q: %w", s, err)
			}
		}
		names = append(names, n)
		if end == len(rest) {
			return names, nil
		}
		if rest[end] != '.' {
			return nil, fmt.Errorf("parse address %q: there is something behind the ]", s)
		}
		rest = rest[end+1:]
	}
}

// readKey reads a key that begins at an offset and returns where its ] ends. whose
// is what the key belongs to, for messages.
func (n *name) readKey(s string, at int, whose string) (int, error) {
	n.keyed = true
	if at < len(s) && s[at] == '"' {
		end := at + 1
		for end < len(s) && s[end] != '"' {
			if s[end] == '\\' {
				end++
			}
			end++
		}
		if end+1 >= len(s) || s[end+1] != ']' {
			return 0, fmt.Errorf("the key lacks its \"]")
		}
		text, err := unquote(s[at : end+1])
		if err != nil {
			return 0, fmt.Errorf("key %s: %w", s[at:end+1], err)
		}
		n.key, n.quoted = text, true
		return end + 2, nil
	}
	end := strings.IndexByte(s[at:], ']')
	if end < 0 {
		return 0, fmt.Errorf("missing ]")
	}
	n.key = s[at : at+end]
	if n.key == "" || strings.Trim(n.key, "0123456789*?") != "" {
		return 0, fmt.Errorf("the key %s is neither a quoted string nor a number; quote the brackets from the shell: '%s[\"KEY\"]'", n.key, whose)
	}
	return at + end + 1, nil
}

// glob matches a text in which * stands for any text and ? for one character.
// It goes back to the last * only, so it takes at most the product of the two
// lengths.
func glob(pattern, text string) bool {
	p, t := []rune(pattern), []rune(text)
	i, j, star, mark := 0, 0, -1, 0
	for j < len(t) {
		switch {
		case i < len(p) && p[i] == '*':
			star, mark = i, j
			i++
		case i < len(p) && (p[i] == '?' || p[i] == t[j]):
			i, j = i+1, j+1
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	for i < len(p) && p[i] == '*' {
		i++
	}
	return i == len(p)
}
