package model_test

import (
	"encoding/json"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/flow-pipelines/flow/internal/oracle"
	"github.com/flow-pipelines/flow/stages/model"
)

var sentences = []string{
	"note,rooms", "The dog saw the other dog,1", "a cat_2 saw the DOG!,2", "Ünïcode ünïcode 42 — x,3", ",4", "the the the,5", "don't saw the dog's,6",
}

func textFeatures(t *testing.T, numeric bool, specs ...model.TextSpec) *model.Features {
	t.Helper()
	f := frameOf(t, []model.Column{{"note", model.String}, {"rooms", model.Number}}, sentences...)
	var numbers []model.NumericSpec
	if numeric {
		numbers = []model.NumericSpec{{Column: "rooms", Impute: model.ImputeMean, Scale: model.ScaleStandard}}
	}
	out, err := model.Fit(f, numbers, nil, specs...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var (
	words      = model.TextSpec{Column: "note", Unit: model.Word, From: 1, To: 2, MinRows: 1, Sublinear: true}
	characters = model.TextSpec{Column: "note", Unit: model.Character, From: 2, To: 4, MinRows: 1}
)

// sklearnText computes the same matrices by scikit-learn.
const sklearnText = `
import json, sys
from sklearn.feature_extraction.text import TfidfVectorizer
rows = json.load(sys.stdin)
w = TfidfVectorizer(token_pattern=r"\w+", ngram_range=(1, 2), sublinear_tf=True)
c = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4))
import re
spaced = [" ".join(re.findall(r"\w+", r.lower())) for r in rows]
out = {}
for name, v, r in [("word", w, rows), ("character", c, spaced)]:
    m = v.fit_transform(r).toarray()
    terms = list(v.get_feature_names_out())
    order = sorted(range(len(terms)), key=lambda i: terms[i].encode())
    out[name] = {"terms": [terms[i] for i in order], "rows": m[:, order].tolist()}
json.dump(out, sys.stdout)
`

func TestTextIsWeightedAsScikitLearnDoes(t *testing.T) {
	var rows []string
	for _, line := range sentences[1:] {
		rows = append(rows, string(cells(line)[0]))
	}
	in, err := json.Marshal(rows)
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]struct {
		Terms []string
		Rows  [][]float64
	}
	if err := json.Unmarshal(oracle.Run(t, sklearnText, in), &want); err != nil {
		t.Fatal(err)
	}
	frame := frameOf(t, []model.Column{{"note", model.String}}, sentences...)
	for _, spec := range []model.TextSpec{words, characters} {
		f := textFeatures(t, false, spec)
		of := want[string(spec.Unit)]
		if !slices.Equal(f.Text[0].Terms, of.Terms) {
			t.Errorf("%s: terms\n%q\nscikit-learn has\n%q", spec.Unit, f.Text[0].Terms, of.Terms)
			continue
		}
		got := f.Transform(frame)
		for i, row := range of.Rows {
			for j, v := range row {
				if math.Abs(float64(got[i*len(row)+j])-v) > 1e-6 {
					t.Errorf("%s: row %d, %q: %v, scikit-learn has %v", spec.Unit, i, of.Terms[j], got[i*len(row)+j], v)
				}
			}
		}
	}
}

func TestSparseRowsAreTheMatrixWithoutItsZeros(t *testing.T) {
	hashed := words
	hashed.Buckets = 7
	f := textFeatures(t, true, words, characters)
	f.Text = append(f.Text, textFeatures(t, false, hashed).Text...)
	frame := frameOf(t, []model.Column{{"note", model.String}, {"rooms", model.Number}}, sentences...)
	sparse, dense := f.Sparse(frame), f.Transform(frame)
	for i := range sparse.Len() {
		row := make([]float32, sparse.Cols)
		for n := sparse.Start[i]; n < sparse.Start[i+1]; n++ {
			row[sparse.Index[n]] = sparse.Value[n]
		}
		if !slices.Equal(row, dense[i*f.Width():(i+1)*f.Width()]) {
			t.Errorf("row %d differs", i)
		}
	}
}

func TestTheMostFrequentTermsAreKept(t *testing.T) {
	spec := words
	spec.To, spec.MaxTerms, spec.MinRows = 1, 3, 2
	if got, want := textFeatures(t, false, spec).Text[0].Terms, []string{"dog", "saw", "the"}; !slices.Equal(got, want) {
		t.Errorf("terms %q, want %q", got, want)
	}
}

// runText feeds the terms of each row to onnxruntime: words and characters as
// features.json describes them.
const runText = `
import json, sys, math, re
import numpy as np, onnx, onnxruntime
dir = sys.argv[1]
m = onnx.load(dir + "/model.onnx")
onnx.checker.check_model(m, full_check=True)
features = json.load(open(dir + "/features.json"))
def grams(t, s):
    ws = re.findall(r"\w+", s.lower())
    for n in range(t["from"], t["to"] + 1):
        if t["unit"] == "word":
            yield from (" ".join(ws[i:i+n]) for i in range(len(ws) - n + 1))
        else:
            for w in ws:
                p = " " + w + " "
                yield from (p[i:i+n] for i in range(len(p) - n + 1))
rows = json.load(sys.stdin)
total = sum(len(t["weights"]) for t in features["text"])
bags = []
for r in rows:
    bag, offset = [], 0
    for t in features["text"]:
        at = {g: i for i, g in enumerate(t["terms"])}
        counts = {}
        for g in grams(t, r):
            if g in at: counts[at[g]] = counts.get(at[g], 0) + 1
        v = {i: ((1 + math.log(n)) if t["sublinear"] else n) * t["weights"][i] for i, n in counts.items()}
        norm = math.sqrt(sum(x * x for x in v.values())) or 1
        bag += [(offset + i, x / norm) for i, x in v.items()]
        offset += len(t["weights"])
    bags.append(bag)
width = max(1, max(map(len, bags)))
feed = {"text_index": np.array([[i for i, _ in b] + [total] * (width - len(b)) for b in bags], dtype=np.int64),
        "text_weight": np.array([[x for _, x in b] + [0] * (width - len(b)) for b in bags], dtype=np.float32)}
session = onnxruntime.InferenceSession(dir + "/model.onnx", providers=["CPUExecutionProvider"])
if "numeric" in [i.name for i in session.get_inputs()]:
    feed["numeric"] = np.array([[i + 1] for i in range(len(rows))], dtype=np.float32)
out = session.run(None, feed)
json.dump({o.name: v.tolist() for o, v in zip(session.get_outputs(), out)}, sys.stdout)
`

func TestONNXRuntimeAgreesOnText(t *testing.T) {
	var rows []string
	for _, line := range sentences[1:] {
		rows = append(rows, string(cells(line)[0]))
	}
	in, err := json.Marshal(rows)
	if err != nil {
		t.Fatal(err)
	}
	for name, numeric := range map[string]bool{"text only": false, "with numbers": true} {
		t.Run(name, func(t *testing.T) {
			oracle.Python(t)
			f := textFeatures(t, numeric, words, characters)
			m := &model.Model{
				Task: model.Classification, Target: "kind", Classes: []string{"a", "b", "c"}, Family: "mlp", Features: *f,
				Layers: []model.Layer{layer(f.Width(), 5, "relu"), layer(5, 3, "identity")},
			}
			dir := filepath.Join(t.TempDir(), "model")
			if err := model.Write(dir, m); err != nil {
				t.Fatal(err)
			}
			p, err := model.Load(dir)
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.Predict(frameOf(t, p.Columns(), sentences...))
			if err != nil {
				t.Fatal(err)
			}
			var answer onnxAnswer
			if err := json.Unmarshal(oracle.Run(t, runText, in, dir), &answer); err != nil {
				t.Fatal(err)
			}
			compare(t, p, got, answer, len(rows))
		})
	}
}
