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
//   - exp and log are written here, since those of package math are assembly on
//     some architectures and Go on others.
//
// It refuses to know about graphs, layers or training, and imports nothing but
// the standard library, so that a prediction needs no trainer. stages/nn trains
// with it and stages/model predicts with it. The functions here are the
// reference for faster ones, which must give the same bits.
package kernel
