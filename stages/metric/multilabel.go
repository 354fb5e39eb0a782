package metric

import (
	"maps"
	"math"
	"slices"
)

// Multilabel is which labels a classifier gave to rows and which they have: any
// number of them, each a question of its own. Truth, Predicted and Probabilities
// are row-major, len(Labels) a row.
type Multilabel struct {
	Labels           []string
	Truth, Predicted []bool
	Probabilities    []float64
}

func (m Multilabel) rows() int { return len(m.Truth) / max(1, len(m.Labels)) }

// label returns the confusion of one label, and what its rankings are computed from.
func (m Multilabel) label(at int) (counts *Confusion, truth []bool, score []float64) {
	counts = Confuse(2, nil, nil)
	k := len(m.Labels)
	for i := at; i < len(m.Truth); i += k {
		counts.add(m.Truth[i], m.Predicted[i], 1)
		truth, score = append(truth, m.Truth[i]), append(score, m.Probabilities[i])
	}
	return counts, truth, score
}

// Headline returns subset_accuracy, the share of rows all of whose labels are
// right, hamming_loss, the share of labels that are wrong, log_loss and brier, means
// over rows and labels, and as macro averages over labels precision, recall, f1, auc
// and pr_auc. Undefined ones are absent.
func (m Multilabel) Headline() map[string]float64 {
	out := map[string]float64{}
	if m.rows() == 0 {
		return out
	}
	mustMatch("judge labels", len(m.Truth), len(m.Predicted))
	mustMatch("judge labels", len(m.Truth), len(m.Probabilities))
	k := len(m.Labels)
	wrong, rowsRight := 0, 0
	for i := range m.rows() {
		before := wrong
		for j := i * k; j < (i+1)*k; j++ {
			if m.Truth[j] != m.Predicted[j] {
				wrong++
			}
		}
		if wrong == before {
			rowsRight++
		}
	}
	out["subset_accuracy"] = float64(rowsRight) / float64(m.rows())
	out["hamming_loss"] = float64(wrong) / float64(len(m.Truth))
	out["brier"] = Brier(m.Truth, m.Probabilities)
	set(out, "log_loss", meanOf(len(m.Truth), func(i int) float64 {
		p := m.Probabilities[i]
		if !m.Truth[i] {
			p = 1 - p
		}
		return -math.Log(min(max(p, epsilon), 1-epsilon))
	}))
	m.average(out)
	return out
}

// average adds the macro averages over labels.
func (m Multilabel) average(out map[string]float64) {
	sums := map[string]*total{}
	counted := map[string]int{}
	for at := range m.Labels {
		for name, v := range m.one(at) {
			if sums[name] == nil {
				sums[name] = &total{}
			}
			sums[name].add(v)
			counted[name]++
		}
	}
	for name, sum := range sums {
		out[name] = sum.value() / float64(counted[name])
	}
}

// one are the scores of one label.
func (m Multilabel) one(at int) map[string]float64 {
	counts, truth, score := m.label(at)
	out := map[string]float64{"precision": counts.Precision(1), "recall": counts.Recall(1), "f1": counts.F1(1)}
	set(out, "auc", ROCAUC(truth, score))
	set(out, "pr_auc", AveragePrecision(truth, score))
	return out
}

// Detail returns Headline's metrics and, nested, "micro", in which all labels of all
// rows count alike, and "per_label", by name, with "support".
func (m Multilabel) Detail() map[string]any {
	out := nest(m.Headline())
	if m.rows() == 0 {
		return out
	}
	all := Confuse(2, nil, nil)
	for i, is := range m.Truth {
		all.add(is, m.Predicted[i], 1)
	}
	out["micro"] = map[string]any{"precision": all.Precision(1), "recall": all.Recall(1), "f1": all.F1(1)}
	labels := map[string]any{}
	for at, name := range m.Labels {
		counts, _, _ := m.label(at)
		one := nest(m.one(at))
		one["support"] = counts.Support(1)
		labels[name] = one
	}
	out["per_label"] = labels
	return out
}

// MultilabelNames are the names of a Multilabel's Headline, sorted.
func MultilabelNames() []string {
	return slices.Sorted(maps.Keys(Multilabel{
		Labels: []string{"a"}, Truth: []bool{true, false}, Predicted: []bool{true, true}, Probabilities: []float64{0.9, 0.6},
	}.Headline()))
}
