package protocol

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/flow-pipelines/flow/engine/stage"
)

var placeholder = regexp.MustCompile(`\{[A-Za-z_][A-Za-z0-9_-]*\}`)

// OutputsOf returns the outputs that a job with these arguments has; their paths
// are relative to the stage's place. unknown tells of arguments that are not
// known yet. A mistake is a *stage.Problem.
func (t *Type) OutputsOf(args json.RawMessage, unknown func(name string) bool) ([]stage.Output, error) {
	var given map[string]json.RawMessage
	if len(args) > 0 {
		if err := json.Unmarshal(args, &given); err != nil {
			return nil, fmt.Errorf("decode arguments: %w", err)
		}
	}
	var outs []stage.Output
	for _, o := range t.Outputs {
		for _, name := range []string{o.If, o.Each} {
			if name != "" && unknown(name) {
				return nil, stage.Problemf(name, "The outputs cannot depend on what is not known yet",
					"Which outputs %s has is decided by %s, so its value must be known before anything runs.", t.Name, name)
			}
		}
		if o.If != "" && !present(given[o.If]) {
			continue
		}
		more, err := o.expand(t.Body.label(o.Each), given, unknown)
		if err != nil {
			return nil, err
		}
		outs = append(outs, more...)
	}
	return outs, nil
}

// present reports whether an argument or block is given: not null, false or empty.
func present(raw json.RawMessage) bool {
	switch string(raw) {
	case "", "null", "false", `""`, "[]":
		return false
	}
	return true
}

func (o Output) expand(label string, given map[string]json.RawMessage, unknown func(string) bool) ([]stage.Output, error) {
	if o.Each == "" {
		p, err := o.path("", nil, given, unknown)
		return []stage.Output{{Name: o.Name, Path: p, Dir: o.Dir}}, err
	}
	keys, bodies, err := elements(label, given[o.Each])
	if err != nil {
		return nil, fmt.Errorf("decode %s: %w", o.Each, err)
	}
	var outs []stage.Output
	seen := map[string]bool{}
	for i, key := range keys {
		at := fmt.Sprintf("%s[%d]", o.Each, i)
		switch {
		case !identifier.MatchString(key):
			return nil, stage.Problemf(at, fmt.Sprintf("%q is not a name for an output", key), "It is the name of an output: it starts with a letter and holds letters, digits, _ and -.")
		case seen[key]:
			return nil, stage.Problemf(at, fmt.Sprintf("Two outputs are called %q", key), "Rename one of them.")
		}
		seen[key] = true
		p, err := o.path(key, bodies[i], given, unknown)
		if err != nil {
			return nil, err
		}
		outs = append(outs, stage.Output{Name: key, Path: p, Dir: o.Dir})
	}
	return outs, nil
}

// elements returns the keys of a map, sorted, or the labels of blocks, in order,
// with what the blocks hold. label is where a block has its label; "": a map.
func elements(label string, raw json.RawMessage) (keys []string, bodies []map[string]json.RawMessage, err error) {
	if !present(raw) {
		return nil, nil, nil
	}
	if label == "" {
		var m map[string]json.RawMessage
		if err := json.Unmarshal(raw, &m); err != nil {
			return nil, nil, err
		}
		keys = slices.Sorted(maps.Keys(m))
		return keys, make([]map[string]json.RawMessage, len(keys)), nil
	}
	if err := json.Unmarshal(raw, &bodies); err != nil {
		return nil, nil, err
	}
	for _, b := range bodies {
		var key string
		if err := json.Unmarshal(b[label], &key); err != nil {
			return nil, nil, err
		}
		keys = append(keys, key)
	}
	return keys, bodies, nil
}

// label is the name of the label of a repeated block, "" of a map.
func (b Body) label(each string) string {
	for _, blk := range b.Blocks {
		if blk.Name == each {
			return blk.Label
		}
	}
	return ""
}

func (o Output) path(key string, body, given map[string]json.RawMessage, unknown func(string) bool) (string, error) {
	var wrong error
	p := placeholder.ReplaceAllStringFunc(o.Path, func(s string) string {
		name := strings.Trim(s, "{}")
		if name == "key" && o.Each != "" {
			return key
		}
		raw, ok := body[name]
		if !ok || string(raw) == "null" {
			if unknown(name) {
				wrong = stage.Problemf(name, "The outputs cannot depend on what is not known yet", "The path of the output %s is made from %s, so its value must be known before anything runs.", o.Name, name)
			}
			raw = given[name]
		}
		var text string
		if err := json.Unmarshal(raw, &text); wrong == nil && (err != nil || !plainName(text)) {
			wrong = stage.Problemf(name, fmt.Sprintf("%s cannot be part of a file's name", name), "It is part of the path of the output %s: letters, digits, dots, _ and - are allowed.", o.Name)
		}
		return text
	})
	return p, wrong
}

func plainName(s string) bool {
	return s != "" && !strings.HasPrefix(s, ".") && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '.' && r != '_' && r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}
