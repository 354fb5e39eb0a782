package view

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/key"
	"github.com/flow-pipelines/flow/engine/lock"
	"github.com/flow-pipelines/flow/engine/plan"
)

// Diff writes how two locks differ: data, arguments and metrics of each stage.
func (p *Printer) Diff(diffs []lock.StageDiff) {
	for i, d := range diffs {
		if i > 0 {
			p.Printf("\n")
		}
		s := signChanged
		switch {
		case d.Old == nil:
			s = signNew
		case d.New == nil:
			s = signGone
		}
		p.Printf("%s %s\n", p.paint(s.style, s.mark), p.paint(bold, d.Addr.String()))
		if d.New == nil {
			continue // what it was made from tells nobody anything any more
		}
		var t table
		t.indent = "    "
		p.diffFacts(&t, d)
		p.diffResults(&t, d)
		p.diffMetrics(&t, d)
		t.print(p)
	}
}

func (p *Printer) diffFacts(t *table, d lock.StageDiff) {
	if d.Old == nil {
		return
	}
	for _, c := range d.Facts {
		if c.Kind == key.Output {
			continue // the results below say it better
		}
		name := strings.TrimSpace(c.Kind.String() + " " + c.Name)
		if c.Kind == key.TypeFact {
			name = "version of " + c.Name
		}
		if c.Kind == key.Input {
			t.row(name, nodesText(inputNode(c.Old), inputNode(c.New)))
			continue
		}
		before, after := plan.ShortenChange(c.Old, c.New)
		t.row(name, change(p, c.HasOld, c.HasNew, before, after))
	}
	if len(d.Facts) == 0 && d.New != nil && d.Old.Key != d.New.Key {
		t.row("a sensitive value", "changed")
	}
}

func inputNode(s string) digest.Node {
	n, _, err := key.ParseInput(s)
	if err != nil {
		return digest.Node{}
	}
	return n
}

func change(p *Printer, hasOld, hasNew bool, before, after string) string {
	switch {
	case !hasOld:
		return p.paint(green, after)
	case !hasNew:
		return p.paint(red, before) + " → none"
	}
	return p.paint(red, before) + " → " + p.paint(green, after)
}

func (p *Printer) diffResults(t *table, d lock.StageDiff) {
	for _, r := range d.Results {
		path := r.New.Path
		if !r.HasNew {
			path = r.Old.Path
		}
		text := nodesText(r.Old.Node, r.New.Node)
		if r.HasOld && r.HasNew && r.Old.Path != r.New.Path {
			path = r.Old.Path + " → " + r.New.Path
		}
		if r.HasOld && r.HasNew && r.Old.Node == r.New.Node {
			text = "same content"
		}
		t.row(path, text)
	}
}

// nodesText says how content changed: sizes, numbers of files, and, where these
// are the same, digests.
func nodesText(before, after digest.Node) string {
	switch {
	case before.IsZero():
		return "new, " + nodeText(after)
	case after.IsZero():
		return "removed"
	case before.Size == after.Size && before.Files == after.Files:
		return fmt.Sprintf("%s, content %s → %s", nodeText(after), before.Digest.Short(), after.Digest.Short())
	}
	return nodeText(before) + " → " + nodeText(after)
}

func nodeText(n digest.Node) string {
	if n.Kind == digest.Dir {
		return Plural(int(n.Files), "file") + ", " + plan.Bytes(n.Size)
	}
	return plan.Bytes(n.Size)
}

func (p *Printer) diffMetrics(t *table, d lock.StageDiff) {
	for _, m := range d.Metrics {
		text := change(p, m.Old != "", m.New != "", leafText(m.Old), leafText(m.New))
		if delta, ok := m.Delta(); ok {
			text += fmt.Sprintf("  (%s)", signed(delta))
		}
		t.row(m.Name, text)
	}
}

// leafText writes a metric's value, which is JSON.
func leafText(s string) string {
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		return number(f)
	}
	return plan.Shorten(s)
}

func signed(f float64) string {
	s := decimal(f, 4)
	if f > 0 {
		return "+" + s
	}
	return s
}

type stageDiffJSON struct {
	Address addr.Address `json:"address"`
	// Change is added, removed or changed.
	Change  string           `json:"change"`
	Facts   []key.Change     `json:"facts"`
	Data    []resultDiffJSON `json:"data"`
	Metrics []metricDiffJSON `json:"metrics"`
}

type resultDiffJSON struct {
	Name string      `json:"name"`
	Old  *resultJSON `json:"old,omitempty"`
	New  *resultJSON `json:"new,omitempty"`
}

type metricDiffJSON struct {
	Name  string          `json:"name"`
	Old   json.RawMessage `json:"old,omitempty"`
	New   json.RawMessage `json:"new,omitempty"`
	Delta *float64        `json:"delta,omitempty"`
}

// diffJSON is the document of `flow diff --json`.
type diffJSON struct {
	FormatVersion string          `json:"format_version"`
	Stages        []stageDiffJSON `json:"stages"`
}

// DiffJSON writes the differences for programs.
func DiffJSON(w io.Writer, diffs []lock.StageDiff) error {
	doc := diffJSON{FormatVersion, make([]stageDiffJSON, 0, len(diffs))}
	for _, d := range diffs {
		doc.Stages = append(doc.Stages, stageDiffToJSON(d))
	}
	return writeJSON(w, doc)
}

func stageDiffToJSON(d lock.StageDiff) stageDiffJSON {
	j := stageDiffJSON{Address: d.Addr, Change: "changed", Facts: []key.Change{}, Data: []resultDiffJSON{}, Metrics: []metricDiffJSON{}}
	switch {
	case d.Old == nil:
		j.Change = "added"
	case d.New == nil:
		j.Change = "removed"
	}
	j.Facts = append(j.Facts, d.Facts...)
	for _, r := range d.Results {
		rj := resultDiffJSON{Name: r.Name}
		if r.HasOld {
			rj.Old = &resultsToJSON([]lock.Result{r.Old})[0]
		}
		if r.HasNew {
			rj.New = &resultsToJSON([]lock.Result{r.New})[0]
		}
		j.Data = append(j.Data, rj)
	}
	for _, m := range d.Metrics {
		mj := metricDiffJSON{Name: m.Name, Old: json.RawMessage(m.Old), New: json.RawMessage(m.New)}
		if delta, ok := m.Delta(); ok {
			mj.Delta = &delta
		}
		j.Metrics = append(j.Metrics, mj)
	}
	return j
}
