package main

import (
	"cmp"
	"context"
	"encoding/csv"
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

// misread matches what DuckDB says of a line of CSV that is not as the others.
var misread = regexp.MustCompile(`(?s)CSV Error on Line: (\d+)\nOriginal Line: ?([^\n]*)\n(.*?)\n(?:.*\n  file = ([^\n]*))?`)

// misreadJSON is the like of JSON Lines.
var misreadJSON = regexp.MustCompile(`JSON transform error in file "(.*?)", in line (\d+): ([^\n]*)`)

var widths = regexp.MustCompile(`^Expected Number of Columns: (\d+) Found: (\d+)`)

// delimiters are what DuckDB looks for between the columns of a CSV.
const delimiters = ",;|\t"

// header makes sure that a CSV's first line is its header. DuckDB finds out how a
// file is written, and where its lines have different numbers of columns it would
// rather take each as one text, or leave out the first ones, than complain.
func (e *engine) header(ctx context.Context, file, role string) error {
	name, pattern := filepath.ToSlash(file), quote(literal.Replace(file))
	empty := sdk.Problemf(role, name+" is empty", "A CSV begins with a line of the names of its columns; one without rows is that line alone.")
	if info, err := os.Stat(file); err != nil || info.Size() == 0 {
		return cmp.Or(err, error(empty))
	}
	var delimiter, comment, first string
	var skipped, columns int
	err := e.conn.QueryRowContext(ctx, "select Delimiter, Comment, SkipRows, len(Columns), Columns[1].name from sniff_csv("+pattern+", header = true)").Scan(&delimiter, &comment, &skipped, &columns, &first)
	if de := (*duckdb.Error)(nil); errors.As(err, &de) {
		return nil // whoever reads the file says what is wrong with it
	}
	if err != nil {
		return err
	}
	one := columns == 1 && (strings.ContainsAny(first, delimiters) || first == "column0")
	if skipped == 0 && !one {
		return nil
	}
	lines, err := e.texts(ctx, fmt.Sprintf("select coalesce(line, '') from read_csv(%s, auto_detect = false, header = false, delim = '', quote = '', escape = '', columns = {'line': 'varchar'}) limit %d", pattern, skipped+1))
	if err != nil {
		return err
	}
	at := slices.IndexFunc(lines, func(l string) bool {
		remark := strings.HasPrefix(l, "#") && (comment == "#" || !strings.Contains(l, delimiter))
		return strings.TrimSpace(l) != "" && !remark
	})
	switch {
	case at < 0:
		return empty
	case one && lines[at] != first, !one && at >= skipped:
		return nil // a comma in quotes; empty lines at the top
	case one:
		delimiter = lines[at][strings.IndexAny(lines[at]+delimiters, delimiters):][:1]
	}
	r := csv.NewReader(strings.NewReader(lines[at]))
	r.Comma, r.LazyQuotes = rune(delimiter[0]), true
	names, err := r.Read()
	if err != nil {
		return nil //nolint:nilerr // no header that anybody could read: DuckDB's guess is as good
	}
	types := make([]string, len(names))
	for i := range types {
		types[i] = fmt.Sprintf("'c%d': 'varchar'", i)
	}
	_, err = e.texts(ctx, fmt.Sprintf("select count(columns(*)) from read_csv(%s, auto_detect = false, header = true, skip = %d, delim = %s, quote = '\"', escape = '\"', columns = {%s})",
		pattern, at, quote(delimiter), strings.Join(types, ", ")))
	if de := (*duckdb.Error)(nil); errors.As(err, &de) {
		if p := unlike(de, role); p != nil {
			return p
		}
	}
	return nil
}

// unlike makes of a complaint about a line of an input what to do about it, nil if
// it is another complaint.
func unlike(de *duckdb.Error, at string) *sdk.Problem {
	const types = "Types of columns are found out from the first 20,000 rows of a file. With types = \"all\" they are from all its rows, and the column takes every value."
	if m := misreadJSON.FindStringSubmatch(de.Msg); m != nil {
		return sdk.Problemf(at, fmt.Sprintf("%s:%s is not as the lines before", filepath.ToSlash(m[1]), m[2]), "%s. %s", m[3], types)
	}
	m := misread.FindStringSubmatch(de.Msg)
	if m == nil {
		return nil
	}
	where := m[4] + ":" + m[1]
	if m[4] == "" {
		where = "Line " + m[1] + " of a CSV"
	}
	line := m[2]
	if cut := []rune(line); len(cut) > 80 {
		line = string(cut[:80]) + "…"
	}
	if w := widths.FindStringSubmatch(m[3]); w != nil {
		return sdk.Problemf(at, filepath.ToSlash(where)+" has another number of columns than the header",
			"The line has %s and the header %s:\n\n  %s\n\nEach line has the columns of the header, which is the first line; a text with the sign between columns in it stands in quotes.", w[2], w[1], line)
	}
	detail := types
	if !strings.HasPrefix(m[3], "Error when converting") {
		detail = "Correct the line."
	}
	return sdk.Problemf(at, filepath.ToSlash(where)+" is not as the lines before", "%s:\n\n  %s\n\n%s", strings.TrimRight(m[3], ".!"), line, detail)
}
