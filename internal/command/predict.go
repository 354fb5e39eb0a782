package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/flow-pipelines/flow/stages/model"
	"github.com/flow-pipelines/flow/stages/predict"
)

// PredictOptions are the arguments of predict.
type PredictOptions struct {
	Shell *Shell
	// Model is a model directory, a directory that deploy wrote, or an address.
	Model, Input, Output string
	Only                 bool
}

func newPredict(sh *Shell, run func(context.Context, *PredictOptions) error) *cobra.Command {
	o := &PredictOptions{Shell: sh}
	cmd := &cobra.Command{
		Use:   "predict MODEL --input FILE",
		Short: "Predict the rows of a table with a model",
		Long: `Predict each row of a table (CSV, JSON Lines, Parquet) with a model: the
directory of one, a directory that deploy wrote, or the address of a stage with
an output model.

The answer is the table with the column prediction and, for classes, the
probability of each. It needs the columns that the model was trained on, in any
order, without the target; other columns are passed on. Without --output it goes
to standard output as CSV; a file is there when all of it is.`,
		Example: `  flow predict train.mlp --input new.csv
  flow predict serving/breast-cancer --input new.parquet --output answers.parquet`,
		Args:              exactly(1, "a MODEL"),
		ValidArgsFunction: sh.completeRecordedOrFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Model = args[0]
			return run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Input, "input", "", "the table to predict: a `FILE`, or a directory of files with the same columns")
	f.StringVar(&o.Output, "output", "", "write to a `FILE`, as CSV, TSV, JSON Lines or Parquet by its extension")
	filesOf(cmd, "input")
	filesOf(cmd, "output")
	f.BoolVar(&o.Only, "only", false, "write the predictions without the columns of the input")
	return cmd
}

// manyRows is after how many rows a prediction tells how far it is.
const manyRows = 1 << 20

func runPredict(ctx context.Context, o *PredictOptions) error {
	sh := o.Shell
	if o.Input == "" {
		return usage("flow predict needs a table: --input FILE")
	}
	dir, err := sh.modelDir(o.Model)
	if err != nil {
		return err
	}
	po := predict.Options{Model: dir, Input: sh.path(o.Input), Stdout: sh.Streams.Out, Only: o.Only}
	if o.Output != "" {
		po.Output = sh.path(o.Output)
	}
	told := int64(0)
	po.Progress = func(rows int64) {
		if rows-told >= manyRows {
			told = rows
			sh.err().Printf("%d rows\n", rows)
		}
	}
	rows, err := predict.Run(ctx, po)
	var clash *predict.ClashError
	var missing *model.MissingColumnsError
	switch {
	case errors.As(err, &clash):
		return &hinted{err, "--only writes the predictions without the columns of the input"}
	case errors.As(err, &missing):
		return &hinted{err, "the model was trained on them: flow show or the model's README.md lists its columns"}
	case err != nil:
		return err
	}
	sh.err().Printf("%d rows predicted\n", rows)
	return nil
}

// modelDir finds the directory of a model by what a user typed.
func (sh *Shell) modelDir(name string) (string, error) {
	isModel := func(dir string) bool { return isFile(filepath.Join(dir, "model.json")) }
	dir := sh.path(name)
	for _, dir := range []string{dir, filepath.Join(dir, "current")} {
		if isModel(dir) {
			return dir, nil
		}
	}
	if _, err := os.Stat(dir); err == nil {
		return "", &hinted{fmt.Errorf("%s is not a model", name), "give the directory with model.json, a directory that deploy wrote, or the address of a stage"}
	}
	l, err := sh.locked()
	if err != nil {
		return "", err
	}
	a, err := address(name)
	if err != nil {
		return "", &hinted{fmt.Errorf("%s is neither a directory nor an address", name), "such as train.mlp, or out/train/mlp/model"}
	}
	s := l.Get(a)
	if s == nil {
		return "", &hinted{fmt.Errorf("nothing is recorded of %s", a), "flow show lists the stages; flow apply runs them"}
	}
	r, ok := s.Result("model")
	if !ok {
		return "", &hinted{fmt.Errorf("%s has no output model", a), "give a train or select stage, or the directory that a deploy stage wrote"}
	}
	if dir = sh.path(r.Path); !isModel(dir) {
		return "", &hinted{fmt.Errorf("the model of %s is not at %s", a, r.Path), "flow checkout brings it back"}
	}
	return dir, nil
}
