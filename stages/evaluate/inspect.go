package evaluate

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/stages/model"
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
	if err := modelInPlace(in, cfg.Model); err != nil {
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

// modelInPlace refuses what is in place and no model. A model that is not there
// yet is left to the run.
func modelInPlace(in *stage.Inspection, a stage.Artifact) error {
	head, ok := in.Head("model", a)
	if !ok || head.File == "" {
		return nil
	}
	info, err := os.Stat(head.File)
	switch {
	case err != nil:
		return nil //nolint:nilerr // the run will tell
	case !info.IsDir():
		return stage.Problemf("model", fmt.Sprintf("%s is not a model", a), "A model is a directory that a train or select stage wrote, and this is a file. Name the stage, as in train.NAME.model.")
	}
	if _, err := os.Stat(filepath.Join(head.File, model.FileModel)); errors.Is(err, fs.ErrNotExist) {
		return stage.Problemf("model", fmt.Sprintf("%s is not a model", a), "A model is a directory that a train or select stage wrote, and this one has no %s. Name the stage, as in train.NAME.model.", model.FileModel)
	}
	return nil
}
