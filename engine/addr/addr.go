// Package addr names stages: train.mlp, train.mlp["small"], exec.shard[3],
// module.prepare["eu"].split.holdout.
//
// An Address is a value: comparable, usable as a map key, printed and parsed
// without loss. It says nothing about whether the stage exists.
package addr

import (
	"cmp"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Address names one stage instance, or, without keys, a block. With neither
// type nor name it names a module, and so all that is in it.
type Address struct {
	Module Module // the module that it is in; zero: the project itself
	Type   string // the block's type: train
	Name   string // the block's label: mlp
	Key    Key    // which instance of a block with for_each or count
}

// Key tells the instances of one block apart. The zero Key is that of a block
// with neither for_each nor count.
type Key struct {
	kind  byte // 0, 's' or 'i'
	text  string
	index int
}

// StringKey is the key of a for_each instance.
func StringKey(s string) Key { return Key{kind: 's', text: s} }

// IntKey is the key of a count instance.
func IntKey(i int) Key { return Key{kind: 'i', index: i} }

// IsZero reports whether there is no key.
func (k Key) IsZero() bool { return k.kind == 0 }

// IsInt reports whether k is the index of a count instance.
func (k Key) IsInt() bool { return k.kind == 'i' }

// Text returns the key without brackets and quotes.
func (k Key) Text() string {
	if k.kind == 'i' {
		return strconv.Itoa(k.index)
	}
	return k.text
}

// Index returns the number of a count instance.
func (k Key) Index() int { return k.index }

func (k Key) String() string {
	switch k.kind {
	case 's':
		return "[" + quote(k.text) + "]"
	case 'i':
		return "[" + strconv.Itoa(k.index) + "]"
	}
	return ""
}

// String returns the address as it is written in HCL.
func (a Address) String() string {
	local := a.Type + "." + a.Name + a.Key.String()
	switch {
	case a.Module.text == "":
		return local
	case a.IsModule():
		return a.Module.text
	}
	return a.Module.text + "." + local
}

// Block returns the address of the block that a is an instance of, as it
// stands in the text: without any key.
func (a Address) Block() Address {
	return Address{Module: a.Module.Declared(), Type: a.Type, Name: a.Name}
}

// Local returns a as it is written inside of its module.
func (a Address) Local() Address { return Address{Type: a.Type, Name: a.Name, Key: a.Key} }

// IsModule reports whether a names a module rather than a stage.
func (a Address) IsModule() bool { return a.Type == "" && a.Module.text != "" }

// Within reports whether named stands for a: whether it is a itself, the block
// that a is an instance of, or a module that a is in. A module's name without
// a key stands for all its instances.
func (a Address) Within(named Address) bool {
	if a == named {
		return true
	}
	if named.IsModule() {
		return a.Module.Within(named.Module)
	}
	return a.Type == named.Type && a.Name == named.Name && (named.Key.IsZero() || named.Key == a.Key) &&
		a.Module.Within(named.Module) && len(a.Module.Steps()) == len(named.Module.Steps())
}

// IsZero reports whether a names nothing.
func (a Address) IsZero() bool { return a == Address{} }

// Dir returns the slash-separated relative directory that belongs to a alone:
// train/mlp/small. Key characters that mean something to a file system or a
// shell are percent-encoded, so two addresses never share a directory.
func (a Address) Dir() string {
	dir := path.Join(a.Module.dir(), a.Type, a.Name)
	if a.Key.IsZero() {
		return dir
	}
	return path.Join(dir, fileName(a.Key.Text()))
}

// FileName returns a single file name that belongs to a alone.
func (a Address) FileName() string {
	name := a.Module.fileName() + a.Type + "." + a.Name
	if a.Key.IsZero() {
		return name
	}
	return name + "." + fileName(a.Key.Text())
}

func fileName(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-', c == '+', c == '=', c >= 0x80:
			b.WriteByte(c)
		case c == '.' && i > 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	if b.Len() == 0 {
		return "%"
	}
	return b.String()
}

// Compare orders addresses by module, type, name and key; count instances by
// number. What is in a module comes after what is around it.
func Compare(a, b Address) int {
	return cmp.Or(
		compareModules(a.Module, b.Module),
		cmp.Compare(a.Type, b.Type),
		cmp.Compare(a.Name, b.Name),
		compareKeys(a.Key, b.Key),
	)
}

func compareKeys(a, b Key) int {
	return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.index, b.index), cmp.Compare(a.text, b.text))
}

// IsName reports whether s is an identifier of HCL, and so can be the type or name
// of a block. HCL's own answer takes a lexer with all that it allocates, which was
// a tenth of reading flow.lock; nearly all names need no more than this.
func IsName(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_':
		case i > 0 && (c >= '0' && c <= '9' || c == '-'):
		default:
			return c >= 0x80 && hclsyntax.ValidIdentifier(s)
		}
	}
	return s != ""
}

// Parse reads what String prints.
func Parse(s string) (Address, error) {
	m, local, err := cutModule(s)
	if err != nil {
		return Address{}, fmt.Errorf("parse address %q: %w", s, err)
	}
	if local == "" && !m.IsRoot() {
		return Address{Module: m}, nil
	}
	head, key, hasKey := strings.Cut(local, "[")
	typ, name, ok := strings.Cut(head, ".")
	if !ok || !IsName(typ) || !IsName(name) {
		return Address{}, fmt.Errorf("parse address %q: want TYPE.NAME or TYPE.NAME[KEY], as in train.mlp[\"small\"]", s)
	}
	a := Address{Module: m, Type: typ, Name: name}
	if !hasKey {
		return a, nil
	}
	key, ok = strings.CutSuffix(key, "]")
	if !ok {
		return Address{}, fmt.Errorf("parse address %q: missing ]", s)
	}
	if a.Key, err = parseKey(key, a.Block().String()); err != nil {
		return Address{}, fmt.Errorf("parse address %q: %w", s, err)
	}
	return a, nil
}

// parseKey reads what stands between brackets. whose is what the key belongs
// to, for messages.
func parseKey(key, whose string) (Key, error) {
	if strings.HasPrefix(key, `"`) {
		text, err := unquote(key)
		if err != nil {
			return Key{}, fmt.Errorf("key %s: %w", key, err)
		}
		return StringKey(text), nil
	}
	i, err := strconv.Atoi(key)
	if err != nil || i < 0 || strconv.Itoa(i) != key {
		return Key{}, fmt.Errorf("the key %s is neither a quoted string nor a number; quote the brackets from the shell: '%s[\"KEY\"]'", key, whose)
	}
	return IntKey(i), nil
}

// quote writes s as an HCL string: Go's escapes, and no template in it.
func quote(s string) string {
	q := strconv.Quote(s)
	q = strings.ReplaceAll(q, "${", "$${")
	return strings.ReplaceAll(q, "%{", "%%{")
}

func unquote(q string) (string, error) {
	q = strings.ReplaceAll(q, "$${", "${")
	return strconv.Unquote(strings.ReplaceAll(q, "%%{", "%{"))
}

// MarshalText returns String's form.
func (a Address) MarshalText() ([]byte, error) {
	if a.IsZero() {
		return nil, nil
	}
	return []byte(a.String()), nil
}

// UnmarshalText reads String's form.
func (a *Address) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*a = Address{}
		return nil
	}
	v, err := Parse(string(b))
	if err != nil {
		return err
	}
	*a = v
	return nil
}
