// Package key decides when two stages are the same stage: when they have the
// same Key, the result of one is the result of the other.
//
// A Key is the hash of a Manifest: the list of all facts that a result depends
// on, each with a name. The same list explains why a stage must run (Diff) and
// stands in flow.lock, so an explanation cannot drift from what is hashed.
//
// In the manifest: the stage type and its version, resolved arguments that
// differ from their defaults, inputs by role and content, the command, declared
// environment, outputs, isolation. Not in it: time, host, absolute paths, the
// order of maps, comments and layout of the HCL, resources, timeouts, retries,
// checkpoints, arguments that say how and not what (stage.Attribute.Unkeyed); for
// jobs that flow runs itself, no paths either, so that a renamed stage keeps its
// results. Every field of stage.Job is either hashed or listed as
// not hashed, and a test fails for one that is neither.
package key

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/zeebo/blake3"
)

// Key identifies what a stage computes. It is a hash, but not of content:
// compare digest.Digest, which names what came out.
type Key [32]byte

// prefix is the text form's; the digit is the version of the manifest.
const prefix = "k1:"

// String returns the text form, "k1:" and 64 hexadecimal digits.
func (k Key) String() string { return prefix + hex.EncodeToString(k[:]) }

// Short returns the first 12 digits, for people.
func (k Key) Short() string { return hex.EncodeToString(k[:6]) }

// IsZero reports whether k is no key.
func (k Key) IsZero() bool { return k == Key{} }

// Parse reads the text form.
func Parse(s string) (Key, error) {
	digits, ok := strings.CutPrefix(s, prefix)
	if !ok || len(digits) != 64 {
		return Key{}, fmt.Errorf("parse key %q: want %s and 64 hexadecimal digits", s, prefix)
	}
	var k Key
	if _, err := hex.Decode(k[:], []byte(digits)); err != nil {
		return Key{}, fmt.Errorf("parse key %q: %w", s, err)
	}
	return k, nil
}

// MarshalText returns the text form; the zero Key is the empty text.
func (k Key) MarshalText() ([]byte, error) {
	if k.IsZero() {
		return nil, nil
	}
	return []byte(k.String()), nil
}

// UnmarshalText reads the text form.
func (k *Key) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*k = Key{}
		return nil
	}
	v, err := Parse(string(b))
	*k = v
	return err
}

// Kind groups the facts of a manifest. The order of the constants is the order
// in which facts are hashed, listed and explained.
type Kind int

// The kinds of facts.
const (
	TypeFact      Kind = iota // the stage type; the value is its version
	PluginFact                // the plugin that the type comes from, and the engines in it
	Command                   // the program and its arguments, as JSON
	Argument                  // an argument, or a part of one, as JSON
	Input                     // something that is read; see FormatInput
	Environment               // a declared variable, as JSON
	Output                    // something that is written
	MetricsFile               // a file that metrics are read from
	IsolationFact             // where a command runs
)

var kindNames = [...]string{"type", "plugin", "command", "argument", "input", "environment", "output", "metrics", "isolation"}

func (k Kind) String() string { return kindNames[k] }

// ParseKind reads what String prints.
func ParseKind(s string) (Kind, bool) {
	i := slices.Index(kindNames[:], s)
	return Kind(i), i >= 0
}

// Fact is one thing that a result depends on.
type Fact struct {
	Kind  Kind
	Name  string // may be empty, as for the command
	Value string
	// Sensitive values are hashed but written down as Hidden.
	Sensitive bool
}

// Hidden stands for a sensitive value wherever a manifest is written down.
const Hidden = "(sensitive)"

// Manifest is the facts of one stage, sorted by kind and name, which are
// unique together.
type Manifest []Fact

func (m Manifest) sort() {
	slices.SortFunc(m, compareFacts)
}

// Sorted returns the facts in the order of a manifest.
func (m Manifest) Sorted() Manifest {
	out := slices.Clone(m)
	out.sort()
	return out
}

func compareFacts(a, b Fact) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), strings.Compare(a.Name, b.Name))
}

// Key hashes the manifest: each fact as three length-prefixed fields, so that
// no two manifests have one encoding.
func (m Manifest) Key() Key {
	b := make([]byte, 0, 1024)
	b = append(b, "flow manifest 1\n"...)
	for _, f := range m {
		for _, s := range []string{f.Kind.String(), f.Name, f.Value} {
			b = binary.AppendUvarint(b, uint64(len(s)))
			b = append(b, s...)
		}
	}
	return blake3.Sum256(b)
}

// Redacted returns m with sensitive values hidden, for writing down.
func (m Manifest) Redacted() Manifest {
	r := slices.Clone(m)
	for i := range r {
		if r[i].Sensitive {
			r[i].Value = Hidden
		}
	}
	return r
}

// Get returns the value of a fact.
func (m Manifest) Get(k Kind, name string) (string, bool) {
	i, ok := slices.BinarySearchFunc(m, Fact{Kind: k, Name: name}, compareFacts)
	if !ok {
		return "", false
	}
	return m[i].Value, true
}
