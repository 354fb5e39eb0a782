package model

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// card is a model card for people, with the metadata of the Hugging Face Hub in
// front (https://huggingface.co/docs/hub/model-cards). all are its coefficients.
func card(m *Model, all []coefficient) string {
	var b strings.Builder
	title := fmt.Sprintf("%s: %s by %s", cmp.Or(m.Target, "labels"), m.Task, m.Family)
	fmt.Fprintf(&b, "---\nlibrary_name: onnx\npipeline_tag: %s\ntags:\n- tabular\n- onnx\n- flow\n", pipelineTag(m))
	flat := flatten("", m.Metrics)
	writeModelIndex(&b, m, title, flat)
	fmt.Fprintf(&b, "---\n\n# %s\n\n", line(title))
	switch m.Task {
	case Multilabel:
		fmt.Fprintf(&b, "Predicts which of %d labels a row has: %s. It has those with a probability of at least 0.5.", len(m.Classes), quoted(m.Classes))
	case Regression:
		fmt.Fprintf(&b, "Predicts the column `%s` as a number.", code(m.Target))
	case Classification:
		fmt.Fprintf(&b, "Predicts the column `%s` as one of %d classes: %s.", code(m.Target), len(m.Classes), quoted(m.Classes))
		if m.Positive != "" {
			fmt.Fprintf(&b, " Precision, recall, F1 and AUC are those of `%s`.", code(m.Positive))
		}
	}
	if m.Threshold > 0 {
		fmt.Fprintf(&b, " The answer is `%s` from a probability of %s on.", code(m.Positive), float(float64(m.Threshold)))
	}
	b.WriteString("\n\n## Use\n\n" +
		"`model.onnx` runs in any ONNX runtime; scaling, imputation and encoding are part of it.")
	if len(m.Features.Text) > 0 {
		b.WriteString(" Text is cut into terms before it: ONNX has no operator for that.")
	}
	if slices.ContainsFunc(m.Features.Numeric, func(n Numeric) bool { return n.Part != "" }) {
		b.WriteString(" Parts of dates, such as `sold.month`, are taken before it: ONNX cannot read dates.")
	}
	b.WriteString("\n\n")
	writeInputs(&b, m)
	b.WriteString("\n## Metrics\n\n| metric | value |\n|---|---|\n")
	for _, e := range flat {
		fmt.Fprintf(&b, "| %s | %s |\n", e.name, e.value)
	}
	writeData(&b, m)
	b.WriteString("\n## Parameters\n\n| parameter | value |\n|---|---|\n")
	for _, e := range flatten("", m.Parameters) {
		fmt.Fprintf(&b, "| %s | %s |\n", cell(e.name), cell(e.value))
	}
	b.WriteString("\n## Features\n\n| column | kind | transform |\n|---|---|---|\n")
	for _, n := range m.Features.Numeric {
		missing := fmt.Sprintf("%s (%s)", n.Impute, float(float64(n.Fill)))
		if n.Impute == ImputeNone {
			missing = "missing"
		}
		how := fmt.Sprintf("scale %s", n.Scale)
		if n.Bins > 0 {
			how = fmt.Sprintf("%d quantile bins", n.bins())
		}
		if n.Degree == 2 {
			how += ", products"
		}
		fmt.Fprintf(&b, "| %s | numeric | missing as %s, %s |\n", cell(n.name()), missing, how)
	}
	for _, c := range m.Features.Categorical {
		how := "unknown as none"
		if c.Encoding != "" {
			how = fmt.Sprintf("%s encoding, unknown as the mean", c.Encoding)
		}
		fmt.Fprintf(&b, "| %s | categorical | one of %d, %s |\n", cell(c.Column), len(c.Categories), how)
	}
	for _, t := range m.Features.Text {
		fmt.Fprintf(&b, "| %s | text | %d to %d-grams of %ss, TF-IDF of %d terms |\n", cell(t.Column), t.From, t.To, t.Unit, t.width())
	}
	writeCoefficients(&b, m, all)
	return b.String()
}

// writeData names what the model was made with by content, so that it can be found
// again whatever the files are called by now.
func writeData(b *strings.Builder, m *Model) {
	if len(m.Data) == 0 {
		return
	}
	b.WriteString("\n## Data\n\n| part | rows | digest |\n|---|---|---|\n")
	for _, role := range slices.Sorted(maps.Keys(m.Data)) {
		fmt.Fprintf(b, "| %s | %d | %s |\n", role, m.Data[role].Rows, m.Data[role].Digest)
	}
}

// pipelineTag is the kind of task that the Hub knows.
func pipelineTag(m *Model) string {
	if m.Task == Regression {
		return "tabular-regression"
	}
	return "tabular-classification"
}

func writeModelIndex(b *strings.Builder, m *Model, title string, metrics []entry) {
	var results []entry
	for _, e := range metrics {
		if name, ok := strings.CutPrefix(e.name, "validation."); ok && !strings.Contains(name, ".") && e.number {
			results = append(results, entry{name: name, value: e.value})
		}
	}
	if results == nil {
		return
	}
	fmt.Fprintf(b, "model-index:\n- name: %s\n  results:\n  - task:\n      type: %s\n", strconv.Quote(line(title)), pipelineTag(m))
	b.WriteString("    dataset:\n      name: validation\n      type: tabular\n    metrics:\n")
	for _, e := range results {
		fmt.Fprintf(b, "    - type: %s\n      value: %s\n", e.name, e.value)
	}
}

func writeInputs(b *strings.Builder, m *Model) {
	var numeric, categorical []string
	for _, n := range m.Features.Numeric {
		numeric = append(numeric, n.name())
	}
	for _, c := range m.Features.Categorical {
		categorical = append(categorical, c.Column)
	}
	if numeric != nil {
		fmt.Fprintf(b, "- input `%s`: float32 [batch, %d], NaN for missing: %s\n", inputNumeric, len(numeric), quoted(numeric))
	}
	if categorical != nil {
		fmt.Fprintf(b, "- input `%s`: string [batch, %d], empty for missing: %s\n", inputCategorical, len(categorical), quoted(categorical))
	}
	if len(m.Features.Text) > 0 {
		fmt.Fprintf(b, "- inputs `%s`: int64 and `%s`: float32 [batch, terms]: the terms of each row and their numbers, by the vocabulary and weights in `features.json`; rows with fewer terms are filled with the index %d\n",
			inputTextIndex, inputTextWeight, m.Features.textWidth())
	}
	if m.Task == Regression {
		fmt.Fprintf(b, "- output `%s`: float32 [batch, 1]\n", outputPrediction)
		return
	}
	fmt.Fprintf(b, "- output `%s`: float32 [batch, %d], in the order of the classes\n", outputProbabilities, len(m.Classes))
	if m.Task == Classification {
		fmt.Fprintf(b, "- output `%s`: string [batch]\n", outputLabel)
	}
}

// entry is a leaf of nested values, with its dotted name.
type entry struct {
	name, value string
	number      bool
}

func flatten(prefix string, values map[string]any) []entry {
	keys := make([]string, 0, len(values))
	for k := range values {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	var out []entry
	for _, k := range keys {
		switch v := values[k].(type) {
		case map[string]any:
			out = append(out, flatten(prefix+k+".", v)...)
		case float64:
			out = append(out, entry{prefix + k, float(v), true})
		case int:
			out = append(out, entry{prefix + k, strconv.Itoa(v), true})
		default:
			text, err := json.Marshal(v)
			if err != nil {
				panic("BUG: model: encode value: " + err.Error())
			}
			out = append(out, entry{prefix + k, string(text), false})
		}
	}
	return out
}

func float(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }

// line keeps a name on one line, cell in one cell of a table, code in backticks.
func line(s string) string { return strings.Join(strings.Fields(s), " ") }
func cell(s string) string { return strings.ReplaceAll(line(s), "|", `\|`) }
func code(s string) string { return strings.ReplaceAll(line(s), "`", "'") }

// quoted lists the first names of many.
func quoted(names []string) string {
	const most = 50
	var out []string
	for i, n := range names {
		if i == most {
			out = append(out, fmt.Sprintf("and %d more", len(names)-most))
			break
		}
		out = append(out, "`"+code(n)+"`")
	}
	return strings.Join(out, ", ")
}
