package train_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// reviews writes a table of text whose class is in its words.
func reviews(t *testing.T, path string, rows int) {
	t.Helper()
	good, bad := []string{"fine", "lovely", "not bad"}, []string{"awful", "poor", "not fine"}
	var b strings.Builder
	b.WriteString("text,stars,verdict\n")
	for i := range rows {
		words, verdict := good, "good"
		if i%3 == 0 {
			words, verdict = bad, "bad"
		}
		fmt.Fprintf(&b, "\"This one, number %d, is\n%s and %s\",%d,%s\n", i, words[i%3], words[i/3%3], i%5, verdict)
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o666); err != nil {
		t.Fatal(err)
	}
}

func TestTextIsClassified(t *testing.T) {
	t.Chdir(t.TempDir())
	reviews(t, "train.csv", 600)
	reviews(t, "test.csv", 90)
	for name, features := range map[string]object{
		"words":      {"text": []object{{"columns": "text"}}},
		"characters": {"text": []object{{"columns": "text", "words": []int{}, "characters": []int{2, 5}}}},
		"hashed":     {"text": []object{{"columns": "text", "buckets": 4096}}},
		"all":        {"text": []object{{"columns": "text", "characters": []int{3, 4}}}, "numeric": []object{{"columns": "*"}}},
	} {
		t.Run(name, func(t *testing.T) {
			r := mustRun(t, object{"data": "train.csv", "validation": "test.csv", "target": "verdict", "model": object{"logistic": object{"l2": 0.1}}, "features": features})
			if f1 := r.metric(t, "validation.f1"); f1 < 0.98 {
				t.Errorf("F1 %v", f1)
			}
			if r.metric(t, "iterations") < 1 || len(r.events) == 0 || r.events[0].Unit != "iteration" {
				t.Errorf("metrics %v, events %v", r.metrics, r.events)
			}
			if p := predictions(t, r.dir, "test.csv"); len(p.Class) != 90 {
				t.Errorf("%d predictions", len(p.Class))
			}
		})
	}
}

func TestNetworksTakeTextToo(t *testing.T) {
	t.Chdir(t.TempDir())
	reviews(t, "train.csv", 600)
	r := mustRun(t, object{
		"data": "train.csv", "validation": "train.csv", "target": "verdict", "epochs": 10,
		"model": object{"mlp": object{"hidden": []int{8}}}, "features": object{"text": []object{{"columns": "text"}}},
	})
	if f1 := r.metric(t, "validation.f1"); f1 < 0.98 {
		t.Errorf("F1 %v", f1)
	}
}

func TestTheSolvedModelIsTheSameBitsWithAnyNumberOfCPUs(t *testing.T) {
	t.Chdir(t.TempDir())
	reviews(t, "train.csv", 3000)
	var want string
	for _, cpus := range []int{1, 2, 5} {
		r, err := runWith(t, object{
			"data": "train.csv", "target": "verdict", "class_weights": "balanced",
			"model": object{"logistic": object{}}, "features": object{"text": []object{{"columns": "text"}}},
		}, cpus)
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(r.dir, "model.onnx"))
		if err != nil {
			t.Fatal(err)
		}
		if want == "" {
			want = string(b)
		}
		if string(b) != want {
			t.Errorf("%d CPUs give another model than one", cpus)
		}
	}
}

func TestTextWithBadArguments(t *testing.T) {
	t.Chdir(t.TempDir())
	reviews(t, "train.csv", 30)
	logistic := object{"logistic": object{}}
	for want, args := range map[string]object{
		"Trees take no text":     {"model": object{"gbdt": object{}}, "features": object{"text": []object{{"columns": "text"}}}},
		"Not lengths of n-grams": {"model": logistic, "features": object{"text": []object{{"columns": "text", "words": []int{3, 1}}}}},
		"No n-grams":             {"model": logistic, "features": object{"text": []object{{"columns": "text", "words": []int{}}}}},
		"No column \"txt\"":      {"model": logistic, "features": object{"text": []object{{"columns": "txt"}}}},
		"Not in the range":       {"model": object{"logistic": object{"l2": -1}}, "features": object{"text": []object{{"columns": "text"}}}},
		"No feature is left":     {"model": logistic, "features": object{"text": []object{{"columns": "text", "min_rows": 1000}}}},
	} {
		args["data"], args["target"] = "train.csv", "verdict"
		if _, err := run(t, args); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
