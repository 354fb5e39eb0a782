// Package model writes and reads model directories, and predicts with them.
//
// A model directory has four files, and one more for linear models, whose bytes depend on nothing but the
// model: no times, no hosts, no paths.
//
//   - model.onnx is the model: from raw columns to probabilities or numbers.
//     The transforms of features are part of its graph, so that a program with
//     an ONNX runtime needs nothing else. Its inputs are "numeric", float
//     [batch, N] with NaN for what is missing, and "categorical", string
//     [batch, K] with "" for what is missing, each left out if it has no
//     columns; the columns' names, in order, are in the file's metadata as
//     flow.numeric and flow.categorical. Its outputs are "probabilities",
//     float [batch, classes], and "label", string [batch]; of rows with several
//     labels "probabilities" alone, in the order of flow.labels; or "prediction",
//     float [batch, 1], for a regression.
//   - features.json has the same transforms as data (format flow.features/1).
//   - model.json has the task, the classes, the parameters of training, the
//     metrics, rows and digests of the tables it was trained on, and the digests of
//     the two files above (format flow.model/1). It is written last: a directory
//     without it is not a model.
//   - README.md is a model card with the front matter of the Hugging Face Hub.
//   - coefficients.csv has, for logistic and linear models, what each feature adds
//     to the answer.
//
// Fit learns transforms from the rows of a Frame; Write makes the directory;
// Load gives a Predictor, which runs model.onnx itself, so that what is
// evaluated is what is deployed. stages/train writes, evaluate and deploy read.
//
// It refuses to guess: a column that the model needs and a table has not, text
// where a number is needed, an infinite number, a file whose digest is not the
// one in model.json and a format of a later version are errors that name it.
// Columns that the model does not need are ignored. It knows no file formats of
// tables: rows come as Cells, which table.Value is.
package model
