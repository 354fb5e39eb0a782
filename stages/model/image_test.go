package model_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/flow-pipelines/flow/internal/oracle"
	"github.com/flow-pipelines/flow/stages/model"
	"github.com/flow-pipelines/flow/stages/nn/kernel"
	"github.com/flow-pipelines/flow/stages/nn/philox"
)

func randoms(n int, index uint32) []float32 {
	s := philox.New(8, 0, index)
	out := make([]float32, n)
	for i := range out {
		out[i] = s.Float32() - 0.5
	}
	return out
}

// imageModel has all kinds of layers, over images of 7×6 with two channels that
// come as columns of numbers.
func imageModel(t *testing.T) *model.Model {
	t.Helper()
	m := &model.Model{Task: model.Classification, Target: "kind", Classes: []string{"a", "b", "c"}, Family: "layers"}
	m.Features = model.Features{Format: model.FeaturesFormat}
	for i := range 7 * 6 * 2 {
		m.Features.Numeric = append(m.Features.Numeric, model.Numeric{
			Column: fmt.Sprintf("p%d", i), Impute: model.ImputeConstant, Scale: model.ScaleNone, Shift: 0.25, Factor: 2,
		})
	}
	convolution := func(w kernel.Window, filters int, activation string) model.Layer {
		return model.Layer{
			Inputs: w.In(), Units: w.Positions() * filters, Weight: randoms(w.Patch()*filters, uint32(filters)),
			Bias: randoms(filters, 90), Activation: activation, Convolution: &model.Convolution{Window: w, Filters: filters},
		}
	}
	pool := func(w kernel.Window, average bool) model.Layer {
		return model.Layer{Inputs: w.In(), Units: w.Positions() * w.Channels, Activation: "identity", Pool: &model.Pool{Window: w, Average: average}}
	}
	variance := randoms(5, 4)
	for i := range variance {
		variance[i]++
	}
	norm := func(inputs, c int) model.Layer {
		return model.Layer{Inputs: inputs, Units: inputs, Activation: "identity", Norm: &model.Norm{
			Scale: randoms(c, 1), Bias: randoms(c, 2), Mean: randoms(c, 3), Variance: variance[:c],
		}}
	}
	m.Layers = []model.Layer{
		norm(84, 2),
		convolution(kernel.Same(7, 6, 2, 4, 1), 5, "identity"),
		norm(210, 5),
		{Inputs: 210, Units: 210, Activation: "relu"},
		pool(kernel.Valid(7, 6, 5, 2, 1), false),
		convolution(kernel.Same(6, 5, 5, 3, 2), 4, "tanh"),
		pool(kernel.Valid(3, 3, 4, 2, 1), true),
		layer(16, 5, "sigmoid"),
		norm(5, 5),
		layer(5, 3, "identity"),
	}
	return m
}

func imageRows() []string {
	header, rows := []string{}, []string{}
	for i := range 7 * 6 * 2 {
		header = append(header, fmt.Sprintf("p%d", i))
	}
	for r := range 9 {
		cells := []string{}
		for _, v := range randoms(7*6*2, uint32(20+r)) {
			cells = append(cells, fmt.Sprint(v))
		}
		rows = append(rows, strings.Join(cells, ","))
	}
	return append([]string{strings.Join(header, ",")}, rows...)
}

func TestONNXRuntimeAgreesAboutImages(t *testing.T) {
	whole := imageModel(t)
	image := whole.Layers[6]
	image.Pool = &model.Pool{Window: kernel.Whole(3, 3, 4), Average: true}
	image.Units = 4
	global := imageModel(t)
	global.Layers = append(slices.Clone(global.Layers[:6]), image, layer(4, 3, "identity"))
	last := imageModel(t) // ends as an image
	w := kernel.Valid(3, 3, 4, 3, 1)
	last.Layers = append(slices.Clone(last.Layers[:6]), model.Layer{
		Inputs: 36, Units: 3, Weight: randoms(36*3, 1), Bias: randoms(3, 2), Activation: "identity",
		Convolution: &model.Convolution{Window: w, Filters: 3},
	})
	for name, m := range map[string]*model.Model{"all kinds": whole, "global pool": global, "convolutions alone": last} {
		t.Run(name, func(t *testing.T) {
			oracle.Python(t)
			dir := t.TempDir()
			if err := model.Write(dir, m); err != nil {
				t.Fatal(err)
			}
			p, err := model.Load(dir)
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.Predict(frameOf(t, p.Columns(), imageRows()...))
			if err != nil {
				t.Fatal(err)
			}
			answer := ask(t, dir, imageRows())
			if len(answer.Probabilities) != 9 {
				t.Fatalf("onnxruntime answered %d rows, want 9", len(answer.Probabilities))
			}
			for i, row := range answer.Probabilities {
				for j, v := range row {
					if d := v - got.Probabilities[3*i+j]; d > 1e-5 || d < -1e-5 {
						t.Errorf("row %d: probability %v, onnxruntime has %v", i, got.Probabilities[3*i+j], v)
					}
				}
			}
		})
	}
}

func TestALayerThatDoesNotFitIsNotWritten(t *testing.T) {
	for name, change := range map[string]func(*model.Model){
		"width":    func(m *model.Model) { m.Layers = m.Layers[1:2] },
		"weights":  func(m *model.Model) { m.Layers[1].Weight = m.Layers[1].Weight[1:] },
		"filters":  func(m *model.Model) { m.Layers[1].Convolution.Filters++ },
		"channels": func(m *model.Model) { m.Layers[0].Norm.Mean = m.Layers[0].Norm.Mean[1:] },
		"pool":     func(m *model.Model) { m.Layers[4].Pool.Window.Channels = 3 },
	} {
		m := imageModel(t)
		change(m)
		if err := model.Write(t.TempDir(), m); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
