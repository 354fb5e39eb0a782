package evaluate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/engine/suggest"
	"github.com/flow-pipelines/flow/stages/metric"
	"github.com/flow-pipelines/flow/stages/model"
	"github.com/flow-pipelines/flow/stages/table"
)

// chunk is how many rows are predicted at once; the table itself is never in
// memory as a whole, only truth and predictions are.
const chunk = 4096

// predict runs the model over the data.
func predict(ctx context.Context, cfg *Config, run *stage.Run) (*evaluation, error) {
	p, err := model.Load(string(cfg.Model))
	if errors.Is(err, model.ErrNotModel) {
		return nil, stage.Problemf("model", "Not a model of flow", "%v. To evaluate a model of another program, let that write its predictions to a table and give it as predictions.", err)
	}
	if err != nil {
		return nil, stage.Problemf("model", "The model cannot be loaded", "%v.", err)
	}
	if cfg.Task != "" && cfg.Task != string(p.Task()) {
		return nil, stage.Problemf("task", "The model has another task", "It is a %s. Leave task out, it is known.", p.Task())
	}
	e := &evaluation{task: p.Task(), target: p.Target(), about: map[string]any{"family": p.Family()}}
	if cfg.Target != "" {
		e.target = cfg.Target
	}
	if e.task == model.Multilabel {
		e.labels.Labels = p.Classes()
		for _, a := range []struct {
			path  string
			given bool
		}{{"positive", cfg.Positive != ""}, {"beta", cfg.Beta != 0}, {"target", cfg.Target != "" && p.Separator() == ""}} {
			if a.given {
				return nil, stage.Problemf(a.path, "Not for several labels of a row", "Each label is a question of its own, with the columns that the model knows: leave %s out.", a.path)
			}
		}
	} else {
		e.classes.Classes = p.Classes()
	}
	positive := p.Positive()
	if cfg.Positive != "" {
		positive = cfg.Positive
	}
	if err := e.setPositive(positive); err != nil {
		return nil, err
	}
	in, err := open("data", string(cfg.Data))
	if err != nil {
		return nil, err
	}
	err = e.predictAll(ctx, p, in, run)
	if err := errors.Join(err, in.Close()); err != nil {
		return nil, err
	}
	return e, e.check("data")
}

func (e *evaluation) predictAll(ctx context.Context, p *model.Predictor, in *input, run *stage.Run) error {
	at, err := e.columns(p, in)
	if err != nil {
		return err
	}
	frame, err := p.NewFrame(table.Names(in.Columns()))
	if err != nil {
		return stage.Problemf("data", "A column that the model needs is missing", "The table has %v.", err)
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		ended, err := e.fill(frame, in, at, p.Separator())
		if err != nil {
			return err
		}
		if frame.Rows() > 0 {
			out, err := p.Predict(frame)
			if err != nil {
				return err
			}
			e.predicted = append(e.predicted, out.Values...)
			e.classes.Predicted = append(e.classes.Predicted, out.Class...)
			e.labels.Predicted = append(e.labels.Predicted, out.Labels...)
			if e.task == model.Multilabel {
				e.labels.Probabilities = append(e.labels.Probabilities, out.Probabilities...)
			} else {
				e.classes.Probabilities = append(e.classes.Probabilities, out.Probabilities...)
			}
			run.Progress(stage.Progress{Step: int64(e.rows()), Unit: "row"})
		}
		if ended {
			return nil
		}
		frame.Reset()
	}
}

// columns are those with the truth: the target, or one for each label.
func (e *evaluation) columns(p *model.Predictor, in *input) ([]int, error) {
	names := []string{e.target}
	if e.task == model.Multilabel && p.Separator() == "" {
		names = p.Classes()
	}
	at := make([]int, len(names))
	for i, name := range names {
		var err error
		if at[i], err = in.column("target", name); err != nil {
			return nil, err
		}
	}
	return at, nil
}

// fillLabels reads which labels a row has.
func (e *evaluation) fillLabels(in *input, row []table.Value, columns []int, separator string) error {
	names := e.labels.Labels
	truth := make([]bool, len(names))
	if separator != "" {
		for _, label := range model.SplitLabels(row[columns[0]].Text(), separator) {
			at := slices.Index(names, label)
			if at < 0 {
				return in.problem(fmt.Sprintf("Label %q is not one of the model's", label), "the model knows %s; take it out of the rows, or train with it", listed(names))
			}
			truth[at] = true
		}
	} else {
		for i, column := range columns {
			has, why := model.HasLabel(row[column])
			if why != "" {
				return in.problem("A value is not a truth value", "column %q has %q, which %s", names[i], row[column].Text(), why)
			}
			truth[i] = has
		}
	}
	e.labels.Truth = append(e.labels.Truth, truth...)
	return nil
}

// fill reads the next rows into the frame and their truth into e.
func (e *evaluation) fill(frame *model.Frame, in *input, columns []int, separator string) (ended bool, err error) {
	for frame.Rows() < chunk {
		row, err := in.next()
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		if err := model.Append(frame, row); err != nil {
			var cell *model.CellError
			if errors.As(err, &cell) {
				return false, in.problem("A value that cannot be used", "column %q: %q %s", cell.Column, cell.Text, cell.Why)
			}
			return false, err
		}
		if e.task == model.Multilabel {
			if err := e.fillLabels(in, row, columns, separator); err != nil {
				return false, err
			}
			continue
		}
		target := columns[0]
		if e.task == model.Regression {
			v, err := in.number(row[target], e.target)
			if err != nil {
				return false, err
			}
			e.truth = append(e.truth, v)
			continue
		}
		class, err := in.label(row[target], e.target)
		if err != nil {
			return false, err
		}
		index := slices.Index(e.classes.Classes, class)
		if index < 0 {
			return false, in.problem(fmt.Sprintf("Class %q is not one of the model's", class), "the model knows %s; filter such rows out, or train with them", listed(e.classes.Classes))
		}
		e.classes.Truth = append(e.classes.Truth, index)
	}
	return false, nil
}

// setPositive resolves the name of the positive class.
func (e *evaluation) setPositive(name string) error {
	e.classes.Positive = metric.NoPositive
	switch {
	case e.task != model.Classification && name == "":
		return nil
	case e.task == model.Regression:
		return stage.Problemf("positive", "The argument is for a classification", "The task is a regression, which has no classes.")
	case name != "":
		at := slices.Index(e.classes.Classes, name)
		if at < 0 {
			detail := fmt.Sprintf("The classes are %s.", table.List(e.classes.Classes))
			if near := suggest.Nearest(name, e.classes.Classes); near != "" {
				detail = fmt.Sprintf("Did you mean %q?", near)
			}
			return &stage.Problem{Path: "positive", Summary: fmt.Sprintf("No class %q", name), Detail: detail}
		}
		e.classes.Positive = at
	case len(e.classes.Classes) == 2:
		e.classes.Positive = 1
	}
	return nil
}

func (e *evaluation) check(role string) error {
	if e.rows() == 0 {
		return stage.Problemf(role, "There are no rows", "The table has columns, but not a single row to evaluate.")
	}
	for i, v := range e.predicted {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return stage.Problemf("model", "A prediction is not a number", "Row %d is predicted as %v.", i+1, v)
		}
	}
	for _, all := range [][]float64{e.classes.Probabilities, e.labels.Probabilities} {
		for i, v := range all {
			if math.IsNaN(v) {
				return stage.Problemf("model", "A probability is not a number", "Row %d has one that is %v.", i/(len(all)/e.rows())+1, v)
			}
		}
	}
	return nil
}

// listed shows the first of many names.
func listed(names []string) string {
	const most = 20
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}
