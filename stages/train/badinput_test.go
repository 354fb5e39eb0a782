package train_test

import (
	"fmt"
	"strings"
	"testing"
)

// everyFamily are the families that take tables, with few steps.
func everyFamily() map[string]object {
	return map[string]object{
		"logistic": {"logistic": object{}}, "mlp": {"mlp": object{"hidden": []int{4}}}, "gbdt": {"gbdt": object{"rounds": 3, "min_rows": 1}},
	}
}

func TestEveryFamilyAnswersStrangeTablesInOneWay(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "fine.csv", "x,c,y\n1,a,no\n2,b,yes\n3,a,no\n4,b,yes\n")
	for _, row := range []struct {
		name, data, validation string
		// path and want are of the problem; "" is none.
		path, want string
	}{
		{name: "one row", data: "x,c,y\n1,a,no\n", path: "target", want: `Only one class: Every row of data has "no"`},
		{name: "one class", data: "x,c,y\n1,a,no\n2,b,no\n", path: "target", want: "Only one class"},
		{name: "no row", data: "x,c,y\n", path: "data", want: "not a single row"},
		{name: "constant columns", data: "x,c,y\n1,a,no\n1,a,yes\n1,a,no\n"},
		{name: "missing columns of values", data: "x,c,y\n,,no\n,,yes\n,,no\n"},
		{name: "class only in validation", data: "x,c,y\n1,a,no\n2,b,yes\n", validation: "x,c,y\n1,a,perhaps\n", path: "validation", want: `Class "perhaps" is not in the training part: Row 1`},
		{name: "class only in training", data: "x,c,y\n1,a,no\n2,b,yes\n3,b,perhaps\n", validation: "x,c,y\n1,a,no\n2,b,yes\n"},
		{name: "one class in validation", data: "x,c,y\n1,a,no\n2,b,yes\n", validation: "x,c,y\n1,a,no\n"},
		{name: "unknown category in validation", data: "x,c,y\n1,a,no\n2,b,yes\n", validation: "x,c,y\n1,z,no\n2,,yes\n"},
		{name: "more columns in validation", data: "x,c,y\n1,a,no\n2,b,yes\n", validation: "more,y,c,x\nq,no,a,1\n"},
		{name: "fewer columns in validation", data: "x,c,y\n1,a,no\n2,b,yes\n", validation: "x,y\n1,no\n", path: "validation", want: `no column "c"`},
		{name: "infinity", data: "x,c,y\n1,a,no\n1e39,b,yes\n", path: "data", want: `data.csv:3: column "x": "1e39" is infinite or beyond the range of a float32`},
		{name: "infinity in validation", data: "x,c,y\n1,a,no\n2,b,yes\n", validation: "x,c,y\n-1e39,a,no\n", path: "validation", want: `validation.csv:2: column "x"`},
		{name: "text among numbers in validation", data: "x,c,y\n1,a,no\n2,b,yes\n", validation: "x,c,y\nhigh,a,no\n", path: "validation", want: `"high" is not a number`},
		{name: "label of many bytes", data: "x,c,y\n1,a," + strings.Repeat("ä", 5000) + "\n2,b,yes\n"},
	} {
		for family, block := range everyFamily() {
			t.Run(row.name+"/"+family, func(t *testing.T) {
				write(t, "data.csv", row.data)
				args := object{"data": "data.csv", "target": "y", "model": block, "epochs": 2}
				if row.validation != "" {
					write(t, "validation.csv", row.validation)
					args["validation"] = "validation.csv"
				}
				_, err := run(t, args)
				if row.path == "" {
					if err != nil {
						t.Errorf("error %v, want none", err)
					}
					return
				}
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
}

// What is no mistake, and teaches nothing, is said in the log.
func TestColumnsThatAreConstantAreNamed(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "data.csv", "x,c,n,m,y\n1,a,5,,no\n2,a,5,NaN,yes\n3,a,5,nan,no\n")
	for family, block := range everyFamily() {
		r := mustRun(t, object{"data": "data.csv", "target": "y", "model": block, "epochs": 2})
		if want := "every row has the same there: n, c, m\n"; !strings.Contains(r.log, want) {
			t.Errorf("%s: log %q, want %q", family, r.log, want)
		}
	}
}

// A target that is text cannot be regressed on, and the message says what can
// be done.
func TestATextIsNoNumberToPredict(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "data.csv", "x,y\n1,2\n2,many\n")
	for family, block := range map[string]object{"linear": {"linear": object{}}, "gbdt": {"gbdt": object{}}} {
		t.Run(family, func(t *testing.T) {
			_, err := run(t, object{"data": "data.csv", "target": "y", "model": block, "task": "regression"})
			if p := problem(err); p == nil || p.Path != "data" || !strings.Contains(p.Detail, `data.csv:3: the target "many" is not a number`) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// One feature for each of 100,000 categories is refused, one number for all of
// them is not.
func TestAHundredThousandCategories(t *testing.T) {
	t.Chdir(t.TempDir())
	var b strings.Builder
	b.WriteString("id,c,y\n")
	for i := range 200_000 {
		fmt.Fprintf(&b, "%d,c%d,%d\n", i%7, i%100_000, i%2)
	}
	write(t, "data.csv", b.String())
	args := func(encoding string, most int) object {
		return object{
			"data": "data.csv", "target": "y", "model": object{"logistic": object{"iterations": 5}},
			"features": object{
				"numeric":     []object{{"columns": "id"}},
				"categorical": []object{{"columns": "c", "encoding": encoding, "max_categories": most}},
			},
		}
	}
	_, err := run(t, args("one_hot", 1000))
	if p := problem(err); p == nil || !strings.Contains(p.Summary, `Column "c" has 100000 different values`) {
		t.Errorf("error %v, want one about the categories", err)
	}
	for family, block := range map[string]object{"gbdt": {"gbdt": object{}}, "mlp": {"mlp": object{"hidden": []int{2}}}} {
		a := args("one_hot", 200_000)
		a["model"] = block
		_, err := run(t, a)
		if p := problem(err); p == nil || p.Path != "features" || !strings.Contains(p.Summary, "Too many features for this many rows") {
			t.Errorf("%s: error %v, want one about the memory", family, err)
		}
	}
	// i and i%100,000 are odd together: the category gives the answer away.
	r := mustRun(t, args("target", 200_000))
	if got := r.metric(t, "train.accuracy"); got < 0.99 {
		t.Errorf("accuracy %v with encoding target", got)
	}
}
