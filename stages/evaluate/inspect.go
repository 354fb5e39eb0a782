package evaluate

import (
	"maps"
	"slices"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/stages/table"
)

var _ stage.Inspector = Type{}

// Inspect looks for the columns that the arguments name. What the model needs
// besides is in the model, and is left to the run.
func (Type) Inspect(in *stage.Inspection) (stage.Heads, error) {
	cfg, err := stage.Decode[Config](in.Args)
	if err != nil {
		return nil, err
	}
	role, a := "data", cfg.Data
	if cfg.Predictions != "" {
		role, a = "predictions", cfg.Predictions
	}
	head, ok := in.Head(role, a)
	if !ok {
		return nil, nil
	}
	columns, ok := table.Known(head.File, head.Columns, table.Options{})
	if !ok {
		return nil, nil
	}
	var ps stage.Problems
	check := func(argument, name string) {
		if name == "" {
			return
		}
		if _, err := table.Index(columns, name); err != nil {
			ps = append(ps, noColumn(argument, name, err))
		}
	}
	check("target", cfg.Target)
	check("prediction", cfg.Prediction)
	for _, class := range slices.Sorted(maps.Keys(cfg.Probabilities)) {
		check("probabilities."+class, cfg.Probabilities[class])
	}
	return nil, ps.Err()
}
