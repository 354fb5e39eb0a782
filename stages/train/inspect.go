package train

import (
	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/stages/table"
)

var _ stage.Inspector = Type{}

// Inspect looks for the target in both parts, and for the columns that blocks
// of features name.
func (Type) Inspect(in *stage.Inspection) (stage.Heads, error) {
	c, err := stage.Decode[Config](in.Args)
	if err != nil {
		return nil, err
	}
	if columns, ok := known(in, roleData, c.Data); ok {
		if _, err := answersIn(&c, "", roleData, columns); err != nil {
			return nil, err
		}
		if c.Features != nil {
			if err := c.unmatchedLabels(c.Features, columns); err != nil {
				return nil, err
			}
		}
	}
	if columns, ok := known(in, roleValidation, c.Validation); ok {
		if _, err := answersIn(&c, "", roleValidation, columns); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func known(in *stage.Inspection, role string, a stage.Artifact) ([]table.Column, bool) {
	head, ok := in.Head(role, a)
	if !ok {
		return nil, false
	}
	return table.Known(head.File, head.Columns, table.Options{})
}
