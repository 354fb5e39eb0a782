package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/duckdb/duckdb-go/v2"

	"github.com/flow-pipelines/flow/plugins/sdk"
)

// query is one SELECT statement with what becomes of it.
type query struct {
	text   string
	at     string // the path of the argument
	file   string // that it comes from; "": the argument itself
	output string
	format string
}

// queries lists what there is to do.
func (c *Config) queries() ([]query, error) {
	var qs []query
	add := func(at, text string, file sdk.Artifact, output, format string) error {
		q := query{text: text, at: at + "query", output: output, format: format}
		switch {
		case text != "" && file != "":
			return sdk.Problemf(at+"file", "Both query and file", "The query is given by one of them.")
		case text == "" && file == "":
			return sdk.Problemf(strings.TrimSuffix(at, "."), "No query", "It is given as text by query, or by file.")
		case file != "":
			b, err := os.ReadFile(string(file))
			if err != nil {
				return err
			}
			q.text, q.at, q.file = string(b), at+"file", string(file)
		}
		// A semicolon at the end is a habit. The start stays: lines are counted from it.
		q.text = strings.TrimRightFunc(q.text, func(r rune) bool { return r == ';' || unicode.IsSpace(r) })
		qs = append(qs, q)
		return nil
	}
	if c.Query != "" || c.File != "" || len(c.Results) == 0 {
		if err := add("", c.Query, c.File, "data", c.Format); err != nil {
			return nil, err
		}
	}
	for i, r := range c.Results {
		format := r.Format
		if format == "" {
			format = c.Format
		}
		if err := add(fmt.Sprintf("result[%d].", i), r.Query, r.File, r.Name, format); err != nil {
			return nil, err
		}
	}
	return qs, nil
}

// prepare opens the engine with all inputs as views, which view makes, and what
// setup says. From then on it reads the files of the inputs, writes outputs, and
// touches nothing else.
func (c *Config) prepare(ctx context.Context, outputs []string, view func(e *engine, as, path string) (files []string, err error)) (*engine, error) {
	if c.Threads < 1 {
		return nil, sdk.Problemf("threads", "No threads", "Give 1 or more.")
	}
	e, err := open(ctx)
	if err != nil {
		return nil, err
	}
	if c.Types == "all" {
		e.sample = -1
	}
	if err := c.fill(ctx, e, outputs, view); err != nil {
		return nil, errors.Join(err, e.close())
	}
	return e, nil
}

func (c *Config) fill(ctx context.Context, e *engine, outputs []string, view func(e *engine, as, path string) ([]string, error)) error {
	allowed := outputs
	for _, as := range slices.Sorted(maps.Keys(c.Inputs)) {
		files, err := view(e, as, string(c.Inputs[as]))
		if err != nil {
			return err
		}
		allowed = append(allowed, files...)
	}
	if err := e.confine(ctx, allowed); err != nil {
		return err
	}
	if len(c.Setup) == 0 {
		return nil
	}
	var err error
	if e.views, err = e.texts(ctx, "select sql from duckdb_views() where not internal"); err != nil {
		return err
	}
	for i, s := range c.Setup {
		if err := e.create(ctx, fmt.Sprintf("setup[%d]", i), s); err != nil {
			return err
		}
	}
	// A table would hold what a query gave that nobody has looked at.
	kept, err := e.texts(ctx, "select table_name from duckdb_tables() where not internal union all select sequence_name from duckdb_sequences()")
	if err == nil && len(kept) > 0 {
		err = sdk.Problemf("setup", fmt.Sprintf("Setup keeps %s", kept[0]), "It makes macros, views and types, and no tables or sequences. Make it a view, or a stage of its own.")
	}
	return err
}

// run writes the outputs.
func (c *Config) run(ctx context.Context, run *sdk.Run) (sdk.Metrics, error) {
	qs, err := c.queries()
	if err != nil {
		return nil, err
	}
	e, err := c.prepare(ctx, slices.Collect(maps.Values(run.Outputs)), func(e *engine, as, path string) ([]string, error) { return e.view(ctx, as, path, "inputs."+as) })
	if err != nil {
		return nil, err
	}
	defer e.close()
	metrics := sdk.Metrics{}
	for i, q := range qs {
		run.Progress(sdk.Progress{Step: int64(i), Total: int64(len(qs)), Unit: "query", Message: q.output})
		rows, columns, err := c.write(ctx, e, q, run)
		if err != nil {
			return nil, err
		}
		if q.output == "data" {
			metrics["rows"], metrics["columns"] = rows, columns
		} else {
			metrics[q.output] = map[string]any{"rows": rows, "columns": columns}
		}
	}
	return metrics, nil
}

var formats = map[string]string{
	"parquet": "format parquet, compression snappy, row_group_size 122880",
	"csv":     "format csv, header true",
	"jsonl":   "format json, array false",
}

// write runs one query and writes its rows.
func (c *Config) write(ctx context.Context, e *engine, q query, run *sdk.Run) (rows int64, columns int, err error) {
	tree, err := e.parse(ctx, q)
	if err != nil {
		return 0, 0, err
	}
	names, err := e.columns(ctx, q.text)
	if err != nil {
		return 0, 0, problem(err, q)
	}
	text, streams, err := c.settle(ctx, e, q, tree, len(names))
	if err != nil {
		return 0, 0, err
	}
	threads := c.Threads
	if streams {
		// On one thread DuckDB cuts the rows of a Parquet file into groups in
		// another way than on several; on those it does the same on any number.
		threads = max(2, run.CPUs)
	}
	if err := e.do(ctx, fmt.Sprintf("set threads = %d", threads)); err != nil {
		return 0, 0, err
	}
	out := run.Output(q.output)
	res, err := e.conn.ExecContext(ctx, fmt.Sprintf("copy (%s\n) to %s (%s, use_tmp_file false)", text, quote(out), formats[q.format]))
	if err != nil {
		return 0, 0, problem(err, q)
	}
	rows, err = res.RowsAffected()
	return rows, len(names), err
}

// columns are the names of a query's columns.
func (e *engine) columns(ctx context.Context, text string) ([]string, error) {
	var names []string
	err := e.conn.Raw(func(c any) error {
		prepared, err := c.(*duckdb.Conn).PrepareContext(ctx, text)
		if err != nil {
			return err
		}
		defer prepared.Close()
		stmt := prepared.(*duckdb.Stmt)
		n, err := stmt.ColumnCount()
		if err != nil {
			return err
		}
		for i := range n {
			name, err := stmt.ColumnName(i)
			if err != nil {
				return err
			}
			names = append(names, name)
		}
		return nil
	})
	return names, err
}

// refused matches what DuckDB says when it is to open a file that it may not.
var refused = regexp.MustCompile(`^Permission Error: Cannot access (?:file|directory) "(.*)" - file system operations are disabled`)

var position = regexp.MustCompile(`(?s)\n\nLINE (\d+): (.*)\n( *)\^`)

// problem makes of what DuckDB complains about a mistake of the user's, with the
// line of the query.
func problem(err error, q query) error {
	var de *duckdb.Error
	if !errors.As(err, &de) || de.Type == duckdb.ErrorTypeOutOfMemory || de.Type == duckdb.ErrorTypeInterrupt || de.Type == duckdb.ErrorTypeIO {
		return err
	}
	if m := refused.FindStringSubmatch(de.Msg); m != nil {
		return undeclared(q, m[1]+" is")
	}
	if p := unlike(de, q.at); p != nil {
		return p
	}
	first, more, _ := strings.Cut(message(de), "\n")
	detail := strings.TrimSpace(more)
	if m := position.FindStringSubmatch(de.Msg); m != nil {
		n, _ := strconv.Atoi(m[1])
		at := fmt.Sprintf("In line %d of the query", n)
		if q.file != "" {
			at = fmt.Sprintf("At %s:%d", q.file, n)
		}
		// The caret stands below "LINE n: ".
		caret := max(0, len(m[3])-len("LINE : ")-len(m[1]))
		detail = strings.TrimSpace(fmt.Sprintf("%s\n\n%s:\n\n  %s\n  %s^", detail, at, m[2], strings.Repeat(" ", caret)))
	}
	return sdk.Problemf(q.at, strings.TrimSuffix(first, "!"), "%s", detail)
}
