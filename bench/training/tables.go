package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strconv"

	"github.com/flow-pipelines/flow/stages/linear"
	"github.com/flow-pipelines/flow/stages/metric"
	"github.com/flow-pipelines/flow/stages/model"
	"github.com/flow-pipelines/flow/stages/table"
	"github.com/flow-pipelines/flow/stages/tree"
)

// held is one of how many parts of the rows are not trained on.
const held = 5

// rows are some rows of a table: columns to learn from, and the target.
type rows struct {
	frame  *model.Frame
	labels []string
}

// readRows reads a table in two parts, as part decides: false is to train on.
func readRows(path, target string, columns []model.Column, part func(i int, label string) bool) (train, test rows, err error) {
	r, err := table.Open(path)
	if err != nil {
		return train, test, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	at, err := table.Index(r.Columns(), target)
	if err != nil {
		return train, test, err
	}
	for _, p := range []*rows{&train, &test} {
		if p.frame, err = model.NewFrame(columns, table.Names(r.Columns())); err != nil {
			return train, test, err
		}
	}
	row := make([]table.Value, len(r.Columns()))
	for i := 0; ; i++ {
		if err := r.Read(row); errors.Is(err, io.EOF) {
			return train, test, nil
		} else if err != nil {
			return train, test, err
		}
		p := &train
		if part(i, row[at].Text()) {
			p = &test
		}
		if err := model.Append(p.frame, row); err != nil {
			return train, test, err
		}
		p.labels = append(p.labels, string([]byte(row[at].Text())))
	}
}

func fifth(i int, _ string) bool { return i%held == 0 }

// numbers are the labels of a regression.
func (r *rows) numbers() ([]float32, []float64, error) {
	single, double := make([]float32, len(r.labels)), make([]float64, len(r.labels))
	for i, l := range r.labels {
		v, err := strconv.ParseFloat(l, 64)
		if err != nil {
			return nil, nil, err
		}
		single[i], double[i] = float32(v), v
	}
	return single, double, nil
}

// classes are the labels of a classification as indices of classes.
func (r *rows) classes(names []string) []int {
	out := make([]int, len(r.labels))
	for i, l := range r.labels {
		out[i] = slices.Index(names, l)
	}
	return out
}

// housing are the columns of examples/housing; numbers are taken by spec.
func housing(spec model.NumericSpec) (columns []model.Column, numeric []model.NumericSpec, categorical []model.CategoricalSpec) {
	for _, name := range []string{
		"longitude", "latitude", "housing_median_age", "total_rooms", "total_bedrooms", "population", "households", "median_income",
	} {
		columns = append(columns, model.Column{Name: name, Kind: model.Number})
		spec.Column = name
		numeric = append(numeric, spec)
	}
	const category = "ocean_proximity"
	columns = append(columns, model.Column{Name: category, Kind: model.String})
	return columns, numeric, []model.CategoricalSpec{{Column: category}}
}

// regression fits a model to housing by fit and measures it.
func regression(path string, spec model.NumericSpec, fit func(f *model.Features, x *model.Frame, y []float32) (*model.Model, error)) error {
	columns, numeric, categorical := housing(spec)
	train, test, err := readRows(path, "median_house_value", columns, fifth)
	if err != nil {
		return err
	}
	y, _, err := train.numbers()
	if err != nil {
		return err
	}
	_, truth, err := test.numbers()
	if err != nil {
		return err
	}
	var s stopwatch
	s.run()
	features, err := model.Fit(train.frame, numeric, categorical)
	if err != nil {
		return err
	}
	m, err := fit(features, train.frame, y)
	if err != nil {
		return err
	}
	s.halt()
	m.Task, m.Target, m.Features, m.TargetScale = model.Regression, "value", *features, 1
	p, err := predict(m, test.frame)
	if err != nil {
		return err
	}
	report(s.wall, s.cpu, result("R²", metric.Regression(truth, p.Values)["r2"]))
	return nil
}

func predict(m *model.Model, x *model.Frame) (*model.Prediction, error) {
	predictor, err := model.New(m)
	if err != nil {
		return nil, err
	}
	return predictor.Predict(x)
}

// trainTrees grows 200 trees of 31 leaves.
func trainTrees(threads int, path string) error {
	return regression(path, model.NumericSpec{Impute: model.ImputeNone, Scale: model.ScaleNone}, func(f *model.Features, x *model.Frame, y []float32) (*model.Model, error) {
		const rounds = 200
		b, err := tree.NewBooster(tree.Options{
			Loss: tree.Squared, LearningRate: 0.1, MaxLeaves: 31, MinRows: 20, MinWeight: 1e-3, L2: 1, MaxBins: 255,
			RowFraction: 1, ColumnFraction: 1, Threads: threads,
		}, tree.Examples{X: f.Source(x), Y: y})
		if err != nil {
			return nil, err
		}
		for range rounds {
			if _, err := b.Round(context.Background()); err != nil {
				return nil, err
			}
		}
		return &model.Model{Family: "gbdt", Trees: b.Ensemble(rounds)}, nil
	})
}

func trainLinear(threads int, path string) error {
	return regression(path, model.NumericSpec{Impute: model.ImputeMedian, Scale: model.ScaleStandard}, func(f *model.Features, x *model.Frame, y []float32) (*model.Model, error) {
		rows := f.Sparse(x)
		s, err := linear.Squares(context.Background(), rows, y, nil, linear.Options{Iterations: 1000, Tolerance: 1e-9, Threads: threads})
		if err != nil {
			return nil, err
		}
		return &model.Model{Family: "linear", Layers: solved(s, rows.Cols, 1)}, nil
	})
}

func solved(s *linear.Solution, inputs, units int) []model.Layer {
	return []model.Layer{{Inputs: inputs, Units: units, Weight: s.Weight, Bias: s.Bias, Activation: "identity"}}
}

// classification fits features and a logistic regression, and predicts the test part.
func classification(s *stopwatch, train, test rows, classes []string, threads int, balanced bool, fit func(*model.Frame) (*model.Features, error)) (*model.Prediction, error) {
	y := train.classes(classes)
	s.run()
	features, err := fit(train.frame)
	if err != nil {
		return nil, err
	}
	var weight []float32
	if balanced {
		counts := make([]int, len(classes))
		for _, c := range y {
			counts[c]++
		}
		for _, c := range y {
			weight = append(weight, float32(len(y))/float32(len(classes)*counts[c]))
		}
	}
	x := features.Sparse(train.frame)
	solution, err := linear.Logistic(context.Background(), x, y, weight, linear.Options{
		Classes: len(classes), L2: 1, Iterations: 1000, Tolerance: 1e-4, Threads: threads,
	})
	if err != nil {
		return nil, err
	}
	s.halt()
	return predict(&model.Model{
		Task: model.Classification, Target: "class", Classes: classes, Family: "logistic", Features: *features, TargetScale: 1,
		Layers: solved(solution, x.Cols, len(classes)),
	}, test.frame)
}

// trainLogistic fits the digits of examples/digits.
func trainLogistic(threads int, path string) error {
	var columns []model.Column
	var numeric []model.NumericSpec
	for i := range 64 {
		name := fmt.Sprintf("pixel_%d", i)
		columns = append(columns, model.Column{Name: name, Kind: model.Number})
		numeric = append(numeric, model.NumericSpec{Column: name, Impute: model.ImputeMedian, Scale: model.ScaleStandard})
	}
	train, test, err := readRows(path, "digit", columns, fifth)
	if err != nil {
		return err
	}
	var classes []string
	for i := range 10 {
		classes = append(classes, strconv.Itoa(i))
	}
	var s stopwatch
	p, err := classification(&s, train, test, classes, threads, false, func(x *model.Frame) (*model.Features, error) { return model.Fit(x, numeric, nil) })
	if err != nil {
		return err
	}
	report(s.wall, s.cpu, result("accuracy", metric.Confuse(len(classes), test.classes(classes), p.Class).Accuracy()))
	return nil
}

// trainText fits tweets in five folds. Row n of a class, counted from 0, is in fold
// n mod 5.
func trainText(threads int, path string, balanced bool) error {
	columns := []model.Column{{Name: "tweet", Kind: model.String}}
	classes := []string{"0", "1", "2"}
	var s stopwatch
	var weighted, macro float64
	for fold := range held {
		seen := map[string]int{}
		train, test, err := readRows(path, "class", columns, func(_ int, label string) bool {
			seen[label]++
			return (seen[label]-1)%held == fold
		})
		if err != nil {
			return err
		}
		runtime.GC() // what was read is not to be collected while the clock runs
		p, err := classification(&s, train, test, classes, threads, balanced, func(x *model.Frame) (*model.Features, error) {
			return model.Fit(x, nil, nil, model.TextSpec{Column: "tweet", Unit: model.Word, From: 1, To: 2, MinRows: 2, MaxTerms: 100_000, Sublinear: true})
		})
		if err != nil {
			return err
		}
		c := metric.Confuse(len(classes), test.classes(classes), p.Class)
		weighted, macro = weighted+c.Weighted(1).F1/held, macro+c.Macro(1).F1/held
	}
	report(s.wall, s.cpu, result("weighted", weighted), result("macro", macro))
	return nil
}
