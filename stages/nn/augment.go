package nn

import (
	"fmt"

	"github.com/flow-pipelines/flow/stages/nn/philox"
)

// Augment changes the images of a training at random. What it does to a row is a
// function of (seed, epoch, row): neither of the batch nor of what came before.
type Augment struct {
	// Flip mirrors half of the images, left to right.
	Flip bool
	// Shift moves an image by up to so many pixels in each direction. Its edge
	// is repeated where nothing is left.
	Shift int
}

func (a Augment) check() error {
	if a.Shift < 0 {
		return fmt.Errorf("augment images: a shift of %d pixels is negative", a.Shift)
	}
	return nil
}

// apply writes what becomes of an image of a shape.
func (a Augment) apply(dst, image []float32, shape Shape, seed uint64, epoch, row int) {
	if a == (Augment{}) {
		copy(dst, image)
		return
	}
	s := philox.New(seed, purposeAugment, uint32(epoch))
	s.Skip(8 * uint64(row)) // three numbers are drawn, of two words each
	up, left := s.IntN(2*a.Shift+1)-a.Shift, s.IntN(2*a.Shift+1)-a.Shift
	flip := s.IntN(2) == 1 && a.Flip
	c := shape.Channels
	for y := range shape.Height {
		from := max(0, min(shape.Height-1, y+up)) * shape.Width
		for x := range shape.Width {
			at := max(0, min(shape.Width-1, x+left))
			if flip {
				at = shape.Width - 1 - at
			}
			copy(dst[(y*shape.Width+x)*c:][:c], image[(from+at)*c:])
		}
	}
}
