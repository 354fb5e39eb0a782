// Package table reads and writes tables row by row: CSV and TSV (RFC 4180),
// JSON Lines and Parquet, chosen by the file's extension. A directory of such
// files with one schema is one table, read in name order. The stage types that
// touch rows (preprocess, split, train, evaluate) call it; nothing else should
// parse a table.
//
// # What it promises
//
// Memory stays flat: a reader holds one record (Parquet: one page a column), a
// writer one buffer (Parquet: one row group, see parquetRowGroupBytes). The
// bytes written depend on the rows alone, not on time, host, architecture or
// the number of cores. A writer's file appears whole or not at all.
//
// # Cells and types
//
// A cell is a [Value]: missing, or of one [Type]. Parquet and JSON Lines carry
// types. CSV carries none, so its cells are Text: the characters as they stand
// in the file, read as a number or a truth value only when somebody asks
// ([Value.Float], [Value.Int], [Value.Bool]). A step that does not touch a
// column therefore writes back the very characters it read: 41.0 stays 41.0.
// [Describe] looks at every row and says what a Text column could be: Int when
// all its cells that are not missing are integers, else Float when all are
// numbers, else Bool when all are true or false, else String. Digits with a
// leading zero (postcodes) do not count as numbers there. Writing Text columns
// to JSON Lines or Parquet makes the same decision, over the whole table.
//
// # Missing values
//
// In CSV a field is missing when it is empty or, unquoted, one of NA, N/A, NaN,
// nan, null, NULL ([Options.Missing] replaces the list of words). A quoted
// "NA" is the text NA; a quoted empty field is missing, since many programs
// quote everything. Missing cells are written as empty fields. JSON null, an
// absent JSON key, a Parquet null and a floating-point NaN are missing too. An
// empty string of JSON Lines or Parquet becomes missing when it goes through
// CSV, the one loss of that format.
//
// # What it refuses
//
// Ragged rows, duplicate column names, bytes that are not UTF-8, nested Parquet
// columns, directories that mix formats or schemas: each is an error that names
// the file and the line. Nothing is guessed, skipped or padded.
package table
