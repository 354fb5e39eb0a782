package model_test

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/flow-pipelines/flow/internal/oracle"
	"github.com/flow-pipelines/flow/stages/model"
	"github.com/flow-pipelines/flow/stages/nn/philox"
)

// sales is a table of a size, a town, a grade and a time.
func sales(rows int) []string {
	s := philox.New(3, 0, 0)
	lines := []string{"size,town,grade,sold,flag"}
	for range rows {
		size := fmt.Sprintf("%.3f", s.Float32()*s.Float32()*100)
		if s.IntN(10) == 0 {
			size = ""
		}
		sold := fmt.Sprintf("%d-%02d-%02dT%02d:%02d:05", 1960+s.IntN(80), 1+s.IntN(12), 1+s.IntN(28), s.IntN(24), s.IntN(60))
		switch s.IntN(8) {
		case 0:
			sold += "Z"
		case 1:
			sold += "-07:00"
		case 2:
			sold = sold[:10]
		case 3:
			sold = ""
		}
		lines = append(lines, strings.Join([]string{size, []string{"a", "b", "c", "", "é"}[s.IntN(5)], []string{"low", "mid", "top"}[s.IntN(3)], sold, "1"}, ","))
	}
	return lines
}

var salesColumns = []model.Column{
	{Name: "size", Kind: model.Number},
	{Name: "flag", Kind: model.Number},
	{Name: "sold", Kind: model.Date},
	{Name: "town", Kind: model.String},
	{Name: "grade", Kind: model.String},
}

// outcome is one of as many numbers as width, in five folds.
func outcome(rows, width int, smoothing float64) *model.Outcome {
	s := philox.New(4, 0, 0)
	o := &model.Outcome{Values: make([][]float64, width), Smoothing: smoothing}
	for i := range rows {
		for k := range o.Values {
			o.Values[k] = append(o.Values[k], float64(s.Float32()))
		}
		o.Fold = append(o.Fold, i%5)
	}
	return o
}

func salesFeatures(t *testing.T, frame *model.Frame, o *model.Outcome) *model.Features {
	t.Helper()
	numeric := []model.NumericSpec{
		{Column: "size", Impute: model.ImputeMedian, Scale: model.ScaleRobust, Degree: 2},
		{Column: "flag", Impute: model.ImputeMedian, Scale: model.ScaleRobust, Degree: 2},
	}
	for _, part := range model.DateParts() {
		spec := model.NumericSpec{Column: "sold", Part: part, Impute: model.ImputeMedian, Scale: model.ScaleStandard}
		if part == model.Hour {
			spec = model.NumericSpec{Column: "sold", Part: part, Impute: model.ImputeNone, Scale: model.ScaleNone, Bins: 4}
		}
		numeric = append(numeric, spec)
	}
	f, err := model.Fit(frame, numeric, []model.CategoricalSpec{
		{Column: "town", Encoding: model.Target, Outcome: o},
		{Column: "grade", Encoding: model.Ordinal, Order: []string{"low", "mid", "top"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// sklearnSales computes the same numbers by scikit-learn: the last fold of the
// training rows by what the others teach, and new rows by what all do.
const sklearnSales = `
import json, sys
import numpy as np
from sklearn.preprocessing import MinMaxScaler, OrdinalEncoder, RobustScaler, TargetEncoder
d = json.load(sys.stdin)
size = np.array([[np.nan if v == "" else float(v)] for v in d["size"]], dtype=np.float32).astype(float)
size[np.isnan(size)] = np.nanmedian(size)
town, grade = np.array(d["town"], dtype=object)[:, None], np.array(d["grade"], dtype=object)[:, None]
y, fold = np.array(d["y"]), np.array(d["fold"])
new = np.array([["a"], ["b"], [""], ["nowhere"]], dtype=object)
target = lambda rows: TargetEncoder(smooth=7.0, target_type="continuous").fit(town[rows], y[rows])
held = np.zeros(len(y))
for k in range(5):
    held[fold == k] = target(fold != k).transform(town[fold == k])[:, 0]
codes = OrdinalEncoder(categories=[["low", "mid", "top"]]).fit_transform(grade)
json.dump({
    "size": RobustScaler().fit_transform(size)[:, 0].tolist(),
    "grade": MinMaxScaler().fit_transform(codes)[:, 0].tolist(),
    "held": held.tolist(),
    "new": target(fold >= 0).transform(new)[:, 0].tolist(),
}, sys.stdout)
`

func TestEncodingsAndRobustScaleAreThoseOfScikitLearn(t *testing.T) {
	lines := sales(200)
	frame, o := frameOf(t, salesColumns, lines...), outcome(200, 1, 7)
	features := salesFeatures(t, frame, o)
	in := map[string]any{"y": o.Values[0], "fold": o.Fold}
	for i, name := range []string{"size", "town", "grade"} {
		var column []string
		for _, line := range lines[1:] {
			column = append(column, strings.Split(line, ",")[i])
		}
		in[name] = column
	}
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var want map[string][]float64
	if err := json.Unmarshal(oracle.Run(t, sklearnSales, b), &want); err != nil {
		t.Fatal(err)
	}
	compare := func(what string, x []float32, column int) {
		for i, w := range want[what] {
			if got := float64(x[i*features.Width()+column]); math.Abs(got-w) > 1e-6*max(1, math.Abs(w)) {
				t.Errorf("%s, row %d: %v, scikit-learn has %v", what, i, got, w)
			}
		}
	}
	x, town := features.Transform(frame), features.Width()-2
	compare("size", x, 0)
	compare("grade", x, town+1)
	compare("held", x, town)
	compare("new", features.Transform(frameOf(t, salesColumns, lines[0], ",a,,,", ",b,,,", ",,,,", ",nowhere,,,")), town)
	if got := x[1]; got != 0 {
		t.Errorf("a constant column has become %v", got)
	}
}

func TestNoRowSeesItsOwnAnswer(t *testing.T) {
	lines := sales(60)
	encode := func(o *model.Outcome) []float32 {
		frame := frameOf(t, salesColumns, lines...)
		return salesFeatures(t, frame, o).Transform(frame)
	}
	before, moved := encode(outcome(60, 2, 3)), 0
	width := len(before) / 60
	for row := range 60 {
		o := outcome(60, 2, 3)
		o.Values[0][row] += 1000
		after := encode(o)
		if !slices.Equal(before[row*width:(row+1)*width], after[row*width:(row+1)*width]) {
			t.Errorf("row %d is encoded by its own answer", row)
		}
		if !slices.Equal(before, after) {
			moved++
		}
	}
	if moved != 60 {
		t.Errorf("only %d of 60 answers teach the other rows anything", moved)
	}
}

func TestAllWaysToTheNumbersOfARowAreOne(t *testing.T) {
	frame := frameOf(t, salesColumns, sales(80)...)
	f := salesFeatures(t, frame, outcome(80, 3, 1))
	dense, sparse, source := f.Transform(frame), f.Sparse(frame), f.Source(frame)
	if source.Cols() != f.Width() || sparse.Cols != f.Width() {
		t.Fatalf("widths %d, %d and %d", source.Cols(), sparse.Cols, f.Width())
	}
	rows := make([]float32, len(dense))
	for i := range sparse.Len() {
		for n := sparse.Start[i]; n < sparse.Start[i+1]; n++ {
			rows[i*f.Width()+int(sparse.Index[n])] = sparse.Value[n]
		}
	}
	if !slices.Equal(rows, dense) {
		t.Error("the sparse rows differ")
	}
	column := make([]float32, frame.Rows())
	for j := range f.Width() {
		source.Column(j, column)
		for i, v := range column {
			if v != dense[i*f.Width()+j] {
				t.Fatalf("row %d of column %d: %v, want %v", i, j, v, dense[i*f.Width()+j])
			}
		}
	}
}

func TestONNXRuntimeAgreesOnEncodingsAndDates(t *testing.T) {
	lines := sales(50)
	features := salesFeatures(t, frameOf(t, salesColumns, lines...), outcome(50, 3, 1))
	dir := t.TempDir()
	m := classifier(t)
	m.Features, m.Layers = *features, []model.Layer{layer(features.Width(), 3, "identity")}
	if err := model.Write(dir, m); err != nil {
		t.Fatal(err)
	}
	p, err := model.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	lines = append(lines, "3,nowhere,,2024-02-29,", ",,best,1969-12-31T23:59:00,5")
	got, err := p.Predict(frameOf(t, p.Columns(), lines...))
	if err != nil {
		t.Fatal(err)
	}
	compare(t, p, got, ask(t, dir, lines), len(lines)-1)
}

func TestWhatIsNoDateIsNamed(t *testing.T) {
	f, err := model.NewFrame([]model.Column{{Name: "sold", Kind: model.Date}}, []string{"sold"})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"2026-03-01", "2026-03-01T09:30:00.25+02:00", "2026-03-01 09:30", "20260301", ""} {
		if err := model.Append(f, cells(text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"01.03.2026", "2026-02-30", "tomorrow"} {
		if err := model.Append(f, cells(text)); err == nil || !strings.Contains(err.Error(), "is not a date") {
			t.Errorf("%q: error %v", text, err)
		}
	}
}

// sklearnNumbers bins and multiplies the same numbers by scikit-learn.
const sklearnNumbers = `
import json, sys, warnings
import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, PolynomialFeatures, StandardScaler
warnings.simplefilter("ignore")
d = json.load(sys.stdin)
x, b = np.array(d["x"], np.float32), np.array(d["b"], np.float32)
poly = make_pipeline(StandardScaler(), PolynomialFeatures(degree=2, include_bias=False)).fit_transform(x.astype(float))
bins = [KBinsDiscretizer(n_bins=n, encode="onehot-dense", strategy="quantile", subsample=None).fit_transform(b[:, [i]].astype(float)) for i, n in enumerate(d["bins"])]
json.dump(np.hstack([poly[:, :2], *bins, poly[:, 2:]]).tolist(), sys.stdout)
`

func TestBinsAndProductsAreThoseOfScikitLearn(t *testing.T) {
	s := philox.New(12, 0, 0)
	lines := []string{"p,q,even,few,one"}
	var x, b [][]float64
	for range 300 {
		p, q, even, few := float64(s.Float32()), float64(s.IntN(100)), float64(s.Float32()*s.Float32()), float64(s.IntN(3)*s.IntN(2))
		lines = append(lines, fmt.Sprintf("%v,%v,%v,%v,7", p, q, even, few))
		x, b = append(x, []float64{p, q}), append(b, []float64{even, few, 7})
	}
	bins := []int{7, 5, 4}
	columns := []model.Column{{Name: "p"}, {Name: "q"}, {Name: "even"}, {Name: "few"}, {Name: "one"}}
	frame := frameOf(t, columns, lines...)
	specs := []model.NumericSpec{
		{Column: "p", Impute: model.ImputeMean, Scale: model.ScaleStandard, Degree: 2},
		{Column: "q", Impute: model.ImputeMean, Scale: model.ScaleStandard, Degree: 2},
	}
	for i, name := range []string{"even", "few", "one"} {
		specs = append(specs, model.NumericSpec{Column: name, Impute: model.ImputeMedian, Scale: model.ScaleNone, Bins: bins[i]})
	}
	f, err := model.Fit(frame, specs, nil)
	if err != nil {
		t.Fatal(err)
	}
	in, err := json.Marshal(map[string]any{"x": x, "b": b, "bins": bins})
	if err != nil {
		t.Fatal(err)
	}
	var want [][]float64
	if err := json.Unmarshal(oracle.Run(t, sklearnNumbers, in), &want); err != nil {
		t.Fatal(err)
	}
	got := f.Transform(frame)
	if f.Width() != len(want[0]) {
		t.Fatalf("%d features, scikit-learn has %d", f.Width(), len(want[0]))
	}
	for i, row := range want {
		for j, w := range row {
			if g := float64(got[i*f.Width()+j]); math.Abs(g-w) > 1e-5*max(1, math.Abs(w)) {
				t.Fatalf("row %d, %v: %v, scikit-learn has %v", i, f.Feature(j), g, w)
			}
		}
	}
}
