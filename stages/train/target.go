package train

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/engine/suggest"
	"github.com/flow-pipelines/flow/stages/metric"
	"github.com/flow-pipelines/flow/stages/model"
	"github.com/flow-pipelines/flow/stages/nn"
	"github.com/flow-pipelines/flow/stages/nn/philox"
	"github.com/flow-pipelines/flow/stages/table"
)

// target is how the column to predict becomes what a network is trained on.
type target struct {
	task model.Task
	// classes are those of the training part; positive is an index or
	// metric.NoPositive.
	classes      []string
	positive     int
	classWeights []float64
	// A regression is trained on (value - shift) / scale, which makes learning
	// rates and losses independent of the unit.
	shift, scale float32
	// huber is the loss of a regression that is not squared.
	huber bool
}

// fitTarget learns the target from the training part.
func fitTarget(c *Config, task model.Task, data *part) (*target, error) {
	t := &target{task: task, positive: metric.NoPositive, huber: c.Loss == "huber"}
	if task != model.Regression && c.Loss != "" && c.Loss != "cross_entropy" {
		return nil, stage.Problemf("loss", "A loss of regressions", "The target is one of classes, which are trained on cross_entropy: leave loss out, or write task = \"regression\".")
	}
	if task == model.Regression && c.Loss == "cross_entropy" {
		return nil, stage.Problemf("loss", "A loss of classifications", "The target is a number: use squared or huber, or write task = \"classification\".")
	}
	if task == model.Regression {
		t.fitNumbers(data.values)
		return t, t.checkAnswer(c)
	}
	if task == model.Multilabel {
		return t, t.fitLabels(c, data.many)
	}
	counts := map[string]int{}
	seen := map[string]bool{}
	for _, l := range data.labels {
		counts[l]++
		seen[l] = true
	}
	t.classes = sortedClasses(seen)
	if len(t.classes) == 1 {
		return nil, stage.Problemf("target", "Only one class", "Every row of data has %q as its %s: there is nothing to tell apart. Check the filters before this stage, and stratify the split.", t.classes[0], c.Target)
	}
	if len(t.classes) == 2 {
		t.positive = 1
	}
	if c.Positive != "" {
		if t.positive = slices.Index(t.classes, c.Positive); t.positive < 0 {
			return nil, noClass("positive", c.Positive, t.classes)
		}
	}
	if err := t.checkAnswer(c); err != nil {
		return nil, err
	}
	return t, t.weigh(c.ClassWeights, counts, len(data.labels))
}

// fitLabels learns which labels there are: the columns, or all in the target.
func (t *target) fitLabels(c *Config, rows [][]string) error {
	seen := map[string]bool{}
	for _, labels := range rows {
		for _, l := range labels {
			seen[l] = true
		}
	}
	if len(seen) == 0 {
		return stage.Problemf(c.targetPath(roleData), "No labels", "No row of data has a label: there is nothing to learn.")
	}
	if t.classes = c.Targets; len(c.Targets) == 0 {
		t.classes = sortedClasses(seen)
	}
	return nil
}

func noClass(path, name string, classes []string) *stage.Problem {
	detail := fmt.Sprintf("The classes of the training part are %s.", table.List(classes))
	if s := suggest.Nearest(name, classes); s != "" {
		detail = fmt.Sprintf("Did you mean %q?", s)
	}
	return &stage.Problem{Path: path, Summary: fmt.Sprintf("No class %q", name), Detail: detail}
}

// weigh sets the weights of classes. Balanced is rows/(classes·rows of the
// class), as scikit-learn has it: the mean over rows is 1.
func (t *target) weigh(raw json.RawMessage, counts map[string]int, rows int) error {
	w, err := parseClassWeights(raw)
	if err != nil {
		return err // Job has checked it
	}
	t.classWeights = make([]float64, len(t.classes))
	for i, class := range t.classes {
		t.classWeights[i] = 1
		if w.balanced {
			t.classWeights[i] = float64(rows) / (float64(len(t.classes)) * float64(counts[class]))
		}
	}
	names := make([]string, 0, len(w.byClass))
	for name := range w.byClass {
		names = append(names, name)
	}
	slices.Sort(names)
	total := 0.0
	for _, name := range names {
		i := slices.Index(t.classes, name)
		if i < 0 {
			return noClass("class_weights", name, t.classes)
		}
		t.classWeights[i] = w.byClass[name]
	}
	for _, v := range t.classWeights {
		total += v
	}
	if total == 0 {
		return stage.Problemf("class_weights", "No class counts", "Every class has the weight 0, so there is nothing to learn from.")
	}
	return nil
}

func (t *target) fitNumbers(values []float64) {
	var sum float64
	for _, v := range values {
		sum += v
	}
	mean := sum / float64(len(values))
	var squares float64
	for _, v := range values {
		d := v - mean
		squares += float64(d * d)
	}
	t.shift = float32(mean)
	t.scale = float32(math.Sqrt(squares / float64(len(values))))
	if t.scale == 0 || math.IsInf(float64(t.scale), 0) {
		t.scale = 1
	}
}

// outputs is how many the network has.
func (t *target) outputs() int {
	if t.task == model.Regression {
		return 1
	}
	return len(t.classes)
}

func (t *target) loss() nn.Loss {
	switch {
	case t.task == model.Classification:
		return nn.SoftmaxCrossEntropy
	case t.task == model.Multilabel:
		return nn.BinaryCrossEntropy
	case t.huber:
		return nn.Huber
	}
	return nn.SquaredError
}

// encode returns the target of a part as a network takes it, and for a
// classification as indices of classes.
func (t *target) encode(p *part) (y nn.Matrix, truth []int, err error) {
	index := make(map[string]int, len(t.classes))
	for i, c := range t.classes {
		index[c] = i
	}
	if t.task == model.Multilabel {
		y = nn.NewMatrix(p.rows(), len(t.classes))
		for i, labels := range p.many {
			for _, l := range labels {
				c, ok := index[l]
				if !ok {
					return y, nil, unknownClass(p, "Label", l, i)
				}
				y.Row(i)[c] = 1
			}
		}
		return y, nil, nil
	}
	y = nn.NewMatrix(p.rows(), 1)
	if t.task == model.Regression {
		for i, v := range p.values {
			y.Data[i] = (float32(v) - t.shift) / t.scale
		}
		return y, nil, nil
	}
	truth = make([]int, p.rows())
	for i, l := range p.labels {
		c, ok := index[l]
		if !ok {
			return y, nil, unknownClass(p, "Class", l, i)
		}
		truth[i], y.Data[i] = c, float32(c)
	}
	return y, truth, nil
}

func unknownClass(p *part, kind, name string, row int) *stage.Problem {
	return stage.Problemf(p.role, fmt.Sprintf("%s %q is not in the training part", kind, name), "Row %d has it, and no row of data has. Stratify the split, or drop the %s before it.", row+1, strings.ToLower(kind))
}

// foldsOfTarget is in how many parts the training rows are divided for encodings
// by the target, and purposeFolds what the random numbers are for; see
// philox.New.
const (
	foldsOfTarget = 5
	purposeFolds  = 0x666f6c64 // "fold"
)

// fillOutcomes gives encodings by the target what they learn from: a regression's
// numbers as training sees them, of classes and labels whether a row has each.
func (t *target) fillOutcomes(specs []model.CategoricalSpec, s *scored, seed int64) {
	var values [][]float64
	var fold []int
	for _, spec := range specs {
		if spec.Outcome == nil {
			continue
		}
		if values == nil {
			values = t.outcomes(s.y, s.truth)
			fold = folds(s.y.Rows, seed)
		}
		spec.Outcome.Values, spec.Outcome.Fold = values, fold
	}
}

func (t *target) outcomes(y nn.Matrix, truth []int) [][]float64 {
	if t.task != model.Classification {
		out := make([][]float64, y.Cols)
		for k := range out {
			out[k] = make([]float64, y.Rows)
			for i := range out[k] {
				out[k][i] = float64(y.Row(i)[k])
			}
		}
		return out
	}
	first := 0
	if len(t.classes) == 2 {
		first = 1
	}
	out := make([][]float64, len(t.classes)-first)
	for k := range out {
		out[k] = make([]float64, len(truth))
		for i, c := range truth {
			if c == first+k {
				out[k][i] = 1
			}
		}
	}
	return out
}

// folds gives each row one of the folds, all of them as often.
func folds(rows int, seed int64) []int {
	order := make([]int, rows)
	for i := range order {
		order[i] = i
	}
	s := philox.New(uint64(seed), purposeFolds, 0)
	s.Shuffle(order)
	out := make([]int, rows)
	for i, row := range order {
		out[row] = i % foldsOfTarget
	}
	return out
}

// rowWeights gives each row of the training part the weight of its class times its
// own; nil if all are 1.
func (t *target) rowWeights(s *scored) []float32 {
	classes := slices.ContainsFunc(t.classWeights, func(w float64) bool { return w != 1 })
	if !classes {
		return s.weights
	}
	out := make([]float32, len(s.truth))
	for i, c := range s.truth {
		out[i] = float32(t.classWeights[c])
		if s.weights != nil {
			out[i] *= s.weights[i]
		}
	}
	return out
}
