package train_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/zclconf/go-cty/cty"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/stages/nn/philox"
	"github.com/flow-pipelines/flow/stages/train"
)

// object is a JSON object.
type object = map[string]any

// withDefaults fills in the defaults of the schema, as the engine does before
// a stage sees its arguments.
func withDefaults(t *testing.T, body stage.Body, args object) object {
	t.Helper()
	for _, a := range body.Attributes {
		if _, ok := args[a.Name]; !ok && a.Default != cty.NilVal {
			b, err := ctyjson.Marshal(a.Default, a.Default.Type())
			if err != nil {
				t.Fatal(err)
			}
			args[a.Name] = json.RawMessage(b)
		}
	}
	for _, b := range body.Blocks {
		switch v := args[b.Name].(type) {
		case object:
			if b.Kind == stage.Single {
				withDefaults(t, b.Body, v)
			}
			for _, variant := range b.Variants {
				if inner, ok := v[variant.Name].(object); ok {
					withDefaults(t, variant.Body, inner)
				}
			}
		case []object:
			for _, inner := range v {
				withDefaults(t, b.Body, inner)
			}
		}
	}
	return args
}

func arguments(t *testing.T, args object) json.RawMessage {
	t.Helper()
	b, err := json.Marshal(withDefaults(t, train.Type{}.Schema().Body, args))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// result is what a run leaves.
type result struct {
	metrics stage.Metrics
	dir     string
	log     string
	events  []stage.Progress
}

// run runs a stage in the current directory.
func run(t *testing.T, args object) (*result, error) {
	t.Helper()
	return runWith(t, args, 1)
}

func runWith(t *testing.T, args object, cpus int) (*result, error) {
	t.Helper()
	raw := arguments(t, args)
	if _, err := (train.Type{}).Job(&stage.Request{Args: raw, Dir: "out"}); err != nil {
		return nil, err
	}
	r := &result{dir: filepath.Join(t.TempDir(), "model")}
	var log, events bytes.Buffer
	var err error
	r.metrics, err = train.Type{}.Run(t.Context(), &stage.Run{
		Spec: stage.Spec{Type: "train", Args: raw, Outputs: map[string]string{"model": r.dir}, CPUs: cpus},
		Log:  &log, Events: &events,
	})
	r.log = log.String()
	for _, line := range strings.Split(strings.TrimSpace(events.String()), "\n") {
		var p stage.Progress
		if line != "" {
			if err := json.Unmarshal([]byte(line), &p); err != nil {
				t.Fatal(err)
			}
			r.events = append(r.events, p)
		}
	}
	return r, err
}

func mustRun(t *testing.T, args object) *result {
	t.Helper()
	r, err := run(t, args)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// metric returns a metric by its dotted path.
func (r *result) metric(t *testing.T, path string) float64 {
	t.Helper()
	var v any = map[string]any(r.metrics)
	for _, name := range strings.Split(path, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			t.Fatalf("no metric %s in %v", path, r.metrics)
		}
		v = m[name]
	}
	switch v := v.(type) {
	case float64:
		return v
	case int:
		return float64(v)
	}
	t.Fatalf("metric %s is %v in %v", path, v, r.metrics)
	return 0
}

// write writes a table to the current directory, which the test changes to its
// own.
func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o666); err != nil {
		t.Fatal(err)
	}
}

// flowers is a table of two or three classes by two numbers and a text, some
// missing.
func flowers(rows int, classes []string, seed uint64) string {
	s := philox.New(seed, 0, 0)
	var b strings.Builder
	b.WriteString("id,length,width,colour,kind\n")
	for i := range rows {
		c := i % len(classes)
		length := fmt.Sprintf("%.2f", float32(3*c)+s.Float32()*2)
		if s.Float32() < 0.05 {
			length = ""
		}
		colour := []string{"red", "blue", "", "white"}[(c+s.IntN(2))%4]
		fmt.Fprintf(&b, "%d,%s,%.2f,%s,%s\n", i, length, s.Float32(), colour, classes[c])
	}
	return b.String()
}

// lines is a table with a number that depends on the others.
func lines(rows int, seed uint64) string {
	s := philox.New(seed, 0, 0)
	var b strings.Builder
	b.WriteString("a,b,constant,price\n")
	for range rows {
		x, y := s.Float32(), s.Float32()
		fmt.Fprintf(&b, "%.3f,%.3f,5,%.1f\n", x, y, 1000+300*x-200*y)
	}
	return b.String()
}

func inDir(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
	write(t, "train.csv", flowers(120, []string{"no", "yes"}, 1))
	write(t, "validation.csv", flowers(40, []string{"no", "yes"}, 2))
	write(t, "three.csv", flowers(120, []string{"a", "b", "c"}, 1))
	write(t, "lines.csv", lines(200, 1))
	write(t, "morelines.csv", lines(50, 2))
}

func mlpArgs() object {
	return object{
		"data": "train.csv", "validation": "validation.csv", "target": "kind",
		"features":  object{"numeric": []object{{"columns": "*"}}, "categorical": []object{{"columns": "colour"}}, "ignore": []string{"id"}},
		"model":     object{"mlp": object{"hidden": []int{16}, "dropout": 0.1}},
		"optimizer": object{"adam": object{"learning_rate": 0.01}},
		"epochs":    30, "seed": 7,
	}
}

func TestFamiliesLearn(t *testing.T) {
	inDir(t)
	t.Run("mlp", func(t *testing.T) {
		r := mustRun(t, mlpArgs())
		if got := r.metric(t, "validation.f1"); got < 0.95 {
			t.Errorf("validation.f1 = %v, want at least 0.95", got)
		}
		if got := len(r.events); got != 30 {
			t.Errorf("%d events, want 30", got)
		}
		last := r.events[29]
		if last.Step != 30 || last.Total != 30 || last.Unit != "epoch" || last.Metrics["validation.loss"] == 0 || last.Metrics["train.loss"] == 0 {
			t.Errorf("last event %+v", last)
		}
		if r.metric(t, "epochs_run") != 30 || r.metric(t, "best_epoch") != 30 {
			t.Errorf("metrics %v", r.metrics)
		}
	})
	t.Run("logistic with three classes", func(t *testing.T) {
		r := mustRun(t, object{
			"data": "three.csv", "target": "kind", "model": object{"logistic": object{}},
			"optimizer": object{"sgd": object{"learning_rate": 0.1}},
		})
		if got := r.metric(t, "train.accuracy"); got < 0.95 {
			t.Errorf("train.accuracy = %v, want at least 0.95", got)
		}
		if _, ok := r.metrics["validation"]; ok {
			t.Error("metrics of a validation part that there is not")
		}
	})
	t.Run("linear", func(t *testing.T) {
		r := mustRun(t, object{
			"data": "lines.csv", "validation": "morelines.csv", "target": "price", "model": object{"linear": object{}},
			"optimizer": object{"sgd": object{"learning_rate": 0.05}},
		})
		if got := r.metric(t, "validation.r2"); got < 0.9999 {
			t.Errorf("validation.r2 = %v, want at least 0.9999", got)
		}
	})
	t.Run("defaults", func(t *testing.T) {
		r := mustRun(t, object{"data": "train.csv", "validation": "validation.csv", "target": "kind", "model": object{"mlp": object{}}})
		if got := r.metric(t, "validation.f1"); got < 0.95 {
			t.Errorf("validation.f1 = %v, want at least 0.95", got)
		}
	})
}

func TestEarlyStoppingGoesBackToTheBestEpoch(t *testing.T) {
	inDir(t)
	args := mlpArgs()
	args["epochs"] = 500
	args["early_stopping"] = object{"metric": "validation.loss", "patience": 3}
	r := mustRun(t, args)
	epochs, best := r.metric(t, "epochs_run"), r.metric(t, "best_epoch")
	if epochs == 500 || best != epochs-3 {
		t.Errorf("%v epochs, best %v", epochs, best)
	}
	// The kept parameters are those of that epoch, to the last digit.
	if got, want := r.metric(t, "validation.loss"), r.events[int(best)-1].Metrics["validation.loss"]; got != want {
		t.Errorf("validation.loss = %v, in epoch %v it was %v", got, best, want)
	}
	for _, e := range r.events {
		if e.Metrics["validation.loss"] < r.metric(t, "validation.loss") {
			t.Errorf("epoch %d was better", e.Step)
		}
	}
	if !strings.Contains(r.log, "stopped after epoch") {
		t.Errorf("log %q", r.log)
	}
}

func TestTheModelIsTheSameBits(t *testing.T) {
	inDir(t)
	var want map[string]string
	for _, cpus := range []int{1, 2, 5} {
		r, err := runWith(t, mlpArgs(), cpus)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, name := range []string{"model.onnx", "features.json", "model.json", "README.md"} {
			b, err := os.ReadFile(filepath.Join(r.dir, name))
			if err != nil {
				t.Fatal(err)
			}
			got[name] = string(b)
		}
		for name := range want {
			if got[name] != want[name] {
				t.Errorf("%s differs with %d cpus", name, cpus)
			}
		}
		want = got
	}
	for name, text := range want {
		if strings.Contains(text, "train.csv") || strings.Contains(text, t.TempDir()) {
			t.Errorf("%s holds a path", name)
		}
	}
}

// The digest is a golden for all architectures: if it changes, the same key
// would stand for other bits, and Version has to be raised.
const goldenModel = "6e875732cfde16c4eed970e748445510f7a135ff312d372e34ccbaac9709f863"

func TestTheModelIsTheGoldenOne(t *testing.T) {
	inDir(t)
	b, err := os.ReadFile(filepath.Join(mustRun(t, mlpArgs()).dir, "model.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%x", sha256.Sum256(b)); got != goldenModel {
		t.Errorf("model.onnx has SHA-256 %s, want %s", got, goldenModel)
	}
}

func TestBalancedWeightsRaiseTheRecallOfARareClass(t *testing.T) {
	t.Chdir(t.TempDir())
	s := philox.New(3, 0, 0)
	var b strings.Builder
	b.WriteString("x,rare\n")
	for i := range 400 {
		rare := i%20 == 0
		x := s.Float32()
		if rare {
			x += 0.4
		}
		fmt.Fprintf(&b, "%.3f,%v\n", x, rare)
	}
	write(t, "rare.csv", b.String())
	args := func(weights any) object {
		return object{
			"data": "rare.csv", "target": "rare", "model": object{"logistic": object{}}, "class_weights": weights,
			"optimizer": object{"adam": object{"learning_rate": 0.01}},
		}
	}
	plain := mustRun(t, args(nil)).metric(t, "train.recall")
	for name, weights := range map[string]any{"balanced": "balanced", "map": object{"true": 19}} {
		if got := mustRun(t, args(weights)).metric(t, "train.recall"); got < 0.6 || got <= plain {
			t.Errorf("%s: recall %v, without weights %v", name, got, plain)
		}
	}
}

func TestAnMLPInfersItsTask(t *testing.T) {
	t.Chdir(t.TempDir())
	table := func(target func(i int) string) string {
		var b strings.Builder
		b.WriteString("x,y\n")
		for i := range 60 {
			fmt.Fprintf(&b, "%d,%s\n", i, target(i))
		}
		return b.String()
	}
	for _, row := range []struct {
		name   string
		target func(i int) string
		add    object
		want   string
	}{
		{"text", func(i int) string { return []string{"a", "b"}[i%2] }, nil, "accuracy"},
		{"truth", func(i int) string { return fmt.Sprint(i%2 == 0) }, nil, "accuracy"},
		{"codes", func(i int) string { return fmt.Sprint(i % 10) }, nil, "accuracy"},
		{"codes as numbers", func(i int) string { return fmt.Sprint(i % 10) }, object{"task": "regression"}, "r2"},
		{"counts", func(i int) string { return fmt.Sprint(3 + 7*(i%9)) }, nil, "r2"},
		{"counts as classes", func(i int) string { return fmt.Sprint(3 + 7*(i%9)) }, object{"positive": "10"}, "accuracy"},
		{"numbers", func(i int) string { return fmt.Sprint(float64(i) / 4) }, nil, "r2"},
	} {
		t.Run(row.name, func(t *testing.T) {
			write(t, "t.csv", table(row.target))
			args := object{"data": "t.csv", "target": "y", "model": object{"mlp": object{}}, "epochs": 1}
			for k, v := range row.add {
				args[k] = v
			}
			mustRun(t, args).metric(t, "train."+row.want)
		})
	}
}

func TestMistakesHaveOneClearMessage(t *testing.T) {
	inDir(t)
	write(t, "unlabelled.csv", "length,width,colour,id,kind\n1,2,red,1,no\n1,2,red,1,\n1,2,blue,1,yes\n1,2,red,1,\n")
	write(t, "one.csv", "length,width,colour,id,kind\n1,2,red,1,no\n2,2,red,1,no\n")
	write(t, "new.csv", "length,width,colour,id,kind\n1,2,red,1,no\n2,2,red,1,perhaps\n")
	write(t, "text.csv", "length,width,colour,id,kind\n1,2,red,1,no\n2,wide,red,1,yes\n")
	write(t, "ragged.csv", "length,width,colour,id,kind\n1,2,red,1,no\n2,3,red,1\n")
	write(t, "narrow.csv", "length,colour,id,kind\n1,red,1,no\n")
	write(t, "no.csv", "length,width,colour,id,kind\n1,2,red,1,no\n2,2,red,1,no\n")
	write(t, "empty.csv", "length,width,colour,id,kind\n")
	write(t, "infinite.csv", "length,width,colour,id,kind\n1,2,red,1,no\n1e300,2,red,1,yes\n")
	for _, row := range []struct {
		name   string
		change func(object)
		path   string
		want   string
	}{
		{"target", func(a object) { a["target"] = "knid" }, "target", `No column "knid": Did you mean "kind"?`},
		{"feature", func(a object) { a["features"].(object)["numeric"] = []object{{"columns": "lengh"}} }, "features.numeric[0]", `Did you mean "length"?`},
		{"pattern", func(a object) { a["features"].(object)["numeric"] = []object{{"columns": "mean_*"}} }, "features.numeric[0]", `No column matches "mean_*"`},
		{"target as feature", func(a object) { a["features"].(object)["categorical"] = []object{{"columns": "kind"}} }, "features.categorical[0]", "leak"},
		{"ignore", func(a object) { a["features"].(object)["ignore"] = []string{"idd"} }, "features.ignore[0]", `Did you mean "id"?`},
		{"text as number", func(a object) { a["features"].(object)["numeric"] = []object{{"columns": "colour"}} }, "data", `train.csv:2: column "colour"`},
		{"too many categories", func(a object) {
			a["features"].(object)["categorical"] = []object{{"columns": "id", "max_categories": 50}}
			a["features"].(object)["ignore"] = []string{}
		}, "features", `Column "id" has 120 different values`},
		{"no features", func(a object) { a["features"] = object{} }, "features", "No features"},
		{"all ignored", func(a object) { a["features"].(object)["ignore"] = []string{"*"} }, "features", "No column is a feature"},
		{"labels missing", func(a object) { a["data"] = "unlabelled.csv" }, "target", `2 of the rows of data have no "kind", the first is unlabelled.csv:3`},
		{"labels missing in validation", func(a object) { a["validation"] = "unlabelled.csv" }, "validation", "2 of the rows of validation"},
		{"one class", func(a object) { a["data"] = "one.csv" }, "target", `Every row of data has "no"`},
		{"new class", func(a object) { a["validation"] = "new.csv" }, "validation", `Class "perhaps" is not in the training part`},
		{"text in validation", func(a object) { a["validation"] = "text.csv" }, "validation", `text.csv:3: column "width": "wide" is not a number`},
		{"infinite", func(a object) { a["data"] = "infinite.csv" }, "data", `"1e300" is infinite`},
		{"ragged", func(a object) { a["data"] = "ragged.csv" }, "data", "ragged.csv:3"},
		{"no rows", func(a object) { a["data"] = "empty.csv" }, "data", "not a single row"},
		{"no such file", func(a object) { a["data"] = "nowhere.csv" }, "data", "nowhere.csv"},
		{"narrow validation", func(a object) { a["validation"] = "narrow.csv" }, "validation", `no column "width"`},
		{"text target of a regression", func(a object) { a["task"] = "regression" }, "data", `"no" is not a number`},
		{"loss", func(a object) { a["optimizer"] = object{"sgd": object{"learning_rate": 1e30}} }, "optimizer", "not finite in epoch 1"},
		{"parameter of a loss", func(a object) { a["optimizer"] = object{"sgd": object{"learning_rate": 1e30}} }, "optimizer", "and so did parameter "},
		{"resume over another argument", func(a object) { a["resume_over"] = []string{"seed"} }, "resume_over[0]", `does not go on over "seed"`},
		{"resume without epochs", func(a object) {
			a["resume_over"], a["model"] = []string{"epochs"}, object{"gbdt": object{}}
			delete(a, "optimizer")
			delete(a, "epochs")
		}, "resume_over", "not trained in epochs"},
		{"resume on a cosine", func(a object) { a["resume_over"], a["schedule"] = []string{"epochs"}, object{"cosine": object{}} }, "resume_over", "depends on the number of epochs"},
		{"positive", func(a object) { a["positive"] = "yess" }, "positive", `No class "yess": Did you mean "yes"?`},
		{"class weights name", func(a object) { a["class_weights"] = object{"never": 2} }, "class_weights", `No class "never"`},
		{"class weights", func(a object) { a["class_weights"] = "equal" }, "class_weights", `"equal" is neither`},
		{"negative weight", func(a object) { a["class_weights"] = object{"yes": -1} }, "class_weights", "-1"},
		{"all weights zero", func(a object) { a["class_weights"] = object{"yes": 0, "no": 0} }, "class_weights", "weight 0"},
		{"epochs", func(a object) { a["epochs"] = 0 }, "epochs", "at least one epoch"},
		{"batch", func(a object) { a["batch_size"] = -1 }, "batch_size", "at least one row"},
		{"hidden", func(a object) { a["model"] = object{"mlp": object{"hidden": []int{8, 0}}} }, "model.mlp.hidden[1]", "at least one unit"},
		{"size", func(a object) { a["model"] = object{"mlp": object{"hidden": []int{2000000000, 10}}} }, "model", "parameters"},
		{"dropout", func(a object) { a["model"] = object{"mlp": object{"dropout": 1}} }, "model.mlp.dropout", "below 1"},
		{"learning rate", func(a object) { a["optimizer"] = object{"adam": object{"learning_rate": 0}} }, "optimizer.adam.learning_rate", "positive"},
		{"logistic regression", func(a object) { a["model"], a["task"] = object{"logistic": object{}}, "regression" }, "task", "does not predict numbers"},
		{"linear classes", func(a object) { a["model"], a["task"] = object{"linear": object{}}, "classification" }, "task", "does not predict classes"},
		{"positive of a regression", func(a object) { a["model"], a["positive"] = object{"linear": object{}}, "yes" }, "positive", "no classes"},
		{"no validation", func(a object) { delete(a, "validation"); a["early_stopping"] = object{} }, "early_stopping", "No validation part"},
		{"metric", func(a object) { a["early_stopping"] = object{"metric": "f2"} }, "early_stopping.metric", `No metric "f2": Did you mean "f1"?`},
		{"metric of the other task", func(a object) { a["early_stopping"] = object{"metric": "rmse"} }, "early_stopping.metric", `No metric "rmse"`},
		{"metric of no value", func(a object) {
			a["validation"] = "no.csv"
			a["early_stopping"] = object{"metric": "auc"}
		}, "early_stopping.metric", `Metric "auc" has no value`},
		{"metric of the inferred task", func(a object) {
			a["model"] = object{"mlp": object{}}
			a["early_stopping"] = object{"metric": "r2"}
		}, "early_stopping.metric", `No metric "r2"`},
		{"part of a date", func(a object) {
			a["features"].(object)["date"] = []object{{"columns": "colour", "parts": []string{"year", "decade"}}}
		}, "features.date[0].parts[1]", `No part "decade"`},
		{"no date", func(a object) {
			a["features"].(object)["date"] = []object{{"columns": "colour"}}
			a["features"].(object)["categorical"] = []object{}
		}, "data", `column "colour": "blue" is not a date`},
		{"order without ordinal", func(a object) {
			a["features"].(object)["categorical"] = []object{{"columns": "colour", "order": []string{"red", "blue"}}}
		}, "features.categorical[0].order", `encoding = "ordinal"`},
		{"smoothing without target", func(a object) {
			a["features"].(object)["categorical"] = []object{{"columns": "colour", "smoothing": 0}}
		}, "features.categorical[0].smoothing", `encoding = "target"`},
		{"negative smoothing", func(a object) {
			a["features"].(object)["categorical"] = []object{{"columns": "colour", "encoding": "target", "smoothing": -1}}
		}, "features.categorical[0].smoothing", "must be 0 or more"},
		{"order with a repetition", func(a object) {
			a["features"].(object)["categorical"] = []object{{"columns": "colour", "encoding": "ordinal", "order": []string{"red", "red"}}}
		}, "features.categorical[0].order", `"red" is there twice`},
		{"patience", func(a object) { a["early_stopping"] = object{"patience": 0} }, "early_stopping.patience", "at least 1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			args := mlpArgs()
			row.change(args)
			_, err := run(t, args)
			p := problem(err)
			if p == nil {
				t.Fatalf("error %v, want one problem", err)
			}
			if p.Path != row.path || !strings.Contains(p.Summary+": "+p.Detail, row.want) {
				t.Errorf("problem at %q: %s: %s\nwant at %q: %s", p.Path, p.Summary, p.Detail, row.path, row.want)
			}
		})
	}
}

// problem returns the one problem that err is.
func problem(err error) *stage.Problem {
	var p *stage.Problem
	var ps stage.Problems
	if errors.As(err, &ps) && len(ps) == 1 {
		return ps[0]
	}
	errors.As(err, &p)
	return p
}

func TestWhatIsNotKnownYetIsNoMistake(t *testing.T) {
	raw := json.RawMessage(`{"data": "a.csv", "target": "y", "batch_size": 32, "model": {"mlp": {"hidden": [4], "activation": "relu", "dropout": 0}}}`)
	if _, err := (train.Type{}).Job(&stage.Request{Args: raw, Unknown: []string{"epochs"}}); err != nil {
		t.Errorf("error %v", err)
	}
}

func TestConstantAndEmptyColumnsAreHarmless(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "t.csv", "x,same,none,y\n1,5,,a\n2,5,,b\n3,5,,a\n4,5,,b\n")
	mustRun(t, object{"data": "t.csv", "target": "y", "model": object{"mlp": object{}}, "epochs": 2})
}

func TestOneRowOfEachClassIsEnough(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "t.csv", "x,y\n1,a\n2,b\n")
	mustRun(t, object{"data": "t.csv", "target": "y", "model": object{"logistic": object{}}, "epochs": 2})
}

func TestOneRowOfNumbersIsEnough(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "t.csv", "x,y\n1,0.5\n")
	mustRun(t, object{"data": "t.csv", "target": "y", "model": object{"linear": object{}}, "epochs": 2})
}

func TestOtherFormatsGiveTheSameModel(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "t.csv", "x,c,y\n1,a,no\n2,b,yes\n,,no\n4,b,yes\n")
	write(t, "t.jsonl", `{"x":1,"c":"a","y":"no"}
{"x":2,"c":"b","y":"yes"}
{"x":null,"c":null,"y":"no"}
{"x":4,"c":"b","y":"yes"}
`)
	model := func(file string) string {
		r := mustRun(t, object{"data": file, "target": "y", "model": object{"logistic": object{}}, "epochs": 2})
		b, err := os.ReadFile(filepath.Join(r.dir, "model.onnx"))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if model("t.csv") != model("t.jsonl") {
		t.Error("CSV and JSON Lines of the same rows gave two models")
	}
}

func TestCancellingEndsARun(t *testing.T) {
	inDir(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := train.Type{}.Run(ctx, &stage.Run{
		Spec: stage.Spec{Args: arguments(t, mlpArgs()), Outputs: map[string]string{"model": "model"}}, Log: &bytes.Buffer{},
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}
