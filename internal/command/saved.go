package command

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/flow-pipelines/flow/engine"
	"github.com/flow-pipelines/flow/engine/pinned"
	"github.com/flow-pipelines/flow/engine/plan"
	"github.com/flow-pipelines/flow/internal/view"
)

// Saved plans: plan --out FILE, show FILE, apply FILE.

// save writes the plan to the file that was asked for.
func (o *PlanOptions) save(p *engine.Project, pl *plan.Plan, sel engine.Selection) error {
	doc, err := p.Pin(pl, sel)
	if err != nil {
		return err
	}
	return p.SavePlan(doc, o.Shell.path(o.Out))
}

// readPlan reads a saved plan that a user named.
func (sh *Shell) readPlan(file string) (*pinned.Document, error) {
	doc, err := pinned.Read(sh.path(file))
	var other *pinned.NotAPlanError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &hinted{fmt.Errorf("there is no file %s", file), "flow plan --out " + view.ShellQuote(file) + " saves a plan in it"}
	case errors.As(err, &other):
		return nil, &hinted{fmt.Errorf("%s is not a saved plan: %s", file, other.Why), "flow plan --out " + view.ShellQuote(file) + " saves one in it"}
	}
	return doc, err
}

// saved reads the plan to carry out, nil if none was named. What the plan
// decides already cannot be said again.
func (o *ApplyOptions) saved() (*pinned.Document, error) {
	if o.File == "" {
		return nil, nil
	}
	if len(o.Targets)+len(o.Exclude)+len(o.Rerun)+len(o.RerunFrom) > 0 {
		return nil, &usageError{text: "a saved plan says which stages it is about; --target, --exclude, --rerun and --rerun-from belong to flow plan --out"}
	}
	doc, err := o.Shell.readPlan(o.File)
	if err != nil {
		return nil, err
	}
	for _, assignment := range o.Vars {
		name, _, _ := strings.Cut(assignment, "=")
		for _, v := range doc.Variables {
			if v.Name == name && !v.Sensitive {
				return nil, &usageError{text: fmt.Sprintf("a saved plan has the values of its variables, and %s is one; only sensitive ones are given again", name)}
			}
		}
	}
	return doc, nil
}

// showPlan shows a saved plan as flow plan showed it.
func (o *ShowOptions) showPlan() error {
	doc, err := o.Shell.readPlan(o.Addr)
	if err != nil {
		return err
	}
	pl, err := doc.Plan()
	if err != nil {
		return err
	}
	if o.JSON {
		return view.PlanJSON(o.Shell.Streams.Out, pl)
	}
	o.Shell.out().Plan(pl, o.Verbose)
	o.Shell.out().Checks(pl.Checks)
	return nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// stalePlan is a saved plan that does not fit the project any more.
type stalePlan struct {
	file string
	*pinned.StaleError
}

func (e *stalePlan) Unwrap() error { return e.StaleError }

// outdated adds to an error about a saved plan which plan that is.
func outdated(file string, err error) error {
	var stale *pinned.StaleError
	if file == "" || !errors.As(err, &stale) {
		return err
	}
	return &stalePlan{file, stale}
}

// mostDifferences are shown of a plan that does not fit.
const mostDifferences = 20

func (e *stalePlan) diagnostics() hcl.Diagnostics {
	var b strings.Builder
	b.WriteString("Since it was made, this has changed:\n\n")
	for i, d := range e.Differences {
		if i == mostDifferences {
			fmt.Fprintf(&b, "  and %s\n", view.Plural(len(e.Differences)-i, "more difference"))
			break
		}
		fmt.Fprintf(&b, "  %s\n", d)
	}
	b.WriteString("\nNothing was run. Make a new plan, and look at it: flow plan --out " + view.ShellQuote(e.file))
	return hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "The plan in " + e.file + " is out of date", Detail: b.String()}}
}

// report writes the differences.
func (e *stalePlan) report(p *view.Printer) { p.Diagnostics(e.diagnostics(), nil) }
