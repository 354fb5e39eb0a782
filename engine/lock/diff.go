package lock

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/key"
	"github.com/flow-pipelines/flow/engine/stage"
)

// StageDiff is what two locks say differently of one stage. Of a stage that
// only one of them has, all it has is listed.
type StageDiff struct {
	Addr addr.Address
	// Old or New is nil where the stage is not recorded.
	Old, New *Stage
	// Facts are the differences of what the stage was made from.
	Facts   []key.Change
	Results []ResultDiff
	Metrics []MetricDiff
}

// ResultDiff is one output that came out differently, or lies elsewhere.
type ResultDiff struct {
	Name string
	// Old or New is zero where the stage has no such output; Has tells.
	Old, New       Result
	HasOld, HasNew bool
}

// MetricDiff is one metric that differs, by its path: validation.f1.
type MetricDiff struct {
	Name string
	// Old and New are JSON, "" where there is none.
	Old, New string
}

// Delta returns by how much a number changed.
func (m MetricDiff) Delta() (delta float64, ok bool) {
	before, err1 := strconv.ParseFloat(m.Old, 64)
	after, err2 := strconv.ParseFloat(m.New, 64)
	return after - before, err1 == nil && err2 == nil
}

// Diff lists the stages that differ, sorted by address.
func Diff(before, after *Lock) ([]StageDiff, error) {
	all := map[addr.Address]bool{}
	for _, l := range []*Lock{before, after} {
		for a := range l.stages {
			all[a] = true
		}
	}
	sorted := make([]addr.Address, 0, len(all))
	for a := range all {
		sorted = append(sorted, a)
	}
	slices.SortFunc(sorted, addr.Compare)
	var diffs []StageDiff
	for _, a := range sorted {
		d, err := diffStage(before.Get(a), after.Get(a))
		if err != nil {
			return nil, fmt.Errorf("compare %s: %w", a, err)
		}
		if d == nil {
			continue
		}
		d.Addr = a
		diffs = append(diffs, *d)
	}
	return diffs, nil
}

// diffStage compares one stage; nil: no difference.
func diffStage(before, after *Stage) (*StageDiff, error) {
	d := &StageDiff{Old: before, New: after}
	o, n := before, after
	if o == nil {
		o = &Stage{}
	}
	if n == nil {
		n = &Stage{}
	}
	d.Facts = key.Diff(o.Manifest, n.Manifest, nil)
	d.Results = diffResults(o, n)
	var err error
	if d.Metrics, err = diffMetrics(o.Metrics, n.Metrics); err != nil {
		return nil, err
	}
	// A key that differs with equal facts: a sensitive value changed.
	if len(d.Facts)+len(d.Results)+len(d.Metrics) == 0 && o.Key == n.Key && before != nil && after != nil {
		return nil, nil //nolint:nilnil // see above
	}
	return d, nil
}

func diffResults(before, after *Stage) []ResultDiff {
	var ds []ResultDiff
	for _, o := range before.Results {
		n, ok := after.Result(o.Name)
		if !ok || n != o {
			ds = append(ds, ResultDiff{Name: o.Name, Old: o, New: n, HasOld: true, HasNew: ok})
		}
	}
	for _, n := range after.Results {
		if _, ok := before.Result(n.Name); !ok {
			ds = append(ds, ResultDiff{Name: n.Name, New: n, HasNew: true})
		}
	}
	slices.SortFunc(ds, func(a, b ResultDiff) int { return strings.Compare(a.Name, b.Name) })
	return ds
}

func diffMetrics(before, after stage.Metrics) ([]MetricDiff, error) {
	o, err := Flatten(before)
	if err != nil {
		return nil, err
	}
	n, err := Flatten(after)
	if err != nil {
		return nil, err
	}
	var ds []MetricDiff
	for i, j := 0, 0; i < len(o) || j < len(n); {
		switch {
		case j == len(n) || i < len(o) && o[i].Path < n[j].Path:
			ds = append(ds, MetricDiff{Name: o[i].Path, Old: o[i].Value})
			i++
		case i == len(o) || n[j].Path < o[i].Path:
			ds = append(ds, MetricDiff{Name: n[j].Path, New: n[j].Value})
			j++
		default:
			if o[i].Value != n[j].Value {
				ds = append(ds, MetricDiff{Name: o[i].Path, Old: o[i].Value, New: n[j].Value})
			}
			i, j = i+1, j+1
		}
	}
	return ds, nil
}

// Flatten returns the single values of metrics, sorted by path.
func Flatten(m stage.Metrics) ([]key.Leaf, error) {
	if len(m) == 0 {
		return nil, nil
	}
	doc, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	leaves, err := key.Flatten(doc)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return leaves, nil
}
