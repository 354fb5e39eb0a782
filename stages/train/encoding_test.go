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
