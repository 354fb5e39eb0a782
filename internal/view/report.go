package view

import (
	"github.com/flow-pipelines/flow/engine"
	"github.com/flow-pipelines/flow/engine/config"
)

// Report writes how an apply went: the outputs, how the stages ended, and the
// time beside the forecast.
func (p *Printer) Report(rep *engine.Report, outs []config.Output) {
	if len(outs) > 0 && len(rep.Failed) == 0 && !rep.Interrupted {
		p.Printf("%s\n", p.paint(bold, "Outputs"))
		p.Outputs(outs)
		p.Printf("\n")
	}
	word, style := "Applied", green
	switch {
	case rep.Interrupted:
		word, style = "Interrupted", yellow
	case len(rep.Failed) > 0:
		word, style = "Failed", red
	}
	s := "in " + Duration(rep.Elapsed)
	if f := rep.Plan.Forecast; word == "Applied" && f.Elapsed > 0 {
		s += " (forecast " + Duration(f.Elapsed)
		if f.Unknown > 0 {
			s += " and " + Plural(f.Unknown, "stage") + " of unknown time"
		}
		s += ")"
	}
	if c := countsText(rep.Counts); c != "" {
		s += ": " + c
	}
	p.wrapped(p.paint(bold+";"+style, word)+" ", "  ", s+".")
}
