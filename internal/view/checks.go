package view

import (
	"fmt"

	"github.com/flow-pipelines/flow/engine/config"
)

// checkJSON is a check block. State is true, false or unknown; Messages are
// those of the assertions that do not hold.
type checkJSON struct {
	Name     string   `json:"name"`
	State    string   `json:"state"`
	Messages []string `json:"messages,omitempty"`
}

func checksToJSON(checks []config.Check) []checkJSON {
	out := make([]checkJSON, 0, len(checks))
	for _, c := range checks {
		j := checkJSON{Name: c.Name, State: c.Value().String()}
		for _, d := range c.Warnings() {
			j.Messages = append(j.Messages, d.Detail)
		}
		out = append(out, j)
	}
	return out
}

// Checks warns of the checks that do not hold.
func (p *Printer) Checks(checks []config.Check) {
	for _, c := range checks {
		for _, d := range c.Warnings() {
			p.Warning(fmt.Sprintf("%s: %s (%s:%d)", d.Summary, d.Detail, d.Subject.Filename, d.Subject.Start.Line))
		}
	}
}
