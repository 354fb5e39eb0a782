package kernel

import (
	"testing"
	"unsafe"
)

// The assembly reads these structs by offset.
func TestTheAssemblyKnowsTheOffsets(t *testing.T) {
	var a tileArgs
	var adam AdamStep
	var sgd SGDStep
	for name, o := range map[string][2]uintptr{
		"tileArgs.aCol":    {unsafe.Offsetof(a.aCol), 24},
		"tileArgs.cRow":    {unsafe.Offsetof(a.cRow), 56},
		"tileArgs.flags":   {unsafe.Offsetof(a.flags), 72},
		"AdamStep.Rate":    {unsafe.Offsetof(adam.Rate), 16},
		"AdamStep.Shrink":  {unsafe.Offsetof(adam.Shrink), 32},
		"SGDStep.Nesterov": {unsafe.Offsetof(sgd.Nesterov), 12},
	} {
		if o[0] != o[1] {
			t.Errorf("%s is at %d, the assembly reads %d", name, o[0], o[1])
		}
	}
	// Where there is AVX2, the tests of this package compare it with Go.
	if !hasAVX2 {
		t.Skip("this processor has no AVX2")
	}
	x := random(tileRows*5+tileCols*5, 3)
	run := func(f func(*tileArgs)) []float32 {
		c := make([]float32, tileRows*tileCols)
		f(&tileArgs{k: 5, a: &x[0], aRow: 5, aCol: 1, b: &x[tileRows*5], bRow: tileCols, c: &c[0], cRow: tileCols, bias: &x[0], flags: reluAfter})
		return c
	}
	if i := differ(run(tileAVX2), run(tilePortable)); i >= 0 {
		t.Errorf("element %d of a tile differs from portable Go's", i)
	}
}
