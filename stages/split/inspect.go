package split

import (
	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/stages/table"
)

var _ stage.Inspector = Type{}

// Inspect looks for the column to stratify by. All parts have the columns of
// the table.
func (Type) Inspect(in *stage.Inspection) (stage.Heads, error) {
	cfg, err := stage.Decode[Config](in.Args)
	if err != nil {
		return nil, err
	}
	head, ok := in.Head("input", cfg.Input)
	if !ok {
		return nil, nil
	}
	columns, ok := table.Known(head.File, head.Columns, table.Options{})
	if !ok {
		return nil, nil
	}
	names := table.Names(columns)
	if _, err := table.Index(columns, cfg.Stratify); err != nil && cfg.Stratify != "" {
		return nil, noColumn(cfg.Stratify, names)
	}
	heads := stage.Heads{}
	for part := range cfg.Parts {
		heads[part] = names
	}
	return heads, nil
}
