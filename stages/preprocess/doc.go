package preprocess

import (
	"maps"
	"slices"
	"strings"

	"github.com/flow-pipelines/flow/stages/table/formula"
)

// documentation lists the functions from their one table.
func documentation() string {
	usage := formula.Functions()
	var list []string
	for _, name := range slices.Sorted(maps.Keys(usage)) {
		list = append(list, "- "+usage[name])
	}
	return strings.Replace(doc, "{{functions}}", strings.Join(list, "\n"), 1)
}

const doc = `The rows of ` + "`input`" + ` go through the steps in the order in which they are written. The output is one table: ` + "`preprocess.NAME`" + `.

**Expressions** (` + "`filter`" + `, ` + "`derive`" + `) are HCL about ` + "`row`" + `: operators, conditionals, templates, ` + "`row[\"a name with blanks\"]`" + `, names of the pipeline such as ` + "`var.limit`" + `, and these functions:

{{functions}}

**Types.** CSV has none: a field is text that is read as a number when a step needs one. Columns that no step changes keep their very characters. Parquet and JSON Lines keep their types; when CSV becomes one of these, a column's type is that of all its values.

**Missing values.** In CSV: an empty field, and unquoted NA, N/A, NaN, nan, null, NULL. Whatever is computed from a missing value is missing, also a comparison; ` + "`filter`" + ` drops rows whose condition is missing. ` + "`row.x == null`" + ` asks for it, ` + "`coalesce(row.x, 0)`" + ` replaces it. A division by zero is missing.

**Nothing is fitted.** ` + "`fill`" + ` takes a fixed value. A mean or median that is computed before the data is split leaks what the test part holds; ` + "`train`" + ` has features that learn it from the training part.

**Order.** Rows keep it. A join gives one row for each pair, in the order of the left rows and then of the right ones. ` + "`deduplicate`" + ` keeps the first of equal rows.`

const example = `preprocess "clean" {
  input  = dataset.census
  inputs = { regions = dataset.regions }

  drop_missing { columns = ["total_bedrooms"] }
  filter       { where   = row.ocean_proximity != "ISLAND" }
  derive "rooms_per_household" { value = row.total_rooms / row.households }
  join "regions" {
    on  = ["county"]
    how = "left"
  }
  rename { columns = { median_house_value = "value" } }
  drop   { columns = ["longitude", "latitude"] }
}`
