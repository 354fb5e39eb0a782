package main

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"strings"

	"github.com/duckdb/duckdb-go/v2"

	"github.com/flow-pipelines/flow/plugins/sdk"
)

// missing matches complaints that do not depend on types of columns.
var missing = regexp.MustCompile(`^(Parser Error|Catalog Error: Table|Binder Error: (Referenced|Table|Values list|Could not find|Column))`)

// bench is an engine with the inputs of a check, kept for the next one: that is
// often about another instance of the same block, with the same inputs.
type bench struct {
	of string // what it was prepared for
	*engine
	// guessed says that of some inputs names are known and types are not, unknown
	// that of some nothing is.
	guessed, unknown bool
}

// prepare makes the bench ready for the inputs and the setup of c.
func (b *bench) prepare(ctx context.Context, c *Config, inputs map[string]sdk.Input) error {
	tables := map[string]sdk.Input{}
	for as := range c.Inputs {
		tables[as] = inputs["inputs."+as]
	}
	of, err := json.Marshal([]any{tables, c.Setup, c.Threads, c.Types})
	if err != nil || b.of == string(of) {
		return err
	}
	if b.engine != nil {
		err = b.close()
	}
	*b = bench{of: string(of)}
	if err != nil {
		return err
	}
	b.engine, err = c.prepare(ctx, nil, func(e *engine, as, path string) ([]string, error) {
		in := inputs["inputs."+as]
		switch {
		case in.File != "":
			files, err := e.view(ctx, as, in.File, "inputs."+as)
			if p := (*sdk.Problem)(nil); errors.As(err, &p) {
				// The pipeline calls it by another name.
				p.Summary = strings.ReplaceAll(p.Summary, in.File, in.Path)
			}
			return files, err
		case in.Columns != nil:
			// Names are known and types are not.
			b.guessed = true
			columns := make([]string, len(in.Columns))
			for i, n := range in.Columns {
				columns[i] = "null::varchar as " + name(n)
			}
			return nil, e.do(ctx, "create view "+name(as)+" as select "+strings.Join(columns, ", "))
		}
		b.unknown = true
		return nil, nil
	})
	if err != nil {
		b.of = ""
	}
	return err
}

// check binds the queries to the columns of the inputs, as far as they are known.
func (c *Config) check(b *bench, inputs map[string]sdk.Input) (map[string][]string, error) {
	ctx := context.Background()
	if err := b.prepare(ctx, c, inputs); err != nil {
		return nil, err
	}
	// A query's file may not be there yet.
	if c.unwritten(inputs) || b.unknown {
		return nil, nil
	}
	qs, err := c.located(inputs).queries()
	if err != nil {
		return nil, err
	}
	for i := range qs {
		for _, in := range inputs {
			if in.File != "" && in.File == qs[i].file {
				qs[i].file = in.Path // as the pipeline calls it
			}
		}
	}
	known := map[string][]string{}
	var ps sdk.Problems
	for _, q := range qs {
		names, err := c.bind(ctx, b.engine, q, b.guessed)
		if names != nil {
			known[q.output] = names
		}
		if err != nil {
			var p *sdk.Problem
			if !errors.As(problem(err, q), &p) {
				return nil, err
			}
			ps = append(ps, p)
		}
	}
	if len(ps) > 0 {
		return known, ps
	}
	return known, nil
}

// bind returns the columns of a query, as far as they are known. Where the types of
// the inputs are guessed, only complaints count that do not depend on them.
func (c *Config) bind(ctx context.Context, e *engine, q query, guessed bool) ([]string, error) {
	tree, err := e.parse(ctx, q)
	if err != nil {
		return nil, err
	}
	names, err := e.columns(ctx, q.text)
	var de *duckdb.Error
	switch {
	case guessed && errors.As(err, &de) && !missing.MatchString(de.Msg):
		return nil, nil
	case err != nil || guessed:
		return names, err
	}
	_, _, err = c.settle(ctx, e, q, tree, len(names))
	return names, err
}

// unwritten reports whether a file with a query does not exist yet.
func (c *Config) unwritten(inputs map[string]sdk.Input) bool {
	for path, in := range inputs {
		if strings.HasSuffix(path, "file") && !strings.HasPrefix(path, "inputs.") && in.File == "" {
			return true
		}
	}
	return false
}

// located is c with the files of queries where they lie while planning.
func (c *Config) located(inputs map[string]sdk.Input) *Config {
	l := *c
	l.Results = append([]Result{}, c.Results...)
	files := map[string]string{}
	for _, in := range inputs {
		files[in.Path] = in.File
	}
	at := func(a sdk.Artifact) sdk.Artifact {
		if f := files[string(a)]; f != "" {
			return sdk.Artifact(f)
		}
		return a
	}
	l.File = at(c.File)
	for i := range l.Results {
		l.Results[i].File = at(l.Results[i].File)
	}
	return &l
}
