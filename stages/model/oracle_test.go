package model_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/flow-pipelines/flow/internal/oracle"
	"github.com/flow-pipelines/flow/stages/model"
)

// runONNX checks model.onnx with the real checker and runs it with the real
// runtime, on raw columns; it answers with all outputs, as lists of rows.
const runONNX = `
import datetime, json, sys
import numpy as np, onnx, onnxruntime
parts = {
    "year": lambda d: d.year, "quarter": lambda d: (d.month + 2) // 3, "month": lambda d: d.month, "day": lambda d: d.day,
    "yearday": lambda d: d.timetuple().tm_yday, "weekday": lambda d: d.isoweekday(), "hour": lambda d: d.hour, "minute": lambda d: d.minute,
    "days": lambda d: (d.replace(tzinfo=None) - datetime.datetime(1970, 1, 1)).total_seconds() / 86400,
}
def column(name):
    if name in columns:
        return columns[name]
    name, _, part = name.rpartition(".")
    return ["" if v == "" else parts[part](datetime.datetime.fromisoformat(v.replace("Z", "+00:00"))) for v in columns[name]]
path = sys.argv[1]
m = onnx.load(path)
onnx.checker.check_model(m, full_check=True)
assert m.ir_version == 8 and {o.domain: o.version for o in m.opset_import}[""] == 17
columns = json.load(sys.stdin)
meta = {p.key: p.value for p in m.metadata_props}
session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
feed = {}
for i in session.get_inputs():
    assert i.shape[0] == "batch", i.shape
    names = json.loads(meta["flow." + i.name])
    rows = list(zip(*[column(n) for n in names]))
    if i.name == "numeric":
        feed[i.name] = np.array([[float("nan") if v == "" else float(v) for v in r] for r in rows], dtype=np.float32)
    else:
        feed[i.name] = np.array(rows, dtype=object)
outputs = session.run(None, feed)
json.dump({o.name: v.tolist() for o, v in zip(session.get_outputs(), outputs)}, sys.stdout)
`

type onnxAnswer struct {
	Probabilities [][]float64 `json:"probabilities"`
	Label         []string    `json:"label"`
	Prediction    [][]float64 `json:"prediction"`
}

// strange has what training did not see: missing numbers, unknown and missing
// categories.
var strange = append(houses[:len(houses):len(houses)],
	",,,,", "100,-5,island,a,", "-7.5,1e6,NEAR,b,")

func TestONNXRuntimeAgreesWithThePredictor(t *testing.T) {
	numeric := regression(t)
	numeric.Features.Categorical = nil
	numeric.Layers = []model.Layer{layer(3, 16, "relu"), layer(16, 1, "identity")}
	categorical := classifier(t)
	categorical.Features.Numeric = nil
	categorical.Layers = []model.Layer{layer(3, 3, "identity")}
	decided := classifier(t)
	decided.Features.Numeric, decided.Classes, decided.Positive, decided.Threshold = nil, []string{"a", "b"}, "a", 0.4
	decided.Layers = []model.Layer{layer(3, 2, "relu"), layer(2, 2, "identity")}
	for name, m := range map[string]*model.Model{
		"threshold":  decided,
		"classifier": classifier(t), "regression": regression(t), "numeric only": numeric, "categorical only": categorical,
	} {
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
			got, err := p.Predict(frameOf(t, p.Columns(), strange...))
			if err != nil {
				t.Fatal(err)
			}
			answer := ask(t, dir, strange)
			compare(t, p, got, answer, len(strange)-1)
		})
	}
}

func ask(t *testing.T, dir string, lines []string) onnxAnswer {
	t.Helper()
	columns := map[string][]string{}
	names := strings.Split(lines[0], ",")
	for _, line := range lines[1:] {
		for i, v := range strings.Split(line, ",") {
			switch { // what Append reads as numbers
			case v == "true" && names[i] == "built":
				v = "1"
			case v == "false" && names[i] == "built":
				v = "0"
			}
			columns[names[i]] = append(columns[names[i]], v)
		}
	}
	in, err := json.Marshal(columns)
	if err != nil {
		t.Fatal(err)
	}
	var answer onnxAnswer
	out := oracle.Run(t, runONNX, in, dir+"/model.onnx")
	if err := json.Unmarshal(out, &answer); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return answer
}

func compare(t *testing.T, p *model.Predictor, got *model.Prediction, answer onnxAnswer, rows int) {
	t.Helper()
	near := func(what string, got, want float64) {
		if math.Abs(got-want) > 1e-5*max(1, math.Abs(want)) {
			t.Errorf("%s: %v, onnxruntime has %v", what, got, want)
		}
	}
	for i, row := range answer.Prediction {
		near(fmt.Sprintf("row %d", i), got.Values[i], row[0])
	}
	for i, row := range answer.Probabilities {
		for j, want := range row {
			near(fmt.Sprintf("row %d class %d", i, j), got.Probabilities[i*len(row)+j], want)
		}
		if label := p.Classes()[got.Class[i]]; label != answer.Label[i] {
			t.Errorf("row %d: label %q, onnxruntime has %q", i, label, answer.Label[i])
		}
	}
	if len(answer.Prediction)+len(answer.Probabilities) != rows {
		t.Errorf("onnxruntime answered %d rows, want %d", len(answer.Prediction)+len(answer.Probabilities), rows)
	}
}
