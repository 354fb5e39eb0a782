package config

import (
	"cmp"
	"slices"

	"github.com/zclconf/go-cty/cty"

	"github.com/flow-pipelines/flow/engine/addr"
)

// The marks that values carry. All are comparable, as cty wants.
type (
	// instanceMark is on everything that belongs to a stage instance: its
	// object, and hence whatever is taken from it.
	instanceMark struct{ addr addr.Address }
	// outputMark is on the path of an output, and on its object.
	outputMark struct {
		addr   addr.Address
		output string
		path   string
	}
	// deferredMark is on what stands for the instances of a block, or of a
	// module, that are not known yet.
	deferredMark struct{ addr addr.Address }
	// sensitiveMark is on the value of a sensitive variable.
	sensitiveMark struct{}
	// brokenMark is on what stands for a value whose evaluation failed. The
	// failure has been reported; what comes of it is not reported again.
	brokenMark struct{}
)

// found collects the marks met in a value.
type found struct {
	instances map[addr.Address]bool
	awaits    map[addr.Address]bool // blocks whose instances are not known yet
	outputs   []outputMark          // sorted
	sensitive bool
	broken    bool
}

func (f *found) add(marks cty.ValueMarks) {
	for m := range marks {
		switch m := m.(type) {
		case instanceMark:
			f.instance(m.addr)
		case outputMark:
			f.instance(m.addr)
			f.outputs = append(f.outputs, m)
		case deferredMark:
			f.await(m.addr)
		case sensitiveMark:
			f.sensitive = true
		case brokenMark:
			f.broken = true
		case doubtMark:
			m.tell(nil)
			f.broken = true
		}
	}
	if len(f.outputs) > 1 {
		slices.SortFunc(f.outputs, func(a, b outputMark) int {
			return cmp.Or(addr.Compare(a.addr, b.addr), cmp.Compare(a.output, b.output))
		})
		f.outputs = slices.Compact(f.outputs)
	}
}

func (f *found) instance(a addr.Address) {
	if f.instances == nil {
		f.instances = map[addr.Address]bool{}
	}
	f.instances[a] = true
}

func (f *found) await(a addr.Address) {
	if f.awaits == nil {
		f.awaits = map[addr.Address]bool{}
	}
	f.awaits[a] = true
}

// strip returns v without marks at any depth, and what they were.
func strip(v cty.Value) (cty.Value, found) {
	var f found
	v, marks := v.UnmarkDeep()
	f.add(marks)
	return v, f
}

// secret puts the mark of sensitive values back, for who would print v.
func (f *found) secret(v cty.Value) cty.Value {
	if f.sensitive {
		return v.Mark(sensitiveMark{})
	}
	return v
}

// broken stands for a value that could not be had.
func broken() cty.Value { return cty.DynamicVal.Mark(brokenMark{}) }

func sorted(set map[addr.Address]bool) []addr.Address {
	if len(set) == 0 {
		return nil
	}
	as := make([]addr.Address, 0, len(set))
	for a := range set {
		as = append(as, a)
	}
	slices.SortFunc(as, addr.Compare)
	return as
}
