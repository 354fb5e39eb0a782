package view

import (
	"encoding/json"
	"io"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/lock"
	"github.com/flow-pipelines/flow/engine/plan"
	"github.com/flow-pipelines/flow/engine/stage"
)

// FormatVersion is that of all JSON documents. Its first number changes when a
// field is taken away or means something else, its second when one is added.
const FormatVersion = "2.1"

// writeJSON writes v as an indented document.
func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// planJSON is the document of `flow plan --json`. Times are in seconds and
// missing where unknown, sizes in bytes.
type planJSON struct {
	FormatVersion string `json:"format_version"`
	// Targeted says that only a part of the pipeline was planned.
	Targeted bool       `json:"targeted"`
	Stages   []stepJSON `json:"stages"`
	// Later are the blocks whose instances depend on what stages come to that
	// have not run yet.
	Later []laterJSON `json:"known_after_apply"`
	// Removed are the stages in flow.lock that the pipeline does not have.
	Removed []addr.Address `json:"removed"`
	// Moved are the stages that flow.lock has under another name.
	Moved []plan.Move `json:"moved"`
	// Orphans are files that no stage writes any more.
	Orphans []orphanJSON `json:"orphans"`
	// Unmanaged is what no stage is in charge of any more, and stays.
	Unmanaged []plan.Unmanaged      `json:"unmanaged"`
	Outputs   map[string]outputJSON `json:"outputs"`
	// Checks are the pipeline's check blocks, by name.
	Checks []checkJSON `json:"checks"`
	// Summary counts the stages by their actions.
	Summary  map[plan.Action]int `json:"summary"`
	Forecast plan.Forecast       `json:"forecast"`
}

// laterJSON is a block, or a module, without its instances. Stages are those that
// it waits for; Blocked says that they will not run, and so it makes none.
type laterJSON struct {
	Address addr.Address   `json:"address"`
	Reason  string         `json:"reason"`
	Stages  []addr.Address `json:"stages"`
	Blocked bool           `json:"blocked,omitempty"`
	// Failing says that it cannot be expanded with the results that it is made from.
	Failing bool `json:"failing,omitempty"`
}

func laterToJSON(ds []plan.Deferred) []laterJSON {
	out := make([]laterJSON, 0, len(ds))
	for _, d := range ds {
		out = append(out, laterJSON{d.Addr, d.Reason.Text, list(d.Needs), d.Blocked, len(d.Mistakes) > 0})
	}
	return out
}

type stepJSON struct {
	Address addr.Address `json:"address"`
	Type    string       `json:"type"`
	// Action is keep, restore, run, defer or blocked.
	Action  plan.Action   `json:"action"`
	Reasons []plan.Reason `json:"reasons"`
	// Key is missing while something that it depends on is not known.
	Key string `json:"key,omitempty"`
	// Given says that the stage stands for the user's own files.
	Given        bool           `json:"given,omitempty"`
	DependsOn    []addr.Address `json:"depends_on"`
	Usual        float64        `json:"usual_seconds,omitempty"`
	RestoreBytes int64          `json:"restore_bytes,omitempty"`
	// Results and Metrics are what the stage will come to, where that is known.
	Results []resultJSON  `json:"results,omitempty"`
	Metrics stage.Metrics `json:"metrics,omitempty"`
}

type resultJSON struct {
	Name string `json:"name"`
	Path string `json:"path"`
	digest.Node
}

// PlanJSON writes a plan for programs.
func PlanJSON(w io.Writer, pl *plan.Plan) error {
	doc := planJSON{
		FormatVersion: FormatVersion, Targeted: pl.Targeted,
		Checks: checksToJSON(pl.Checks), Later: laterToJSON(pl.Deferred),
		Stages: make([]stepJSON, 0, len(pl.Steps)), Removed: list(pl.Removed),
		Moved: list(pl.Moved), Orphans: orphansToJSON(pl.Orphans), Unmanaged: list(pl.Unmanaged),
		Outputs: outputsJSON(pl.Outputs), Summary: map[plan.Action]int{},
		Forecast: pl.Forecast,
	}
	for _, a := range []plan.Action{plan.Keep, plan.Restore, plan.Run, plan.Defer, plan.Blocked} {
		doc.Summary[a] = pl.Count(a)
	}
	for _, s := range pl.Steps {
		doc.Stages = append(doc.Stages, stepToJSON(s))
	}
	return writeJSON(w, doc)
}

func stepToJSON(s *plan.Step) stepJSON {
	j := stepJSON{
		Address: s.Addr, Type: s.Addr.Type, Action: s.Action, Reasons: list(s.Reasons), Given: s.Given(),
		DependsOn: list(s.Stage.Deps), Usual: s.Usual.Seconds(), RestoreBytes: s.RestoreBytes, Metrics: s.Metrics,
	}
	if !s.Key.IsZero() {
		j.Key = s.Key.String()
	}
	if s.Known {
		j.Results = resultsToJSON(s.Results)
	}
	return j
}

func resultsToJSON(rs []lock.Result) []resultJSON {
	out := make([]resultJSON, 0, len(rs))
	for _, r := range rs {
		out = append(out, resultJSON{r.Name, r.Path, r.Node})
	}
	return out
}

// list is s, written as [] if it is nil.
func list[E any](s []E) []E {
	if s == nil {
		return []E{}
	}
	return s
}
