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
)

// Model is everything that a model directory says.
type Model struct {
	Task Task
	// Target is the column that is predicted.
	Target string
	// Classes are the target's values in the order of the outputs; none for a
	// regression. Positive is one of them, or "".
	Classes  []string
	Positive string
	// Family is "mlp", "cnn", "layers", "logistic", "linear" or "gbdt".
	Family   string
	Features Features
	// Layers are applied to the features from first to last. Trees take their
	// place in a model that has them; of two classes they may score the second
	// alone, whose log-odds the score is then.
	Layers []Layer
	Trees  *tree.Ensemble
	// A regression's answer is output·TargetScale + TargetShift.
	TargetScale, TargetShift float32
	// Parameters are what training was told; Metrics what it measured: values
	// that encoding/json can write. They must not hold paths or times.
	Parameters, Metrics map[string]any
	// Versions are those of the programs that made the model, by name.
	Versions map[string]int
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
	case (len(m.Layers) == 0) == (m.Trees == nil):
		return fmt.Errorf("it has %d layers, and trees: %t", len(m.Layers), m.Trees != nil)
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
