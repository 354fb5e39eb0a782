// Package kernel has the numeric loops of flow: matrix product, exponential,
// logarithm, activations and softmax, over float32 in row-major order.
//
// What it promises is bits: each function gives the same ones on every
// architecture and with any number of threads. Therefore
//   - a sum is added up in one documented order, and threads divide results,
//     never the terms of one sum;
//   - a product that is added to something is written float32(a*b)+c: the
//     conversion forbids the compiler to fuse the two into one rounding, which
//     it does on arm64 and others (https://go.dev/ref/spec#Floating_point_operators);
//   - assembly (amd64 with AVX2) multiplies and adds in the same order, eight
//     sums at a time, and uses no FMA either. That costs little: the adders of
//     recent processors of AMD work beside the multipliers, and the product
//     reaches 75 to 86 GFLOP/s on one core of an EPYC 9004, where OpenBLAS with
//     FMA reaches 99 to 106. On processors whose adders and multipliers are the
//     same units it costs up to half. The tests compare the bits;
//   - exp and log are written here, since those of package math are assembly on
//     some architectures and Go on others.
//
// It refuses to know about graphs, layers or training, so that a prediction
// needs no trainer, and to start goroutines: a caller that has several divides
// the units of a Product or the rows of a matrix among them. stages/nn trains
// with it and stages/model predicts with it.
package kernel
