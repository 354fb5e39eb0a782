package train

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/engine/suggest"
	"github.com/flow-pipelines/flow/stages/metric"
	"github.com/flow-pipelines/flow/stages/model"
)

// check finds the mistakes that show in the arguments alone. unknown says which
// of them are not known yet.
func (c *Config) check(unknown func(string) bool) stage.Problems {
	var ps stage.Problems
	add := func(path, summary, detail string, args ...any) {
		name, _, _ := strings.Cut(path, ".")
		if !unknown(name) {
			ps = append(ps, stage.Problemf(path, summary, detail, args...))
		}
	}
	if c.Epochs < 1 {
		add("epochs", "Not a positive number", "Training needs at least one epoch, not %d.", c.Epochs)
	}
	if c.BatchSize < 1 {
		add("batch_size", "Not a positive number", "A step needs at least one row, not %d.", c.BatchSize)
	}
	c.checkTargets(unknown, add)
	c.checkModel(add)
	c.checkOptimizer(add)
	c.checkSchedule(add)
	c.checkLoss(add)
	c.checkAnswer(unknown, add)
	c.checkResume(add)
	if _, err := parseClassWeights(c.ClassWeights); err != nil {
		add("class_weights", "Not class weights", `Write "balanced", or a map from classes to numbers that are not negative, such as { yes = 2 }: %v.`, err)
	}
	if f := c.Features; f != nil && len(f.Numeric)+len(f.Categorical)+len(f.Date)+len(f.Text) == 0 {
		add("features", "No features", "Add a numeric, categorical, date or text block with the columns to use, or leave the features block out to use all columns.")
	}
	if e := c.EarlyStopping; e != nil {
		c.checkEarlyStopping(*e, unknown, add)
	}
	return ps
}

type addProblem func(path, summary, detail string, args ...any)

// multilabel reports whether a row has any number of labels.
func (c *Config) multilabel() bool { return len(c.Targets) > 0 || c.Separator != "" }

// predicted are the columns that are predicted.
func (c *Config) predicted() []string {
	if c.Target != "" {
		return []string{c.Target}
	}
	return c.Targets
}

func (c *Config) checkTargets(unknown func(string) bool, add addProblem) {
	known := !unknown("target") && !unknown("targets")
	switch {
	case known && len(c.predicted()) == 0:
		add("", "Nothing to predict", "Name the column that is to be predicted with target, or several columns of truth values with targets.")
	case c.Target != "" && len(c.Targets) > 0:
		add("targets", "Both target and targets are given", "Give the one column that has the labels, with the separator between them, or the columns that are labels themselves.")
	case len(c.Targets) > 0 && c.Separator != "":
		add("separator", "Each target is one label", "There is nothing to separate: leave separator out, or give the one column that has all labels as target.")
	}
	for i, name := range c.Targets {
		if slices.Contains(c.Targets[:i], name) {
			add(fmt.Sprintf("targets[%d]", i), fmt.Sprintf("%q is there twice", name), "Name each column once.")
		}
	}
	if c.RowWeight != "" && slices.Contains(c.predicted(), c.RowWeight) {
		add("row_weight", "The target is no weight", "Column %q is what the model predicts.", c.RowWeight)
	}
	if !c.multilabel() {
		return
	}
	if c.Model.Linear != nil || c.Model.GBDT != nil {
		add("model", "The model has one answer", `For several labels of a row use model "logistic", "mlp", "cnn" or "layers".`)
	}
	for _, a := range []struct {
		name  string
		given bool
	}{
		{"task", c.Task == string(model.Regression)},
		{"positive", c.Positive != ""},
		{"class_weights", isGiven(c.ClassWeights)},
		{"calibration", c.Calibration != ""},
		{"threshold", isGiven(c.Threshold)},
	} {
		if a.given {
			add(a.name, "Not for several labels of a row", "Leave %s out: each label is a question of its own, and is the answer from a probability of 0.5 on.", a.name)
		}
	}
}

func (c *Config) checkModel(add addProblem) {
	switch {
	case c.Model.Logistic != nil && c.Task == string(model.Regression):
		add("task", "A logistic model does not predict numbers", `Use model "linear" or "mlp", or task = "classification".`)
	case c.Model.Linear != nil && c.Task == string(model.Classification):
		add("task", "A linear model does not predict classes", `Use model "logistic" or "mlp", or task = "regression".`)
	}
	if c.Task == string(model.Regression) || c.Model.Linear != nil {
		if c.Positive != "" {
			add("positive", "A regression has no classes", "Leave out positive, or choose a model that classifies.")
		}
		if isGiven(c.ClassWeights) {
			add("class_weights", "A regression has no classes", "Leave out class_weights, or choose a model that classifies.")
		}
	}
	if m := c.Model.GBDT; m != nil {
		m.check(add)
		if c.Optimizer != (Optimizer{}) {
			add("optimizer", "Trees have no optimizer", "Leave the block out; learning_rate and rounds are arguments of the block model.")
		}
	} else if c.Features != nil {
		for i, n := range c.Features.Numeric {
			if n.Impute == string(model.ImputeNone) && n.Bins == 0 {
				add(fmt.Sprintf("features.numeric[%d].impute", i), "Missing numbers stay missing", `Only trees and bins can take them: use model "gbdt", give bins, or impute "median", "mean" or "constant".`)
			}
		}
	}
	if m := c.Model.Logistic; m != nil {
		m.check(add)
	}
	if m := c.Model.Linear; m != nil {
		m.check(add)
	}
	if c.Features != nil {
		for i, t := range c.Features.Text {
			c.checkText(fmt.Sprintf("features.text[%d]", i), t, add)
		}
		for i, b := range c.Features.Numeric {
			b.check(fmt.Sprintf("features.numeric[%d]", i), add)
		}
		for i, b := range c.Features.Categorical {
			b.check(fmt.Sprintf("features.categorical[%d]", i), add)
		}
		for i, b := range c.Features.Date {
			b.check(fmt.Sprintf("features.date[%d]", i), add)
		}
	}
	c.checkNetwork(add)
	if m := c.Model.MLP; m != nil {
		for i, units := range m.Hidden {
			if units < 1 {
				add(fmt.Sprintf("model.mlp.hidden[%d]", i), "Not a positive number", "A hidden layer needs at least one unit, not %d.", units)
			}
		}
		if !(m.Dropout >= 0 && m.Dropout < 1) {
			add("model.mlp.dropout", "Not a probability below 1", "Dropout is the share of activations set to zero: at least 0 and below 1, not %v.", m.Dropout)
		}
	}
}

// mostProducts keeps a pattern that matches many columns from taking all memory.
const mostProducts = 100_000

// mostBins is more than anybody wants, and keeps a mistyped number from taking all
// memory.
const mostBins = 1000

func (b Numeric) check(path string, add addProblem) {
	switch {
	case b.Bins < 0 || b.Bins == 1 || b.Bins > mostBins:
		add(path+".bins", "Not a number of bins", "It is %d, and must be at least 2 and at most %d, or 0 for none.", b.Bins, mostBins)
	case b.Bins > 0 && b.Scale != "" && b.Scale != string(model.ScaleNone):
		add(path+".scale", "Bins are not scaled", "A bin is 0 or 1: leave out scale, or bins.")
	case b.Bins > 0 && b.Degree == 2:
		add(path+".degree", "Bins have no products", "Leave out degree, or bins.")
	}
	if b.Degree != 0 && b.Degree != 1 && b.Degree != 2 {
		add(path+".degree", "Not a degree", "It is %d, and must be 1 or 2.", b.Degree)
	}
}

func (b Categorical) check(path string, add addProblem) {
	if len(b.Order) > 0 && b.Encoding != string(model.Ordinal) {
		add(path+".order", "Only ordinal has an order", `Write encoding = "ordinal", or leave out order.`)
	}
	for i, category := range b.Order {
		if slices.Contains(b.Order[:i], category) {
			add(path+".order", fmt.Sprintf("%q is there twice", category), "Each category has one place.")
		}
	}
	switch s := b.smoothing(); {
	case b.Smoothing != nil && b.Encoding != string(model.Target):
		add(path+".smoothing", "Only target is smoothed", `Write encoding = "target", or leave out smoothing.`)
	case !(s >= 0 && s <= 1e300):
		add(path+".smoothing", "Not in the range", "It is %v, and must be 0 or more.", s)
	}
}

// smoothing is the argument or what leaving it out means.
func (b Categorical) smoothing() float64 {
	if b.Smoothing == nil {
		return 10
	}
	return *b.Smoothing
}

func (b Date) check(path string, add addProblem) {
	if len(b.Parts) == 0 {
		add(path+".parts", "No parts", "Name at least one, such as month.")
	}
	var known []string
	for _, p := range model.DateParts() {
		known = append(known, string(p))
	}
	for i, p := range b.Parts {
		switch {
		case !slices.Contains(known, p):
			add(fmt.Sprintf("%s.parts[%d]", path, i), fmt.Sprintf("No part %q", p), "The parts of a date are %s.", strings.Join(known, ", "))
		case slices.Contains(b.Parts[:i], p):
			add(fmt.Sprintf("%s.parts[%d]", path, i), fmt.Sprintf("%q is there twice", p), "Name each part once.")
		}
	}
}

func (c *Config) checkText(path string, t Text, add addProblem) {
	if c.Model.GBDT != nil {
		add(path, "Trees take no text", `Thousands of terms of which a row has few suit a linear model: use model "logistic", or take the column out.`)
	}
	if c.Model.CNN != nil || c.Model.Layers != nil {
		add(path, "Images and stacks take no text", `Use model "logistic" or "mlp" for text, or take the column out.`)
	}
	for name, n := range map[string][]int{"words": t.Words, "characters": t.Characters} {
		if len(n) != 0 && (len(n) != 2 || n[0] < 1 || n[1] < n[0] || n[1] > 20) {
			add(path+"."+name, "Not lengths of n-grams", "Write the shortest and the longest, such as [1, 2], or [] for none.")
		}
	}
	if len(t.Words)+len(t.Characters) == 0 {
		add(path, "No n-grams", "Give words or characters, such as words = [1, 2].")
	}
	if t.MinRows < 1 {
		add(path+".min_rows", "Not a positive number", "It is %d; 2 leaves out what occurs once.", t.MinRows)
	}
	if t.MaxTerms < 1 {
		add(path+".max_terms", "Not a positive number", "It is %d.", t.MaxTerms)
	}
	if t.Buckets < 0 || t.Buckets > 1<<24 {
		add(path+".buckets", "Not in the range", "It is %d, and must be 0 to %d.", t.Buckets, 1<<24)
	}
}

func (c *Config) checkOptimizer(add addProblem) {
	positive := func(path string, v float64) {
		if !(v > 0) || math.IsInf(v, 0) {
			add(path, "Not a positive number", "It is %v; 0.001 is a usual learning rate.", v)
		}
	}
	unit := func(path string, v float64) {
		if !(v >= 0 && v < 1) {
			add(path, "Not in the range", "It is %v, and must be at least 0 and below 1.", v)
		}
	}
	notNegative := func(path string, v float64) {
		if !(v >= 0) || math.IsInf(v, 0) {
			add(path, "A negative number", "It is %v, and must not be negative.", v)
		}
	}
	for name, a := range map[string]*Adam{"adam": c.Optimizer.Adam, "adamw": c.Optimizer.AdamW} {
		if a != nil {
			path := "optimizer." + name + "."
			positive(path+"learning_rate", a.LearningRate)
			unit(path+"beta1", a.Beta1)
			unit(path+"beta2", a.Beta2)
			notNegative(path+"epsilon", a.Epsilon)
			notNegative(path+"weight_decay", a.WeightDecay)
		}
	}
	if s := c.Optimizer.SGD; s != nil {
		positive("optimizer.sgd.learning_rate", s.LearningRate)
		unit("optimizer.sgd.momentum", s.Momentum)
		notNegative("optimizer.sgd.weight_decay", s.WeightDecay)
	}
}

// The metrics that the validation part can have, beside loss.
func metricNames(task model.Task) []string {
	names := metric.RegressionNames()
	switch task {
	case model.Classification:
		names = metric.HeadlineNames()
	case model.Multilabel:
		names = metric.MultilabelNames()
	case model.Regression:
	}
	names = append(names, lossMetric)
	slices.Sort(names)
	return names
}

func (c *Config) checkEarlyStopping(e EarlyStopping, unknown func(string) bool, add addProblem) {
	if c.Validation == "" && !unknown("validation") {
		add("early_stopping", "No validation part", "Early stopping watches a metric of rows that are not trained on: add validation = … with a part of the split.")
	}
	if e.Patience < 1 {
		add("early_stopping.patience", "Not a positive number", "Training ends after this many epochs without a better metric: at least 1, not %d.", e.Patience)
	}
	if !(e.MinDelta >= 0) {
		add("early_stopping.min_delta", "A negative number", "It is %v, and must not be negative.", e.MinDelta)
	}
	var known []string
	if c.multilabel() {
		known = metricNames(model.Multilabel)
	} else if c.Model.Linear != nil || c.Task == string(model.Regression) {
		known = metricNames(model.Regression)
	} else if c.Model.Logistic != nil || c.Task == string(model.Classification) {
		known = metricNames(model.Classification)
	} else {
		known = append(metricNames(model.Classification), metricNames(model.Regression)...)
	}
	if p := unknownMetric(e.metric(), known); p != nil && !unknown("model") && !unknown("task") {
		add(p.Path, p.Summary, "%s", p.Detail)
	}
}

// unknownMetric is the problem that a metric is not among the known ones.
func unknownMetric(name string, known []string) *stage.Problem {
	if slices.Contains(known, name) {
		return nil
	}
	hint := ""
	if s := suggest.Nearest(name, known); s != "" {
		hint = fmt.Sprintf("Did you mean %q? ", s)
	}
	slices.Sort(known)
	return stage.Problemf("early_stopping.metric", fmt.Sprintf("No metric %q", name), "%sThe metrics are %s.", hint, strings.Join(slices.Compact(known), ", "))
}
