package onnx_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flow-pipelines/flow/stages/model/onnx"
)

func small() *onnx.Model {
	m := &onnx.Model{Producer: "test", Metadata: []onnx.Property{{"key", "value"}, {"empty", ""}}}
	g := &m.Graph
	g.Name = "g"
	g.Inputs = []onnx.Port{{Name: "x", Type: onnx.Float, Dims: []onnx.Dim{{Name: "batch"}, {Length: 2}}}}
	g.Outputs = []onnx.Port{{Name: "label", Type: onnx.String, Dims: []onnx.Dim{{Name: "batch"}}}}
	w := g.Floats("w", []float32{1, -1, 0.5, 2}, 2, 2)
	b := g.Floats("b", []float32{0, 1}, 2)
	y := g.Add("Gemm", "y", []string{"x", w, b})
	c := g.Add("ArgMax", "c", []string{y}, onnx.IntAttribute("axis", 1), onnx.IntAttribute("keepdims", 0))
	g.AddML("LabelEncoder", "label", []string{c},
		onnx.IntsAttribute("keys_int64s", []int64{0, 1}), onnx.StringsAttribute("values_strings", []string{"no", "yes"}))
	return m
}

func TestUnmarshalReadsWhatMarshalWrote(t *testing.T) {
	want := small()
	got, err := onnx.Unmarshal(onnx.Marshal(want))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRunComputesTheGraph(t *testing.T) {
	s, err := onnx.NewSession(small())
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.Run(map[string]onnx.Value{"x": {Rows: 2, Cols: 2, Floats: []float32{3, 0, 0, 3}}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"no", "yes"}, out["label"].Strings); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := s.Run(map[string]onnx.Value{"x": {Rows: 1, Cols: 3, Floats: make([]float32, 3)}}); err == nil {
		t.Error("three columns were taken for two")
	}
	if _, err := s.Run(nil); err == nil {
		t.Error("no input was taken for one")
	}
}

func TestWhatRunDoesNotKnowIsRefusedByName(t *testing.T) {
	for want, change := range map[string]func(*onnx.Model){
		`operation "LSTM"`:        func(m *onnx.Model) { m.Graph.Nodes[0].Op = "LSTM" },
		`reads "z" before`:        func(m *onnx.Model) { m.Graph.Nodes[0].Inputs[0] = "z" },
		`nothing computes output`: func(m *onnx.Model) { m.Graph.Outputs[0].Name = "z" },
		`has 2 inputs`:            func(m *onnx.Model) { m.Graph.Nodes[0].Inputs = m.Graph.Nodes[0].Inputs[:2] },
		`has dimensions [2 2 1]`:  func(m *onnx.Model) { m.Graph.Initializers[0].Dims = []int64{2, 2, 1} },
	} {
		m := small()
		change(m)
		if _, err := onnx.NewSession(m); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

// Whatever the bytes are, reading and running them ends in a value or an error.
func FuzzUnmarshal(f *testing.F) {
	f.Add(onnx.Marshal(small()))
	f.Fuzz(func(_ *testing.T, data []byte) {
		m, err := onnx.Unmarshal(data)
		if err != nil {
			return
		}
		s, err := onnx.NewSession(m)
		if err != nil {
			return
		}
		_, _ = s.Run(map[string]onnx.Value{"x": {Rows: 1, Cols: 2, Floats: []float32{1, 2}}})
	})
}
