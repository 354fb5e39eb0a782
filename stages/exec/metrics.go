package exec

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/goccy/go-yaml"
)

// extensions are of the files that ParseMetrics reads.
var extensions = []string{".json", ".yaml", ".yml", ".toml", ".csv", ".tsv"}

func known(name string) bool {
	return slices.Contains(extensions, strings.ToLower(path.Ext(name)))
}

// maxMetrics is what a metrics file may hold in bytes, tables apart: metrics go
// into flow.lock, and a larger file is data that was named by mistake.
const maxMetrics = 4 << 20

// ParseMetrics reads a metrics file by its extension. JSON, YAML and TOML give
// the object that they hold; CSV and TSV the last row, by the header's names.
// Numbers are int64 where they are written as integers that fit, else float64;
// other values are strings, booleans, nil, and map[string]any and []any of
// them. NaN and infinity are refused: neither JSON nor flow.lock has them.
func ParseMetrics(name string) (map[string]any, error) {
	m, err := parseMetrics(name)
	if err != nil {
		return nil, fmt.Errorf("read metrics from %s: %w", name, err)
	}
	return m, nil
}

func parseMetrics(name string) (map[string]any, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, withoutPath(err)
	}
	defer func() { _ = f.Close() }()
	switch ext := strings.ToLower(path.Ext(name)); ext {
	case ".csv":
		return lastRow(f, ',')
	case ".tsv":
		return lastRow(f, '\t')
	case ".json", ".yaml", ".yml", ".toml":
		data, err := io.ReadAll(io.LimitReader(f, maxMetrics+1))
		if err != nil {
			return nil, withoutPath(err)
		}
		if len(data) > maxMetrics {
			return nil, fmt.Errorf("the file is larger than %d MiB; metrics are a few values, make a large file an output", maxMetrics>>20)
		}
		return document(ext, bytes.TrimPrefix(data, []byte("\ufeff")))
	default:
		return nil, fmt.Errorf("the extension %q is none of %s", ext, strings.Join(extensions, ", "))
	}
}

func withoutPath(err error) error {
	var pathError *os.PathError
	if errors.As(err, &pathError) {
		return pathError.Err
	}
	return err
}

func document(ext string, data []byte) (map[string]any, error) {
	var value any
	var err error
	switch ext {
	case ".json":
		value, err = decodeJSON(data)
	case ".toml":
		table := map[string]any{}
		err = toml.Unmarshal(data, &table)
		value = table
	default:
		err = yaml.Unmarshal(data, &value)
	}
	if err != nil {
		return nil, err
	}
	plain, err := normalise("", value)
	if err != nil {
		return nil, err
	}
	m, ok := plain.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("the file holds %s, want an object of names and values, such as {\"f1\": 0.93}", kind(plain))
	}
	return m, nil
}

func decodeJSON(data []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		var syntax *json.SyntaxError
		switch {
		case errors.Is(err, io.EOF):
			return nil, errors.New("the file is empty, want a JSON object")
		case errors.Is(err, io.ErrUnexpectedEOF):
			return nil, errors.New("the file ends in the middle of a value")
		case errors.As(err, &syntax):
			return nil, syntaxError(data, syntax)
		}
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("line %d: something follows the JSON value", lineOf(data, d.InputOffset()))
	}
	return value, nil
}

// syntaxError explains what many programs write: json.dump of Python puts NaN
// and Infinity, which are not JSON.
func syntaxError(data []byte, err *json.SyntaxError) error {
	at := max(int(err.Offset)-1, 0)
	line := lineOf(data, int64(at))
	from := bytes.LastIndexAny(data[:min(at, len(data))], " \t\n:,[{") + 1
	rest := bytes.TrimPrefix(data[from:], []byte("-"))
	for _, word := range []string{"NaN", "Infinity"} {
		if bytes.HasPrefix(rest, []byte(word)) {
			return fmt.Errorf("line %d: %s is not JSON; write null or leave the metric out", line, word)
		}
	}
	return fmt.Errorf("line %d is not JSON: %w", line, err)
}

func lineOf(data []byte, offset int64) int {
	return 1 + bytes.Count(data[:min(int(offset), len(data))], []byte("\n"))
}

// normalise turns what the decoders give into plain values.
func normalise(at string, value any) (any, error) {
	switch v := value.(type) {
	case nil, string, bool, int64:
		return v, nil
	case int:
		return int64(v), nil
	case uint64:
		if v > math.MaxInt64 {
			return float64(v), nil
		}
		return int64(v), nil
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i, nil
		}
		f, err := v.Float64()
		if err != nil {
			return nil, fmt.Errorf("%s: the number %s is too large", at, v)
		}
		return f, nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("%s: %v is not a value of a metric; write null or leave it out", at, v)
		}
		return v, nil
	case time.Time:
		return timestamp(v), nil
	case []any:
		return normaliseList(at, v)
	case []map[string]any:
		return normaliseList(at, v)
	case map[string]any:
		return normaliseMap(at, v)
	case map[any]any:
		named := make(map[string]any, len(v))
		for k, value := range v {
			named[fmt.Sprint(k)] = value
		}
		return normaliseMap(at, named)
	default:
		return nil, fmt.Errorf("%s: a %T is not a value of a metric", at, value)
	}
}

// timestamp keeps what was written. The TOML package gives local dates and
// times this machine's zone and says so in the zone's name; with the zone, the
// same file would give other metrics elsewhere.
func timestamp(t time.Time) string {
	switch t.Location().String() {
	case "datetime-local":
		return t.Format("2006-01-02T15:04:05.999999999")
	case "date-local":
		return t.Format(time.DateOnly)
	case "time-local":
		return t.Format("15:04:05.999999999")
	}
	return t.Format(time.RFC3339Nano)
}

func normaliseMap(at string, m map[string]any) (any, error) {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys) // of several mistakes, always the same is told
	plain := make(map[string]any, len(m))
	for _, k := range keys {
		v, err := normalise(strings.TrimPrefix(at+"."+k, "."), m[k])
		if err != nil {
			return nil, err
		}
		plain[k] = v
	}
	return plain, nil
}

func normaliseList[T any](at string, list []T) (any, error) {
	plain := make([]any, len(list))
	for i, element := range list {
		v, err := normalise(at+"["+strconv.Itoa(i)+"]", element)
		if err != nil {
			return nil, err
		}
		plain[i] = v
	}
	return plain, nil
}

func kind(value any) string {
	switch value.(type) {
	case nil:
		return "nothing"
	case []any:
		return "a list"
	case string:
		return "a string"
	case bool:
		return "a truth value"
	default:
		return "a number"
	}
}

// lastRow reads a table as it grows during training: a header and a row an
// epoch. Empty cells are no metrics.
func lastRow(r io.Reader, comma rune) (map[string]any, error) {
	rows := csv.NewReader(skipMark(r))
	rows.Comma = comma
	rows.ReuseRecord = true
	header, err := rows.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the file is empty, want a header and at least one row")
	}
	if err != nil {
		return nil, err
	}
	names := slices.Clone(header)
	for i, name := range names {
		names[i] = strings.TrimSpace(name)
		if names[i] == "" {
			return nil, fmt.Errorf("line 1: column %d has no name", i+1)
		}
		if slices.Contains(names[:i], names[i]) {
			return nil, fmt.Errorf("line 1: the column %q is there twice", names[i])
		}
	}
	var last []string
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		last = append(last[:0], row...)
	}
	if last == nil {
		return nil, errors.New("the file has a header and no rows")
	}
	m := map[string]any{}
	for i, cell := range last {
		cell = strings.TrimSpace(cell)
		if cell == "" {
			continue
		}
		v, err := normalise(names[i], number(cell))
		if err != nil {
			return nil, err
		}
		m[names[i]] = v
	}
	return m, nil
}

// number is the cell as a number if it is one.
func number(cell string) any {
	if i, err := strconv.ParseInt(cell, 10, 64); err == nil {
		return i
	}
	// Go also reads hexadecimal floats and underscores, which no table means.
	if strings.ContainsAny(cell, "xX_") {
		return cell
	}
	if f, err := strconv.ParseFloat(cell, 64); err == nil {
		return f
	}
	return cell
}

// skipMark drops the byte order mark that spreadsheets write.
func skipMark(r io.Reader) io.Reader {
	var first [3]byte
	n, err := io.ReadFull(r, first[:])
	start := bytes.TrimPrefix(first[:n], []byte("\ufeff"))
	if err != nil {
		return bytes.NewReader(start)
	}
	return io.MultiReader(bytes.NewReader(start), r)
}
