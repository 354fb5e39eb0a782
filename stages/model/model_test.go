package model_test

import (
	"bytes"
	"errors"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flow-pipelines/flow/stages/model"
	"github.com/flow-pipelines/flow/stages/nn/philox"
)

// cell is a Cell as a CSV file has it; "" is missing.
type cell string

func (c cell) IsMissing() bool { return c == "" }
func (c cell) Text() string    { return string(c) }
func (c cell) Float() (float64, bool) {
	v, err := strconv.ParseFloat(string(c), 64)
	return v, err == nil
}
func (c cell) Bool() (value, ok bool) { return c == "true", c == "true" || c == "false" }

// frameOf makes a frame of lines "a,b,c", the first of which has the names.
func frameOf(t *testing.T, columns []model.Column, lines ...string) *model.Frame {
	t.Helper()
	f, err := model.NewFrame(columns, strings.Split(lines[0], ","))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines[1:] {
		if err := model.Append(f, cells(line)); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func cells(line string) []cell {
	var row []cell
	for _, s := range strings.Split(line, ",") {
		row = append(row, cell(s))
	}
	return row
}

var houses = []string{
	"rooms,age,sea,note,built",
	"3,10,near,x,true",
	"5,,inland,y,false",
	"4,30,,z,true",
	"8,20,near,w,",
}

func houseFeatures(t *testing.T) *model.Features {
	t.Helper()
	f := frameOf(t, []model.Column{{"rooms", model.Number}, {"age", model.Number}, {"built", model.Number}, {"sea", model.String}}, houses...)
	features, err := model.Fit(f, []model.NumericSpec{
		{Column: "rooms", Impute: model.ImputeMedian, Scale: model.ScaleStandard},
		{Column: "age", Impute: model.ImputeMean, Scale: model.ScaleMinMax},
		{Column: "built", Impute: model.ImputeConstant, Constant: 0.5, Scale: model.ScaleNone},
	}, []model.CategoricalSpec{{Column: "sea"}})
	if err != nil {
		t.Fatal(err)
	}
	return features
}

// layer is one with random parameters.
func layer(inputs, units int, activation string) model.Layer {
	s := philox.New(uint64(inputs), 0, uint32(units))
	l := model.Layer{Inputs: inputs, Units: units, Weight: make([]float32, inputs*units), Bias: make([]float32, units), Activation: activation}
	for i := range l.Weight {
		l.Weight[i] = 2*s.Float32() - 1
	}
	for i := range l.Bias {
		l.Bias[i] = 2*s.Float32() - 1
	}
	return l
}

func classifier(t *testing.T) *model.Model {
	t.Helper()
	return &model.Model{
		Task: model.Classification, Target: "sold", Classes: []string{"maybe", "no", "yes"}, Positive: "yes", Family: "mlp",
		Features: *houseFeatures(t),
		Layers: []model.Layer{
			layer(6, 8, "relu"), layer(8, 5, "tanh"), layer(5, 4, "sigmoid"), layer(4, 3, "identity"),
		},
		Parameters: map[string]any{"epochs": 10, "optimizer": map[string]any{"adam": map[string]any{"learning_rate": 0.01}}},
		Metrics:    map[string]any{"train": map[string]any{"loss": 0.25}, "validation": map[string]any{"f1": 0.5, "accuracy": 0.75}, "best_epoch": 3},
		Versions:   map[string]int{"train": 1},
	}
}

func regression(t *testing.T) *model.Model {
	t.Helper()
	m := classifier(t)
	m.Task, m.Classes, m.Positive, m.Family = model.Regression, nil, "", "linear"
	m.Layers = []model.Layer{layer(6, 1, "identity")}
	m.TargetScale, m.TargetShift = 115_000, 206_855
	return m
}

func TestFittedFeaturesHaveTheValuesOfTheirFormulas(t *testing.T) {
	f := houseFeatures(t)
	got := f.Transform(frameOf(t, f.Columns(), houses...))
	// rooms: mean 5, population deviation sqrt(3.5); age: mean of 10, 30, 20 is
	// 20, range 10 to 30; categories "", "inland", "near".
	d := float32(1 / math.Sqrt(3.5))
	want := []float32{
		-2 * d, 0, 1, 0, 0, 1,
		0, 0.5, 0, 0, 1, 0,
		-1 * d, 1, 1, 1, 0, 0,
		3 * d, 0.5, 0.5, 0, 0, 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("transformed rows (-want +got):\n%s", diff)
	}
}

func TestAnUnknownCategoryIsAllZeros(t *testing.T) {
	f := houseFeatures(t)
	got := f.Transform(frameOf(t, f.Columns(), houses[0], "3,10,island,x,true"))
	if want := []float32{0, 0, 0}; !slices.Equal(got[3:], want) {
		t.Errorf("one-hot of an unknown category = %v, want %v", got[3:], want)
	}
}

func TestAConstantColumnHasNoInfluence(t *testing.T) {
	for _, scale := range []model.Scale{model.ScaleStandard, model.ScaleMinMax} {
		// 1e9 and 1e9+1 are the same float32.
		columns := []model.Column{{"a", model.Number}}
		frame := frameOf(t, columns, "a", "1000000000", "1000000001", "1000000000")
		f, err := model.Fit(frame, []model.NumericSpec{{Column: "a", Impute: model.ImputeMedian, Scale: scale}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Transform(frameOf(t, columns, "a", "7", "")); !slices.Equal(got, []float32{0, 0}) {
			t.Errorf("%s: %v, want zeros", scale, got)
		}
	}
}

func TestAColumnWithoutValuesIsConstant(t *testing.T) {
	columns := []model.Column{{"a", model.Number}}
	f, err := model.Fit(frameOf(t, columns, "a", "", ""), []model.NumericSpec{{Column: "a", Impute: model.ImputeMean, Scale: model.ScaleStandard}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Transform(frameOf(t, columns, "a", "7")); got[0] != 0 {
		t.Errorf("%v, want 0", got[0])
	}
}

func TestTooManyCategoriesAreRefused(t *testing.T) {
	frame := frameOf(t, []model.Column{{"note", model.String}}, houses...)
	_, err := model.Fit(frame, nil, []model.CategoricalSpec{{Column: "note", MaxCategories: 3}})
	var many *model.TooManyCategoriesError
	if !errors.As(err, &many) || many.Have != 4 {
		t.Errorf("error %v, want a TooManyCategoriesError of 4", err)
	}
}

func TestAMissingColumnIsNamedWithASuggestion(t *testing.T) {
	_, err := model.NewFrame([]model.Column{{"rooms", model.Number}, {"age", model.Number}}, []string{"room", "sea"})
	want := `no columns "rooms" (did you mean "room"?), "age"`
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestABadCellIsNamedAndLeavesTheFrame(t *testing.T) {
	f := frameOf(t, []model.Column{{"sea", model.String}, {"rooms", model.Number}}, houses...)
	for line, want := range map[string]string{
		"many,1,near,x,true": `column "rooms", row 5: "many" is not a number`,
		"1e39,1,near,x,true": `column "rooms", row 5: "1e39" is infinite or beyond the range of a float32`,
		"Inf,1,near,x,true":  `column "rooms", row 5: "Inf" is infinite or beyond the range of a float32`,
		"1,2":                `append row 5: it has 2 cells, want 5`,
	} {
		if err := model.Append(f, cells(line)); err == nil || err.Error() != want {
			t.Errorf("%s: error %v, want %s", line, err, want)
		}
		if f.Rows() != 4 {
			t.Fatalf("the frame has %d rows, want 4", f.Rows())
		}
	}
	if err := model.Append(f, cells("6,1,near,x,true")); err != nil || f.Rows() != 5 {
		t.Errorf("after bad rows: error %v, %d rows", err, f.Rows())
	}
}

func TestWhatIsLoadedIsWhatWasWritten(t *testing.T) {
	for name, m := range map[string]*model.Model{"classifier": classifier(t), "regression": regression(t)} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "model")
			if err := model.Write(dir, m); err != nil {
				t.Fatal(err)
			}
			loaded, err := model.Load(dir)
			if err != nil {
				t.Fatal(err)
			}
			unwritten, err := model.New(m)
			if err != nil {
				t.Fatal(err)
			}
			f := frameOf(t, loaded.Columns(), houses...)
			got, err := loaded.Predict(f)
			if err != nil {
				t.Fatal(err)
			}
			want, err := unwritten.Predict(f)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("predictions (-unwritten +loaded):\n%s", diff)
			}
			if loaded.Task() != m.Task || loaded.Target() != m.Target || loaded.Positive() != m.Positive ||
				loaded.Family() != m.Family || !slices.Equal(loaded.Classes(), m.Classes) {
				t.Errorf("loaded %s %s %s %s %q", loaded.Task(), loaded.Target(), loaded.Positive(), loaded.Family(), loaded.Classes())
			}
		})
	}
}

// The goldens are the formats: another version of flow has to read them.
func TestFormatsAreThoseOfTheGoldens(t *testing.T) {
	for name, m := range map[string]*model.Model{"classifier": classifier(t), "regression": regression(t)} {
		golden := filepath.Join("testdata", name)
		if os.Getenv("UPDATE") != "" {
			if err := model.Write(golden, m); err != nil {
				t.Fatal(err)
			}
		}
		dir := t.TempDir()
		if err := model.Write(dir, m); err != nil {
			t.Fatal(err)
		}
		for _, file := range filesOf(t, golden, dir) {
			got, err := os.ReadFile(filepath.Join(dir, file))
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(filepath.Join(golden, file))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s/%s differs from the golden; if that is meant, run with UPDATE=1", name, file)
			}
		}
	}
}

// filesOf are the names of all files in some directories.
func filesOf(t *testing.T, dirs ...string) []string {
	t.Helper()
	names := map[string]bool{}
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names[e.Name()] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

func TestDamageAndStrangersAreRefused(t *testing.T) {
	write := func(t *testing.T) string {
		dir := t.TempDir()
		if err := model.Write(dir, classifier(t)); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	change := func(t *testing.T, path, from, to string) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, bytes.Replace(data, []byte(from), []byte(to), 1), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("no model", func(t *testing.T) {
		if _, err := model.Load(t.TempDir()); !errors.Is(err, model.ErrNotModel) {
			t.Errorf("error %v, want ErrNotModel", err)
		}
	})
	for _, row := range []struct{ file, old, new, want string }{
		{"model.onnx", "Softmax", "Softmix", "model.onnx is damaged"},
		{"features.json", "rooms", "roams", "features.json is damaged"},
		{"model.json", "flow.model/1", "flow.model/9", `format "flow.model/9" is not "flow.model/1"`},
		{"model.json", "{", "[", "invalid character"},
	} {
		t.Run(row.file+" "+row.new, func(t *testing.T) {
			dir := write(t)
			change(t, filepath.Join(dir, row.file), row.old, row.new)
			if _, err := model.Load(dir); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("error %v, want one with %q", err, row.want)
			}
		})
	}
	t.Run("inconsistent", func(t *testing.T) {
		m := classifier(t)
		m.Classes = m.Classes[:2]
		if err := model.Write(t.TempDir(), m); err == nil {
			t.Error("a model of two classes with three outputs was written")
		}
	})
}

func TestJointlyScaledColumnsHaveOneRange(t *testing.T) {
	f := frameOf(t, []model.Column{{"a", model.Number}, {"b", model.Number}}, "a,b", "2,10", ",4", "6,6")
	joint := func(column string) model.NumericSpec {
		return model.NumericSpec{Column: column, Impute: model.ImputeConstant, Constant: 8, Scale: model.ScaleJoint}
	}
	features, err := model.Fit(f, []model.NumericSpec{joint("a"), joint("b")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]float32{0, 1, 0.75, 0.25, 0.5, 0.5}, features.Transform(f)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
