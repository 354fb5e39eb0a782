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
	e := &engine{db, conn}
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

// view makes an input known under its name. role is the argument's path.
func (e *engine) view(ctx context.Context, as, path, role string) error {
	files, err := filesOf(path)
	if err != nil {
		return err
	}
	reader := ""
	for _, f := range files {
		r := readerOf(f)
		switch {
		case r == "":
			return sdk.Problemf(role, fmt.Sprintf("%s is no table", filepath.ToSlash(f)), "An input of sql is CSV (.csv, .tsv), JSON Lines (.jsonl, .ndjson) or Parquet (.parquet), perhaps with .gz or .zst behind, or a directory of such files.")
		case reader != "" && r != reader:
			return sdk.Problemf(role, fmt.Sprintf("%s holds tables of different formats", filepath.ToSlash(path)), "%s and %s cannot be one table. Give them different directories.", filepath.Base(files[0]), filepath.Base(f))
		}
		reader = r
	}
	if reader == "" {
		return sdk.Problemf(role, fmt.Sprintf("%s holds no file", filepath.ToSlash(path)), "A directory as an input of sql holds the files of one table.")
	}
	quoted := make([]string, len(files))
	for i, f := range files {
		quoted[i] = quote(f)
	}
	options := ""
	if len(files) > 1 {
		options = ", union_by_name = true"
	}
	if reader == "read_csv" {
		options += ", header = true"
	}
	err = e.do(ctx, fmt.Sprintf("create view %s as select * from %s([%s]%s)", name(as), reader, strings.Join(quoted, ", "), options))
	if de := (*duckdb.Error)(nil); errors.As(err, &de) {
		return sdk.Problemf(role, fmt.Sprintf("%s cannot be read as a table", filepath.ToSlash(path)), "%s", message(de))
	}
	return err
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
