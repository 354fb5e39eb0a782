package table

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Format is a file format for tables.
type Format uint8

// The formats.
const (
	CSV Format = iota + 1
	TSV
	JSONLines
	Parquet
)

// String returns the format's name, which is also its preferred extension.
func (f Format) String() string {
	switch f {
	case CSV:
		return "csv"
	case TSV:
		return "tsv"
	case JSONLines:
		return "jsonl"
	case Parquet:
		return "parquet"
	}
	return "unknown"
}

// Formats lists the names that ParseFormat knows.
func Formats() []string { return []string{"csv", "tsv", "jsonl", "parquet"} }

// ParseFormat returns the format of that name; ndjson is jsonl.
func ParseFormat(name string) (Format, error) {
	switch strings.ToLower(name) {
	case "csv":
		return CSV, nil
	case "tsv":
		return TSV, nil
	case "jsonl", "ndjson":
		return JSONLines, nil
	case "parquet":
		return Parquet, nil
	}
	return 0, fmt.Errorf("no table format %q; the formats are %s", name, strings.Join(Formats(), ", "))
}

// FormatOf returns the format of the file at path by its extension alone:
// .csv, .tsv, .jsonl or .ndjson (each also with .gz), .parquet. A path without
// an extension that is a directory has the format of its files.
func FormatOf(path string) (Format, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		files, err := tableFiles(path)
		if err != nil {
			return 0, err
		}
		return FormatOf(files[0])
	}
	format, _, err := formatOfName(path)
	return format, err
}

func formatOfName(path string) (format Format, gzipped bool, err error) {
	name := strings.ToLower(filepath.Base(path))
	name, gzipped = strings.CutSuffix(name, ".gz")
	format, err = ParseFormat(strings.TrimPrefix(filepath.Ext(name), "."))
	if err != nil || (gzipped && format == Parquet) {
		return 0, false, fmt.Errorf("%s: not a table: want .csv, .tsv, .jsonl (each also with .gz) or .parquet", path)
	}
	return format, gzipped, nil
}

// tableFiles lists a directory's tables in name order. Names that begin with a
// dot or an underscore are other programs' notes (_SUCCESS). Any other file
// that is no table is an error, not something to overlook.
func tableFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		return nil, fmt.Errorf("open table: %w", err)
	}
	var files []string
	var first Format
	for _, entry := range entries {
		name := entry.Name()
		if name[0] == '.' || name[0] == '_' {
			continue
		}
		path := filepath.Join(dir, name)
		format, _, err := formatOfName(path)
		if err != nil {
			return nil, fmt.Errorf("directory %s as one table: %w", dir, err)
		}
		if len(files) == 0 {
			first = format
		}
		if format != first {
			return nil, fmt.Errorf("directory %s as one table: %s is %s, but %s is %s",
				dir, name, format, filepath.Base(files[0]), first)
		}
		files = append(files, path)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("directory %s holds no table", dir)
	}
	return files, nil
}
