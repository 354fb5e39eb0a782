package evaluate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/stages/metric"
	"github.com/flow-pipelines/flow/stages/model"
	"github.com/flow-pipelines/flow/stages/table"
)

// Format names the format of report.json.
const Format = "flow.report/1"

// report is report.json.
type report struct {
	Format   string         `json:"format"`
	Task     model.Task     `json:"task"`
	Target   string         `json:"target"`
	Rows     int            `json:"rows"`
	Classes  []string       `json:"classes,omitempty"`
	Labels   []string       `json:"labels,omitempty"`
	Positive string         `json:"positive,omitempty"`
	Model    map[string]any `json:"model,omitempty"`
	Metrics  map[string]any `json:"metrics"`
}

// metrics are all that can be said in numbers.
func (e *evaluation) metrics() map[string]any {
	m := map[string]any{}
	switch e.task {
	case model.Regression:
		for name, value := range metric.Regression(e.truth, e.predicted) {
			m[name] = value
		}
		m["baseline"] = map[string]any{"rmse": e.baselineRMSE()}
	case model.Multilabel:
		m = e.labels.Detail()
		m["baseline"] = map[string]any{"hamming_loss": e.baselineHamming()}
	case model.Classification:
		m = e.classes.Detail()
		m["baseline"] = map[string]any{"accuracy": e.baselineAccuracy()}
	}
	m["rows"] = e.rows()
	return m
}

// baselineAccuracy is that of always saying the class that is most frequent
// here: no other constant does better on these rows.
func (e *evaluation) baselineAccuracy() float64 {
	counts := make([]int, len(e.classes.Classes))
	for _, class := range e.classes.Truth {
		counts[class]++
	}
	return float64(slices.Max(counts)) / float64(len(e.classes.Truth))
}

// baselineHamming is the loss of always saying for each label what is more frequent.
func (e *evaluation) baselineHamming() float64 {
	k, wrong := len(e.labels.Labels), 0
	for at := range k {
		has := 0
		for i := at; i < len(e.labels.Truth); i += k {
			if e.labels.Truth[i] {
				has++
			}
		}
		wrong += min(has, e.rows()-has)
	}
	return float64(wrong) / float64(len(e.labels.Truth))
}

// baselineRMSE is that of always saying the mean of these rows, the best of
// all constants: their standard deviation.
func (e *evaluation) baselineRMSE() float64 {
	zeros := make([]float64, len(e.truth))
	mean := metric.Mean(e.truth)
	for i := range zeros {
		zeros[i] = mean
	}
	return metric.RMSE(e.truth, zeros)
}

// mostClasses is up to how many classes flow.lock holds the metrics of each;
// a matrix of a thousand classes has a million cells.
const mostClasses = 20

// brief are the metrics that the stage returns.
func brief(all map[string]any, classes int) stage.Metrics {
	m := maps.Clone(all)
	if classes > mostClasses {
		delete(m, "per_class")
		delete(m, "per_label")
		delete(m, "confusion")
	}
	return m
}

func (e *evaluation) writeReport(path string, metrics map[string]any) error {
	r := report{Format: Format, Task: e.task, Target: e.target, Rows: e.rows(), Classes: e.classes.Classes, Labels: e.labels.Labels, Model: e.about, Metrics: metrics}
	if e.task == model.Classification && e.classes.Positive != metric.NoPositive {
		r.Positive = e.classes.Classes[e.classes.Positive]
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o666)
}

// writePredictions writes a table that could be evaluated again.
func (e *evaluation) writePredictions(ctx context.Context, path string) (err error) {
	columns := []table.Column{{Name: "row", Type: table.Int}}
	switch e.task {
	case model.Regression:
		columns = append(columns, table.Column{Name: "truth", Type: table.Float}, table.Column{Name: "prediction", Type: table.Float})
	case model.Multilabel:
		for _, label := range e.labels.Labels {
			columns = append(columns, table.Column{Name: "truth_" + label, Type: table.Bool}, table.Column{Name: "prediction_" + label, Type: table.Bool}, table.Column{Name: "probability_" + label, Type: table.Float})
		}
	case model.Classification:
		columns = append(columns, table.Column{Name: "truth", Type: table.String}, table.Column{Name: "prediction", Type: table.String})
		if e.classes.Probabilities != nil {
			for _, class := range e.classes.Classes {
				columns = append(columns, table.Column{Name: "probability_" + class, Type: table.Float})
			}
		}
	}
	w, err := table.Create(path, columns)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Abort()) }()
	row := make([]table.Value, len(columns))
	for i := range e.rows() {
		if i%chunk == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		row[0] = table.IntValue(int64(i + 1))
		e.predictionRow(row[1:], i)
		if err := w.Write(row); err != nil {
			return err
		}
	}
	return w.Close()
}

func (e *evaluation) predictionRow(cells []table.Value, i int) {
	switch e.task {
	case model.Regression:
		cells[0], cells[1] = table.FloatValue(e.truth[i]), table.FloatValue(e.predicted[i])
		return
	case model.Multilabel:
		for j := range e.labels.Labels {
			at := i*len(e.labels.Labels) + j
			cells[3*j], cells[3*j+1], cells[3*j+2] = table.BoolValue(e.labels.Truth[at]), table.BoolValue(e.labels.Predicted[at]), table.FloatValue(e.labels.Probabilities[at])
		}
		return
	case model.Classification:
	}
	c := e.classes
	cells[0], cells[1] = table.StringValue(c.Classes[c.Truth[i]]), table.StringValue(c.Classes[c.Predicted[i]])
	for j := range cells[2:] {
		cells[2+j] = table.FloatValue(c.Probabilities[i*len(c.Classes)+j])
	}
}

// writeCurves writes the files of the curves directory.
func (e *evaluation) writeCurves(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	switch e.task {
	case model.Regression:
		return e.writeResiduals(filepath.Join(dir, "residuals.csv"))
	case model.Multilabel:
		return e.writeRankings(filepath.Join(dir, "roc.csv"), filepath.Join(dir, "pr.csv"))
	case model.Classification:
	}
	if err := e.writeConfusion(filepath.Join(dir, "confusion.csv")); err != nil {
		return err
	}
	if e.classes.Probabilities == nil {
		return nil
	}
	return e.writeRankings(filepath.Join(dir, "roc.csv"), filepath.Join(dir, "pr.csv"))
}

// ranking is what a curve is drawn from.
type ranking struct {
	name     string
	positive []bool
	score    []float64
}

// rankings are those with curves: the positive class, or all classes or labels.
func (e *evaluation) rankings() (out []ranking) {
	for at, label := range e.labels.Labels {
		r := ranking{name: label}
		for i := at; i < len(e.labels.Truth); i += len(e.labels.Labels) {
			r.positive, r.score = append(r.positive, e.labels.Truth[i]), append(r.score, e.labels.Probabilities[i])
		}
		out = append(out, r)
	}
	for class, name := range e.classes.Classes {
		if e.classes.Positive == metric.NoPositive || e.classes.Positive == class {
			positive, score := e.classes.Against(class)
			out = append(out, ranking{name, positive, score})
		}
	}
	return out
}

// mostPoints bounds a curve, which has a point a row otherwise: nobody sees
// more, and the areas are computed from all of them.
const mostPoints = 1000

func (e *evaluation) writeRankings(rocPath, prPath string) error {
	var roc, pr [][]table.Value
	for _, r := range e.rankings() {
		name := table.StringValue(r.name)
		for _, p := range thin(metric.ROC(r.positive, r.score)) {
			roc = append(roc, []table.Value{name, number(p.Threshold), number(p.FalsePositiveRate), number(p.TruePositiveRate)})
		}
		for _, p := range thin(metric.PR(r.positive, r.score)) {
			pr = append(pr, []table.Value{name, number(p.Threshold), number(p.Recall), number(p.Precision)})
		}
	}
	if err := writeTable(rocPath, []string{"class", "threshold", "false_positive_rate", "true_positive_rate"}, roc); err != nil {
		return err
	}
	return writeTable(prPath, []string{"class", "threshold", "recall", "precision"}, pr)
}

// number is missing where a curve is not defined, and at its first point, whose
// threshold is above every score.
func number(f float64) table.Value {
	if math.IsInf(f, 0) {
		return table.Value{}
	}
	return table.FloatValue(f)
}

// thin keeps at most mostPoints, evenly, the first and the last among them.
func thin[P any](points []P) []P {
	if len(points) <= mostPoints {
		return points
	}
	kept := make([]P, mostPoints)
	for i := range kept {
		kept[i] = points[i*(len(points)-1)/(mostPoints-1)]
	}
	return kept
}

// writeConfusion writes the cells that are not 0, in the order of the classes.
func (e *evaluation) writeConfusion(path string) error {
	names := e.classes.Classes
	counts := metric.Confuse(len(names), e.classes.Truth, e.classes.Predicted)
	var rows [][]table.Value
	for truth := range names {
		for predicted := range names {
			if n := counts.Count(truth, predicted); n > 0 {
				rows = append(rows, []table.Value{table.StringValue(names[truth]), table.StringValue(names[predicted]), table.IntValue(int64(n))})
			}
		}
	}
	return writeTable(path, []string{"truth", "prediction", "count"}, rows)
}

// writeResiduals writes the percentiles of prediction − truth.
func (e *evaluation) writeResiduals(path string) error {
	errs := make([]float64, len(e.truth))
	for i := range errs {
		errs[i] = e.predicted[i] - e.truth[i]
	}
	shares := make([]float64, 101)
	for percent := range shares {
		shares[percent] = float64(percent) / 100
	}
	var rows [][]table.Value
	for percent, v := range metric.Quantiles(errs, shares...) {
		rows = append(rows, []table.Value{table.IntValue(int64(percent)), table.FloatValue(v)})
	}
	return writeTable(path, []string{"percentile", "error"}, rows)
}

func writeTable(path string, names []string, rows [][]table.Value) (err error) {
	columns := make([]table.Column, len(names))
	for i, name := range names {
		columns[i] = table.Column{Name: name, Type: table.Text}
	}
	w, err := table.Create(path, columns)
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	defer func() { err = errors.Join(err, w.Abort()) }()
	for _, row := range rows {
		if err := w.Write(row); err != nil {
			return err
		}
	}
	return w.Close()
}
