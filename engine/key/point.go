package key

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/zeebo/blake3"
)

// Point is how far a run goes, over arguments of which more means that it goes on
// as it did with less, such as epochs.
type Point struct {
	// Key identifies the run but for how far it goes.
	Key Key
	// Names are the arguments that say how far, Values their numbers.
	Names  []string
	Values []float64
}

// PointOf returns the point of a run over some of its arguments. There is none if
// one of them is no number, or is not to be written down.
func PointOf(m Manifest, args json.RawMessage, over []string) (p Point, ok bool) {
	if len(over) == 0 {
		return p, false
	}
	leaves, err := Flatten(args)
	if err != nil {
		return p, false
	}
	p.Names = slices.Compact(slices.Sorted(slices.Values(over)))
	for _, name := range p.Names {
		at := slices.IndexFunc(leaves, func(l Leaf) bool { return l.Path == name })
		if at < 0 || slices.ContainsFunc(m, func(f Fact) bool { return f.Sensitive && f.at([]string{name}) }) {
			return p, false
		}
		// An environment variable is a text.
		v, err := strconv.ParseFloat(strings.Trim(leaves[at].Value, `"`), 64)
		if err != nil || math.IsNaN(v) {
			return p, false
		}
		p.Values = append(p.Values, v)
	}
	p.Key = m.keyWithout(p.Names)
	return p, true
}

// Reaches reports whether a run to p can go on from one to the other point: in
// nothing did that go further.
func (p Point) Reaches(from Point) bool {
	if p.Key != from.Key || len(p.Values) != len(from.Values) {
		return false
	}
	for i, v := range from.Values {
		if v > p.Values[i] {
			return false
		}
	}
	return true
}

// String is the point for a person: "epochs 10".
func (p Point) String() string {
	var parts []string
	for i, name := range p.Names {
		parts = append(parts, name+" "+strconv.FormatFloat(p.Values[i], 'g', -1, 64))
	}
	return strings.Join(parts, ", ")
}

// keyWithout is the key of what m says but for the arguments and environment
// variables (env.NAME) at the paths. Two runs have the same one if they differ in
// nothing else. It is no Key of a result.
func (m Manifest) keyWithout(paths []string) Key {
	without := slices.DeleteFunc(slices.Clone(m), func(f Fact) bool { return f.at(paths) })
	rest := without.Key()
	b := append([]byte("flow manifest without 1\n"), rest[:]...)
	for _, p := range paths {
		b = binary.AppendUvarint(b, uint64(len(p)))
		b = append(b, p...)
	}
	return blake3.Sum256(b)
}

// at reports whether the fact is what is written at one of the paths, or in it.
func (f Fact) at(texts []string) bool {
	switch f.Kind {
	case Argument:
		return pathsOf(texts).covers(f.Name)
	case Environment:
		return pathsOf(texts).covers(step("env", f.Name))
	}
	return false
}
