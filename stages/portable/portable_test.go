package portable_test

import (
	"math"
	"testing"

	"github.com/flow-pipelines/flow/stages/portable"
)

func ulps(a, b float64) float64 {
	if a == b || math.IsNaN(a) && math.IsNaN(b) {
		return 0
	}
	return math.Abs(a-b) / (math.Nextafter(math.Abs(b), math.Inf(1)) - math.Abs(b))
}

func TestExpAndLogAreWithinOneUlp(t *testing.T) {
	for x := -740.0; x < 712; x += 0.37 {
		if got, want := portable.Exp(x), math.Exp(x); ulps(got, want) > 1 {
			t.Fatalf("Exp(%v) = %v, want %v", x, got, want)
		}
	}
	for x := 1e-300; x < 1e300; x *= 1.7 {
		if got, want := portable.Log(x), math.Log(x); ulps(got, want) > 1 {
			t.Fatalf("Log(%v) = %v, want %v", x, got, want)
		}
	}
	for _, x := range []float64{0, 1, -1, 1e-9, math.Inf(1), math.Inf(-1), math.NaN()} {
		if got, want := portable.Exp(x), math.Exp(x); ulps(got, want) > 1 {
			t.Errorf("Exp(%v) = %v, want %v", x, got, want)
		}
		if got, want := portable.Log(x), math.Log(x); ulps(got, want) > 1 {
			t.Errorf("Log(%v) = %v, want %v", x, got, want)
		}
	}
}

func TestPowFollowsMath(t *testing.T) {
	for x := -3.0; x < 40; x += 0.7 {
		for y := -6.0; y < 7; y += 0.25 {
			got, want := portable.Pow(x, y), math.Pow(x, y)
			if math.IsNaN(got) != math.IsNaN(want) || !math.IsNaN(want) && math.Abs(got-want) > 1e-13*math.Abs(want) {
				t.Errorf("Pow(%v, %v) = %v, want %v", x, y, got, want)
			}
		}
	}
	for _, x := range []float64{0, 1, -1, math.Inf(1), math.Inf(-1), math.NaN()} {
		for _, y := range []float64{0, 0.5, 1, -1, 3, math.Inf(1), math.Inf(-1), math.NaN()} {
			got, want := portable.Pow(x, y), math.Pow(x, y)
			if got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
				t.Errorf("Pow(%v, %v) = %v, want %v", x, y, got, want)
			}
		}
	}
}

// Bits that every machine must reproduce.
func TestBitsAreTheSameEverywhere(t *testing.T) {
	for name, c := range map[string]struct{ got, want uint64 }{
		"log 3":       {math.Float64bits(portable.Log(3)), 0x3ff193ea7aad030a},
		"exp 1":       {math.Float64bits(portable.Exp(1)), 0x4005bf0a8b145769},
		"pow 1.1 2.7": {math.Float64bits(portable.Pow(1.1, 2.7)), 0x3ff4b219beec1968},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %#x, want %#x", name, c.got, c.want)
		}
	}
}

func TestCosPiFollowsMath(t *testing.T) {
	for x := 0.0; x <= 1; x += 0.001 {
		if got, want := portable.CosPi(x), math.Cos(math.Pi*x); math.Abs(got-want) > 1e-12 {
			t.Fatalf("CosPi(%v) = %v, want %v", x, got, want)
		}
	}
}
