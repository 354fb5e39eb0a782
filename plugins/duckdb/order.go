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

// settle makes a query's result one that any machine comes to: it refuses what
// depends on a clock or on threads' timing, and completes the order of its rows.
// streams says that the rows come in the order of the input.
func (c *Config) settle(ctx context.Context, e *engine, q query, tree map[string]any, columns int) (text string, streams bool, err error) {
	var used uses
	used.collect(tree)
	if len(c.Setup) > 0 {
		if err := e.made(ctx, &used); err != nil {
			return "", false, err
		}
	}
	if err := used.refuse(q, c.Inputs); err != nil {
		return "", false, err
	}
	operators, err := e.plan(ctx, q.text)
	if err != nil {
		return "", false, problem(err, q)
	}
	if !slices.ContainsFunc(operators, func(o string) bool { return !slices.Contains(keeps, o) }) && !used.functions["random"] {
		return q.text, true, nil
	}
	if c.Threads > 1 {
		if err := used.refuseThreads(); err != nil {
			return "", false, err
		}
		if slices.ContainsFunc(operators, func(o string) bool { return strings.Contains(o, "WINDOW") || strings.Contains(o, "SAMPLE") }) {
			return "", false, sdk.Problemf("threads", "A window or a sample may differ from run to run on several threads", "Rows that are equal by its order come in any order. Leave threads out.")
		}
	}
	text, err = e.order(ctx, q, tree, columns)
	return text, false, err
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
