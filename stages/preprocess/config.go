package preprocess

import (
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/engine/suggest"
	"github.com/flow-pipelines/flow/stages/table"
)

// Config holds the arguments.
type Config struct {
	Input  stage.Artifact            `json:"input" kind:"table" doc:"The table whose rows go through the steps: CSV, TSV, JSON Lines (each also gzipped) or Parquet, or a directory of such files."`
	Inputs map[string]stage.Artifact `json:"inputs" kind:"table" doc:"Further tables by name, for join and concatenate. Without input, the only one is the input."`
	Format string                    `json:"format" oneof:"csv tsv jsonl parquet" doc:"The format of the output. Default: that of the input by its extension, csv if it has none."`
	Header *Header                   `json:"header" doc:"How to read an input in CSV or TSV that does not explain itself."`
	Steps  []Step                    `json:"steps" flow:"steps" doc:"What happens to the rows, in order."`
}

// Header describes a CSV file that has no usable header line.
type Header struct {
	Skip      int      `json:"skip" default:"0" doc:"Lines to pass over at the top of each file."`
	Names     []string `json:"names" doc:"The columns' names, if no line holds them."`
	Delimiter string   `json:"delimiter" doc:"The character between fields. Default: a comma, for TSV a tab."`
	Missing   []string `json:"missing" doc:"The words that stand for a missing value. An empty field is missing in any case. Default: NA, N/A, NaN, nan, null, NULL."`
}

// Step is one step: exactly one of the fields is set.
type Step struct {
	Select      *Columns     `json:"select" doc:"Keep these columns, in this order."`
	Drop        *Columns     `json:"drop" doc:"Remove these columns."`
	Rename      *Rename      `json:"rename" doc:"Give columns other names."`
	Cast        *Cast        `json:"cast" doc:"Convert columns to a type. A cell that has no such form is an error."`
	Filter      *Filter      `json:"filter" doc:"Keep the rows for which an expression is true; missing is not true."`
	Derive      *Derive      `json:"derive" doc:"Compute a column, a new one at the end or an existing one in its place."`
	Recode      *Recode      `json:"recode" doc:"Replace values of a column by others. Values that are not listed stay."`
	DropMissing *DropMissing `json:"drop_missing" doc:"Drop rows in which a column has no value."`
	Fill        *Fill        `json:"fill" doc:"Put a fixed value where a column has none. A mean or median belongs into train's features, which learn it from the training part alone."`
	Deduplicate *Deduplicate `json:"deduplicate" doc:"Keep the first of equal rows."`
	Concatenate *Concatenate `json:"concatenate" doc:"Append the rows of other inputs."`
	Join        *Join        `json:"join" doc:"Append the columns of another input's matching rows. The other input is held in memory."`
}

// Columns lists columns; a * stands for any characters.
type Columns struct {
	Columns []string `json:"columns" flow:"required" doc:"The columns' names; a * stands for any characters."`
}

// Rename maps old names to new ones.
type Rename struct {
	Columns map[string]string `json:"columns" flow:"required" doc:"{ old = \"new\" }"`
}

// Cast maps columns to types.
type Cast struct {
	Columns map[string]string `json:"columns" flow:"required" doc:"{ column = \"type\" }; the types are int, float, string and bool."`
}

// Filter keeps rows.
type Filter struct {
	Where stage.Expression `json:"where" flow:"required" doc:"A condition on row: row.age >= 18 && row.city != null"`
}

// Derive computes a column.
type Derive struct {
	Column string           `json:"column" flow:"label"`
	Value  stage.Expression `json:"value" flow:"required" doc:"An expression over row: row.rooms / row.households"`
}

// Recode replaces values.
type Recode struct {
	Column string            `json:"column" flow:"label"`
	Values map[string]string `json:"values" flow:"required" doc:"{ \"0\" = \"malignant\", \"1\" = \"benign\" }"`
}

// DropMissing drops rows.
type DropMissing struct {
	Columns []string `json:"columns" doc:"The columns that need a value. Default: all."`
}

// Fill replaces missing values.
type Fill struct {
	Columns map[string]any `json:"columns" flow:"required" doc:"{ column = value }"`
}

// Deduplicate drops repeated rows.
type Deduplicate struct {
	Columns []string `json:"columns" doc:"Rows are equal if these columns are. Default: all."`
}

// Concatenate appends other tables.
type Concatenate struct {
	Inputs []string `json:"inputs" flow:"required" doc:"Names of inputs. They have the same columns, in any order."`
}

// Join appends columns of another table.
type Join struct {
	Input string   `json:"input" flow:"label"`
	On    []string `json:"on" flow:"required" doc:"The columns that must be equal; a missing value equals nothing."`
	How   string   `json:"how" default:"inner" oneof:"inner left" doc:"What happens to rows without a match: inner drops them, left keeps them with missing values."`
}

// name is the step's block type.
func (s *Step) name() string {
	switch {
	case s.Select != nil:
		return "select"
	case s.Drop != nil:
		return "drop"
	case s.Rename != nil:
		return "rename"
	case s.Cast != nil:
		return "cast"
	case s.Filter != nil:
		return "filter"
	case s.Derive != nil:
		return "derive"
	case s.Recode != nil:
		return "recode"
	case s.DropMissing != nil:
		return "drop_missing"
	case s.Fill != nil:
		return "fill"
	case s.Deduplicate != nil:
		return "deduplicate"
	case s.Concatenate != nil:
		return "concatenate"
	case s.Join != nil:
		return "join"
	}
	return "step"
}

// check finds what is wrong with a step whatever its rows are.
func (s *Step) check(c *Config, at string) *stage.Problem {
	switch {
	case s.Rename != nil:
		return checkNamed(s.Rename.Columns, at)
	case s.Fill != nil:
		return checkNamed(s.Fill.Columns, at)
	case s.Cast != nil:
		if p := checkNamed(s.Cast.Columns, at); p != nil {
			return p
		}
		for _, column := range slices.Sorted(maps.Keys(s.Cast.Columns)) {
			if _, ok := castTypes[s.Cast.Columns[column]]; !ok {
				return stage.Problemf(of(at+".columns", column), fmt.Sprintf("No type %q", s.Cast.Columns[column]), "The types are int, float, string and bool.")
			}
		}
	case s.Concatenate != nil:
		for i, name := range s.Concatenate.Inputs {
			if p := c.checkInput(name, fmt.Sprintf("%s.inputs[%d]", at, i)); p != nil {
				return p
			}
		}
	case s.Join != nil:
		if len(s.Join.On) == 0 {
			return stage.Problemf(at+".on", "A join needs columns", "List at least one column that both tables have: on = [\"id\"].")
		}
		return c.checkInput(s.Join.Input, at)
	}
	return nil
}

// checkNamed refuses the empty name, which no column has.
func checkNamed[V any](columns map[string]V, at string) *stage.Problem {
	if _, ok := columns[""]; ok {
		return stage.Problemf(at+".columns", "A column without a name", "A key of columns is the name of a column, and \"\" is none. A column without a heading gets a name by header { names = […] }.")
	}
	return nil
}

// of is the path of what the map at a path has for a key.
func of(at, key string) string {
	if hclsyntax.ValidIdentifier(key) {
		return at + "." + key
	}
	return fmt.Sprintf("%s[%q]", at, key)
}

func (c *Config) checkInput(name, at string) *stage.Problem {
	if _, ok := c.Inputs[name]; ok {
		return nil
	}
	names := slices.Sorted(maps.Keys(c.Inputs))
	if s := suggest.Nearest(name, names); s != "" {
		return stage.Problemf(at, fmt.Sprintf("No input %q", name), "Did you mean %q?", s)
	}
	if len(names) == 0 {
		return stage.Problemf(at, fmt.Sprintf("No input %q", name), "Name the table in inputs: inputs = { %s = dataset.NAME }.", name)
	}
	return stage.Problemf(at, fmt.Sprintf("No input %q", name), "The inputs are %s.", quoted(names))
}

var castTypes = map[string]table.Type{"int": table.Int, "float": table.Float, "string": table.String, "bool": table.Bool}

func (h *Header) check() (ps stage.Problems) {
	if len(h.Delimiter) > 1 {
		ps = append(ps, stage.Problemf("header.delimiter", "A delimiter is one character", "It is one of the ASCII characters, such as ; or |."))
	}
	if h.Delimiter == "\"" || h.Delimiter == "\n" || h.Delimiter == "\r" {
		ps = append(ps, stage.Problemf("header.delimiter", "This character cannot be a delimiter", "Quotes and line breaks have a meaning of their own."))
	}
	if h.Skip < 0 {
		ps = append(ps, stage.Problemf("header.skip", "A negative number of lines", "Say how many lines to pass over, 0 for none."))
	}
	return ps
}

func (h *Header) options() table.Options {
	if h == nil {
		return table.Options{}
	}
	o := table.Options{Skip: h.Skip, Names: h.Names, Missing: h.Missing}
	if h.Delimiter != "" {
		o.Delimiter = h.Delimiter[0]
	}
	return o
}
