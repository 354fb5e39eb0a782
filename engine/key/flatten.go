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
// `model.mlp.hidden` and `[16]`. Lists are values; objects are gone into, so
// that a document in flow.lock has a line a value and a difference names just
// what changed.
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
	if obj, ok := v.(map[string]any); ok && len(obj) > 0 {
		for k, v := range obj {
			leaves = flatten(leaves, step(path, k), v)
		}
		return leaves
	}
	return append(leaves, Leaf{path, encode(v)})
}

// Unflatten is the inverse of Flatten.
func Unflatten(leaves []Leaf) (map[string]any, error) {
	root := map[string]any{}
	for _, l := range leaves {
		names, err := split(l.Path)
		if err != nil {
			return nil, err
		}
		v, err := decode([]byte(l.Value))
		if err != nil {
			return nil, fmt.Errorf("value of %s: %w", l.Path, err)
		}
		at := root
		for _, n := range names[:len(names)-1] {
			next, ok := at[n].(map[string]any)
			if !ok {
				if at[n] != nil {
					return nil, fmt.Errorf("%s lies inside a plain value", l.Path)
				}
				next = map[string]any{}
				at[n] = next
			}
			at = next
		}
		at[names[len(names)-1]] = v
	}
	return root, nil
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

func split(path string) ([]string, error) {
	var names []string
	for rest := path; rest != ""; {
		if strings.HasPrefix(rest, "[") {
			q, after, ok := strings.Cut(rest[1:], "]")
			n, err := strconv.Unquote(q)
			if !ok || err != nil {
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
		names, rest = append(names, rest[:i]), rest[i:]
	}
	if len(names) == 0 {
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
