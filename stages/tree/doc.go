// Package tree trains gradient-boosted decision trees by histograms, and
// evaluates them.
//
// Booster adds a round of trees at a time: gradients of the loss, a tree for
// each output grown leaf by leaf (the leaf whose split gains most first), leaf
// values by a Newton step (Friedman 2001; Chen and Guestrin, "XGBoost", 2016; Ke
// et al., "LightGBM", 2017). Columns are cut into at most 255 bins of values and
// one for missing values, for which each split learns a side. When to stop and
// what is reported is decided by the caller, stages/train. Ensemble is the
// result, as plain data: stages/model writes and runs it.
//
// The same Options and Examples give the same trees, to the bit, on every
// architecture and with any number of threads. Gradients are rounded to
// integers once a tree, so that a histogram is a sum of integers, which has one
// value in whatever order it is added up; and a parent's histogram less one
// child's is exactly the other child's.
//
// It refuses to know names, categories or tables: a feature is a column of
// float32, in which NaN is missing.
package tree
