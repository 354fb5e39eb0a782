package nn

import (
	"fmt"
	"slices"
	"testing"
)

func TestAugmentMovesAndMirrors(t *testing.T) {
	shape := Shape{2, 3, 2} // six pixels of two channels
	image := []float32{1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6, -6}
	seen := map[string]bool{}
	out, again := make([]float32, 12), make([]float32, 12)
	a := Augment{Flip: true, Shift: 1}
	for row := range 400 {
		a.apply(out, image, shape, 1, 2, row)
		a.apply(again, image, shape, 1, 2, row)
		if !slices.Equal(out, again) {
			t.Fatalf("row %d is not the same twice", row)
		}
		for i := 0; i < 12; i += 2 {
			if out[i] != -out[i+1] {
				t.Fatalf("row %d: the channels of a pixel came apart: %v", row, out)
			}
		}
		seen[fmt.Sprint(out)] = true
	}
	for _, want := range [][]float32{
		image,
		{3, -3, 2, -2, 1, -1, 6, -6, 5, -5, 4, -4}, // mirrored
		{4, -4, 5, -5, 6, -6, 4, -4, 5, -5, 6, -6}, // up
		{1, -1, 1, -1, 2, -2, 4, -4, 4, -4, 5, -5}, // right
	} {
		if !seen[fmt.Sprint(want)] {
			t.Errorf("%v did not come in 400 rows", want)
		}
	}
	if len(seen) != 18 {
		t.Errorf("%d different images, want 3×3 places, each mirrored or not", len(seen))
	}
	Augment{}.apply(out, image, shape, 1, 2, 3)
	if !slices.Equal(out, image) {
		t.Errorf("nothing to do gave %v", out)
	}
}
