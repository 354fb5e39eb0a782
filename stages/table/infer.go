package table

import (
	"context"
	"errors"
	"io"
)

// inference collects what the cells of one column have in common. The zero
// value has seen nothing.
type inference struct {
	seen, missing int64
	notInt        bool
	notFloat      bool
	notBool       bool
	json, other   bool
}

func (in *inference) add(v Value) {
	in.seen++
	switch v.typ {
	case Missing:
		in.missing++
	case Int:
		in.notBool, in.other = true, true
	case Float:
		in.notInt, in.notBool, in.other = true, true, true
	case Bool:
		in.notInt, in.notFloat, in.other = true, true, true
	case String:
		in.notInt, in.notFloat, in.notBool, in.other = true, true, true, true
	case JSON:
		in.notInt, in.notFloat, in.notBool, in.json = true, true, true, true
	case Text:
		in.other = true
		in.addText(v.text)
	}
}

func (in *inference) addText(s string) {
	if !in.notFloat {
		if looksPadded(s) {
			in.notInt, in.notFloat = true, true
		}
		if !in.notInt {
			if _, ok := ParseInt(s); !ok {
				in.notInt = true
			}
		}
		if in.notInt && !in.notFloat {
			_, ok := ParseFloat(s)
			in.notFloat = !ok
		}
	}
	if !in.notBool {
		_, ok := parseBool(s)
		in.notBool = !ok
	}
}

// columnType is the narrowest type for all cells seen; String if none had a
// value.
func (in *inference) columnType() Type {
	switch {
	case in.seen == in.missing:
		return String
	case in.json && !in.other:
		return JSON
	case !in.notInt:
		return Int
	case !in.notFloat:
		return Float
	case !in.notBool:
		return Bool
	}
	return String
}

// Summary is what a pass over a whole table tells.
type Summary struct {
	Rows int64
	// Columns have the types that Text cells turned out to have: never Text.
	// A column without a single value is String.
	Columns []Column
	// Missing counts the missing cells of each column.
	Missing []int64
}

// Describe reads the whole table at path.
func Describe(ctx context.Context, path string) (*Summary, error) {
	r, err := Open(path)
	if err != nil {
		return nil, err
	}
	s, err := describe(ctx, r)
	return s, errors.Join(err, r.Close())
}

func describe(ctx context.Context, r *Reader) (*Summary, error) {
	columns := r.Columns()
	seen := make([]inference, len(columns))
	row := make([]Value, len(columns))
	var rows int64
	for ; ; rows++ {
		if rows&0xfff == 0 {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
		}
		if err := r.Read(row); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		for i, v := range row {
			seen[i].add(v)
		}
	}
	s := &Summary{Rows: rows, Columns: make([]Column, len(columns)), Missing: make([]int64, len(columns))}
	for i, c := range columns {
		if c.Type == Text {
			c.Type = seen[i].columnType()
		}
		s.Columns[i] = c
		s.Missing[i] = seen[i].missing
	}
	return s, nil
}
