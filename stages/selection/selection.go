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
	"fmt"
	"maps"
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
	if req.IsUnknown("candidates") {
		if !req.IsUnknown("output") {
			problems = append(problems, checkOutputs(cfg.Output, outputsOf(req.Inputs))...)
		}
	} else {
		problems = append(problems, checkCandidates(cfg, req.IsUnknown("output"))...)
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	out := stage.Output{Name: Output, Path: "model", Dir: true}
	if cfg.Output == Output { // what another one holds, nobody has said
		out.Kind = stage.Model
	}
	return req.Job(out), nil
}

func checkCandidates(cfg Config, anyOutput bool) stage.Problems {
	if len(cfg.Candidates) == 0 {
		return stage.Problems{stage.Problemf("candidates", "There are no candidates",
			"The list is empty, or the stage's for_each or count makes no instance. Give at least one stage.")}
	}
	seen := map[string]bool{}
	var all []offer
	for i, c := range cfg.Candidates {
		if seen[c.Address] {
			return stage.Problems{stage.Problemf(at(i), "A candidate is there twice", "Remove one of the two %s.", c.Address)}
		}
		seen[c.Address] = true
		all = append(all, offer{i, c.Address, slices.Sorted(maps.Keys(c.Outputs))})
	}
	if anyOutput {
		return nil
	}
	return checkOutputs(cfg.Output, all)
}

// at is the path of a candidate.
func at(i int) string { return fmt.Sprintf("candidates[%d]", i) }

// offer is a candidate with the names of its outputs, sorted.
type offer struct {
	index   int
	address string
	outputs []string
}

// outputsOf finds the candidates in the inputs, whose roles are such as
// candidates[0].outputs.model. They are known before the metrics are, without
// which the argument is not. A candidate without any output is not among them.
func outputsOf(inputs []stage.Input) []offer {
	var all []offer
	for _, in := range inputs {
		var index int
		var name string
		if n, _ := fmt.Sscanf(in.Role, "candidates[%d].outputs.%s", &index, &name); n < 2 || in.From == nil {
			continue
		}
		if len(all) == 0 || all[len(all)-1].index != index {
			all = append(all, offer{index: index, address: in.From.Address})
		}
		last := &all[len(all)-1]
		last.outputs = append(last.outputs, in.From.Output)
	}
	for _, o := range all {
		slices.Sort(o.outputs)
	}
	return all
}

// checkOutputs complains once of all candidates without the output.
func checkOutputs(name string, all []offer) stage.Problems {
	var without []offer
	var common []string // what all have
	for i, o := range all {
		if !slices.Contains(o.outputs, name) {
			without = append(without, o)
		}
		if i == 0 {
			common = slices.Clone(o.outputs)
		}
		common = slices.DeleteFunc(common, func(n string) bool { return !slices.Contains(o.outputs, n) })
	}
	if len(without) == 0 {
		return nil
	}
	first := without[0]
	var next string
	switch {
	case len(without) == 1 && len(first.outputs) == 0:
		next = "It has no outputs, so there is nothing to choose."
	case len(first.outputs) == 0:
		next = fmt.Sprintf("%s has no outputs at all, so there is nothing to choose.", first.address)
	case len(common) > 0 && len(without) == 1:
		next = fmt.Sprintf("Its outputs are %s; say which is the model: output = %q.", strings.Join(first.outputs, ", "), common[0])
	case len(common) > 0:
		next = fmt.Sprintf("The outputs of all candidates are %s; say which is the model: output = %q.", strings.Join(common, ", "), common[0])
	default:
		next = fmt.Sprintf("The outputs of %s are %s. Give the model the same name in all candidates, or leave out those without one.", first.address, strings.Join(first.outputs, ", "))
	}
	where := "candidates"
	if len(without) == 1 {
		where = at(first.index)
	}
	return stage.Problems{stage.Problemf(where, fmt.Sprintf("%s no output %q", have(first.address, len(without)), name), "%s", next)}
}

// have is the beginning of a sentence about a candidate, or several of which
// it is the first.
func have(first string, n int) string {
	if n == 1 {
		return first + " has"
	}
	return fmt.Sprintf("%d candidates, among them %s, have", n, first)
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
	flawed := map[flaw][]int{}
	var all []entry
	for i, c := range cfg.Candidates {
		score, flaw := scoreOf(c, cfg.Metric)
		if flaw != sound {
			flawed[flaw] = append(flawed[flaw], i)
			continue
		}
		all = append(all, entry{c, score})
	}
	var problems stage.Problems
	for _, f := range slices.Sorted(maps.Keys(flawed)) {
		problems = append(problems, f.problem(cfg, flawed[f]))
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
