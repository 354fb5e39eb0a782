// Package nn trains networks. Gorgonia builds the expression graph and
// differentiates it; an executor of our own walks the result once per step over
// fused operations and buffers that are allocated once.
//
// A Network is plain data: layers, with an activation and dropout each. Linear
// and logistic regression are networks with one layer. A Trainer holds its
// parameters and runs epochs over Examples; what an epoch is worth, when to
// stop and what is reported is decided by its caller, stages/train.
//
// The same Options and Examples give the same parameters, to the bit, on every
// architecture, with any number of threads and in any number of runs: the
// arithmetic is that of nn/kernel, every random number comes from nn/philox,
// and Digest is there to compare.
//
// It refuses to read files, to know column names or classes, and to go on when
// the loss is not a number. It is the only importer of Gorgonia, and uses none
// of its kernels: its tape machine is ten times slower on these networks, and
// its dropout and initialisers cannot be seeded.
package nn

import (
	// Gorgonia's memory tricks make it panic at start on a Go release that
	// this package does not vouch for.
	_ "go4.org/unsafe/assume-no-moving-gc"
)
