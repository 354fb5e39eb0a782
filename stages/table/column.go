package table

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/flow-pipelines/flow/engine/suggest"
)

// Column is a column's name and type.
type Column struct {
	Name string
	Type Type
}

// Names returns the columns' names, in order.
func Names(columns []Column) []string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	return names
}

// Index returns the position of the named column, or a *MissingColumnError.
func Index(columns []Column, name string) (int, error) {
	for i, c := range columns {
		if c.Name == name {
			return i, nil
		}
	}
	return -1, &MissingColumnError{Name: name, Have: Names(columns)}
}

// MissingColumnError says that a table has no column of that name.
type MissingColumnError struct {
	Name string
	Have []string // the columns that there are, in order
}

func (e *MissingColumnError) Error() string {
	msg := "no column " + strconv.Quote(e.Name)
	if s := suggest.Nearest(e.Name, e.Have); s != "" {
		return msg + "; did you mean " + strconv.Quote(s) + "?"
	}
	return msg + "; the columns are " + List(e.Have)
}

// Hint is the sentence that helps someone who named a column that is not
// there: the one that was most likely meant, else what there is.
func Hint(name string, have []string) string {
	if s := suggest.Nearest(name, have); s != "" {
		return fmt.Sprintf("Did you mean %q?", s)
	}
	return "The columns are " + List(have) + "."
}

// List names the first few of many columns: a wide table has thousands.
func List(names []string) string {
	const most = 10
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// checkNames refuses what no format could write and read back.
func checkNames(columns []Column) error {
	seen := make(map[string]bool, len(columns))
	if len(columns) == 0 {
		return fmt.Errorf("a table needs at least one column")
	}
	for i, c := range columns {
		switch {
		case c.Name == "":
			return fmt.Errorf("column %d has no name", i+1)
		case strings.TrimSpace(c.Name) != c.Name:
			return fmt.Errorf("column name %q begins or ends with a blank", c.Name)
		case seen[c.Name]:
			return fmt.Errorf("column %q appears twice", c.Name)
		case c.Type == Missing || c.Type > JSON:
			return fmt.Errorf("column %q has no type", c.Name)
		}
		seen[c.Name] = true
	}
	return nil
}

// sameNames describes the first difference between two lists of columns, or
// returns the empty string.
func sameNames(got, want []Column) string {
	for i := range min(len(got), len(want)) {
		if got[i].Name != want[i].Name {
			return fmt.Sprintf("column %d is %q, want %q", i+1, got[i].Name, want[i].Name)
		}
	}
	if len(got) != len(want) {
		return fmt.Sprintf("%d columns, want %d", len(got), len(want))
	}
	return ""
}
