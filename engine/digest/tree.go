package digest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Kind says what a Node is. Its values are part of the tree encoding.
type Kind byte

// The kinds. Permissions other than "executable by its owner" are not content.
const (
	File       Kind = 'f'
	Executable Kind = 'x'
	Link       Kind = 'l' // a symbolic link; its content is the target's text
	Dir        Kind = 'd'
)

func (k Kind) String() string {
	switch k {
	case File:
		return "file"
	case Executable:
		return "executable"
	case Link:
		return "link"
	case Dir:
		return "directory"
	}
	return fmt.Sprintf("kind %q", byte(k))
}

// MarshalText returns String's form; that of no kind is empty.
func (k Kind) MarshalText() ([]byte, error) {
	if k == 0 {
		return nil, nil
	}
	return []byte(k.String()), nil
}

// UnmarshalText reads what MarshalText wrote.
func (k *Kind) UnmarshalText(b []byte) error {
	for _, known := range []Kind{File, Executable, Link, Dir} {
		if string(b) == known.String() {
			*k = known
			return nil
		}
	}
	if len(b) > 0 {
		return fmt.Errorf("unknown kind %q", b)
	}
	*k = 0
	return nil
}

// Node is a file or a directory, by content. It is comparable: equal nodes are
// equal content, modes included. Its JSON is that of all documents of flow.
type Node struct {
	Kind   Kind   `json:"kind"`
	Digest Digest `json:"digest"`
	// Size is the bytes of a file, or of all files below a directory.
	Size int64 `json:"bytes"`
	// Files counts the files below a directory; 1 for anything else.
	Files int64 `json:"files"`
}

// IsZero reports whether n stands for nothing.
func (n Node) IsZero() bool { return n == Node{} }

// Entry is a Node with its name in a directory.
type Entry struct {
	Name string
	Node
}

// Tree lists a directory, sorted by name (bytewise), names unique. One changed
// file changes the trees on its path and nothing else.
type Tree []Entry

// TreeHeader starts every encoded tree; the number is the version of the format.
const TreeHeader = "flow tree 1\n"

// Node returns the directory that t lists.
func (t Tree) Node() Node {
	n, _ := t.Encoded()
	return n
}

// Encoded returns the directory that t lists, and t encoded.
func (t Tree) Encoded() (Node, []byte) {
	b := t.Encode()
	n := Node{Kind: Dir, Digest: OfBytes(b)}
	for _, e := range t {
		n.Size += e.Size
		n.Files += e.Files
	}
	return n, b
}

// Sort orders t by name, as Encode wants it.
func (t Tree) Sort() {
	slices.SortFunc(t, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
}

// Encode returns the bytes whose digest names the directory: the header, then
// for each entry its kind, digest, size and files as uvarints, and its
// length-prefixed name. t must be sorted.
func (t Tree) Encode() []byte {
	b := make([]byte, 0, len(TreeHeader)+len(t)*(Size+24))
	b = append(b, TreeHeader...)
	for _, e := range t {
		b = append(b, byte(e.Kind))
		b = append(b, e.Digest[:]...)
		b = binary.AppendUvarint(b, uint64(e.Size))
		b = binary.AppendUvarint(b, uint64(e.Files))
		b = binary.AppendUvarint(b, uint64(len(e.Name)))
		b = append(b, e.Name...)
	}
	return b
}

var errTree = errors.New("not a tree, or cut short")

// DecodeTree reads what Encode wrote. It accepts nothing else: a name with a
// slash, a disorder or a duplicate is refused, so that a damaged or hostile
// tree cannot write outside the directory it is checked out into.
func DecodeTree(b []byte) (Tree, error) {
	rest, ok := bytes.CutPrefix(b, []byte(TreeHeader))
	if !ok {
		return nil, fmt.Errorf("decode tree: %w", errTree)
	}
	var t Tree
	for len(rest) > 0 {
		var e Entry
		var err error
		if e, rest, err = decodeEntry(rest); err != nil {
			return nil, fmt.Errorf("decode tree: entry %d: %w", len(t), err)
		}
		if len(t) > 0 && t[len(t)-1].Name >= e.Name {
			return nil, fmt.Errorf("decode tree: %q does not sort after %q", e.Name, t[len(t)-1].Name)
		}
		t = append(t, e)
	}
	return t, nil
}

func decodeEntry(b []byte) (Entry, []byte, error) {
	var e Entry
	if len(b) < 1+Size {
		return e, nil, errTree
	}
	e.Kind = Kind(b[0])
	switch e.Kind {
	case File, Executable, Link, Dir:
	default:
		return e, nil, fmt.Errorf("unknown %v", e.Kind)
	}
	copy(e.Digest[:], b[1:])
	b = b[1+Size:]
	var nameLen int64
	for _, field := range []*int64{&e.Size, &e.Files, &nameLen} {
		v, n := binary.Uvarint(b)
		if n <= 0 || v > 1<<62 {
			return e, nil, errTree
		}
		*field, b = int64(v), b[n:]
	}
	if nameLen > int64(len(b)) {
		return e, nil, errTree
	}
	e.Name, b = string(b[:nameLen]), b[nameLen:]
	if e.Name == "" || e.Name == "." || e.Name == ".." || strings.ContainsAny(e.Name, "/\x00") {
		return e, nil, fmt.Errorf("bad name %q", e.Name)
	}
	return e, b, nil
}
