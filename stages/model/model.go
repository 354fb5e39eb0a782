package model

import (
	"fmt"
	"slices"

	"github.com/flow-pipelines/flow/stages/tree"
)

// Format names the format of model.json.
const Format = "flow.model/1"

// Task is what a model predicts.
type Task string

// The tasks.
const (
	Classification Task = "classification"
	Regression     Task = "regression"
	// Multilabel is a classification in which a row has any number of the classes.
	Multilabel Task = "multilabel"
)

// Model is everything that a model directory says.
type Model struct {
	Task Task
	// Target is the column that is predicted. For several labels of a row it has
	// them with Separator between them, or is "" if each label is a column.
	Target, Separator string
	// Classes are the target's values in the order of the outputs; none for a
	// regression. Positive is one of them, or "".
	Classes  []string
	Positive string
	// Family is "mlp", "cnn", "layers", "logistic", "linear" or "gbdt".
	Family   string
	Features Features
	// Layers are applied to the features from first to last, or to what trees
	// score, if there are any; of two classes those may score the second alone, whose
	// log-odds the score is then. A calibration is the last layer.
	Layers []Layer
	Trees  *tree.Ensemble
	// Threshold is the probability from which on Positive is the answer, of two
	// classes; 0 is that the more probable one is.
	Threshold float32
	// A regression's answer is output·TargetScale + TargetShift.
	TargetScale, TargetShift float32
	// Parameters are what training was told; Metrics what it measured: values
	// that encoding/json can write. They must not hold paths or times.
	Parameters, Metrics map[string]any
	// Data are the tables that training has read, by role.
	Data map[string]Data
	// Versions are those of the programs that made the model, by name.
	Versions map[string]int
}

// Data is a table that a model was made with.
type Data struct {
	Rows int `json:"rows"`
	// Digest is that of its content, as the engine names it; "" if it is not known.
	Digest string `json:"digest,omitempty"`
}

// check refuses what would be written as a model that cannot be read.
func (m *Model) check() error {
	if err := m.Features.check(); err != nil {
		return fmt.Errorf("features: %w", err)
	}
	width := m.Features.Width()
	if m.Trees != nil {
		if err := m.Trees.Check(width); err != nil {
			return err
		}
		width = len(m.Trees.Base)
		if width == 1 && m.Task == Classification {
			width = 2
		}
	}
	for i, l := range m.Layers {
		if err := l.check(i, width); err != nil {
			return err
		}
		width = l.Units
	}
	switch {
	case len(m.Layers) == 0 && m.Trees == nil:
		return fmt.Errorf("it has neither layers nor trees")
	case m.Threshold != 0 && (len(m.Classes) != 2 || m.Positive == "" || !(m.Threshold > 0 && m.Threshold < 1)):
		return fmt.Errorf("it has the threshold %v for class %q of %d", m.Threshold, m.Positive, len(m.Classes))
	case (m.Separator == "") == (m.Target != "") && m.Task == Multilabel, m.Separator != "" && m.Task != Multilabel:
		return fmt.Errorf("task %q with target %q has the separator %q", m.Task, m.Target, m.Separator)
	case m.Task == Multilabel && width == len(m.Classes) && width > 0 && m.Positive == "":
	case m.Task == Regression && width == 1 && len(m.Classes) == 0:
	case m.Task == Classification && width == len(m.Classes) && width > 1:
		if m.Positive != "" && !slices.Contains(m.Classes, m.Positive) {
			return fmt.Errorf("positive class %q is not one of %q", m.Positive, m.Classes)
		}
	default:
		return fmt.Errorf("task %q with %d classes has %d outputs", m.Task, len(m.Classes), width)
	}
	return nil
}
