// Command flow-plugin-duckdb is a plugin with the stage type sql: tables made by
// queries, by the DuckDB engine. It is a module and a binary of its own, since it
// needs cgo, which flow does not.
//
// The same query over the same tables gives the same bytes. What DuckDB leaves
// open is settled here: rows are in the order of the inputs where a query keeps it,
// and else in a total order (see order.go); what adds up numbers runs on as many
// threads as the pipeline says, one by default, and not on as many as the machine
// has; functions that ask the clock are refused.
package main

import (
	"context"
	"encoding/json"

	"github.com/flow-pipelines/flow/plugins/sdk"
)

// version is the plugin's.
const version = "1.0.0"

// Config are the arguments of sql.
type Config struct {
	Inputs  map[string]sdk.Artifact `json:"inputs" flow:"required" doc:"Tables by the names that queries use: CSV, TSV, JSON Lines and Parquet, also compressed by gzip or zstd, and directories with files of one of these formats, which are one table."`
	Query   string                  `json:"query" doc:"A SELECT statement, in DuckDB's SQL. Its rows are the output data."`
	File    sdk.Artifact            `json:"file" doc:"A file with the query, in its place."`
	Setup   []string                `json:"setup" doc:"Statements to run before, one an element: CREATE MACRO, CREATE VIEW or CREATE TYPE."`
	Types   string                  `json:"types" default:"first" oneof:"first all" doc:"What the types of columns of CSV and JSON Lines are found out from: the first 20,000 rows of a file, or all of them, for files whose values change their kind further down; they are read several times then."`
	Format  string                  `json:"format" default:"parquet" oneof:"parquet csv jsonl" doc:"Of the outputs."`
	Threads int                     `json:"threads" default:"1" doc:"How many threads join, group and sort; part of the key. With more than 1, what depends on their timing is refused: sums and averages, windows, list and first. A query that keeps the order of its input uses all CPUs of the stage in any case."`
	Results []Result                `json:"result" doc:"A query of several, each with an output of its name."`
}

// Result is one of several queries.
type Result struct {
	Name   string       `json:"name" flow:"label"`
	Query  string       `json:"query" doc:"A SELECT statement."`
	File   sdk.Artifact `json:"file" doc:"A file with the query, in its place."`
	Format string       `json:"format" oneof:"parquet csv jsonl" doc:"Of the output; that of the stage if it is left out."`
}

const doc = `Each input is a view of its name; a query is one SELECT statement over them. Types
of columns are found out from the first 20,000 rows of a text format, or from all with
types = "all". The first line of a CSV is its header. A line with another number of
columns is an error, and so is a file without any line.

Rows come out in the order of the input where the query keeps it: a selection of
columns and rows. Otherwise they are sorted: by the query's ORDER BY, and where it
leaves ties, or there is none, by all columns. So the bytes do not depend on the
machine. Queries that ask the clock, such as now(), are refused: pass the time in
as a variable. A query reads the tables of inputs and nothing else: no other file, no
network, and nothing about the engine and its settings.`

const example = `sql "daily" {
  inputs = { sales = dataset.sales, shops = "data/shops.parquet" }
  query  = <<-SQL
    select day, region, count(*) as sales, sum(amount) as total
    from sales join shops using (shop)
    group by day, region
    order by day, region
  SQL
  format = "csv"
}`

func stageType() sdk.Type[Config] {
	at, checks := "query", &bench{}
	sales := map[string]string{"sales.csv": "shop,amount\na,1.5\nb,2\na,3\n"}
	data := map[string]string{"data": "out/data.csv"}
	return sdk.Type[Config]{
		Name:    "sql",
		Version: 2, // ragged files are refused
		Summary: "Tables made by SQL, with the DuckDB engine",
		Doc:     doc,
		Example: example,
		Outputs: []sdk.Output{
			{Name: "data", Path: "data.{format}", If: "query", Doc: "The rows of `query`."},
			{Name: "data", Path: "data.{format}", If: "file", Doc: "The rows of the query in `file`."},
			{Name: "results", Path: "{key}.{format}", Each: "result", Doc: "The rows of each block `result`, under its name."},
		},
		Metrics: "`rows` and `columns` of the output; of several, under the name of each.",
		Trials: []sdk.Trial{
			{Name: "groups", Args: json.RawMessage(`{"inputs":{"sales":"sales.csv"},"query":"select shop, sum(amount) as total from sales group by shop","format":"csv","threads":1}`), Files: sales, Outputs: data},
			{Name: "several results", Args: json.RawMessage(`{"inputs":{"sales":"sales.csv"},"format":"parquet","threads":2,"result":[{"name":"a","query":"from sales"},{"name":"b","query":"select count(*) as n from sales","format":"jsonl"}]}`), Files: sales, Outputs: map[string]string{"a": "out/a.parquet", "b": "out/b.jsonl"}},
			{Name: "no such column", Args: json.RawMessage(`{"inputs":{"sales":"sales.csv"},"query":"select amonut from sales","format":"csv","threads":1}`), Files: sales, Outputs: data, Problem: &at},
		},
		Run: func(ctx context.Context, cfg Config, run *sdk.Run) (sdk.Metrics, error) { return cfg.run(ctx, run) },
		Check: func(cfg Config, inputs map[string]sdk.Input) (map[string][]string, error) {
			return cfg.check(checks, inputs)
		},
	}
}

func plugin() sdk.Plugin {
	return sdk.Plugin{
		Name: "duckdb", Version: version, Summary: "SQL over tables, with the DuckDB engine",
		Versions: map[string]string{"duckdb": engineVersion()},
		Types:    []sdk.StageType{stageType()},
	}
}

func main() { plugin().Exit() }
