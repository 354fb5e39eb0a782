package model_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/flow-pipelines/flow/stages/model"
)

// frontMatter is what the Hugging Face Hub reads of a model card.
type frontMatter struct {
	Library  string   `yaml:"library_name"`
	Pipeline string   `yaml:"pipeline_tag"`
	Tags     []string `yaml:"tags"`
	Index    []struct {
		Name    string `yaml:"name"`
		Results []struct {
			Metrics []struct {
				Type  string  `yaml:"type"`
				Value float64 `yaml:"value"`
			} `yaml:"metrics"`
		} `yaml:"results"`
	} `yaml:"model-index"`
}

func TestTheCardsFrontMatterIsYAMLWhateverTheNames(t *testing.T) {
	m := classifier(t)
	m.Target = "is it: \"sold\" #1\n---\nü"
	dir := t.TempDir()
	if err := model.Write(dir, m); err != nil {
		t.Fatal(err)
	}
	card, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.SplitN(string(card), "---\n", 3)
	var front frontMatter
	if err := yaml.Unmarshal([]byte(parts[1]), &front); err != nil {
		t.Fatalf("%v in:\n%s", err, parts[1])
	}
	if front.Library != "onnx" || front.Pipeline != "tabular-classification" || len(front.Index) != 1 {
		t.Errorf("front matter %+v", front)
	}
	if got, want := front.Index[0].Name, `is it: "sold" #1 --- ü: classification by mlp`; got != want {
		t.Errorf("name %q, want %q", got, want)
	}
	if metrics := front.Index[0].Results[0].Metrics; len(metrics) != 2 || metrics[1].Type != "f1" || metrics[1].Value != 0.5 {
		t.Errorf("metrics %+v", metrics)
	}
}
