package nn

import (
	"fmt"

	"github.com/flow-pipelines/flow/stages/portable"
)

// Schedule says which share of the learning rate a step takes. The zero value is
// all of it, always.
type Schedule struct {
	// Warmup is for how many epochs the rate grows from near zero to its share.
	Warmup float64
	// Every, if not zero, multiplies the rate by Factor each time so many epochs
	// are over.
	Every  int
	Factor float64
	// Cosine, if not zero, is over how many epochs the rate falls along half a
	// cosine, to Minimum of itself (Loshchilov and Hutter, 2017).
	Cosine  int
	Minimum float64
}

func (s Schedule) check() error {
	switch {
	case !(s.Warmup >= 0) || s.Every < 0 || s.Cosine < 0:
		return fmt.Errorf("make schedule: warm-up of %v, steps of %d and a cosine of %d epochs must not be negative", s.Warmup, s.Every, s.Cosine)
	case s.Every > 0 && !(s.Factor > 0 && s.Factor <= 1):
		return fmt.Errorf("make schedule: factor %v is not above 0 and at most 1", s.Factor)
	case !(s.Minimum >= 0 && s.Minimum <= 1):
		return fmt.Errorf("make schedule: minimum %v is not from 0 to 1", s.Minimum)
	}
	return nil
}

// share is that of step i, from 0, of n in an epoch, from 1.
func (s Schedule) share(epoch, i, n int) float64 {
	share := 1.0
	done := float64(epoch-1) + float64(i)/float64(n) // epochs
	if s.Every > 0 {
		for range (epoch - 1) / s.Every {
			share *= s.Factor
		}
	}
	if s.Cosine > 0 {
		half := (1 + portable.CosPi(min(1, done/float64(s.Cosine)))) / 2
		share *= s.Minimum + float64((1-s.Minimum)*half)
	}
	if next := done + 1/float64(n); next < s.Warmup {
		share *= next / s.Warmup
	}
	return share
}

// Clip limits gradients before a step; zeros do not.
type Clip struct {
	// Norm is the largest length of all gradients together, as one vector.
	Norm float64
	// Value is the largest magnitude of an element.
	Value float64
}

func (c Clip) check() error {
	if !(c.Norm >= 0) || !(c.Value >= 0) {
		return fmt.Errorf("clip gradients: norm %v and value %v must not be negative", c.Norm, c.Value)
	}
	return nil
}
