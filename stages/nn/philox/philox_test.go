package philox_test

import (
	"math"
	"slices"
	"testing"

	"github.com/flow-pipelines/flow/stages/nn/philox"
)

// The rows are the known answers of Philox4x32-10 in the authors' own library
// (Random123, tests/kat_vectors).
func TestBlockGivesTheKnownAnswers(t *testing.T) {
	for _, row := range []struct {
		counter [4]uint32
		key     [2]uint32
		want    [4]uint32
	}{
		{[4]uint32{}, [2]uint32{}, [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{
			[4]uint32{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
			[2]uint32{0xffffffff, 0xffffffff},
			[4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
		},
		{
			[4]uint32{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
			[2]uint32{0xa4093822, 0x299f31d0},
			[4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1},
		},
	} {
		if got := philox.Block(row.counter, row.key); got != row.want {
			t.Errorf("Block(%x, %x) = %x, want %x", row.counter, row.key, got, row.want)
		}
	}
}

func TestStreamsDifferByEachArgument(t *testing.T) {
	seen := map[uint64]bool{}
	for _, s := range []philox.Stream{
		philox.New(1, 0, 0), philox.New(2, 0, 0), philox.New(1<<32|1, 0, 0), philox.New(1, 1, 0), philox.New(1, 0, 1),
	} {
		v := s.Uint64()
		if seen[v] {
			t.Errorf("two streams begin with %x", v)
		}
		seen[v] = true
	}
}

func TestFloat32IsUniformBelowOne(t *testing.T) {
	s := philox.New(7, 3, 0)
	const n = 100_000
	var sum float64
	for range n {
		v := s.Float32()
		if v < 0 || v >= 1 {
			t.Fatalf("Float32() = %v, want [0, 1)", v)
		}
		sum += float64(v)
	}
	if mean := sum / n; math.Abs(mean-0.5) > 0.005 {
		t.Errorf("mean of %d numbers is %v, want about 0.5", n, mean)
	}
}

func TestShuffleIsAPermutation(t *testing.T) {
	order := make([]int, 1000)
	for i := range order {
		order[i] = i
	}
	s := philox.New(7, 3, 0)
	s.Shuffle(order)
	if slices.IsSorted(order) {
		t.Error("a shuffle of 1000 left them in order")
	}
	slices.Sort(order)
	for i, v := range order {
		if i != v {
			t.Fatalf("place %d holds %d after sorting", i, v)
		}
	}
}

func TestSkipIsReading(t *testing.T) {
	for _, before := range []int{0, 1, 3, 4, 6} {
		for _, n := range []int{0, 1, 2, 3, 4, 5, 7, 8, 1001} {
			read, skipped := philox.New(3, 1, 2), philox.New(3, 1, 2)
			for range before {
				read.Uint32()
				skipped.Uint32()
			}
			for range n {
				read.Uint32()
			}
			skipped.Skip(uint64(n))
			for range 5 {
				if got, want := skipped.Uint32(), read.Uint32(); got != want {
					t.Fatalf("after %d and a skip of %d: %d, want %d", before, n, got, want)
				}
			}
		}
	}
}
