// Package linear fits logistic regression and least squares over sparse rows: the
// families whose loss has one minimum, which is found here, not approached by epochs.
//
// Logistic minimises the sum of the rows' cross-entropy and half of L2 times the
// squared weights by L-BFGS (Liu and Nocedal 1989), Squares the sum of squared
// errors and L2 times the squared weights by conjugate gradients. Rows are held by
// row and by column: scores are computed by row, gradients by column, and each
// number is added up by one goroutine in one order. So the same rows give the same
// bits on every architecture and with any number of threads.
//
// It refuses to know features or classes by name; stages/train is its caller.
package linear
