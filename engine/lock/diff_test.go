package lock

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/key"
)

const before = `version 1

stage dataset.scans
key k1:1111111111111111111111111111111111111111111111111111111111111111
type dataset 1
given data blake3:1111111111111111111111111111111111111111111111111111111111111111 f 100 1 data/scans.csv

stage exec.gone
key k1:2222222222222222222222222222222222222222222222222222222222222222
type exec 1

stage train.mlp
key k1:3333333333333333333333333333333333333333333333333333333333333333
type train 1
argument epochs 10
result model blake3:3333333333333333333333333333333333333333333333333333333333333333 d 100 4 out/train/mlp/model
metric validation.f1 0.95
metric validation.loss 0.1
`

const after = `version 1

stage dataset.scans
key k1:1111111111111111111111111111111111111111111111111111111111111111
type dataset 1
given data blake3:1111111111111111111111111111111111111111111111111111111111111111 f 100 1 data/scans.csv

stage exec.new
key k1:4444444444444444444444444444444444444444444444444444444444444444
type exec 1
result out blake3:5555555555555555555555555555555555555555555555555555555555555555 f 7 1 out.txt

stage train.mlp
key k1:6666666666666666666666666666666666666666666666666666666666666666
type train 1
argument epochs 20
result model blake3:7777777777777777777777777777777777777777777777777777777777777777 d 120 4 out/train/mlp/model
metric accuracy 0.99
metric validation.f1 0.97
`

func parse(t *testing.T, s string) *Lock {
	t.Helper()
	l, err := Parse([]byte(sealed(t, s)))
	if err != nil {
		t.Fatal(err)
	}
	if d := l.Doubtful(); len(d) > 0 {
		t.Fatalf("doubtful: %v", d)
	}
	return l
}

// sealed adds the check lines.
func sealed(t *testing.T, s string) string {
	t.Helper()
	stages := strings.Split(strings.TrimSuffix(s, "\n"), "\n\n")
	for i, text := range stages {
		lines := strings.Split(text, "\n")
		address, ok := strings.CutPrefix(lines[0], "stage ")
		if !ok {
			continue
		}
		a, err := addr.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		k, err := key.Parse(strings.TrimPrefix(lines[1], "key "))
		if err != nil {
			t.Fatal(err)
		}
		stages[i] = strings.Join(slices.Insert(slices.Clone(lines), 2, "check "+checkOf(a, k, lines[2:])), "\n")
	}
	return strings.Join(stages, "\n\n") + "\n"
}

func TestDiffListsAddedRemovedAndChangedStages(t *testing.T) {
	diffs, err := Diff(parse(t, before), parse(t, after))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range diffs {
		switch {
		case d.Old == nil:
			got = append(got, "+ "+d.Addr.String())
		case d.New == nil:
			got = append(got, "- "+d.Addr.String())
		default:
			got = append(got, "~ "+d.Addr.String())
		}
	}
	if diff := cmp.Diff(got, []string{"- exec.gone", "+ exec.new", "~ train.mlp"}); diff != "" {
		t.Fatal(diff)
	}
	mlp := diffs[2]
	if diff := cmp.Diff(mlp.Facts, []key.Change{{Kind: key.Argument, Name: "epochs", Old: "10", New: "20", HasOld: true, HasNew: true}}); diff != "" {
		t.Error(diff)
	}
	if len(mlp.Results) != 1 || mlp.Results[0].Old.Node.Size != 100 || mlp.Results[0].New.Node.Size != 120 {
		t.Errorf("got results %+v, want model of 100 and 120 bytes", mlp.Results)
	}
	want := []MetricDiff{{"accuracy", "", "0.99"}, {"validation.f1", "0.95", "0.97"}, {"validation.loss", "0.1", ""}}
	if diff := cmp.Diff(mlp.Metrics, want); diff != "" {
		t.Error(diff)
	}
	if d, ok := mlp.Metrics[1].Delta(); !ok || d < 0.0199 || d > 0.0201 {
		t.Errorf("got a delta of %v, %v; want 0.02", d, ok)
	}
	if _, ok := mlp.Metrics[0].Delta(); ok {
		t.Error("got a delta for a metric that was not there before")
	}
}

func TestDiffOfEqualLocksIsEmpty(t *testing.T) {
	diffs, err := Diff(parse(t, before), parse(t, before))
	if err != nil || len(diffs) != 0 {
		t.Errorf("got %v, %v; want nothing", diffs, err)
	}
}
