package evaluate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/engine/suggest"
	"github.com/flow-pipelines/flow/stages/metric"
	"github.com/flow-pipelines/flow/stages/model"
	"github.com/flow-pipelines/flow/stages/nn/philox"
	"github.com/flow-pipelines/flow/stages/table"
)

// Importance is the block importance: by how much the model gets worse when the
// cells of a column are shuffled (Breiman, Random Forests, 2001; scikit-learn's
// permutation_importance).
type Importance struct {
	Metric  string `json:"metric" doc:"Metric that gets worse. Left out: accuracy, for a regression r2, and for several labels of a row f1."`
	Repeats int    `json:"repeats" default:"5" doc:"How often each column is shuffled; the importance is the mean."`
	Rows    int    `json:"rows" default:"10000" doc:"Rows that are drawn for it, at most; they are in memory."`
	Seed    int64  `json:"seed" default:"0" doc:"Decides which rows are drawn and how they are shuffled."`
}

func (i Importance) check(cfg *Config, add func(path, summary, detail string)) {
	if cfg.Predictions != "" {
		add("importance", "Predictions have no columns to shuffle", "What matters to a model can be told with the model: give model and data.")
	}
	if i.Repeats < 1 {
		add("importance.repeats", "Not a positive number", "A column is shuffled at least once; 5 is usual.")
	}
	if i.Rows < 2 {
		add("importance.rows", "Too few rows", "There is nothing to shuffle in less than 2 rows; 10000 is usual.")
	}
	known := slices.Concat(metric.HeadlineNames(), metric.RegressionNames(), metric.MultilabelNames())
	slices.Sort(known)
	known = slices.Compact(known)
	if i.Metric != "" && i.Metric != betaMetric && !slices.Contains(known, i.Metric) {
		detail := fmt.Sprintf("The metrics are %s.", strings.Join(known, ", "))
		if near := suggest.Nearest(i.Metric, known); near != "" {
			detail = fmt.Sprintf("Did you mean %q?", near)
		}
		add("importance.metric", fmt.Sprintf("No metric %q", i.Metric), detail)
	}
}

// betaMetric is the metric that there is with the argument beta alone.
const betaMetric = "f_beta"

// What the random numbers are for; see philox.New.
const (
	purposeDraw    = 0x64726177 // "draw"
	purposeShuffle = 0x7368756c // "shul"
)

// important is what a column is worth: the mean and the standard deviation, over
// repeats, of what the metric loses.
type important struct {
	column          string
	mean, deviation float64
}

// importance measures all columns of the model on rows of the data that e has
// been made from.
func importance(ctx context.Context, cfg *Config, e *evaluation, run *stage.Run) ([]important, error) {
	p, err := model.Load(string(cfg.Model))
	if err != nil {
		return nil, err
	}
	i := *cfg.Importance
	if i.Metric == "" {
		i.Metric = map[model.Task]string{model.Classification: "accuracy", model.Multilabel: "f1", model.Regression: "r2"}[e.task]
	}
	rows := draw(e.rows(), i.Rows, i.Seed)
	frame, err := readRows(ctx, p, cfg, rows)
	if err != nil {
		return nil, err
	}
	m := &measurement{evaluation: e, predictor: p, frame: frame, rows: rows, Importance: i}
	base, err := m.value(frame)
	if err != nil {
		return nil, err
	}
	columns := p.Columns()
	out := make([]important, len(columns))
	errs := make([]error, len(columns))
	var done sync.Mutex
	finished := int64(0)
	share(max(1, run.CPUs), len(columns), func(c int) {
		out[c], errs[c] = m.column(ctx, c, columns[c], base)
		done.Lock()
		defer done.Unlock()
		finished++
		run.Progress(stage.Progress{Step: finished, Total: int64(len(columns)), Unit: "column"})
	})
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	slices.SortStableFunc(out, func(a, b important) int { return cmp.Compare(b.mean, a.mean) })
	return out, nil
}

// draw chooses up to most of n rows, all sets of them alike (Knuth, The Art of
// Computer Programming, 3.4.2, algorithm S), in order.
func draw(n, most int, seed int64) []int {
	random := philox.New(uint64(seed), purposeDraw, 0)
	rows := make([]int, 0, min(n, most))
	for i := range n {
		if random.IntN(n-i) < min(n, most)-len(rows) {
			rows = append(rows, i)
		}
	}
	return rows
}

// readRows reads the rows with these numbers for the model.
func readRows(ctx context.Context, p *model.Predictor, cfg *Config, rows []int) (frame *model.Frame, err error) {
	in, err := open("data", string(cfg.Data))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	if frame, err = p.NewFrame(table.Names(in.Columns())); err != nil {
		return nil, err
	}
	for i := 0; frame.Rows() < len(rows); i++ {
		if i%chunk == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		row, err := in.next()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read %s again: it has %d rows now", cfg.Data, i)
		}
		if err != nil {
			return nil, err
		}
		if i == rows[frame.Rows()] {
			if err := model.Append(frame, row); err != nil {
				return nil, err
			}
		}
	}
	return frame, nil
}

// measurement is what the columns of a model are measured with.
type measurement struct {
	Importance
	evaluation *evaluation
	predictor  *model.Predictor
	frame      *model.Frame
	rows       []int // of the evaluation, in frame
}

// column shuffles a column again and again.
func (m *measurement) column(ctx context.Context, index int, c model.Column, base float64) (important, error) {
	losses := make([]float64, m.Repeats)
	order := make([]int, m.frame.Rows())
	random := philox.New(uint64(m.Seed), purposeShuffle, uint32(index))
	for r := range losses {
		if err := ctx.Err(); err != nil {
			return important{}, err
		}
		for i := range order {
			order[i] = i
		}
		random.Shuffle(order)
		value, err := m.value(m.frame.Permuted(c, order))
		if err != nil {
			return important{}, err
		}
		losses[r] = base - value
		if metric.DirectionOf(m.Metric) == metric.Min {
			losses[r] = value - base
		}
	}
	mean := metric.Mean(losses)
	var squares float64
	for _, v := range losses {
		d := v - mean
		squares += float64(d * d)
	}
	return important{column: c.Name, mean: mean, deviation: math.Sqrt(squares / float64(len(losses)))}, nil
}

// value is the metric of the model's answers for a frame of the drawn rows.
func (m *measurement) value(frame *model.Frame) (float64, error) {
	p, err := m.predictor.Predict(frame)
	if err != nil {
		return 0, err
	}
	var values map[string]float64
	switch e := m.evaluation; e.task {
	case model.Regression:
		values = metric.Regression(drawn(e.truth, m.rows, 1), p.Values)
	case model.Multilabel:
		l := e.labels
		l.Truth, l.Predicted, l.Probabilities = drawn(l.Truth, m.rows, len(l.Labels)), p.Labels, p.Probabilities
		values = l.Headline()
	case model.Classification:
		c := e.classes
		c.Truth, c.Predicted, c.Probabilities = drawn(c.Truth, m.rows, 1), p.Class, p.Probabilities
		values = c.Headline()
	}
	v, ok := values[m.Metric]
	if !ok {
		return 0, stage.Problemf("importance.metric", fmt.Sprintf("Metric %q has no value", m.Metric),
			"It is not one of a %s, or not defined for these rows: perhaps they have a single class. f_beta needs the argument beta.", m.evaluation.task)
	}
	return v, nil
}

// drawn are the rows with these numbers, of width values each.
func drawn[T any](all []T, rows []int, width int) []T {
	out := make([]T, 0, len(rows)*width)
	for _, row := range rows {
		out = append(out, all[row*width:(row+1)*width]...)
	}
	return out
}

// share calls each of n tasks once, on up to threads goroutines.
func share(threads, n int, task func(int)) {
	var wg sync.WaitGroup
	for t := range min(threads, n) {
		wg.Go(func() {
			for i := t; i < n; i += threads {
				task(i)
			}
		})
	}
	wg.Wait()
}

// writeImportance writes the columns from the most to the least important.
func writeImportance(path string, all []important) error {
	rows := make([][]table.Value, len(all))
	for i, one := range all {
		rows[i] = []table.Value{table.StringValue(one.column), table.FloatValue(one.mean), table.FloatValue(one.deviation)}
	}
	return writeTable(path, []string{"column", "importance", "deviation"}, rows)
}

// mostImportant is up to how many columns the metrics have.
const mostImportant = 20

// briefly are the columns that matter most, for the metrics.
func briefly(all []important) map[string]any {
	out := map[string]any{}
	for _, one := range all[:min(len(all), mostImportant)] {
		out[one.column] = one.mean
	}
	return out
}
