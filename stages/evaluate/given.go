package evaluate

import (
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/stages/model"
	"github.com/flow-pipelines/flow/stages/table"
)

const defaultPrediction = "prediction"

// given is a table of predictions that another program made: the cells of its
// columns of interest. What they mean is only known once all are seen.
type given struct {
	in     *input
	cfg    *Config
	target int
	// prediction is -1 if the most probable class is the prediction.
	prediction int
	// named are the classes with a column of probabilities, sorted.
	named   []string
	columns []int

	truth, predicted []table.Value
	probabilities    []float64 // row-major, one a named class
}

// readPredictions reads truth and predictions from one table.
func readPredictions(ctx context.Context, cfg *Config) (*evaluation, error) {
	in, err := open("predictions", string(cfg.Predictions))
	if err != nil {
		return nil, err
	}
	g := &given{in: in, cfg: cfg}
	err = g.find()
	if err == nil {
		err = g.read(ctx)
	}
	if err := errors.Join(err, in.Close()); err != nil {
		return nil, err
	}
	e := &evaluation{target: cfg.Target, task: g.task(), about: map[string]any{}}
	if e.task == model.Regression {
		err = g.regression(e)
	} else {
		err = g.classification(e)
	}
	if err != nil {
		return nil, err
	}
	return e, e.check("predictions")
}

func (g *given) find() (err error) {
	if g.target, err = g.in.column("target", g.cfg.Target); err != nil {
		return err
	}
	g.named = slices.SortedFunc(maps.Keys(g.cfg.Probabilities), compareClasses)
	for _, class := range g.named {
		at, err := g.in.column("probabilities."+class, g.cfg.Probabilities[class])
		if err != nil {
			return err
		}
		g.columns = append(g.columns, at)
	}
	name := cmp.Or(g.cfg.Prediction, defaultPrediction)
	g.prediction, err = g.in.column("prediction", name)
	if err != nil && g.cfg.Prediction == "" && len(g.named) > 0 {
		g.prediction, err = -1, nil
	}
	if err == nil && g.prediction == g.target {
		return stage.Problemf("target", "The truth is the prediction", "Both are the column %q, so the score would be perfect. Name the column with the truth.", g.cfg.Target)
	}
	return err
}

func (g *given) read(ctx context.Context) error {
	for {
		if len(g.truth)%chunk == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		row, err := g.in.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := g.in.missing(row[g.target], g.cfg.Target); err != nil {
			return err
		}
		g.truth = append(g.truth, row[g.target])
		if g.prediction >= 0 {
			if err := g.in.missing(row[g.prediction], cmp.Or(g.cfg.Prediction, defaultPrediction)); err != nil {
				return err
			}
			g.predicted = append(g.predicted, row[g.prediction])
		}
		if err := g.readProbabilities(row); err != nil {
			return err
		}
	}
}

// tolerance is what probabilities of a row may differ from 1 together: enough
// for numbers that were rounded to three digits.
const tolerance = 5e-3

func (g *given) readProbabilities(row []table.Value) error {
	sum := 0.0
	for i, at := range g.columns {
		column := g.cfg.Probabilities[g.named[i]]
		p, err := g.in.number(row[at], column)
		if err != nil {
			return err
		}
		if p < 0 || p > 1 {
			return g.in.problem("Not a probability", "column %q has %v, want a number from 0 to 1", column, p)
		}
		sum += p
		g.probabilities = append(g.probabilities, p)
	}
	if len(g.named) > 1 && math.Abs(sum-1) > tolerance {
		return g.in.problem("The probabilities do not add up to 1", "their sum is %v; name the column of every class, and let the program normalise them", sum)
	}
	return nil
}

// task is what Config.Task says, or what the values say: a regression if all
// are numbers, unless they are whole and the truth counts 0, 1, 2, … or
// 1, 2, 3, …, which are codes of classes. stages/train infers alike.
func (g *given) task() model.Task {
	switch {
	case g.cfg.Task != "":
		return model.Task(g.cfg.Task)
	case g.cfg.Positive != "" || len(g.named) > 0:
		return model.Classification
	}
	codes := map[int64]bool{}
	whole := true
	for _, list := range [][]table.Value{g.predicted, g.truth} {
		clear(codes) // those of the truth are left
		for _, v := range list {
			if _, ok := v.Float(); !ok {
				return model.Classification
			}
			i, ok := table.ParseInt(v.Text())
			whole = whole && ok
			codes[i] = true
		}
	}
	if whole && consecutive(codes) {
		return model.Classification
	}
	return model.Regression
}

// consecutive reports whether the numbers are 0 or 1 and those that follow.
func consecutive(codes map[int64]bool) bool {
	const most = 100
	if len(codes) < 2 || len(codes) > most {
		return false
	}
	sorted := slices.Sorted(maps.Keys(codes))
	return (sorted[0] == 0 || sorted[0] == 1) && sorted[len(sorted)-1]-sorted[0] == int64(len(sorted)-1)
}

func (g *given) regression(e *evaluation) error {
	if g.prediction < 0 {
		return stage.Problemf("probabilities", "The argument is for a classification", "The task is a regression, which has no classes. Name the column with the prediction.")
	}
	for i, v := range g.truth {
		for _, cell := range []struct {
			value  table.Value
			column string
			into   *[]float64
		}{{v, g.cfg.Target, &e.truth}, {g.predicted[i], cmp.Or(g.cfg.Prediction, defaultPrediction), &e.predicted}} {
			f, ok := cell.value.Float()
			if !ok || math.IsInf(f, 0) {
				return stage.Problemf("predictions", "A value is not a number", "Row %d, column %q has %q; for classes write task = \"classification\".", i+1, cell.column, cell.value.Text())
			}
			*cell.into = append(*cell.into, f)
		}
	}
	return e.setPositive(g.cfg.Positive)
}

func (g *given) classification(e *evaluation) error {
	seen := map[string]bool{}
	for _, list := range [][]table.Value{g.truth, g.predicted} {
		for _, v := range list {
			seen[v.Text()] = true
		}
	}
	for _, class := range g.named {
		seen[class] = true
	}
	if len(g.named) == 1 && len(seen) == 1 {
		return stage.Problemf("probabilities", "There is only one class", "All rows are %q. Name both classes: probabilities = { a = \"…\", b = \"…\" }.", g.named[0])
	}
	e.classes.Classes = slices.SortedFunc(maps.Keys(seen), compareClasses)
	index := make(map[string]int, len(seen))
	for i, class := range e.classes.Classes {
		index[class] = i
	}
	if err := g.spread(e, index); err != nil {
		return err
	}
	k := len(e.classes.Classes)
	for i, v := range g.truth {
		e.classes.Truth = append(e.classes.Truth, index[v.Text()])
		if g.prediction >= 0 {
			e.classes.Predicted = append(e.classes.Predicted, index[g.predicted[i].Text()])
			continue
		}
		e.classes.Predicted = append(e.classes.Predicted, largest(e.classes.Probabilities[i*k:(i+1)*k]))
	}
	return e.setPositive(g.cfg.Positive)
}

// spread puts the probabilities in the order of the classes.
func (g *given) spread(e *evaluation, index map[string]int) error {
	k := len(e.classes.Classes)
	switch {
	case len(g.named) == 0:
		return nil
	case len(g.named) < k && (k > 2 || len(g.named) != 1):
		var without []string
		for _, class := range e.classes.Classes {
			if !slices.Contains(g.named, class) {
				without = append(without, class)
			}
		}
		return stage.Problemf("probabilities", "Not every class has a probability", "There is none for %s. Name the column of each class, as it is written in the table.", listed(without))
	}
	e.classes.Probabilities = make([]float64, len(g.truth)*k)
	for row := range g.truth {
		if len(g.named) == 1 {
			p := g.probabilities[row]
			at := index[g.named[0]]
			e.classes.Probabilities[row*k+at], e.classes.Probabilities[row*k+1-at] = p, 1-p
			continue
		}
		for i, class := range g.named {
			e.classes.Probabilities[row*k+index[class]] = g.probabilities[row*len(g.named)+i]
		}
	}
	return nil
}

// largest is the first of the largest.
func largest(row []float64) int {
	at := 0
	for i, v := range row {
		if v > row[at] {
			at = i
		}
	}
	return at
}

// compareClasses orders numbers by value, before texts.
func compareClasses(a, b string) int {
	x, isX := table.ParseFloat(a)
	y, isY := table.ParseFloat(b)
	switch {
	case isX && isY && x != y:
		return cmp.Compare(x, y)
	case isX != isY && isX:
		return -1
	case isX != isY:
		return 1
	}
	return strings.Compare(a, b)
}
