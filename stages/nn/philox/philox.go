// Package philox is the counter-based random generator Philox4x32-10 of
// Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3"
// (SC 2011).
//
// A counter-based generator has no state to pass on: number i of a stream is a
// function of (seed, purpose, index, i). So the mask of a dropout layer at step
// 1,000 can be computed again in the backward pass, by another thread or on
// another machine, and interrupted work goes on with the numbers it would have
// had. It refuses to be a source of secrets: it is not cryptographic.
//
// stages/nn uses it for initial parameters, shuffles and dropout.
package philox

import "math/bits"

// The multipliers and Weyl increments of Philox4x32, from the paper's section 4.
const (
	mul0  = 0xD2511F53
	mul1  = 0xCD9E8D57
	weyl0 = 0x9E3779B9
	weyl1 = 0xBB67AE85
)

// Block is the bijection itself: ten rounds of Philox4x32 on counter c with
// key k.
func Block(c [4]uint32, k [2]uint32) [4]uint32 {
	for range 10 {
		p0 := uint64(mul0) * uint64(c[0])
		p1 := uint64(mul1) * uint64(c[2])
		c = [4]uint32{
			uint32(p1>>32) ^ c[1] ^ k[0], uint32(p1),
			uint32(p0>>32) ^ c[3] ^ k[1], uint32(p0),
		}
		k[0] += weyl0
		k[1] += weyl1
	}
	return c
}

// Stream is a sequence of random numbers. Streams with different seeds,
// purposes or indices are independent. A Stream is not safe for concurrent use;
// make another one with the same arguments to read the same numbers again.
type Stream struct {
	key     [2]uint32
	counter [4]uint32
	block   [4]uint32
	left    int
}

// New returns the stream of a seed, of a purpose (one constant for each use
// that must not share numbers with another) and of an index within the purpose,
// such as an epoch or a layer.
func New(seed uint64, purpose, index uint32) Stream {
	return Stream{
		key:     [2]uint32{uint32(seed), uint32(seed >> 32)},
		counter: [4]uint32{0, 0, purpose, index},
	}
}

// Uint32 returns the next 32 random bits.
func (s *Stream) Uint32() uint32 {
	if s.left == 0 {
		s.block = Block(s.counter, s.key)
		s.left = 4
		s.counter[0]++
		if s.counter[0] == 0 {
			s.counter[1]++
		}
	}
	v := s.block[4-s.left]
	s.left--
	return v
}

// Skip passes over the next n numbers of Uint32, in no time: numbers are a
// function of their position, so that threads can share a stream.
func (s *Stream) Skip(n uint64) {
	if n < uint64(s.left) {
		s.left -= int(n)
		return
	}
	n -= uint64(s.left)
	s.left = 0
	blocks := uint64(s.counter[0]) | uint64(s.counter[1])<<32
	blocks += n / 4
	s.counter[0], s.counter[1] = uint32(blocks), uint32(blocks>>32)
	for range n % 4 {
		s.Uint32()
	}
}

// Uint64 returns the next 64 random bits.
func (s *Stream) Uint64() uint64 {
	low := uint64(s.Uint32())
	return low | uint64(s.Uint32())<<32
}

// Float32 returns a multiple of 2^-24 in [0, 1), exact in a float32.
func (s *Stream) Float32() float32 {
	return float32(s.Uint32()>>8) * (1.0 / (1 << 24))
}

// IntN returns a number in [0, n) without bias, by Lemire's multiplication with
// rejection ("Fast random integer generation in an interval", 2019). n must be
// positive.
func (s *Stream) IntN(n int) int {
	if n <= 0 {
		panic("BUG: philox: IntN of a number that is not positive")
	}
	bound := uint64(n)
	threshold := -bound % bound
	for {
		high, low := bits.Mul64(s.Uint64(), bound)
		if low >= threshold {
			return int(high)
		}
	}
}

// Shuffle puts order in a random order (Fisher and Yates, from the end).
func (s *Stream) Shuffle(order []int) {
	for i := len(order) - 1; i > 0; i-- {
		j := s.IntN(i + 1)
		order[i], order[j] = order[j], order[i]
	}
}
