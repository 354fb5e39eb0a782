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
	e.classes.Classes = p.Classes()
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
	at, err := in.column("target", e.target)
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
		ended, err := e.fill(frame, in, at)
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
			e.classes.Probabilities = append(e.classes.Probabilities, out.Probabilities...)
			run.Progress(stage.Progress{Step: int64(e.rows()), Unit: "row"})
		}
		if ended {
			return nil
		}
		frame.Reset()
	}
}

// fill reads the next rows into the frame and their truth into e.
func (e *evaluation) fill(frame *model.Frame, in *input, target int) (ended bool, err error) {
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
	case e.task == model.Regression && name == "":
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
	for i, v := range e.classes.Probabilities {
		if math.IsNaN(v) {
			return stage.Problemf("model", "A probability is not a number", "Row %d has one that is %v.", i/len(e.classes.Classes)+1, v)
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
