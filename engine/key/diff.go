package key

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
)

// Change is a fact that differs between two manifests. Old or New is empty
// where the fact was added or taken away; Has tells that from an empty value.
type Change struct {
	Kind           Kind
	Name           string
	Old, New       string
	HasOld, HasNew bool
}

// changeJSON is a Change in all documents of flow.
type changeJSON struct {
	Kind string  `json:"kind"`
	Name string  `json:"name,omitempty"`
	Old  *string `json:"old,omitempty"`
	New  *string `json:"new,omitempty"`
}

// MarshalJSON leaves out what there is not.
func (c Change) MarshalJSON() ([]byte, error) {
	j := changeJSON{Kind: c.Kind.String(), Name: c.Name}
	if c.HasOld {
		j.Old = &c.Old
	}
	if c.HasNew {
		j.New = &c.New
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(j)
	return b.Bytes(), err
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (c *Change) UnmarshalJSON(b []byte) error {
	var j changeJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	kind, ok := ParseKind(j.Kind)
	if !ok {
		return fmt.Errorf("unknown kind of change %q", j.Kind)
	}
	*c = Change{Kind: kind, Name: j.Name, HasOld: j.Old != nil, HasNew: j.New != nil}
	if c.HasOld {
		c.Old = *j.Old
	}
	if c.HasNew {
		c.New = *j.New
	}
	return nil
}

// Diff lists what differs, in the order of the manifests. Facts for which skip
// returns true are left out: those whose value is not known yet. A sensitive
// value that was written down as Hidden counts as equal, since it cannot be
// compared.
func Diff(before, after Manifest, skip func(Fact) bool) []Change {
	var cs []Change
	add := func(c Change, f Fact) {
		if skip == nil || !skip(f) {
			cs = append(cs, c)
		}
	}
	i, j := 0, 0
	for i < len(before) || j < len(after) {
		order := 0
		switch {
		case i == len(before):
			order = 1
		case j == len(after):
			order = -1
		default:
			order = compareFacts(before[i], after[j])
		}
		switch {
		case order < 0:
			f := before[i]
			add(Change{Kind: f.Kind, Name: f.Name, Old: f.Value, HasOld: true}, f)
			i++
		case order > 0:
			f := after[j]
			add(Change{Kind: f.Kind, Name: f.Name, New: shown(f), HasNew: true}, f)
			j++
		default:
			o, n := before[i], after[j]
			if o.Value != n.Value && o.Value != Hidden {
				add(Change{Kind: n.Kind, Name: n.Name, Old: o.Value, New: shown(n), HasOld: true, HasNew: true}, n)
			}
			i, j = i+1, j+1
		}
	}
	return slices.Clip(cs)
}

func shown(f Fact) string {
	if f.Sensitive {
		return Hidden
	}
	return f.Value
}

// SecretsChanged returns the sensitive facts of which at least one has another
// value than it had when before had the key k, none if all are as they were. The
// values of before are not written down; but with those of after in their places
// it has the key that it had, or some were others. It cannot be told of what only
// one of the two has, which Diff lists.
func SecretsChanged(before Manifest, k Key, after Manifest) []Fact {
	var secrets []Fact
	was := slices.Clone(before)
	for i, f := range was {
		if f.Value != Hidden {
			continue
		}
		j := slices.IndexFunc(after, func(a Fact) bool { return a.Kind == f.Kind && a.Name == f.Name })
		if j < 0 {
			return nil
		}
		was[i].Value = after[j].Value
		secrets = append(secrets, Fact{Kind: f.Kind, Name: f.Name, Value: Hidden, Sensitive: true})
	}
	if len(secrets) == 0 || was.Key() == k {
		return nil
	}
	return secrets
}
