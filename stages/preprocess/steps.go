package preprocess

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/stages/table"
	"github.com/flow-pipelines/flow/stages/table/formula"
)

// expand replaces names with a * by the columns that match, in their order.
func expand(in rows, names []string, at string) ([]int, error) {
	var out []int
	taken := map[int]bool{}
	take := func(i int) {
		if !taken[i] {
			taken[i] = true
			out = append(out, i)
		}
	}
	for i, name := range names {
		at := fmt.Sprintf("%s[%d]", at, i)
		if j, err := table.Index(in.columns(), name); err == nil {
			take(j)
			continue
		} else if !strings.Contains(name, "*") {
			return nil, missing(err, at)
		}
		found := false
		for j, c := range in.columns() {
			if like(name, c.Name) {
				take(j)
				found = true
			}
		}
		if !found {
			return nil, stage.Problemf(at, fmt.Sprintf("No column is like %q", name), "At this step, the rows have: %s.", quoted(table.Names(in.columns())))
		}
	}
	return out, nil
}

// like matches a pattern in which * stands for any characters.
func like(pattern, name string) bool {
	parts := strings.Split(pattern, "*")
	rest, ok := strings.CutPrefix(name, parts[0])
	if !ok {
		return false
	}
	last := len(parts) - 1
	if last == 0 {
		return rest == ""
	}
	for _, part := range parts[1:last] {
		i := strings.Index(rest, part)
		if i < 0 {
			return false
		}
		rest = rest[i+len(part):]
	}
	return strings.HasSuffix(rest, parts[last])
}

// pick keeps some columns.
func pick(in rows, columns []int) rows {
	cols := make([]table.Column, len(columns))
	for i, j := range columns {
		cols[i] = in.columns()[j]
	}
	out := make([]table.Value, len(columns))
	return &mapped{rows: in, cols: cols, apply: func(row []table.Value) ([]table.Value, bool, error) {
		for i, j := range columns {
			out[i] = row[j]
		}
		return out, true, nil
	}}
}

func selectColumns(s *Columns, at string, in rows) (rows, error) {
	at += ".columns"
	columns, err := expand(in, s.Columns, at)
	if err != nil {
		return nil, err
	}
	if len(columns) == 0 {
		return nil, stage.Problemf(at, "No columns are left", "A table has at least one column. List those to keep.")
	}
	return pick(in, columns), nil
}

func dropColumns(s *Columns, at string, in rows) (rows, error) {
	at += ".columns"
	drop, err := expand(in, s.Columns, at)
	if err != nil {
		return nil, err
	}
	var keep []int
	for i := range in.columns() {
		if !slices.Contains(drop, i) {
			keep = append(keep, i)
		}
	}
	if len(keep) == 0 {
		return nil, stage.Problemf(at, "No columns are left", "A table has at least one column.")
	}
	return pick(in, keep), nil
}

func rename(s *Rename, at string, in rows) (rows, error) {
	cols := slices.Clone(in.columns())
	for _, old := range slices.Sorted(maps.Keys(s.Columns)) {
		at, name := of(at+".columns", old), s.Columns[old]
		i, err := index(in, old, at)
		if err != nil {
			return nil, err
		}
		if name == "" || strings.TrimSpace(name) != name {
			return nil, stage.Problemf(at, fmt.Sprintf("%q is no name for a column", name), "It may not be empty, nor begin or end with a blank.")
		}
		cols[i].Name = name
	}
	seen := map[string]bool{}
	for _, c := range cols {
		if seen[c.Name] {
			return nil, stage.Problemf(at+".columns", fmt.Sprintf("Two columns are called %q", c.Name), "Drop or rename the other one.")
		}
		seen[c.Name] = true
	}
	return &mapped{rows: in, cols: cols, apply: func(row []table.Value) ([]table.Value, bool, error) { return row, true, nil }}, nil
}

func cast(s *Cast, at string, in rows) (rows, error) {
	at += ".columns"
	cols := slices.Clone(in.columns())
	names := slices.Sorted(maps.Keys(s.Columns))
	for _, name := range names {
		i, err := index(in, name, of(at, name))
		if err != nil {
			return nil, err
		}
		cols[i].Type = castTypes[s.Columns[name]]
	}
	var casts []int
	for i := range cols {
		if s.Columns[cols[i].Name] != "" {
			casts = append(casts, i)
		}
	}
	return &mapped{rows: in, cols: cols, apply: func(row []table.Value) ([]table.Value, bool, error) {
		for _, i := range casts {
			v, ok := row[i].Convert(cols[i].Type)
			if !ok {
				return nil, false, stage.Problemf(of(at, cols[i].Name), fmt.Sprintf("A value of %q is no %s", cols[i].Name, cols[i].Type),
					"%s: %q. Filter such rows out first, or derive the column with tonumber(…), which makes them missing.", in.position(), shorten(row[i].Text()))
			}
			row[i] = v
		}
		return row, true, nil
	}}, nil
}

func shorten(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:39]) + "…"
	}
	return s
}

func filter(s *Filter, at string, in rows, dropped *int64) (rows, error) {
	at += ".where"
	where, err := formula.CompileCondition(s.Where.Source, s.Where.Constants, in.columns())
	if err != nil {
		return nil, wrong(err, at)
	}
	return &mapped{rows: in, cols: in.columns(), apply: func(row []table.Value) ([]table.Value, bool, error) {
		keep, err := where.Test(row)
		if err != nil {
			return nil, false, failed(err, at, in)
		}
		if !keep {
			*dropped++
		}
		return row, keep, nil
	}}, nil
}

// wrong is the problem of an expression that does not compile.
func wrong(err error, at string) *stage.Problem {
	detail := err.Error()
	if !strings.HasSuffix(detail, "?") {
		detail += "."
	}
	return stage.Problemf(at, "The expression does not fit the rows", "%s", detail)
}

// failed is the problem of an expression that fails for one row.
func failed(err error, at string, in rows) *stage.Problem {
	return stage.Problemf(at, "The expression fails for a row", "%s: %v.", in.position(), err)
}

func derive(s *Derive, at string, in rows) (rows, error) {
	if s.Column == "" || strings.TrimSpace(s.Column) != s.Column {
		return nil, stage.Problemf(at, fmt.Sprintf("%q is no name for a column", s.Column), "It may not be empty, nor begin or end with a blank.")
	}
	at += ".value"
	value, err := formula.Compile(s.Value.Source, s.Value.Constants, in.columns())
	if err != nil {
		return nil, wrong(err, at)
	}
	cols := slices.Clone(in.columns())
	to, err := table.Index(cols, s.Column)
	if err != nil {
		to = len(cols)
		cols = append(cols, table.Column{Name: s.Column})
	}
	cols[to].Type = value.Type()
	out := make([]table.Value, len(cols))
	return &mapped{rows: in, cols: cols, apply: func(row []table.Value) ([]table.Value, bool, error) {
		v, err := value.Eval(row)
		if err != nil {
			return nil, false, failed(err, at, in)
		}
		copy(out, row)
		out[to] = v
		return out, true, nil
	}}, nil
}

func recode(s *Recode, at string, in rows) (rows, error) {
	i, err := index(in, s.Column, at)
	if err != nil {
		return nil, err
	}
	cols := slices.Clone(in.columns())
	typ := table.String
	if cols[i].Type == table.Text {
		typ = table.Text // such as digits that other digits take the place of
	}
	cols[i].Type = typ
	return &mapped{rows: in, cols: cols, apply: func(row []table.Value) ([]table.Value, bool, error) {
		v := row[i]
		if v.IsMissing() {
			return row, true, nil
		}
		if to, ok := s.Values[v.Text()]; ok {
			v = table.StringValue(to)
		}
		row[i], _ = v.Convert(typ)
		return row, true, nil
	}}, nil
}

func dropMissing(s *DropMissing, at string, in rows, dropped *int64) (rows, error) {
	columns, err := someOrAll(s.Columns, at, in)
	if err != nil {
		return nil, err
	}
	return &mapped{rows: in, cols: in.columns(), apply: func(row []table.Value) ([]table.Value, bool, error) {
		for _, i := range columns {
			if row[i].IsMissing() {
				*dropped++
				return nil, false, nil
			}
		}
		return row, true, nil
	}}, nil
}

func someOrAll(names []string, at string, in rows) ([]int, error) {
	if names == nil {
		names = table.Names(in.columns())
	}
	return indexes(in, names, at+".columns")
}

func fill(s *Fill, at string, in rows) (rows, error) {
	at += ".columns"
	cols := slices.Clone(in.columns())
	values := make([]table.Value, len(cols))
	for _, name := range slices.Sorted(maps.Keys(s.Columns)) {
		at := of(at, name)
		i, err := index(in, name, at)
		if err != nil {
			return nil, err
		}
		v, ok := valueOf(s.Columns[name])
		if !ok {
			return nil, stage.Problemf(at, "This cannot fill a cell", "Give a text, a number or a truth value.")
		}
		if cols[i].Type == table.Int && v.Type() == table.Float {
			cols[i].Type = table.Float
		}
		fits, ok := v.Convert(cols[i].Type)
		if !ok || (cols[i].Type.Numeric() && !v.Type().Numeric()) {
			return nil, stage.Problemf(at, fmt.Sprintf("%q does not fit the column", v.Text()), "Column %q is %s.", name, cols[i].Type)
		}
		values[i] = fits
	}
	return &mapped{rows: in, cols: cols, apply: func(row []table.Value) ([]table.Value, bool, error) {
		for i, v := range values {
			if row[i].IsMissing() {
				row[i] = v
			} else if t := cols[i].Type; row[i].Type() != t {
				row[i], _ = row[i].Convert(t) // an Int in a column that became Float
			}
		}
		return row, true, nil
	}}, nil
}

// valueOf is a cell of a value as JSON decodes it.
func valueOf(v any) (table.Value, bool) {
	switch v := v.(type) {
	case string:
		return table.StringValue(v), true
	case bool:
		return table.BoolValue(v), true
	case json.Number:
		if i, ok := table.ParseInt(v.String()); ok {
			return table.IntValue(i), true
		}
		f, err := v.Float64()
		return table.FloatValue(f), err == nil
	}
	return table.Value{}, false
}

func deduplicate(s *Deduplicate, at string, in rows, dropped *int64) (rows, error) {
	columns, err := someOrAll(s.Columns, at, in)
	if err != nil {
		return nil, err
	}
	// Whole keys, not hashes of them: a collision would drop a row.
	seen := map[string]struct{}{}
	var key []byte
	return &mapped{rows: in, cols: in.columns(), apply: func(row []table.Value) ([]table.Value, bool, error) {
		key = key[:0]
		for _, i := range columns {
			key = row[i].AppendKey(key)
		}
		if _, again := seen[string(key)]; again {
			*dropped++
			return nil, false, nil
		}
		seen[string(key)] = struct{}{}
		return row, true, nil
	}}, nil
}
