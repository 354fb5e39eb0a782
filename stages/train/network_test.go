package train_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flow-pipelines/flow/stages/nn/philox"
)

// shapes writes a table of images of 8×8 in which there is a horizontal or a
// vertical line.
func shapes(t *testing.T, name string, rows int, index uint32) {
	t.Helper()
	s := philox.New(3, 0, index)
	var b strings.Builder
	for i := range 64 {
		fmt.Fprintf(&b, "p%d,", i)
	}
	b.WriteString("line\n")
	for range rows {
		var pixels [64]float32
		for i := range pixels {
			pixels[i] = s.Float32() / 2
		}
		line, at, from := "across", s.IntN(8), s.IntN(4)
		if s.IntN(2) == 1 {
			line = "down"
		}
		for d := from; d < from+4; d++ {
			if line == "down" {
				pixels[d*8+at] = 1
			} else {
				pixels[at*8+d] = 1
			}
		}
		for _, v := range pixels {
			fmt.Fprintf(&b, "%.2f,", v)
		}
		b.WriteString(line + "\n")
	}
	if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestConvolutionsLearnImagesInColumns(t *testing.T) {
	t.Chdir(t.TempDir())
	shapes(t, "train.csv", 400, 0)
	shapes(t, "validation.csv", 200, 1)
	for name, model := range map[string]object{
		"cnn":        {"cnn": object{"filters": []int{8}, "hidden": []int{16}}},
		"batch norm": {"cnn": object{"filters": []int{8, 8}, "batch_norm": true, "dropout": 0.1, "shape": []int{8, 8, 1}}},
		"layers": {"layers": object{"shape": []int{8, 8, 1}, "stack": []object{
			{"conv": object{"filters": 8, "size": 3, "stride": 1, "padding": "valid", "activation": "identity"}},
			{"batch_norm": object{}},
			{"activation": object{"function": "relu"}},
			{"pool": object{"of": "average", "size": 0}},
			{"dropout": object{"rate": 0.1}},
			{"flatten": object{}},
			{"dense": object{"units": 16, "activation": "tanh"}},
		}}},
	} {
		t.Run(name, func(t *testing.T) {
			args := object{
				"data": "train.csv", "validation": "validation.csv", "target": "line", "model": model,
				"optimizer": object{"adam": object{"learning_rate": 0.01}}, "epochs": 12,
			}
			r := mustRun(t, args)
			if got := r.metric(t, "validation.accuracy"); got < 0.97 {
				t.Errorf("accuracy %v, want at least 0.97", got)
			}
			two, err := runWith(t, args, 2)
			if err != nil {
				t.Fatal(err)
			}
			if one, two := hashOf(t, r.dir), hashOf(t, two.dir); one != two {
				t.Errorf("models with one and two CPUs are %s and %s", one, two)
			}
		})
	}
}

func TestMistakesInLayersNameThem(t *testing.T) {
	t.Chdir(t.TempDir())
	shapes(t, "train.csv", 10, 0)
	for want, model := range map[string]object{
		"model.cnn.shape: Not the shape of an image":           {"cnn": object{"shape": []int{8, 8}}},
		"model.cnn.shape: The image has another size":          {"cnn": object{"shape": []int{7, 8, 1}}},
		"model.cnn: Not a positive number":                     {"cnn": object{"pool": 0}},
		"model.cnn.filters[3]: A layer that cannot be":         {"cnn": object{"filters": []int{2, 2, 2, 2, 2}}},
		"model.layers.stack[1]: A layer that cannot be":        {"layers": object{"stack": []object{{"dense": object{"units": 4, "activation": "relu"}}, {"conv": object{"filters": 2, "size": 3, "stride": 1, "padding": "valid", "activation": "relu"}}}}},
		"model.layers.stack[0]: A layer that cannot be: The l": {"layers": object{"stack": []object{{"dropout": object{"rate": 1}}}}},
	} {
		_, err := run(t, object{"data": "train.csv", "target": "line", "model": model})
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

// hashOf is the SHA-256 of model.onnx.
func hashOf(t *testing.T, dir string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "model.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(b))
}
