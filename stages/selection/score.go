package selection

import (
	"encoding/json"
	"fmt"
	"math"

	"github.com/flow-pipelines/flow/engine/stage"
)

// flaw is why a candidate cannot be ranked.
type flaw int

const (
	sound   flaw = iota
	missing      // it has no such metric
	noNumber
	notANumber // NaN
	tooLarge   // for a float64
)

// scoreOf returns the value that a candidate is compared by.
func scoreOf(c stage.Reference, name string) (float64, flaw) {
	value, ok := lookup(c.Metrics, name)
	if !ok {
		return 0, missing
	}
	var score float64
	switch v := value.(type) {
	case json.Number:
		f, err := v.Float64()
		if err != nil {
			return 0, tooLarge
		}
		score = f
	case float64:
		score = v
	case int64:
		score = float64(v)
	case int:
		score = float64(v)
	default:
		return 0, noNumber
	}
	if math.IsNaN(score) {
		return 0, notANumber
	}
	return score, sound
}

// problem complains once of all candidates with a flaw, whose indexes are
// given, and explains it by the first.
func (f flaw) problem(cfg Config, candidates []int) *stage.Problem {
	c, name := cfg.Candidates[candidates[0]], cfg.Metric
	of := c.Address
	if n := len(candidates); n > 1 {
		of = fmt.Sprintf("%d candidates, among them %s,", n, c.Address)
	}
	p := &stage.Problem{Path: "candidates"}
	switch {
	case len(candidates) == len(cfg.Candidates):
		p.Path = "metric" // the name is what is wrong if nobody has it
	case len(candidates) == 1:
		p.Path = at(candidates[0])
	}
	value, _ := lookup(c.Metrics, name)
	switch f {
	case missing:
		p.Summary = fmt.Sprintf("%s no metric %q", have(c.Address, len(candidates)), name)
		p.Detail = missingDetail(c, name, len(candidates) > 1)
	case tooLarge:
		p.Summary = fmt.Sprintf("The metric %q of %s is too large", name, of)
		p.Detail = fmt.Sprintf("Its value is %s.", value)
	case notANumber:
		p.Summary = fmt.Sprintf("The metric %q of %s is not a number", name, of)
		p.Detail = "Its value is NaN."
	case noNumber:
		p.Summary = fmt.Sprintf("The metric %q of %s is not a number", name, of)
		p.Detail = "Choose a metric that is a number."
		if m, ok := value.(map[string]any); ok {
			p.Detail = fmt.Sprintf("It holds %s; name one: \"%s.NAME\".", quoted(numbers("", m)), name)
		}
	case sound:
		panic("BUG: selection: nothing is wrong with " + c.Address)
	}
	return p
}

// missingDetail says what the candidate has instead; several says that it is
// not the only one.
func missingDetail(c stage.Reference, name string, several bool) string {
	whose, who := "Its metrics", "It"
	if several {
		whose, who = "The metrics of "+c.Address, c.Address
	}
	have := numbers("", c.Metrics)
	if len(have) == 0 {
		return who + " reported no numbers at all. Give it metrics to report, or leave it out of the candidates."
	}
	next := ""
	if near := nearest(name, have); near != "" {
		next = fmt.Sprintf("Did you mean %q? ", near)
	}
	return fmt.Sprintf("%s%s are %s.", next, whose, quoted(have))
}
