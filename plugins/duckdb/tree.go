package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/flow-pipelines/flow/plugins/sdk"
)

// What a query may call was settled with what DuckDB says of its functions
// (duckdb_functions), and a test compares the lists with it: a new version of the
// engine that has more of them is noticed.

// unsettled are functions whose result depends on when, where or how often they
// are called: those that are not CONSISTENT, and macros that call one. random is
// none, for it begins with a seed.
var unsettled = []string{
	"now", "get_current_timestamp", "transaction_timestamp", "get_current_time", "today",
	"current_date", "current_time", "current_timestamp", "current_localtime", "current_localtimestamp", "localtime", "localtimestamp", // stand in a tree as columns
	"ago", "pg_conf_load_time", "pg_postmaster_start_time",
	"uuid", "gen_random_uuid", "uuidv4", "uuidv7", "nextval", "currval",
	"current_connection_id", "current_query_id", "current_query", "current_transaction_id", "txid_current",
	"current_database", "current_catalog", "current_schema", "current_schemas", "in_search_path",
	"current_setting", "getenv", "stats", "sleep_ms", "pg_sleep", "write_log",
}

// exact are aggregates that come to the same in whichever order they get the rows.
var exact = []string{
	"count", "count_star", "count_if", "countif", "min", "max", "bool_and", "bool_or", "bit_and", "bit_or", "bit_xor", "bitstring_agg",
	"median", "quantile", "quantile_cont", "quantile_disc", "mad", "regr_count", "approx_count_distinct",
}

// timed are those that do not: floating-point numbers do not add up the same in
// another order, and the first of several threads is not always the same one.
// With them are macros that call one, and random.
var timed = []string{
	"sum", "avg", "mean", "fsum", "favg", "sumkahan", "kahan_sum", "sum_no_overflow", "product", "geomean", "geometric_mean", "wavg", "weighted_avg",
	"stddev", "stddev_pop", "stddev_samp", "variance", "var_pop", "var_samp", "sem", "corr", "covar_pop", "covar_samp", "skewness", "kurtosis", "kurtosis_pop",
	"entropy", "regr_avgx", "regr_avgy", "regr_intercept", "regr_r2", "regr_slope", "regr_sxx", "regr_sxy", "regr_syy",
	"first", "first_value", "last", "last_value", "nth_value", "any_value", "arbitrary", "mode",
	"list", "array_agg", "string_agg", "group_concat", "listagg", "json_group_array", "json_group_object", "json_group_structure",
	"arg_min", "arg_max", "argmin", "argmax", "min_by", "max_by", "arg_min_null", "arg_max_null", "arg_min_nulls_last", "arg_max_nulls_last",
	"approx_quantile", "reservoir_quantile", "approx_top_k", "histogram", "histogram_exact", "histogram_values",
	"row_number", "rank", "rank_dense", "dense_rank", "percent_rank", "cume_dist", "ntile", "lag", "lead", "fill",
	"random",
}

// tables are functions that make rows from their arguments alone. The others read
// files, tell of the machine and the engine, or hide a query in a text.
var tables = []string{"range", "generate_series", "unnest", "repeat", "repeat_row", "json_each", "json_tree", "histogram", "histogram_values", "query_table"}

// inner are views of DuckDB's own that tell of the engine; those in other schemas
// than main are refused by their schema.
var inner = []string{
	"duckdb_columns", "duckdb_constraints", "duckdb_databases", "duckdb_indexes", "duckdb_logs", "duckdb_schemas", "duckdb_tables", "duckdb_types", "duckdb_views",
	"pragma_database_list", "sqlite_master", "sqlite_schema", "sqlite_temp_master", "sqlite_temp_schema",
}

// uses is what a query, and all that setup made, comes down to.
type uses struct {
	functions map[string]bool
	tables    []string // functions that make rows
	relations []string // tables and views, perhaps with a schema
	// arbitrary says what takes whichever rows come first, "" if nothing does.
	arbitrary string
}

// parse returns a query as DuckDB's tree.
func (e *engine) parse(ctx context.Context, q query) (map[string]any, error) {
	raw, err := e.text(ctx, "select json_serialize_sql(?::varchar)::varchar", q.text)
	if err != nil {
		return nil, problem(err, q)
	}
	var tree map[string]any
	d := json.NewDecoder(strings.NewReader(raw))
	d.UseNumber() // some are as large as 64 bits can be
	if err := d.Decode(&tree); err != nil {
		return nil, fmt.Errorf("read the tree of a query: %w", err)
	}
	if failed, _ := tree["error"].(bool); failed {
		if tree["error_type"] == "parser" {
			// The tree's error has no line; the one of a statement has.
			if _, err := e.columns(ctx, q.text); err != nil {
				return nil, problem(err, q)
			}
		}
		said, _ := tree["error_message"].(string)
		if strings.HasPrefix(said, "Only SELECT statements can be serialized") {
			said = "It is another statement"
		}
		return nil, sdk.Problemf(q.at, "Not a single SELECT statement", "%s. What is to be made before belongs into setup.", strings.TrimRight(said, ".!"))
	}
	if s, _ := tree["statements"].([]any); len(s) != 1 {
		return nil, sdk.Problemf(q.at, "Not a single SELECT statement", "There are %d. Give each a block result.", len(s))
	}
	if node, _ := tree["statements"].([]any)[0].(map[string]any)["node"].(map[string]any); node != nil {
		if from, _ := node["from_table"].(map[string]any); from["type"] == "SHOW_REF" {
			return nil, sdk.Problemf(q.at, "Not a SELECT statement", "DESCRIBE and SUMMARIZE stand in parentheses: from (%s).", q.text)
		}
	}
	return tree, nil
}

// collect adds what a tree uses.
func (u *uses) collect(tree any) {
	if u.functions == nil {
		u.functions = map[string]bool{}
	}
	u.walk(tree, true)
}

// walk goes through a tree. top says that it is a query as a whole, whose own
// order is completed.
func (u *uses) walk(v any, top bool) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			u.walk(x, top)
		}
	case map[string]any:
		u.take(v, top)
		for key, x := range v {
			u.walk(x, top && (key == "statements" || key == "node" || key == "modifiers"))
		}
	}
}

func (u *uses) take(node map[string]any, top bool) {
	if f, ok := node["function_name"].(string); ok {
		f = strings.ToLower(f)
		if c, _ := node["children"].([]any); f == "age" && len(c) == 1 {
			f = "today" // from which it counts
		}
		u.functions[f] = true
	}
	switch node["type"] {
	case "COLUMN_REF":
		if names, ok := node["column_names"].([]any); ok && len(names) == 1 {
			if n, ok := names[0].(string); ok && (strings.HasPrefix(strings.ToLower(n), "current_") || strings.HasPrefix(strings.ToLower(n), "localtime")) {
				u.functions[strings.ToLower(n)] = true
			}
		}
	case "TABLE_FUNCTION":
		f, _ := node["function"].(map[string]any)
		n, _ := f["function_name"].(string)
		u.tables = append(u.tables, strings.ToLower(n))
	case "BASE_TABLE":
		schema, _ := node["schema_name"].(string)
		n, _ := node["table_name"].(string)
		if schema != "" {
			n = schema + "." + n
		}
		u.relations = append(u.relations, n)
	case "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER":
		if !top {
			u.arbitrary = "LIMIT in a part of a query"
		}
	case "DISTINCT_MODIFIER":
		if on, _ := node["distinct_on_targets"].([]any); len(on) > 0 {
			u.arbitrary = "DISTINCT ON"
		}
	case "SHOW_REF":
		if node["show_type"] == "SUMMARY" {
			u.arbitrary = "SUMMARIZE"
		}
	case "JOIN":
		if k := node["ref_type"]; k == "POSITIONAL" || k == "ASOF" {
			u.arbitrary = fmt.Sprintf("A join of the kind %s", k)
		}
	}
}

// made adds what the macros and views use that setup has made. A view is known by
// the statement that makes it; what stands behind each AS and is a query counts,
// of which one is the view's.
func (e *engine) made(ctx context.Context, u *uses) error {
	rows, err := e.conn.QueryContext(ctx, `
		select coalesce(json_serialize_sql('select ' || macro_definition)::varchar, ''), json_serialize_sql(macro_definition)::varchar from duckdb_functions() where not internal and macro_definition is not null
		union all
		select json_serialize_sql(substr(sql, i + 4))::varchar, '{}'
		from (select sql, unnest(list_filter(range(1, length(sql)), lambda j: substr(sql, j, 4) = ' AS ')) as i from duckdb_views() where not internal and sql not in (select unnest(?::varchar[])))`, e.views)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var texts [2]string
		if err := rows.Scan(&texts[0], &texts[1]); err != nil {
			return err
		}
		for _, t := range texts {
			var tree any
			if err := json.Unmarshal([]byte(t), &tree); err != nil {
				return fmt.Errorf("read the tree of a definition: %w", err)
			}
			u.collect(tree)
		}
	}
	return rows.Err()
}

// refuse complains about what depends on more than the inputs and arguments.
func (u *uses) refuse(q query, inputs map[string]sdk.Artifact) error {
	for _, f := range unsettled {
		if u.functions[f] {
			return sdk.Problemf(q.at, fmt.Sprintf("%s() gives another result each time", f), "A result must follow from the inputs and arguments. Pass it in as a variable: \"… ${var.day} …\".")
		}
	}
	for _, f := range u.tables {
		switch {
		case slices.Contains(tables, f):
		case strings.HasPrefix(f, "read_") || f == "glob" || f == "sniff_csv" || strings.HasPrefix(f, "parquet_"):
			return undeclared(q, f+"() reads files that are")
		default:
			return sdk.Problemf(q.at, fmt.Sprintf("%s() is not for queries of a pipeline", f), "It does not make its rows from the inputs and arguments alone.")
		}
	}
	for _, r := range u.relations {
		if _, declared := inputs[r]; declared {
			continue
		}
		schema, _, qualified := strings.Cut(r, ".")
		switch {
		case strings.Contains(r, "/") || readerOf(r) != "":
			return undeclared(q, r+" is")
		case slices.Contains(inner, strings.ToLower(r)), qualified && (strings.EqualFold(schema, "information_schema") || strings.EqualFold(schema, "pg_catalog")):
			return sdk.Problemf(q.at, fmt.Sprintf("%s is not for queries of a pipeline", r), "It tells of the engine. Tables are those of inputs and views of setup.")
		}
	}
	return nil
}

// undeclared is the mistake of a query that reads what it does not declare.
func undeclared(q query, what string) error {
	return sdk.Problemf(q.at, what+" not among the inputs", "A query reads tables by their names in inputs = { NAME = … }, by which they are part of the key.")
}

// refuseThreads complains about what comes out differently on several threads.
func (u *uses) refuseThreads() error {
	for _, f := range timed {
		if u.functions[f] {
			return sdk.Problemf("threads", fmt.Sprintf("%s() may differ from run to run on several threads", f), "Its result depends on the order in which threads get to rows. Leave threads out, or write the query without it.")
		}
	}
	if u.arbitrary != "" {
		return sdk.Problemf("threads", u.arbitrary+" may differ from run to run on several threads", "It depends on the order in which threads get to rows. Leave threads out, or write the query without it.")
	}
	return nil
}
