package view

import (
	"cmp"
	"slices"
	"strings"

	"github.com/flow-pipelines/flow/engine/lock"
	"github.com/flow-pipelines/flow/engine/stage"
)

// Where there is room for a few metrics only, those come first that people
// look for first. It is a matter of taste and of nothing else: all metrics are
// shown by `flow show`.

// favourites are the last words of metrics' paths, the first first.
func favourites() []string {
	return []string{"score", "f1", "accuracy", "auc", "r2", "rmse", "mae", "log_loss", "loss", "rows"}
}

// rank orders metrics by their paths: favourites, then the others; what was
// measured on training data last.
func rank(path string) int {
	words := strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' })
	names := favourites()
	r := slices.Index(names, words[len(words)-1])
	if r < 0 {
		r = len(names) + len(words)
	}
	switch {
	case len(words) > 1 && words[0] == "train":
		r += 100
	case len(words) > 1 && words[0] != "validation":
		r += 20 * (len(words) - 1)
	}
	return r
}

// shortLine writes the first few of some metrics. value returns the text of
// one, "" for those to leave out.
func shortLine(paths []string, most int, value func(path string) string) string {
	paths = slices.Clone(paths)
	slices.SortFunc(paths, func(a, b string) int { return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a, b)) })
	var parts []string
	for _, p := range paths {
		if len(parts) == most {
			break
		}
		if v := value(p); v != "" {
			parts = append(parts, p+" "+v)
		}
	}
	return strings.Join(parts, ", ")
}

// numbersLine writes the first few of some numbers.
func numbersLine(m map[string]float64, most int) string {
	paths := make([]string, 0, len(m))
	for p := range m {
		paths = append(paths, p)
	}
	return shortLine(paths, most, func(p string) string { return number(m[p]) })
}

// metricsLine writes the first few numbers of a stage's metrics.
func metricsLine(m stage.Metrics, most int) string {
	leaves, err := lock.Flatten(m)
	if err != nil {
		return "" // flow show says what is wrong
	}
	values := make(map[string]string, len(leaves))
	paths := make([]string, 0, len(leaves))
	for _, l := range leaves {
		if !strings.ContainsAny(l.Value[:1], `"[{n`) {
			values[l.Path] = leafText(l.Value)
			paths = append(paths, l.Path)
		}
	}
	return shortLine(paths, most, func(p string) string { return values[p] })
}
