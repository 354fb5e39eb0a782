package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/flow-pipelines/flow/stages/linear"
	"github.com/flow-pipelines/flow/stages/model/onnx"
)

// ErrNotModel is wrapped by Load's error if a directory is no model at all.
var ErrNotModel = errors.New("not a model directory")

// Predictor predicts rows with a model directory. It is safe for concurrent
// use, each goroutine with a Frame of its own.
type Predictor struct {
	about    description
	features Features
	session  *onnx.Session
	// bags are vectorizers for the text of one goroutine at a time.
	bags sync.Pool
}

// Prediction is a model's answer, one entry a row.
type Prediction struct {
	// Values are a regression's answers.
	Values []float64
	// Class has a classification's answers as indices into Classes, and
	// Probabilities those of all classes, row-major. Labels, row-major too, are a
	// multilabel's answers: a row has the labels whose probability is at least a half.
	Class         []int
	Probabilities []float64
	Labels        []bool
}

// Load reads a model directory and checks it against its own digests.
func Load(dir string) (*Predictor, error) {
	p := &Predictor{}
	index, err := os.ReadFile(filepath.Join(dir, FileModel))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("load model %s: %w: it has no %s", dir, ErrNotModel, FileModel)
	}
	if err != nil {
		return nil, fmt.Errorf("load model: %w", err)
	}
	if err := json.Unmarshal(index, &p.about); err != nil {
		return nil, fmt.Errorf("load model %s: %s: %w", dir, FileModel, err)
	}
	if p.about.Format != Format {
		return nil, fmt.Errorf("load model %s: format %q is not %q; it was written by another version of flow", dir, p.about.Format, Format)
	}
	features, err := p.read(dir, fileFeatures)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(features, &p.features); err != nil {
		return nil, fmt.Errorf("load model %s: %s: %w", dir, fileFeatures, err)
	}
	if err := p.features.check(); err != nil {
		return nil, fmt.Errorf("load model %s: %s: %w", dir, fileFeatures, err)
	}
	graph, err := p.read(dir, fileONNX)
	if err != nil {
		return nil, err
	}
	m, err := onnx.Unmarshal(graph)
	if err == nil {
		p.session, err = onnx.NewSession(m)
	}
	if err != nil {
		return nil, fmt.Errorf("load model %s: %w", dir, err)
	}
	return p, nil
}

func (p *Predictor) read(dir, name string) ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return nil, fmt.Errorf("load model: %w", err)
	}
	if got, want := fileDigest(data), p.about.Files[name]; got != want {
		return nil, fmt.Errorf("load model %s: %s is damaged: its digest is %s, %s says %s", dir, name, got, FileModel, want)
	}
	return data, nil
}

// New returns a predictor for a model that has not been written, the same that
// Load would return for its directory.
func New(m *Model) (*Predictor, error) {
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("make predictor: %w", err)
	}
	session, err := onnx.NewSession(graphOf(m))
	if err != nil {
		return nil, err
	}
	return &Predictor{about: m.description(), features: m.Features, session: session}, nil
}

// Task returns what the model predicts.
func (p *Predictor) Task() Task { return p.about.Task }

// Target returns the column that the model predicts.
func (p *Predictor) Target() string { return p.about.Target }

// Separator returns what stands between the labels in the target of a multilabel
// model; "" says that each of its Classes is a column.
func (p *Predictor) Separator() string { return p.about.Separator }

// Classes returns the classes in the order of their probabilities; nil for a
// regression.
func (p *Predictor) Classes() []string { return p.about.Classes }

// Positive returns the class that binary metrics are about, or "".
func (p *Predictor) Positive() string { return p.about.Positive }

// Family returns the family of the model, such as "mlp".
func (p *Predictor) Family() string { return p.about.Family }

// Columns returns the columns that the model reads.
func (p *Predictor) Columns() []Column { return p.features.Columns() }

// NewFrame returns an empty frame for rows of a table with the columns in have,
// or a *MissingColumnsError.
func (p *Predictor) NewFrame(have []string) (*Frame, error) { return NewFrame(p.Columns(), have) }

// predictRows and predictNumbers are how many rows, and numbers of them, run at
// once, so that the memory of a prediction does not grow with the frame.
const (
	predictRows    = 4096
	predictNumbers = 1 << 20
)

// textRows is the same with text, whose terms take memory times the units of a
// layer.
const textRows = 512

// Predict answers each row of a frame that has the model's columns.
func (p *Predictor) Predict(f *Frame) (*Prediction, error) {
	out := &Prediction{}
	positive := slices.Index(p.about.Classes, p.about.Positive)
	err := p.each(f, func(values map[string]onnx.Value) {
		if p.about.Task == Regression {
			for _, v := range values[outputPrediction].Floats {
				out.Values = append(out.Values, float64(v))
			}
			return
		}
		probabilities := values[outputProbabilities]
		for i := range probabilities.Rows {
			row := probabilities.Floats[i*probabilities.Cols : (i+1)*probabilities.Cols]
			for _, v := range row {
				out.Probabilities = append(out.Probabilities, float64(v))
			}
			if p.about.Task == Multilabel {
				for _, v := range row {
					out.Labels = append(out.Labels, v >= 0.5)
				}
				continue
			}
			class := largest(row)
			if p.about.Threshold > 0 {
				class = 1 - positive
				if row[positive] >= p.about.Threshold {
					class = positive
				}
			}
			out.Class = append(out.Class, class)
		}
	})
	return out, err
}

// Scores returns what the softmax of a classification takes for each row of a
// frame, row-major.
func Scores(m *Model, f *Frame) ([]float64, error) {
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("compute scores: %w", err)
	}
	graph, scores := scoresOf(m)
	graph.Graph.Outputs = []onnx.Port{{Name: scores, Type: onnx.Float, Dims: batch(len(m.Classes))}}
	session, err := onnx.NewSession(graph)
	if err != nil {
		return nil, err
	}
	p := &Predictor{features: m.Features, session: session}
	out := make([]float64, 0, f.rows*len(m.Classes))
	err = p.each(f, func(values map[string]onnx.Value) {
		for _, v := range values[scores].Floats {
			out = append(out, float64(v))
		}
	})
	return out, err
}

// each runs the graph over the rows of a frame, some at a time.
func (p *Predictor) each(f *Frame, take func(values map[string]onnx.Value)) error {
	step := max(1, min(predictRows, predictNumbers/p.features.Width()))
	if len(p.features.Text) > 0 {
		step = textRows
	}
	for from := 0; from < f.rows; from += step {
		values, err := p.session.Run(p.inputs(f, from, min(from+step, f.rows)))
		if err != nil {
			return fmt.Errorf("predict: %w", err)
		}
		take(values)
	}
	return nil
}

// largest is the first of the largest, as ArgMax has it.
func largest(row []float32) int {
	best, at := float32(math.Inf(-1)), 0
	for i, v := range row {
		if v > best {
			best, at = v, i
		}
	}
	return at
}

// inputs are the rows [from, to) as the graph takes them.
func (p *Predictor) inputs(f *Frame, from, to int) map[string]onnx.Value {
	rows := to - from
	in := map[string]onnx.Value{}
	if n := len(p.features.Numeric); n > 0 {
		v := onnx.Value{Rows: rows, Cols: n, Floats: make([]float32, rows*n)}
		for j, c := range p.features.Numeric {
			for i, x := range columnOf(f, c.Column, c.Part, from, to) {
				v.Floats[i*n+j] = float32(x)
			}
		}
		in[inputNumeric] = v
	}
	if k := len(p.features.Categorical); k > 0 {
		v := onnx.Value{Rows: rows, Cols: k, Strings: make([]string, rows*k)}
		for j, c := range p.features.Categorical {
			for i, s := range f.strings(c.Column)[from:to] {
				v.Strings[i*k+j] = s
			}
		}
		in[inputCategorical] = v
	}
	if len(p.features.Text) > 0 {
		vs, ok := p.bags.Get().(*vectorizers)
		if !ok {
			own := p.features.vectorizers()
			vs = &own
		}
		in[inputTextIndex], in[inputTextWeight] = padded(vs.bags(f, from, to))
		p.bags.Put(vs)
	}
	return in
}

// padded are bags as the graph takes them; see addBag.
func padded(bags *linear.Rows) (index, weight onnx.Value) {
	terms := 1
	for i := range bags.Len() {
		terms = max(terms, bags.Start[i+1]-bags.Start[i])
	}
	n := bags.Len() * terms
	index = onnx.Value{Rows: bags.Len(), Cols: terms, Ints: make([]int64, n)}
	weight = onnx.Value{Rows: bags.Len(), Cols: terms, Floats: make([]float32, n)}
	for i := range n {
		index.Ints[i] = int64(bags.Cols)
	}
	for i := range bags.Len() {
		from := bags.Start[i]
		for k, j := range bags.Index[from:bags.Start[i+1]] {
			index.Ints[i*terms+k], weight.Floats[i*terms+k] = int64(j), bags.Value[from+k]
		}
	}
	return index, weight
}
