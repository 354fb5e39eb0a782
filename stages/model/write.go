package model

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/flow-pipelines/flow/stages/model/onnx"
)

// The files of a model directory.
const (
	fileONNX     = "model.onnx"
	fileFeatures = "features.json"
	FileModel    = "model.json" // every model directory has one
	fileCard     = "README.md"
	// fileCoefficients is there for linear models alone.
	fileCoefficients = "coefficients.csv"
)

// description is model.json.
type description struct {
	Format     string            `json:"format"`
	Task       Task              `json:"task"`
	Target     string            `json:"target"`
	Separator  string            `json:"separator,omitempty"`
	Classes    []string          `json:"classes,omitempty"`
	Positive   string            `json:"positive,omitempty"`
	Threshold  float32           `json:"threshold,omitempty"`
	Family     string            `json:"family"`
	Parameters map[string]any    `json:"parameters"`
	Metrics    map[string]any    `json:"metrics"`
	Data       map[string]Data   `json:"data,omitempty"`
	Versions   map[string]int    `json:"versions"`
	Files      map[string]string `json:"files"`
}

// description is what is written of a model, but for its files.
func (m *Model) description() description {
	return description{
		Format: Format, Task: m.Task, Target: m.Target, Separator: m.Separator, Classes: m.Classes, Positive: m.Positive, Threshold: m.Threshold, Family: m.Family,
		Parameters: m.Parameters, Metrics: m.Metrics, Data: m.Data, Versions: m.Versions,
	}
}

// Write makes the directory, which may exist and then must be empty or hold a
// model, and writes the model's files.
func Write(dir string, m *Model) error {
	if err := m.check(); err != nil {
		return fmt.Errorf("write model: %w", err)
	}
	graph := onnx.Marshal(graphOf(m))
	features, err := encode(m.Features)
	if err != nil {
		return fmt.Errorf("write model: features: %w", err)
	}
	about := m.description()
	about.Files = map[string]string{fileONNX: fileDigest(graph), fileFeatures: fileDigest(features)}
	index, err := encode(about)
	if err != nil {
		return fmt.Errorf("write model: %w", err)
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("write model: %w", err)
	}
	type file struct {
		name string
		data []byte
	}
	all := coefficients(m)
	files := []file{{fileONNX, graph}, {fileFeatures, features}, {fileCard, []byte(card(m, all))}}
	if all != nil {
		table, err := coefficientTable(all)
		if err != nil {
			return fmt.Errorf("write model: coefficients: %w", err)
		}
		files = append(files, file{fileCoefficients, table})
	}
	for _, f := range append(files, file{FileModel, index}) {
		if err := os.WriteFile(filepath.Join(dir, f.name), f.data, 0o666); err != nil {
			return fmt.Errorf("write model: %w", err)
		}
	}
	return nil
}

// encode writes JSON for people: indented, keys of maps sorted.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(v)
	return b.Bytes(), err
}

func fileDigest(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}
