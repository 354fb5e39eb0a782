package key

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// Leaf is one value of a JSON document with the path that leads to it:
// `model.mlp.hidden` and `[16]`. Objects are gone into, and lists of objects,
// such as steps, by number: `steps[2].filter.where`. So a document in flow.lock
// has a line a value, and a difference names just what changed. Other lists are
// values.
type Leaf struct {
	Path  string
	Value string // canonical JSON
}

// Flatten returns the leaves of a JSON document, sorted by path. The document
// itself must be an object; an empty object inside is a leaf {}.
func Flatten(doc []byte) ([]Leaf, error) {
	v, err := decode(doc)
	if err != nil {
		return nil, err
	}
	obj, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("flatten: want a JSON object, got %.40s", doc)
	}
	var leaves []Leaf
	for k, v := range obj {
		leaves = flatten(leaves, step("", k), v)
	}
	sort.Slice(leaves, func(i, j int) bool { return leaves[i].Path < leaves[j].Path })
	return leaves, nil
}

func flatten(leaves []Leaf, path string, v any) []Leaf {
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 0 {
			break
		}
		for k, e := range v {
			leaves = flatten(leaves, step(path, k), e)
		}
		return leaves
	case []any:
		if !ofObjects(v) {
			break
		}
		for i, e := range v {
			leaves = flatten(leaves, fmt.Sprintf("%s[%d]", path, i), e)
		}
		return leaves
	}
	return append(leaves, Leaf{path, encode(v)})
}

func ofObjects(list []any) bool {
	for _, e := range list {
		if obj, ok := e.(map[string]any); !ok || len(obj) == 0 {
			return false
		}
	}
	return len(list) > 0
}

// Unflatten is the inverse of Flatten.
func Unflatten(leaves []Leaf) (map[string]any, error) {
	root := &branch{}
	for _, l := range leaves {
		names, err := split(l.Path)
		if err != nil {
			return nil, err
		}
		v, err := decode([]byte(l.Value))
		if err != nil {
			return nil, fmt.Errorf("value of %s: %w", l.Path, err)
		}
		if !root.put(names, v) {
			return nil, fmt.Errorf("%s does not fit what stands before it", l.Path)
		}
	}
	if len(leaves) == 0 {
		return map[string]any{}, nil
	}
	obj, ok := root.value().(map[string]any)
	if !ok {
		return nil, fmt.Errorf("not an object")
	}
	return obj, nil
}

// branch is a document that is being put together: a value, or members by
// name, or elements by number.
type branch struct {
	leaf    any
	isLeaf  bool
	members map[string]*branch
	list    map[int]*branch
}

// name is one step of a path: a member's name or an element's number.
type name struct {
	text   string
	number int
	isList bool
}

func (b *branch) put(path []name, v any) bool {
	if len(path) == 0 {
		ok := !b.isLeaf && b.members == nil && b.list == nil
		b.leaf, b.isLeaf = v, true
		return ok
	}
	n := path[0]
	if b.isLeaf || n.isList && b.members != nil || !n.isList && b.list != nil {
		return false
	}
	var next *branch
	if n.isList {
		if b.list == nil {
			b.list = map[int]*branch{}
		}
		if next = b.list[n.number]; next == nil {
			next = &branch{}
			b.list[n.number] = next
		}
		return next.put(path[1:], v)
	}
	if b.members == nil {
		b.members = map[string]*branch{}
	}
	if next = b.members[n.text]; next == nil {
		next = &branch{}
		b.members[n.text] = next
	}
	return next.put(path[1:], v)
}

func (b *branch) value() any {
	switch {
	case b.isLeaf:
		return b.leaf
	case b.list != nil:
		list := make([]any, 0, len(b.list))
		for i := range len(b.list) {
			e := b.list[i]
			if e == nil {
				return nil // a number is missing
			}
			list = append(list, e.value())
		}
		return list
	}
	obj := make(map[string]any, len(b.members))
	for k, e := range b.members {
		obj[k] = e.value()
	}
	return obj
}

// step appends the name of an object's member to a path.
func step(path, name string) string {
	if plain(name) {
		if path == "" {
			return name
		}
		return path + "." + name
	}
	return path + "[" + quote(name) + "]"
}

func plain(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '_' && c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return s != ""
}

// quote is strconv.Quote without spaces and brackets, so that a path is one word.
func quote(s string) string {
	q := strconv.QuoteToASCII(s)
	return strings.NewReplacer(" ", `\x20`, "[", `\x5b`, "]", `\x5d`).Replace(q)
}

func split(path string) ([]name, error) {
	var names []name
	for rest := path; rest != ""; {
		if strings.HasPrefix(rest, "[") {
			q, after, ok := strings.Cut(rest[1:], "]")
			if !ok {
				return nil, fmt.Errorf("bad path %q", path)
			}
			n := name{}
			var err error
			if strings.HasPrefix(q, `"`) {
				n.text, err = strconv.Unquote(q)
			} else {
				n.isList = true
				n.number, err = strconv.Atoi(q)
			}
			if err != nil || n.number < 0 {
				return nil, fmt.Errorf("bad path %q", path)
			}
			names, rest = append(names, n), after
			continue
		}
		rest = strings.TrimPrefix(rest, ".")
		i := strings.IndexAny(rest, ".[")
		if i < 0 {
			i = len(rest)
		}
		if i == 0 {
			return nil, fmt.Errorf("bad path %q", path)
		}
		names, rest = append(names, name{text: rest[:i]}), rest[i:]
	}
	if len(names) == 0 || names[0].isList {
		return nil, fmt.Errorf("bad path %q", path)
	}
	return names, nil
}

func decode(b []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	return v, nil
}

// encode writes canonical JSON: sorted keys, no spaces, no HTML escapes.
func encode(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(fmt.Sprintf("BUG: encode decoded JSON: %v", err))
	}
	return strings.TrimSuffix(b.String(), "\n")
}
