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
	if f := rep.Plan.Forecast; word == "Applied" && f.Unknown == 0 && f.CriticalPath > 0 {
		s += " (forecast " + Duration(f.CriticalPath) + " to " + Duration(f.Total) + ")"
		if f.CriticalPath == f.Total {
			s = "in " + Duration(rep.Elapsed) + " (forecast " + Duration(f.Total) + ")"
		}
	}
	if c := countsText(rep.Counts); c != "" {
		s += ": " + c
	}
	p.wrapped(p.paint(bold+";"+style, word)+" ", "  ", s+".")
}
