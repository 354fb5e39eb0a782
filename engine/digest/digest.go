// Package digest names content. Two files with one digest are one file, two
// directories with one digest are one directory, wherever they lie and
// whatever they are called.
//
// The package computes and prints digests and encodes directories as trees of
// digests. It reads no files and keeps nothing: who hashes the user's files is
// engine/worktree (through the stat cache), who keeps bytes is engine/cas.
//
// A digest is BLAKE3-256. Its text form names the algorithm,
//
//	blake3:9f64a747e1b97f131fabb6b447296c9b6f0201e79fb3c5356e6c77e89b6a806a
//
// so that another algorithm can be told apart on the day there is one.
// A stage's key is also a hash, but never of this type: see engine/key.
package digest

import (
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"github.com/zeebo/blake3"
)

// Size is the length of a digest in bytes.
const Size = 32

const algorithm = "blake3"

// Digest is the BLAKE3-256 hash of some content. It is comparable; the zero
// Digest names no content.
type Digest [Size]byte

// OfBytes returns the digest of b.
func OfBytes(b []byte) Digest { return blake3.Sum256(b) }

// OfReader reads r to its end and returns the digest and length of what it held.
func OfReader(r io.Reader) (Digest, int64, error) {
	h := NewHasher()
	n, err := io.Copy(h, r)
	if err != nil {
		return Digest{}, n, err
	}
	return h.Sum(), n, nil
}

// Hasher computes the digest of the bytes written to it.
type Hasher struct{ h *blake3.Hasher }

// NewHasher returns an empty Hasher.
func NewHasher() *Hasher { return &Hasher{blake3.New()} }

func (h *Hasher) Write(p []byte) (int, error) { return h.h.Write(p) }

// Reset empties h, so that a long series of files needs one Hasher.
func (h *Hasher) Reset() { h.h.Reset() }

// Sum returns the digest of what was written so far.
func (h *Hasher) Sum() Digest {
	var d Digest
	h.h.Sum(d[:0])
	return d
}

// IsZero reports whether d names no content.
func (d Digest) IsZero() bool { return d == Digest{} }

// String returns the text form, "blake3:" and 64 hexadecimal digits.
func (d Digest) String() string { return algorithm + ":" + hex.EncodeToString(d[:]) }

// Hex returns the 64 digits alone, for file names.
func (d Digest) Hex() string { return hex.EncodeToString(d[:]) }

// Short returns the first 12 digits, for people.
func (d Digest) Short() string { return hex.EncodeToString(d[:6]) }

// Parse reads the text form.
func Parse(s string) (Digest, error) {
	name, digits, ok := strings.Cut(s, ":")
	switch {
	case !ok:
		return Digest{}, fmt.Errorf("parse digest %q: want ALGORITHM:DIGITS", s)
	case name != algorithm:
		return Digest{}, fmt.Errorf("parse digest %q: unknown algorithm %q, this version knows %q", s, name, algorithm)
	case len(digits) != 2*Size:
		return Digest{}, fmt.Errorf("parse digest %q: got %d hexadecimal digits, want %d", s, len(digits), 2*Size)
	}
	var d Digest
	if _, err := hex.Decode(d[:], []byte(digits)); err != nil {
		return Digest{}, fmt.Errorf("parse digest %q: %w", s, err)
	}
	return d, nil
}

// MarshalText returns the text form; the zero Digest is the empty text.
func (d Digest) MarshalText() ([]byte, error) {
	if d.IsZero() {
		return nil, nil
	}
	return []byte(d.String()), nil
}

// UnmarshalText reads the text form.
func (d *Digest) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*d = Digest{}
		return nil
	}
	v, err := Parse(string(b))
	if err != nil {
		return err
	}
	*d = v
	return nil
}
