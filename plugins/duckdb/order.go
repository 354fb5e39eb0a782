package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/flow-pipelines/flow/plugins/sdk"
)

// keeps are the operators of a plan whose rows come in the order of the input,
// on any number of threads (preserve_insertion_order).
var keeps = []string{
	"PROJECTION", "FILTER", "READ_CSV", "READ_CSV_AUTO", "READ_PARQUET", "PARQUET_SCAN", "READ_NDJSON", "READ_NDJSON_AUTO",
	"UNNEST", "UNION", "DUMMY_SCAN", "EMPTY_RESULT", "COLUMN_DATA_SCAN", "RANGE", "LIMIT", "STREAMING_LIMIT",
}

// timed are functions whose result depends on the order in which threads get to
// rows: floating-point numbers do not add up the same in another order.
var timed = []string{
	"sum", "avg", "mean", "fsum", "favg", "sumkahan", "kahan_sum", "sum_no_overflow", "product", "geomean", "geometric_mean", "stddev", "stddev_pop", "stddev_samp",
	"variance", "var_pop", "var_samp", "sem", "corr", "covar_pop", "covar_samp", "skewness", "kurtosis", "kurtosis_pop", "entropy",
	"first", "last", "any_value", "arbitrary", "list", "array_agg", "string_agg", "group_concat", "listagg", "mode", "arg_min", "arg_max", "argmin", "argmax",
	"min_by", "max_by", "approx_quantile", "reservoir_quantile", "approx_top_k", "histogram", "map", "random", "regr_slope", "regr_intercept", "regr_r2",
}

// clocks are functions whose result depends on when or where they are called.
var clocks = []string{
	"now", "current_timestamp", "get_current_timestamp", "transaction_timestamp", "today", "current_date", "get_current_time", "current_time",
	"current_localtime", "current_localtimestamp", "uuid", "gen_random_uuid", "uuidv4", "uuidv7", "getenv", "nextval",
}

// settle makes a query's result one that any machine comes to: it refuses what
// depends on a clock or on threads' timing, and completes the order of its rows.
// streams says that the rows come in the order of the input.
func (c *Config) settle(ctx context.Context, e *engine, q query, tree map[string]any, columns int) (text string, streams bool, err error) {
	used := functions(tree)
	for _, f := range clocks {
		if used[f] {
			return "", false, sdk.Problemf(q.at, fmt.Sprintf("%s() gives another result each time", f), "A result must follow from the inputs and arguments. Pass it in as a variable: \"… ${var.day} …\".")
		}
	}
	operators, err := e.plan(ctx, q.text)
	if err != nil {
		return "", false, problem(err, q)
	}
	if !slices.ContainsFunc(operators, func(o string) bool { return !slices.Contains(keeps, o) }) && !used["random"] {
		return q.text, true, nil
	}
	if c.Threads > 1 {
		for _, f := range timed {
			if used[f] {
				return "", false, sdk.Problemf("threads", fmt.Sprintf("%s() may differ from run to run on several threads", f), "Its result depends on the order in which threads get to rows. Leave threads out, or write the query without it.")
			}
		}
		if slices.ContainsFunc(operators, func(o string) bool { return strings.Contains(o, "WINDOW") || strings.Contains(o, "SAMPLE") }) {
			return "", false, sdk.Problemf("threads", "A window or a sample may differ from run to run on several threads", "Rows that are equal by its order come in any order. Leave threads out.")
		}
	}
	text, err = e.order(ctx, q, tree, columns)
	return text, false, err
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
		said, _ := tree["error_message"].(string)
		return nil, sdk.Problemf(q.at, "Not a single SELECT statement", "%s. What is to run before belongs into setup.", strings.TrimSuffix(said, "."))
	}
	if s, _ := tree["statements"].([]any); len(s) != 1 {
		return nil, sdk.Problemf(q.at, "Not a single SELECT statement", "There are %d. Give each a block result, or run those before in setup.", len(s))
	}
	return tree, nil
}

// functions are the names of those that a tree calls.
func functions(tree any) map[string]bool {
	used := map[string]bool{}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if f, ok := v["function_name"].(string); ok {
				used[strings.ToLower(f)] = true
			}
			// current_date stands in the tree as a column of that name.
			if names, ok := v["column_names"].([]any); ok && len(names) == 1 {
				if n, ok := names[0].(string); ok && strings.HasPrefix(strings.ToLower(n), "current_") {
					used[strings.ToLower(n)] = true
				}
			}
			for _, x := range v {
				walk(x)
			}
		case []any:
			for _, x := range v {
				walk(x)
			}
		}
	}
	walk(tree)
	return used
}

// plan lists the operators by which DuckDB would run a query.
func (e *engine) plan(ctx context.Context, text string) ([]string, error) {
	var key, raw string
	if err := e.conn.QueryRowContext(ctx, "explain (format json) "+text).Scan(&key, &raw); err != nil {
		return nil, err
	}
	type node struct {
		Name     string            `json:"name"`
		Children []json.RawMessage `json:"children"`
	}
	var names []string
	var walk func(raw json.RawMessage) error
	walk = func(raw json.RawMessage) error {
		var n node
		if err := json.Unmarshal(raw, &n); err != nil {
			return err
		}
		names = append(names, strings.ToUpper(strings.TrimSpace(n.Name)))
		for _, c := range n.Children {
			if err := walk(c); err != nil {
				return err
			}
		}
		return nil
	}
	var roots []json.RawMessage
	if err := json.Unmarshal([]byte(raw), &roots); err != nil {
		return nil, fmt.Errorf("read the plan of a query: %w", err)
	}
	for _, r := range roots {
		if err := walk(r); err != nil {
			return nil, fmt.Errorf("read the plan of a query: %w", err)
		}
	}
	return names, nil
}

// order completes the order of a query's rows: where its ORDER BY leaves ties, or
// there is none, rows are sorted by all columns, before a LIMIT takes some.
func (e *engine) order(ctx context.Context, q query, tree map[string]any, columns int) (string, error) {
	node, ok := tree["statements"].([]any)[0].(map[string]any)["node"].(map[string]any)
	if !ok {
		return fmt.Sprintf("select * from (%s\n) order by all", q.text), nil
	}
	modifiers, _ := node["modifiers"].([]any)
	i := slices.IndexFunc(modifiers, func(m any) bool { return m.(map[string]any)["type"] == "ORDER_MODIFIER" })
	if i < 0 {
		i = max(0, slices.IndexFunc(modifiers, func(m any) bool { return strings.HasPrefix(m.(map[string]any)["type"].(string), "LIMIT") }))
		modifiers = slices.Insert(modifiers, i, any(map[string]any{"type": "ORDER_MODIFIER", "orders": []any{}}))
	}
	by := modifiers[i].(map[string]any)
	orders, _ := by["orders"].([]any)
	for n := range columns {
		orders = append(orders, map[string]any{
			"type": "ORDER_DEFAULT", "null_order": "ORDER_DEFAULT",
			"expression": map[string]any{
				"class": "CONSTANT", "type": "VALUE_CONSTANT", "alias": "",
				"value": map[string]any{"type": map[string]any{"id": "INTEGER", "type_info": nil}, "is_null": false, "value": n + 1},
			},
		})
	}
	by["orders"], node["modifiers"] = orders, modifiers
	b, err := json.Marshal(tree)
	if err != nil {
		return "", err
	}
	text, err := e.text(ctx, "select json_deserialize_sql(?::json)", string(b))
	if err != nil {
		return "", fmt.Errorf("order the rows of %s: %w", q.output, err)
	}
	return text, nil
}
