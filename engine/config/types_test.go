package config_test

import (
	"encoding/json"
	"path"
	"path/filepath"

	"github.com/flow-pipelines/flow/engine/stage"
)

// The stage types of these tests: shaped like flow's own, with nothing behind.

type datasetConfig struct {
	Path  string `json:"path" flow:"required"`
	Store bool   `json:"store" default:"true"`
}

type dataset struct{}

func (dataset) Schema() *stage.Schema {
	return &stage.Schema{Name: "dataset", Version: 1, Summary: "Files of the project.", Body: stage.BodyOf[datasetConfig]()}
}

func (dataset) Job(req *stage.Request) (*stage.Job, error) {
	c, err := stage.Decode[datasetConfig](req.Args)
	if err != nil {
		return nil, err
	}
	return &stage.Job{Given: true, Outputs: []stage.Output{{Name: "data", Path: c.Path}}}, nil
}

type execConfig struct {
	Command []string          `json:"command" flow:"required" doc:"The program and its arguments."`
	Inputs  []stage.Artifact  `json:"inputs"`
	Outputs map[string]string `json:"outputs"`
	Metrics []string          `json:"metrics"`
	Env     map[string]string `json:"env"`
}

type exec struct{}

func (exec) Schema() *stage.Schema {
	return &stage.Schema{Name: "exec", Version: 1, Summary: "Any program.", Body: stage.BodyOf[execConfig]()}
}

func (exec) Job(req *stage.Request) (*stage.Job, error) {
	c, err := stage.Decode[execConfig](req.Args)
	if err != nil {
		return nil, err
	}
	if len(c.Command) == 0 && !req.IsUnknown("command") {
		return nil, stage.Problemf("command", "Empty command", "Name the program to run.")
	}
	j := &stage.Job{Command: c.Command, Inputs: req.Inputs, MetricsFiles: c.Metrics}
	for _, name := range sortedKeys(c.Outputs) {
		j.Outputs = append(j.Outputs, stage.Output{Name: name, Path: c.Outputs[name]})
	}
	return j, nil
}

type preprocessConfig struct {
	Inputs map[string]stage.Artifact `json:"inputs" flow:"required"`
	Steps  []step                    `json:"steps" flow:"steps"`
}

type step struct {
	Filter *filterStep `json:"filter"`
	Derive *deriveStep `json:"derive"`
	Drop   *dropStep   `json:"drop"`
}

type filterStep struct {
	Where stage.Expression `json:"where" flow:"required"`
}

type deriveStep struct {
	Columns map[string]stage.Expression `json:"columns" flow:"required"`
}

type dropStep struct {
	Columns []string `json:"columns" flow:"required"`
}

type preprocess struct{}

func (preprocess) Schema() *stage.Schema {
	return &stage.Schema{Name: "preprocess", Version: 1, Summary: "Tables.", Body: stage.BodyOf[preprocessConfig]()}
}

func (preprocess) Job(req *stage.Request) (*stage.Job, error) {
	return req.Job(stage.Output{Name: "data", Path: "data.csv"}), nil
}

type splitConfig struct {
	Input stage.Artifact     `json:"input" flow:"required"`
	Parts map[string]float64 `json:"parts" flow:"required"`
	Seed  int                `json:"seed" default:"0"`
}

type split struct{}

func (split) Schema() *stage.Schema {
	return &stage.Schema{Name: "split", Version: 1, Summary: "Parts.", Body: stage.BodyOf[splitConfig]()}
}

func (split) Job(req *stage.Request) (*stage.Job, error) {
	c, err := stage.Decode[splitConfig](req.Args)
	if err != nil {
		return nil, err
	}
	var outs []stage.Output
	for _, name := range sortedKeys(c.Parts) {
		outs = append(outs, stage.Output{Name: name, Path: name + ".csv"})
	}
	return req.Job(outs...), nil
}

type trainConfig struct {
	Data     stage.Artifact     `json:"data" flow:"required"`
	Target   string             `json:"target" flow:"required" doc:"The column to predict."`
	Features *features          `json:"features"`
	Model    *model             `json:"model" flow:"choice"`
	Epochs   int                `json:"epochs" default:"10"`
	Loss     string             `json:"loss" default:"auto" oneof:"auto cross_entropy squared"`
	Weights  map[string]float64 `json:"weights"`
}

type features struct {
	Numeric []numeric `json:"numeric"`
}

type numeric struct {
	Columns string `json:"columns" flow:"label"`
	Impute  string `json:"impute" default:"none" oneof:"none mean median"`
	Scale   string `json:"scale"`
}

type model struct {
	MLP    *mlp    `json:"mlp"`
	Linear *linear `json:"linear"`
}

type mlp struct {
	Hidden []int `json:"hidden" default:"[16]"`
}

type linear struct {
	L2 float64 `json:"l2"`
}

type train struct{}

func (train) Schema() *stage.Schema {
	return &stage.Schema{Name: "train", Version: 1, Summary: "Models.", Body: stage.BodyOf[trainConfig]()}
}

func (train) Job(req *stage.Request) (*stage.Job, error) {
	c, err := stage.Decode[trainConfig](req.Args)
	if err != nil {
		return nil, err
	}
	if c.Epochs < 1 && !req.IsUnknown("epochs") {
		return nil, stage.Problemf("epochs", "No epochs", "Train for at least one epoch; got %d.", c.Epochs)
	}
	return req.Job(stage.Output{Name: "model", Path: "model", Dir: true}), nil
}

type selectConfig struct {
	Candidates []stage.Reference `json:"candidates" flow:"required"`
	Metric     string            `json:"metric" flow:"required"`
}

type choose struct{}

func (choose) Schema() *stage.Schema {
	return &stage.Schema{Name: "select", Version: 1, Summary: "The best.", Body: stage.BodyOf[selectConfig]()}
}

func (choose) Job(req *stage.Request) (*stage.Job, error) {
	return req.Job(stage.Output{Name: "model", Path: "model", Dir: true}), nil
}

type evaluateConfig struct {
	Model     stage.Artifact `json:"model" flow:"required"`
	Data      stage.Artifact `json:"data" flow:"required"`
	Threshold float64        `json:"threshold" default:"0.5"`
}

type evaluate struct{}

func (evaluate) Schema() *stage.Schema {
	return &stage.Schema{Name: "evaluate", Version: 1, Summary: "Metrics.", Body: stage.BodyOf[evaluateConfig]()}
}

func (evaluate) Job(req *stage.Request) (*stage.Job, error) {
	return req.Job(stage.Output{Name: "predictions", Path: path.Join("predictions.csv")}), nil
}

type deployConfig struct {
	Model     stage.Artifact `json:"model" flow:"required"`
	Directory *directory     `json:"directory" flow:"required"`
	Token     string         `json:"token"`
}

type directory struct {
	Path string `json:"path" flow:"required"`
}

type deploy struct{}

func (deploy) Schema() *stage.Schema {
	return &stage.Schema{Name: "deploy", Version: 1, Summary: "Puts a model to use.", Effect: true, Body: stage.BodyOf[deployConfig]()}
}

func (deploy) Job(req *stage.Request) (*stage.Job, error) { return req.Job(), nil }

func (deploy) Place(project string, args json.RawMessage) string {
	cfg, err := stage.Decode[deployConfig](args)
	if err != nil || cfg.Directory == nil {
		return ""
	}
	return filepath.Join(project, cfg.Directory.Path)
}

func (deploy) Remains(string, stage.Metrics) (stage.Remains, bool) { return stage.Remains{}, false }

func types() []stage.Type {
	return []stage.Type{dataset{}, exec{}, preprocess{}, split{}, train{}, choose{}, evaluate{}, deploy{}}
}
