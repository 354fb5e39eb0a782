// Package evaluate is the stage type "evaluate": how good a model is on rows it
// has not seen.
//
// It takes a model directory and a table, and predicts; or, for models that
// flow knows nothing of, a table that holds truth and predictions already. It
// computes no formula itself (stages/metric does) and refuses what would make
// the numbers wrong in silence: rows without a truth, classes that the model
// does not know, probabilities that are none. The engine runs it.
package evaluate

import (
	"context"
	"fmt"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/stages/metric"
	"github.com/flow-pipelines/flow/stages/model"
)

// Config holds the arguments.
type Config struct {
	Model         stage.Artifact    `json:"model" kind:"model" doc:"Model to evaluate: a directory that a train or select stage wrote."`
	Data          stage.Artifact    `json:"data" kind:"table" doc:"Table to evaluate the model on, with its features and target."`
	Predictions   stage.Artifact    `json:"predictions" kind:"table" doc:"Instead of model and data: a table with truth and predictions, of any program."`
	Target        string            `json:"target" doc:"Column with the truth. Without it, the model's own target; required with predictions."`
	Prediction    string            `json:"prediction" doc:"With predictions: the column with the predicted class or number. Without it, the column \"prediction\", or else the most probable class."`
	Probabilities map[string]string `json:"probabilities" doc:"With predictions: the column with the probability of each class, by class. Of two classes, one is enough."`
	Task          string            `json:"task" oneof:"classification regression" doc:"What is predicted. Without it, the model's own task; with predictions it is told from the values."`
	Positive      string            `json:"positive" doc:"Class that precision, recall, F-scores and AUC are about. Without it, the model's own or the second of two classes; of more classes, the top-level scores are macro averages."`
	Beta          float64           `json:"beta" doc:"Adds f_beta, the F-score in which recall counts beta times as much as precision."`
	Importance    *Importance       `json:"importance" doc:"Adds which columns matter to the model: how much worse it gets when the cells of a column are shuffled among the rows. Columns that say the same stand in for each other and look unimportant, each."`
}

// Type is the stage type.
type Type struct{}

var _ stage.Runner = Type{}

// The names of the outputs.
const (
	OutputReport      = "report"
	OutputPredictions = "predictions"
	OutputCurves      = "curves"
	OutputImportance  = "importance"
)

// Schema describes the block.
func (Type) Schema() *stage.Schema {
	return &stage.Schema{
		Name:    "evaluate",
		Version: 1,
		Summary: "How good a model is on rows it has not seen",
		Doc: `Give ` + "`model` and `data`" + ` for a model of flow. For any other model, let an exec stage write a table of predictions and give that:

    evaluate "external" {
      predictions   = exec.predict.outputs.table
      target        = "diagnosis"
      probabilities = { malignant = "p_malignant" }
    }

Every metric equals scikit-learn's of the same name. A metric that is not defined for the rows, such as the AUC of a single class, is left out. ` + "`baseline`" + ` is what a predictor without a model would reach: the accuracy of always saying the most frequent class, or the RMSE of always saying the mean.`,
		Example: `evaluate "final" {
  model = select.best.model
  data  = split.holdout.test
}`,
		Body: stage.BodyOf[Config](),
		Outputs: []stage.OutputDoc{
			{Name: OutputReport, Doc: "All metrics, with what was evaluated, as JSON."},
			{Name: OutputPredictions, Doc: "A CSV with row, truth, prediction and, for classes, the probability of each."},
			{Name: OutputCurves, Doc: "A directory with roc.csv, pr.csv and confusion.csv, or, for a regression, residuals.csv."},
			{Name: OutputImportance, Doc: "With importance: a CSV with each column of the model, from the most to the least important, and the mean and deviation of what the metric lost."},
		},
		Metrics: "Classification: accuracy, balanced_accuracy, precision, recall, f1, f_beta, mcc, auc, pr_auc, log_loss, brier, and nested macro, micro, weighted, per_class, confusion (true, then predicted class). Regression: mae, mse, rmse, nrmse (by the range of the truth), median_ae, mape, r2, max_error. Of rows with several labels: subset_accuracy, hamming_loss, log_loss, brier, precision, recall, f1, auc and pr_auc as macro averages over labels, and nested micro, per_label. All: rows, baseline and, if asked for, importance of the 20 columns that matter most. With more than 20 classes or labels, per_class, per_label and confusion are in the outputs only.",
	}
}

// Job checks which arguments go together.
func (Type) Job(req *stage.Request) (*stage.Job, error) {
	cfg, err := stage.Decode[Config](req.Args)
	if err != nil {
		return nil, err
	}
	given := func(name string, value bool) bool { return value || req.IsUnknown(name) }
	hasModel, hasPredictions := given("model", cfg.Model != ""), given("predictions", cfg.Predictions != "")
	hasData := given("data", cfg.Data != "")
	var problems stage.Problems
	add := func(path, summary, detail string) {
		problems = append(problems, stage.Problemf(path, summary, "%s", detail))
	}
	switch {
	case hasModel && hasPredictions:
		add("predictions", "Both a model and predictions are given", "Give model and data to predict here, or predictions that a program has made.")
	case hasModel && !hasData:
		add("", "There are no rows to evaluate on", "Add the part that was held out: data = split.holdout.test.")
	case hasPredictions && hasData:
		add("data", "Both data and predictions are given", "The predictions hold the truth already: leave data out and name its column with target.")
	case !hasModel && !hasPredictions:
		add("", "There is nothing to evaluate", "Give model and data, or predictions that a program has made.")
	}
	if hasPredictions && !given("target", cfg.Target != "") {
		add("", "The column with the truth is not named", "Add target = \"…\", a column of the predictions.")
	}
	if hasModel && cfg.Prediction != "" {
		add("prediction", "The argument is for predictions only", "The model predicts; leave it out.")
	}
	if hasModel && len(cfg.Probabilities) > 0 {
		add("probabilities", "The argument is for predictions only", "The model gives the probabilities; leave it out.")
	}
	if cfg.Task == string(model.Regression) {
		for _, a := range []struct {
			path  string
			given bool
		}{{"positive", cfg.Positive != ""}, {"probabilities", len(cfg.Probabilities) > 0}, {"beta", cfg.Beta != 0}} {
			if a.given {
				add(a.path, "The argument is for a classification", "The task is a regression, which has no classes.")
			}
		}
	}
	if cfg.Beta < 0 {
		add("beta", "beta is negative", "It says how many times recall counts as much as precision: 2 favours recall, 0.5 precision.")
	}
	if cfg.Importance != nil {
		cfg.Importance.check(&cfg, add)
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	outputs := []stage.Output{
		{Name: OutputReport, Path: "report.json"},
		{Name: OutputPredictions, Path: "predictions.csv", Kind: stage.Table},
		{Name: OutputCurves, Path: "curves", Dir: true},
	}
	if cfg.Importance != nil || req.IsUnknown("importance") {
		outputs = append(outputs, stage.Output{Name: OutputImportance, Path: "importance.csv", Kind: stage.Table})
	}
	return req.Job(outputs...), nil
}

// evaluation is what was predicted, ready to be judged.
type evaluation struct {
	task   model.Task
	target string
	// classes and what belongs to them, for a classification
	classes metric.Classification
	// labels and what belongs to them, if a row has any number of them
	labels metric.Multilabel
	// numbers, for a regression
	truth, predicted []float64
	// about says what was evaluated, for the report.
	about map[string]any
}

func (e *evaluation) rows() int {
	switch e.task {
	case model.Regression:
		return len(e.truth)
	case model.Multilabel:
		return len(e.labels.Truth) / len(e.labels.Labels)
	case model.Classification:
	}
	return len(e.classes.Truth)
}

// Run predicts or reads predictions, judges them and writes the outputs.
func (Type) Run(ctx context.Context, run *stage.Run) (stage.Metrics, error) {
	cfg, err := stage.Decode[Config](run.Args)
	if err != nil {
		return nil, err
	}
	var e *evaluation
	if cfg.Predictions != "" {
		e, err = readPredictions(ctx, &cfg)
	} else {
		e, err = predict(ctx, &cfg, run)
	}
	if err != nil {
		return nil, err
	}
	e.classes.Beta = cfg.Beta
	metrics := e.metrics()
	if cfg.Importance != nil {
		columns, err := importance(ctx, &cfg, e, run)
		if err != nil {
			return nil, err
		}
		if err := writeImportance(run.Output(OutputImportance), columns); err != nil {
			return nil, err
		}
		metrics["importance"] = briefly(columns)
	}
	if err := e.writeReport(run.Output(OutputReport), metrics); err != nil {
		return nil, fmt.Errorf("write the report: %w", err)
	}
	if err := e.writePredictions(ctx, run.Output(OutputPredictions)); err != nil {
		return nil, fmt.Errorf("write the predictions: %w", err)
	}
	if err := e.writeCurves(run.Output(OutputCurves)); err != nil {
		return nil, fmt.Errorf("write the curves: %w", err)
	}
	return brief(metrics, len(e.classes.Classes)+len(e.labels.Labels)), nil
}
