// Package selection is the stage type "select": of several stages with models,
// the one that is best by a metric. (select is a keyword of Go, so the package
// has another name.)
//
// It compares numbers that the candidates reported and copies the winner's
// model; it computes no metric itself and refuses to guess: a candidate
// without the metric is an error, not a loser. The engine runs it like any
// other stage, once all candidates' results are known.
package selection

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/stages/metric"
)

// Config holds the arguments.
type Config struct {
	Candidates []stage.Reference `json:"candidates" flow:"required" doc:"Stages to choose from: all instances of one (train.mlp), or a list."`
	Metric     string            `json:"metric" flow:"required" doc:"What to compare them by: the dotted path of a number among their metrics, such as \"validation.f1\"."`
	Mode       string            `json:"mode" oneof:"max min" doc:"Whether the highest or the lowest value is best. Without it, losses and errors (loss, log_loss, brier, mae, mse, rmse, nrmse, mape, …) are best when low and everything else when high."`
	Output     string            `json:"output" default:"model" doc:"Which output of the candidates is the model."`
}

// Type is the stage type.
type Type struct{}

var _ stage.Runner = Type{}

// Output is the name of the only output.
const Output = "model"

// Schema describes the block.
func (Type) Schema() *stage.Schema {
	return &stage.Schema{
		Name:    "select",
		Version: 1,
		Summary: "The best of several stages by a metric",
		Doc: `Of candidates with equal values the one whose address sorts first wins, so the choice does not depend on the order in which they are written or finish.

If a candidate's model is a directory, the output has the same content; if it is a file, the output is a directory that holds it.`,
		Example: `select "best" {
  candidates = train.mlp
  metric     = "validation.f1"
}`,
		Body:    stage.BodyOf[Config](),
		Outputs: []stage.OutputDoc{{Name: Output, Doc: "The winner's model."}},
		Metrics: "All of the winner's, and `winner` (its address), `score`, `metric`, `mode`, and `ranking`, a list of `candidate` and `score` from best to worst.",
	}
}

// Job checks what is known before the candidates ran.
func (Type) Job(req *stage.Request) (*stage.Job, error) {
	cfg, err := stage.Decode[Config](req.Args)
	if err != nil {
		return nil, err
	}
	var problems stage.Problems
	if !req.IsUnknown("metric") && strings.Trim(cfg.Metric, ".") == "" {
		problems = append(problems, stage.Problemf("metric", "The metric has no name", "Name a metric of the candidates, such as \"validation.f1\"."))
	}
	if !req.IsUnknown("candidates") {
		problems = append(problems, checkCandidates(cfg, req.IsUnknown("output"))...)
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return req.Job(stage.Output{Name: Output, Path: "model", Dir: true}), nil
}

func checkCandidates(cfg Config, anyOutput bool) stage.Problems {
	if len(cfg.Candidates) == 0 {
		return stage.Problems{stage.Problemf("candidates", "There are no candidates",
			"The list is empty, or the stage's for_each or count makes no instance. Give at least one stage.")}
	}
	var problems stage.Problems
	seen := map[string]bool{}
	for i, c := range cfg.Candidates {
		at := fmt.Sprintf("candidates[%d]", i)
		if seen[c.Address] {
			problems = append(problems, stage.Problemf(at, "A candidate is there twice", "Remove one of the two %s.", c.Address))
		}
		seen[c.Address] = true
		if _, ok := c.Outputs[cfg.Output]; !ok && !anyOutput {
			have := slices.Sorted(maps.Keys(c.Outputs))
			next := "It has no outputs, so there is nothing to choose."
			if len(have) > 0 {
				next = fmt.Sprintf("Its outputs are %s; say which is the model: output = %q.", strings.Join(have, ", "), have[0])
			}
			problems = append(problems, stage.Problemf(at, fmt.Sprintf("%s has no output %q", c.Address, cfg.Output), "%s", next))
		}
	}
	return problems
}

// entry is a candidate with the value it is compared by.
type entry struct {
	stage.Reference
	score float64
}

// Run ranks the candidates and copies the winner's model.
func (Type) Run(_ context.Context, run *stage.Run) (stage.Metrics, error) {
	cfg, err := stage.Decode[Config](run.Args)
	if err != nil {
		return nil, err
	}
	direction := metric.DirectionOf(cfg.Metric)
	switch cfg.Mode {
	case metric.Max.String():
		direction = metric.Max
	case metric.Min.String():
		direction = metric.Min
	}
	ranking, err := rank(cfg, direction)
	if err != nil {
		return nil, err
	}
	for i, e := range ranking {
		_, _ = fmt.Fprintf(run.Log, "%d. %s  %s = %v\n", i+1, e.Address, cfg.Metric, e.score)
	}
	winner := ranking[0]
	if err := copyModel(string(winner.Outputs[cfg.Output]), run.Output(Output)); err != nil {
		return nil, fmt.Errorf("copy the model of %s: %w", winner.Address, err)
	}
	return report(cfg, direction, ranking), nil
}

func report(cfg Config, direction metric.Direction, ranking []entry) stage.Metrics {
	m := stage.Metrics{}
	maps.Copy(m, ranking[0].Metrics)
	list := make([]any, len(ranking))
	for i, e := range ranking {
		list[i] = map[string]any{"candidate": e.Address, "score": e.score}
	}
	m["winner"] = ranking[0].Address
	m["score"] = ranking[0].score
	m["metric"] = cfg.Metric
	m["mode"] = direction.String()
	m["ranking"] = list
	return m
}

func rank(cfg Config, direction metric.Direction) ([]entry, error) {
	var problems stage.Problems
	var all []entry
	for i, c := range cfg.Candidates {
		score, problem := scoreOf(c, cfg.Metric)
		if problem != nil {
			problem.Path = fmt.Sprintf("candidates[%d]", i)
			// The name is what is wrong if nobody has it.
			if len(cfg.Candidates) == 1 {
				problem.Path = "metric"
			}
			problems = append(problems, problem)
			continue
		}
		all = append(all, entry{c, score})
	}
	if len(problems) == len(cfg.Candidates) && len(problems) > 1 {
		problems[0].Path = "metric"
		problems = problems[:1]
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b entry) int {
		switch {
		case direction.Better(a.score, b.score):
			return -1
		case direction.Better(b.score, a.score):
			return 1
		}
		return compareAddresses(a.Address, b.Address)
	})
	return all, nil
}

// compareAddresses orders count instances by number: exec.a[2] before exec.a[10].
func compareAddresses(a, b string) int {
	x, errX := addr.Parse(a)
	y, errY := addr.Parse(b)
	if errX != nil || errY != nil {
		return strings.Compare(a, b)
	}
	return addr.Compare(x, y)
}

func scoreOf(c stage.Reference, name string) (float64, *stage.Problem) {
	value, ok := lookup(c.Metrics, name)
	if !ok {
		return 0, missing(c, name)
	}
	var score float64
	switch v := value.(type) {
	case json.Number:
		f, err := v.Float64()
		if err != nil {
			return 0, stage.Problemf("", fmt.Sprintf("The metric %q of %s is too large", name, c.Address), "Its value is %s.", v)
		}
		score = f
	case float64:
		score = v
	case int64:
		score = float64(v)
	case int:
		score = float64(v)
	default:
		next := "Choose a metric that is a number."
		if m, ok := value.(map[string]any); ok {
			next = fmt.Sprintf("It holds %s; name one: \"%s.NAME\".", quoted(numbers("", m)), name)
		}
		return 0, stage.Problemf("", fmt.Sprintf("The metric %q of %s is not a number", name, c.Address), "%s", next)
	}
	if math.IsNaN(score) {
		return 0, stage.Problemf("", fmt.Sprintf("The metric %q of %s is not a number", name, c.Address), "Its value is NaN.")
	}
	return score, nil
}
