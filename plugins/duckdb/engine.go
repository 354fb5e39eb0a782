package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/duckdb/duckdb-go/v2"

	"github.com/flow-pipelines/flow/plugins/sdk"
)

// engine is one database in memory: a connection, since views and settings are
// the connection's.
type engine struct {
	db   *sql.DB
	conn *sql.Conn
	// views are the statements that made the inputs.
	views []string
	// sample is how many rows of a text format tell the types of its columns; -1: all.
	sample int
}

// settings keep results from depending on the machine: no extension comes from
// the network, times are UTC, and random numbers have a seed.
var settings = []string{
	"set autoinstall_known_extensions = false",
	"set autoload_known_extensions = false",
	"set preserve_insertion_order = true",
	"set enable_progress_bar = false",
	"set TimeZone = 'UTC'",
	"select setseed(0.5)",
}

func open(ctx context.Context) (*engine, error) {
	db, err := sql.Open("duckdb", "")
	if err != nil {
		return nil, err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	e := &engine{db: db, conn: conn, sample: 20480}
	for _, s := range settings {
		if err := e.do(ctx, s); err != nil {
			return nil, errors.Join(err, e.close())
		}
	}
	// What does not fit into memory goes into the job's own directory.
	temp := filepath.Join(os.TempDir(), "duckdb")
	if err := e.do(ctx, "set temp_directory = "+quote(temp)); err != nil {
		return nil, errors.Join(err, e.close())
	}
	return e, nil
}

// confine lets queries read and write the named files and no others, nor the
// network or an extension. DuckDB keeps to it: nothing but its end opens it again.
func (e *engine) confine(ctx context.Context, files []string) error {
	quoted := make([]string, len(files))
	for i, f := range files {
		quoted[i] = quote(f)
	}
	return errors.Join(
		e.do(ctx, "set allowed_paths = ["+strings.Join(quoted, ", ")+"]"),
		e.do(ctx, "set enable_external_access = false"),
	)
}

// create carries out one statement of setup, a CREATE. What DuckDB takes a
// statement for counts, whatever is around it.
func (e *engine) create(ctx context.Context, at, text string) error {
	return e.conn.Raw(func(c any) error {
		prepared, err := c.(*duckdb.Conn).Prepare(text)
		if de := (*duckdb.Error)(nil); errors.As(err, &de) {
			return problem(err, query{text: text, at: at})
		} else if err != nil {
			return sdk.Problemf(at, "Not a single statement", "Each element of setup is one CREATE MACRO, CREATE VIEW or CREATE TYPE.")
		}
		defer prepared.Close()
		stmt := prepared.(*duckdb.Stmt)
		kind, err := stmt.StatementType()
		if err != nil {
			return err
		}
		if kind != duckdb.STATEMENT_TYPE_CREATE {
			return sdk.Problemf(at, "Setup makes macros, views and types", "%s", "This is another statement. Settings, extensions and other databases would change the result without being in the key; what changes rows belongs into a query.")
		}
		if _, err := stmt.ExecContext(ctx, nil); err != nil {
			return problem(err, query{text: text, at: at})
		}
		return nil
	})
}

func (e *engine) close() error { return errors.Join(e.conn.Close(), e.db.Close()) }

func (e *engine) do(ctx context.Context, statement string) error {
	_, err := e.conn.ExecContext(ctx, statement)
	return err
}

// text returns the only value of a query.
func (e *engine) text(ctx context.Context, query string, args ...any) (string, error) {
	var s string
	err := e.conn.QueryRowContext(ctx, query, args...).Scan(&s)
	return s, err
}

// texts returns the values of a query's only column.
func (e *engine) texts(ctx context.Context, query string) ([]string, error) {
	rows, err := e.conn.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := []string{}
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, rows.Err()
}

func engineVersion() string {
	ctx := context.Background()
	e, err := open(ctx)
	if err != nil {
		return "unknown: " + err.Error()
	}
	defer e.close()
	v, err := e.text(ctx, "select version()")
	if err != nil {
		return "unknown: " + err.Error()
	}
	return strings.TrimPrefix(v, "v")
}

// quote writes a text for SQL, name an identifier.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func name(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// readers are DuckDB's functions by the extension of a file.
var readers = map[string]string{
	".csv": "read_csv", ".tsv": "read_csv", ".jsonl": "read_ndjson", ".ndjson": "read_ndjson", ".parquet": "read_parquet",
}

func readerOf(file string) string {
	base := strings.ToLower(filepath.Base(file))
	for _, packed := range []string{".gz", ".zst"} {
		base = strings.TrimSuffix(base, packed)
	}
	return readers[filepath.Ext(base)]
}

// literal writes a name as a pattern that it alone matches, for DuckDB's readers.
var literal = strings.NewReplacer("[", "[[]", "*", "[*]", "?", "[?]")

// view makes an input known under its name, and returns what is opened to read it.
// role is the argument's path.
func (e *engine) view(ctx context.Context, as, path, role string) ([]string, error) {
	files, err := filesOf(path)
	if err != nil {
		return nil, err
	}
	reader := ""
	for _, f := range files {
		r := readerOf(f)
		switch {
		case r == "":
			return nil, sdk.Problemf(role, fmt.Sprintf("%s is no table", filepath.ToSlash(f)), "An input of sql is CSV (.csv, .tsv), JSON Lines (.jsonl, .ndjson) or Parquet (.parquet), perhaps with .gz or .zst behind, or a directory of such files.")
		case reader != "" && r != reader:
			return nil, sdk.Problemf(role, fmt.Sprintf("%s holds tables of different formats", filepath.ToSlash(path)), "%s and %s cannot be one table. Give them different directories.", filepath.Base(files[0]), filepath.Base(f))
		}
		reader = r
	}
	if reader == "" {
		return nil, sdk.Problemf(role, fmt.Sprintf("%s holds no file", filepath.ToSlash(path)), "A directory as an input of sql holds the files of one table.")
	}
	quoted, opened := make([]string, len(files)), files
	for i, f := range files {
		pattern := literal.Replace(f)
		quoted[i] = quote(pattern)
		if pattern != f {
			opened = append(opened, pattern) // DuckDB asks for both
		}
	}
	// Directories such as month=3 are columns where they are in the input, and
	// not where the project happens to lie in one.
	options := fmt.Sprintf(", hive_partitioning = %t", partitioned(path, files))
	if len(files) > 1 {
		options += ", union_by_name = true"
	}
	if reader == "read_csv" {
		for _, f := range files {
			if err := e.header(ctx, f, role); err != nil {
				return nil, err
			}
		}
		options += ", header = true"
	}
	if reader != "read_parquet" {
		options += fmt.Sprintf(", sample_size = %d", e.sample)
	}
	err = e.do(ctx, fmt.Sprintf("create view %s as select * from %s([%s]%s)", name(as), reader, strings.Join(quoted, ", "), options))
	if de := (*duckdb.Error)(nil); errors.As(err, &de) {
		return nil, sdk.Problemf(role, fmt.Sprintf("%s cannot be read as a table", filepath.ToSlash(path)), "%s", message(de))
	}
	return opened, err
}

// partitioned reports whether files lie in directories called NAME=VALUE below root.
func partitioned(root string, files []string) bool {
	return slices.ContainsFunc(files, func(f string) bool {
		rel, err := filepath.Rel(root, filepath.Dir(f))
		return err == nil && filepath.IsLocal(rel) && strings.Contains(rel, "=")
	})
}

// filesOf are the files of a table, in order. Hidden files do not count.
func filesOf(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return []string{path}, err
	}
	var files []string
	err = filepath.WalkDir(path, func(p string, d os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case p != path && strings.HasPrefix(d.Name(), "."):
			if d.IsDir() {
				return filepath.SkipDir
			}
		case !d.IsDir():
			files = append(files, p)
		}
		return nil
	})
	slices.Sort(files)
	return files, err
}

var kind = regexp.MustCompile(`^[A-Z][A-Za-z ]* Error: `)

// message is what DuckDB says, as a sentence: without the kind of the error, and
// without the excerpt of the query, which is shown otherwise.
func message(e *duckdb.Error) string {
	text, _, _ := strings.Cut(e.Msg, "\n\nLINE ")
	return strings.TrimSpace(kind.ReplaceAllString(text, ""))
}
