package view

import (
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/flow-pipelines/flow/engine"
	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/plan"
	"github.com/flow-pipelines/flow/engine/reach"
)

// Meter shows on a terminal how far something long is; elsewhere, nothing.
type Meter struct {
	streams *Streams

	mu    sync.Mutex
	shown time.Time
	dirty bool
}

// NewMeter returns a meter that shows nothing yet.
func NewMeter(s *Streams) *Meter { return &Meter{streams: s} }

const meterEvery = 100 * time.Millisecond

// Show tells how much is done.
func (m *Meter) Show(what string, done, total int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.streams.ErrTTY || total <= 0 || time.Since(m.shown) < meterEvery {
		return
	}
	m.shown, m.dirty = time.Now(), true
	fmt.Fprintf(m.streams.Err, "\r%s: %d %%", what, min(100*done/total, 100))
}

// Close wipes what is shown.
func (m *Meter) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dirty {
		fmt.Fprint(m.streams.Err, "\r\x1b[K")
	}
	m.dirty = false
}

// whys are the reasons to keep something, in the order of telling.
func whys() []reach.Why {
	return []reach.Why{reach.Lock, reach.Commits, reach.Plans, reach.Runs, reach.Others, reach.Running}
}

func whyText(w reach.Why) string {
	switch w {
	case reach.Stages:
		return "results in flow.lock"
	case reach.Lock:
		return "what flow.lock names"
	case reach.Commits:
		return "earlier commits, other branches, stashes"
	case reach.Plans:
		return "saved plans"
	case reach.Runs:
		return "other results of recorded runs"
	case reach.Others:
		return "other projects"
	case reach.Running:
		return "what is at work now"
	default:
		return "nobody: flow cache gc removes it"
	}
}

const mostStages = 20

// CacheUse writes what takes up the cache.
func (p *Printer) CacheUse(u *engine.CacheUse, root string, all bool) {
	dir := u.Dir
	if rel, err := filepath.Rel(root, dir); err == nil && filepath.IsLocal(rel) {
		dir = rel
	}
	p.Printf("%s takes up %s.\n\n", dir, plan.Bytes(u.Disk))
	t := table{indent: "  "}
	t.row("STAGE", "KIND", "RESULTS", "ITS OWN")
	stages := u.Stages
	if !all && len(stages) > mostStages {
		stages = stages[:mostStages]
	}
	for _, s := range stages {
		kind := "results"
		if s.Given {
			kind = "data"
		}
		t.row(s.Addr.String(), kind, plan.Bytes(s.Bytes), plan.Bytes(s.Own.Bytes))
	}
	if len(stages) > 0 {
		t.print(p)
	}
	if more := len(u.Stages) - len(stages); more > 0 {
		p.Printf("  and %s more (--all lists them)\n", Plural(more, "stage"))
	}
	rest := table{indent: "  "}
	line := func(what string, a reach.Amount) {
		if a.Objects > 0 {
			rest.row(what, plan.Bytes(a.Bytes))
		}
	}
	line("what several stages share", u.Shared)
	for _, w := range whys() {
		line(whyText(w), u.Totals[w])
	}
	line(whyText(reach.Nobody), u.Totals[reach.Nobody])
	if len(stages) > 0 && len(rest.rows) > 0 {
		p.Printf("\n")
	}
	rest.print(p)
	if len(u.Beside) > 0 {
		p.Printf("\nBeside the cache\n")
		beside := table{indent: "  "}
		for _, name := range slices.Sorted(maps.Keys(u.Beside)) {
			beside.row(name, plan.Bytes(u.Beside[name]))
		}
		beside.print(p)
	}
	if len(u.Users) > 0 {
		p.Printf("\nOther projects use it: %s.\n", strings.Join(u.Users, ", "))
	}
	if len(u.Gone) > 0 {
		p.Printf("\nProjects that used it are not there, so what they need counts as nobody's, and flow cache gc refuses: %s.\n", strings.Join(u.Gone, ", "))
	}
}

// GC writes what was removed from the cache, or would be.
func (p *Printer) GC(r *engine.GCReport, dry bool) {
	if r.Trash > 0 {
		p.Printf("%s %s from .flow/trash.\n", would(dry, "Deleted", "Would delete"), plan.Bytes(r.Trash))
	}
	if r.Removed.Objects == 0 {
		p.Printf("Nothing to remove: all that the cache holds is needed.\n")
	} else {
		p.Printf("%s %s, %s.\n", would(dry, "Removed", "Would remove"), Plural(r.Removed.Objects, "object"), plan.Bytes(r.Removed.Bytes))
	}
	if r.Versions.Objects > 0 {
		p.Printf("%s of it are of commits older than --history: what is nowhere else cannot be brought back.\n", plan.Bytes(r.Versions.Bytes))
	}
	if r.Results > 0 {
		p.Printf("%s %s that had been recorded and cannot be restored any more.\n", would(dry, "Forgot", "Would forget"), Plural(r.Results, "result"))
	}
	kept := table{indent: "  "}
	for _, w := range append([]reach.Why{reach.Stages}, whys()...) {
		if a := r.Kept[w]; a.Objects > 0 {
			kept.row(whyText(w), plan.Bytes(a.Bytes))
		}
	}
	if len(kept.rows) > 0 {
		p.Printf("Kept\n")
		kept.print(p)
	}
	if !dry && r.After != r.Before {
		p.Printf("The cache takes up %s, before it was %s.\n", plan.Bytes(r.After), plan.Bytes(r.Before))
	}
}

func would(dry bool, did, wouldDo string) string {
	if dry {
		return wouldDo
	}
	return did
}

// Broken reports whether something is damaged or lacking that could not be stored.
func Broken(r *engine.VerifyReport) bool {
	return r.Elsewhere > 0 || slices.ContainsFunc(r.Affected, func(a engine.Affected) bool { return !a.Healed })
}

// Verify writes what is wrong with the cache.
func (p *Printer) Verify(r *engine.VerifyReport) {
	p.Printf("Checked %s, %s.\n", Plural(r.Checked.Objects, "object"), plan.Bytes(r.Checked.Bytes))
	if len(r.Damaged) == 0 {
		p.Printf("All of it is as it was stored.\n")
	} else {
		p.Printf("%s damaged and put aside:\n", p.paint(red, isAre(len(r.Damaged), "object")))
	}
	for i, d := range r.Damaged {
		if i == mostStages {
			p.Printf("  and %d more\n", len(r.Damaged)-i)
			break
		}
		p.Printf("  %s, now %s\n", d.Digest.Short(), d.Where)
	}
	if len(r.Affected) > 0 {
		p.Printf("What flow.lock names was not all there:\n")
	}
	for _, a := range r.Affected {
		p.wrapped("  ", "    ", fmt.Sprintf("%s: %s: %s", a.Addr, a.Path, nextStep(a)))
	}
	if r.Elsewhere > 0 {
		p.wrapped("  ", "    ", fmt.Sprintf("%s belong to no result in flow.lock. If an earlier commit needs one, flow apply in that commit makes again what a stage makes; data of yours has to be put there again.", Plural(r.Elsewhere, "object")))
	}
}

func isAre(n int, what string) string {
	if n == 1 {
		return "1 " + what + " was"
	}
	return fmt.Sprintf("%d %ss were", n, what)
}

// nextStep says how a result comes back.
func nextStep(a engine.Affected) string {
	switch {
	case a.Healed:
		return "stored from its place"
	case a.Given && a.There:
		return "what lies there is other data; put the recorded data there again, from a backup or where it came from, and run flow apply"
	case a.Given:
		return "put the data there again, from a backup or where it came from, and run flow apply"
	case a.There:
		return "move what lies there out of the way and run flow apply, which makes it again"
	default:
		return "flow apply makes it again"
	}
}

type amountJSON struct {
	Objects int   `json:"objects"`
	Bytes   int64 `json:"bytes"`
}

func amountOf(a reach.Amount) amountJSON { return amountJSON(a) }

func amountsOf(totals map[reach.Why]reach.Amount) map[string]amountJSON {
	doc := map[string]amountJSON{}
	for w, a := range totals {
		doc[w.String()] = amountOf(a)
	}
	return doc
}

// cacheUseJSON is the document of `flow cache du --json`.
type cacheUseJSON struct {
	FormatVersion string                `json:"format_version"`
	Dir           string                `json:"dir"`
	Disk          int64                 `json:"disk_bytes"`
	Stages        []stageUseJSON        `json:"stages"`
	Shared        amountJSON            `json:"shared"`
	Needed        map[string]amountJSON `json:"needed_by"`
	Users         []string              `json:"other_projects"`
	Gone          []string              `json:"missing_projects"`
	Beside        map[string]int64      `json:"beside"`
}

type stageUseJSON struct {
	Address addr.Address `json:"address"`
	Given   bool         `json:"given"`
	Bytes   int64        `json:"bytes"`
	Own     amountJSON   `json:"own"`
}

// CacheUseJSON writes what takes up the cache.
func CacheUseJSON(w io.Writer, u *engine.CacheUse) error {
	doc := cacheUseJSON{
		FormatVersion: FormatVersion, Dir: u.Dir, Disk: u.Disk, Stages: []stageUseJSON{}, Shared: amountOf(u.Shared),
		Needed: amountsOf(u.Totals), Users: list(u.Users), Gone: list(u.Gone), Beside: u.Beside,
	}
	for _, s := range u.Stages {
		doc.Stages = append(doc.Stages, stageUseJSON{s.Addr, s.Given, s.Bytes, amountOf(s.Own)})
	}
	return writeJSON(w, doc)
}

// gcJSON is the document of `flow cache gc --json`.
type gcJSON struct {
	FormatVersion string                `json:"format_version"`
	DryRun        bool                  `json:"dry_run"`
	Removed       amountJSON            `json:"removed"`
	Versions      amountJSON            `json:"removed_of_old_commits"`
	Kept          map[string]amountJSON `json:"kept"`
	Results       int                   `json:"forgotten_results"`
	Trash         int64                 `json:"trash_bytes"`
	Users         []string              `json:"other_projects"`
	Before        int64                 `json:"disk_bytes_before"`
	After         int64                 `json:"disk_bytes"`
}

// GCJSON writes what was removed from the cache.
func GCJSON(w io.Writer, r *engine.GCReport, dry bool) error {
	return writeJSON(w, gcJSON{
		FormatVersion, dry, amountOf(r.Removed), amountOf(r.Versions), amountsOf(r.Kept), r.Results, r.Trash, list(r.Users), r.Before, r.After,
	})
}

// verifyJSON is the document of `flow cache verify --json`.
type verifyJSON struct {
	FormatVersion string         `json:"format_version"`
	Checked       amountJSON     `json:"checked"`
	Damaged       []damagedJSON  `json:"damaged"`
	Affected      []affectedJSON `json:"affected"`
	Elsewhere     int            `json:"elsewhere"`
}

type damagedJSON struct {
	Digest string `json:"digest"`
	Where  string `json:"now_at"`
}

type affectedJSON struct {
	Address addr.Address `json:"address"`
	Path    string       `json:"path"`
	Given   bool         `json:"given"`
	Damaged bool         `json:"damaged"`
	Healed  bool         `json:"healed"`
}

// VerifyJSON writes what is wrong with the cache.
func VerifyJSON(w io.Writer, r *engine.VerifyReport) error {
	doc := verifyJSON{FormatVersion, amountOf(r.Checked), []damagedJSON{}, []affectedJSON{}, r.Elsewhere}
	for _, d := range r.Damaged {
		doc.Damaged = append(doc.Damaged, damagedJSON{d.Digest.String(), d.Where})
	}
	for _, a := range r.Affected {
		doc.Affected = append(doc.Affected, affectedJSON{a.Addr, a.Path, a.Given, a.Damaged, a.Healed})
	}
	return writeJSON(w, doc)
}
