package train_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/flow-pipelines/flow/stages/nn/philox"
)

// visits is a table whose answer follows from the day of the week, for the most
// part, and not from the visitor.
func visits(rows int, seed uint64) string {
	s := philox.New(seed, 0, 0)
	var b strings.Builder
	b.WriteString("day,visitor,size,open\n")
	for range rows {
		day := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, s.IntN(2000))
		open := day.Weekday() != time.Sunday && day.Weekday() != time.Saturday
		if s.IntN(10) == 0 {
			open = !open
		}
		fmt.Fprintf(&b, "%s,v%d,%s,%t\n", day.Format(time.DateOnly), s.IntN(300), []string{"small", "large"}[s.IntN(2)], open)
	}
	return b.String()
}

func TestDatesAndEncodingsTeachWhatTheyCanAndNoMore(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "train.csv", visits(600, 1))
	write(t, "validation.csv", visits(300, 2))
	for family, block := range map[string]object{"gbdt": {"rounds": 40}, "logistic": {}, "mlp": {}} {
		t.Run(family, func(t *testing.T) {
			args := func(date object) object {
				return object{
					"data": "train.csv", "validation": "validation.csv", "target": "open", "model": object{family: block}, "seed": 3, "epochs": 10,
					"features": object{"date": []object{date}, "categorical": []object{
						{"columns": "visitor", "encoding": "target"}, {"columns": "size", "encoding": "ordinal", "order": []string{"small", "large"}},
					}},
				}
			}
			r := mustRun(t, args(object{"columns": "day", "parts": []string{"weekday", "year"}}))
			// A linear model has one weight for the weekday: the end of the week is closed.
			if got := r.metric(t, "validation.auc"); got < 0.75 {
				t.Errorf("AUC %v with the day of the week", got)
			}
			// Each visitor comes twice. Were a row's own answer in its encoding, the
			// encoding would be worth more to training than all else, and nothing here.
			r = mustRun(t, args(object{"columns": "day", "parts": []string{"year"}}))
			if loss := r.metric(t, "validation.loss"); loss > 0.75 {
				t.Errorf("loss %v by the visitor alone: there is nothing to know, which is 0.66", loss)
			}
		})
	}
}

// A straight line through a bow is no better than its mean; bins and squares bend.
func TestBinsAndSquaresBendALine(t *testing.T) {
	t.Chdir(t.TempDir())
	s := philox.New(6, 0, 0)
	var b strings.Builder
	b.WriteString("x,z,y\n")
	for range 2000 {
		x, z := s.Float32()*2-1, s.Float32()*2-1
		fmt.Fprintf(&b, "%v,%v,%v\n", x, z, x*x+x*z)
	}
	write(t, "t.csv", b.String())
	r2 := func(columns ...object) float64 {
		return mustRun(t, object{"data": "t.csv", "target": "y", "model": object{"linear": object{}}, "features": object{"numeric": columns}}).metric(t, "train.r2")
	}
	if got := r2(object{"columns": "*"}); got > 0.05 {
		t.Errorf("R² %v of a line", got)
	}
	if got := r2(object{"columns": "*", "bins": 20}); got < 0.4 {
		t.Errorf("R² %v of bins", got)
	}
	if got := r2(object{"columns": "*", "degree": 2}); got < 0.999 {
		t.Errorf("R² %v of squares and products", got)
	}
}

func TestMissingNumbersMayBeInNoBin(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "t.csv", "x,y\n1,no\n2,no\n,yes\n3,no\n,yes\n4,no\n")
	args := object{
		"data": "t.csv", "target": "y", "model": object{"logistic": object{"l2": 0.01}},
		"features": object{"numeric": []object{{"columns": "x", "bins": 2, "impute": "none"}}},
	}
	if got := mustRun(t, args).metric(t, "train.accuracy"); got != 1 {
		t.Errorf("accuracy %v: what is missing tells all", got)
	}
}

func TestBinsAndDegreesThatCannotBe(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "t.csv", "x,y\n1,no\n2,yes\n")
	var wide strings.Builder
	for i := range 500 {
		fmt.Fprintf(&wide, "x%d,", i)
	}
	wide.WriteString("y\n" + strings.Repeat("1,", 500) + "a\n" + strings.Repeat("2,", 500) + "b\n")
	write(t, "wide.csv", wide.String())
	for _, row := range []struct {
		data       string
		numeric    object
		path, want string
	}{
		{"t.csv", object{"columns": "x", "bins": 1}, "features.numeric[0].bins", "at least 2"},
		{"t.csv", object{"columns": "x", "bins": 1001}, "features.numeric[0].bins", "at most 1000"},
		{"t.csv", object{"columns": "x", "bins": 5, "scale": "standard"}, "features.numeric[0].scale", "Bins are not scaled"},
		{"t.csv", object{"columns": "x", "bins": 5, "degree": 2}, "features.numeric[0].degree", "Bins have no products"},
		{"t.csv", object{"columns": "x", "degree": 3}, "features.numeric[0].degree", "must be 1 or 2"},
		{"t.csv", object{"columns": "x", "impute": "none"}, "features.numeric[0].impute", "Only trees and bins"},
		{"wide.csv", object{"columns": "*", "degree": 2}, "features", "500 columns with degree 2 have 125250 products"},
	} {
		_, err := run(t, object{"data": row.data, "target": "y", "model": object{"logistic": object{}}, "features": object{"numeric": []object{row.numeric}}})
		p := problem(err)
		if p == nil || p.Path != row.path || !strings.Contains(p.Summary+": "+p.Detail, row.want) {
			t.Errorf("%v: error %v\nwant at %s: %s", row.numeric, err, row.path, row.want)
		}
	}
}
