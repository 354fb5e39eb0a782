package train_test

import (
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/flow-pipelines/flow/stages/nn/philox"
)

// coefficient is a line of coefficients.csv; perUnit is NaN if it is empty.
type coefficient struct {
	class, feature, value string
	weight, perUnit       float64
}

func coefficients(t *testing.T, dir string) []coefficient {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "coefficients.csv"))
	if err != nil {
		t.Fatal(err)
	}
	records, err := csv.NewReader(strings.NewReader(string(b))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	number := func(s string) float64 {
		if s == "" {
			return math.NaN()
		}
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	var out []coefficient
	for _, r := range records[1:] {
		out = append(out, coefficient{r[0], r[1], r[2], number(r[3]), number(r[4])})
	}
	return out
}

// A line that is known is found: 3 a unit of x, 500 for the town a more than for b.
func TestCoefficientsOfALineAreInTheUnitsOfItsColumns(t *testing.T) {
	t.Chdir(t.TempDir())
	s := philox.New(8, 0, 0)
	var b strings.Builder
	b.WriteString("x,z,town,y\n")
	for range 400 {
		x, z, town := s.Float32()*1000, s.Float32(), s.IntN(2)
		fmt.Fprintf(&b, "%v,%v,%c,%v\n", x, z, 'a'+town, 10+3*x-500*float32(town))
	}
	write(t, "t.csv", b.String())
	r := mustRun(t, object{
		"data": "t.csv", "target": "y", "model": object{"linear": object{}},
		"optimizer": object{"sgd": object{"learning_rate": 0.01, "momentum": 0.9}}, "batch_size": 400, "epochs": 3000,
	})
	got := map[string]coefficient{}
	all := coefficients(t, r.dir)
	for _, c := range all {
		got[c.feature+c.value] = c
	}
	if all[0].feature != "(intercept)" || all[1].feature != "x" || all[1].class != "" {
		t.Errorf("order %+v", all)
	}
	if v := got["x"].perUnit; math.Abs(v-3) > 0.01 {
		t.Errorf("x: %v a unit, want 3", v)
	}
	if v := got["z"].perUnit; math.Abs(v) > 10 {
		t.Errorf("z: %v a unit, want about 0", v)
	}
	if v := got["towna"].weight - got["townb"].weight; math.Abs(v-500) > 5 || !math.IsNaN(got["towna"].perUnit) {
		t.Errorf("towns %v apart, want 500", v)
	}
	card, err := os.ReadFile(filepath.Join(r.dir, "README.md"))
	if err != nil || !strings.Contains(string(card), "adds to the prediction") || !strings.Contains(string(card), "town = a") {
		t.Errorf("model card %s, %v", card, err)
	}
}

// Of two classes the coefficients are those of the positive one, of more they are
// by class; a model without any has no file of them.
func TestCoefficientsOfClasses(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "two.csv", "x,y\n1,no\n2,no\n3,yes\n4,yes\n")
	write(t, "three.csv", "x,y\n1,a\n2,b\n3,c\n")
	run := func(data, positive string) []coefficient {
		return coefficients(t, mustRun(t, object{"data": data, "target": "y", "positive": positive, "model": object{"logistic": object{}}}).dir)
	}
	yes, no := run("two.csv", ""), run("two.csv", "no")
	if len(yes) != 2 || yes[1].class != "yes" || yes[1].weight <= 0 || no[1].class != "no" || no[1].weight != -yes[1].weight {
		t.Errorf("coefficients %+v and %+v", yes, no)
	}
	if three := run("three.csv", ""); len(three) != 6 || three[1].class != "a" || three[3].class != "b" || three[5].class != "c" || three[1].weight >= 0 || three[5].weight <= 0 {
		t.Errorf("coefficients %+v", three)
	}
	trees := mustRun(t, object{"data": "two.csv", "target": "y", "model": object{"gbdt": object{"min_rows": 1}}})
	if _, err := os.Stat(filepath.Join(trees.dir, "coefficients.csv")); !os.IsNotExist(err) {
		t.Errorf("coefficients of trees: %v", err)
	}
}
