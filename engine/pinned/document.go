// Package pinned is a plan written down, so that it can be reviewed, shown and
// carried out later exactly as it was: `plan --out`, `show FILE`, `apply FILE`.
//
// A Document pins all that a plan was made from: the flow that made it, what
// the pipeline's files mean, the values of variables, the files that
// expressions read, the entries of flow.lock, and for each stage its action,
// its key or the facts known of it, and the content of what it reads. Compare
// says in words what is different now. Sensitive values are in no document;
// one salted, slow hash proves that they are the same.
//
// The document is JSON with a version. The same plan gives the same bytes, but
// for that salt. The package plans nothing and runs nothing.
package pinned

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/key"
	"github.com/flow-pipelines/flow/engine/plan"
	"github.com/flow-pipelines/flow/engine/replace"
)

// Format is what a document says it is, and FormatVersion the version of the
// format: its first number changes when a field is taken away or means
// something else, its second when one is added.
const (
	Format        = "flow-plan"
	FormatVersion = "2.4"
)

// Document is a saved plan.
type Document struct {
	Format        string `json:"format"`
	FormatVersion string `json:"format_version"`
	// Flow is the version of the flow that planned.
	Flow     string `json:"flow"`
	Pipeline string `json:"pipeline"`
	// Selection is what the user chose to plan.
	Selection Selection `json:"selection"`
	// Files are the pipeline's files, without comments and layout; Read are
	// those that expressions read.
	Files map[string]digest.Digest `json:"files"`
	Read  map[string]digest.Digest `json:"read,omitempty"`
	// Variables are sorted by name. Salt goes with their proofs.
	Variables []Variable `json:"variables,omitempty"`
	Salt      []byte     `json:"salt,omitempty"`
	// Lock are the entries of flow.lock for the stages of the plan.
	Lock map[string]digest.Digest `json:"lock"`
	// Stages are in the order of the graph.
	Stages []Stage `json:"stages"`
	// Later are the blocks whose instances are known after apply.
	Later    []Later        `json:"known_after_apply,omitempty"`
	Targeted bool           `json:"targeted,omitempty"`
	Removed  []addr.Address `json:"removed,omitempty"`
	Moved    []plan.Move    `json:"moved,omitempty"`
	Orphans  []Orphan       `json:"orphans,omitempty"`
	// Unmanaged is what stays in service without a stage.
	Unmanaged []plan.Unmanaged `json:"unmanaged,omitempty"`
	Checks    []Check          `json:"checks,omitempty"`
	Outputs   []Output         `json:"outputs,omitempty"`
	Forecast  plan.Forecast    `json:"forecast"`
}

// Selection narrows a plan to some stages.
type Selection struct {
	// Targets are the stages to bring up to date, with what they need; an
	// address without a key means all instances. None means all.
	Targets []addr.Pattern `json:"target,omitempty"`
	// Exclude are stages to leave alone, with what depends on them.
	Exclude []addr.Pattern `json:"exclude,omitempty"`
	// Rerun are stages to run though they need not; RerunFrom as well, and
	// all that depends on them.
	Rerun     []addr.Pattern `json:"rerun,omitempty"`
	RerunFrom []addr.Pattern `json:"rerun_from,omitempty"`
}

// Empty reports whether nothing is selected, which means all.
func (s Selection) Empty() bool {
	return len(s.Targets)+len(s.Exclude)+len(s.Rerun)+len(s.RerunFrom) == 0
}

// Variable is a variable with its type and value, or, if it is sensitive, a
// proof of the value.
type Variable struct {
	Name      string          `json:"name"`
	Type      json.RawMessage `json:"type,omitempty"`
	Value     json.RawMessage `json:"value,omitempty"`
	Sensitive bool            `json:"sensitive,omitempty"`
	Proof     []byte          `json:"proof,omitempty"`
}

// Stage is the decision for one stage with what it was made from.
type Stage struct {
	Address addr.Address  `json:"address"`
	Action  plan.Action   `json:"action"`
	Reasons []plan.Reason `json:"reasons,omitempty"`
	// Key is missing while something that it depends on is not known; then
	// Unknown names the arguments that are not, and Facts are the others.
	Key     key.Key  `json:"key,omitzero"`
	Facts   []Fact   `json:"facts"`
	Unknown []string `json:"unknown,omitempty"`
	// Given stands for the user's own files; Effect acts outside of the
	// project.
	Given     bool           `json:"given,omitempty"`
	Effect    bool           `json:"effect,omitempty"`
	DependsOn []addr.Address `json:"depends_on,omitempty"`
	// Awaits are the blocks among Later that it depends on.
	Awaits []addr.Address `json:"awaits,omitempty"`
	// Results and Metrics are what it will come to, if that is known.
	Known   bool            `json:"known,omitempty"`
	Results []Result        `json:"results,omitempty"`
	Metrics json.RawMessage `json:"metrics,omitempty"`
	// Failing are conditions that do not hold.
	Failing []Failing `json:"failing,omitempty"`
	// Usual is in seconds, RestoreBytes in bytes.
	Usual        float64 `json:"usual_seconds,omitempty"`
	RestoreBytes int64   `json:"restore_bytes,omitempty"`

	// upstream are the names of the inputs that other stages write, of a plan that
	// was made just now.
	upstream map[string]bool
}

// Later is a plan.Deferred.
type Later struct {
	Address addr.Address   `json:"address"`
	Reason  plan.Reason    `json:"reason"`
	Needs   []addr.Address `json:"needs,omitempty"`
	Awaits  []addr.Address `json:"awaits,omitempty"`
	Effects []addr.Address `json:"effects,omitempty"`
	Blocked bool           `json:"blocked,omitempty"`
	// Failing is what is wrong with the instances that it would have.
	Failing []Failing `json:"failing,omitempty"`
	Place
}

// Fact is one thing that a result depends on; see key.Manifest.
type Fact struct {
	Kind  string `json:"kind"`
	Name  string `json:"name,omitempty"`
	Value string `json:"value"`
}

// Result is an output; Content is in key.FormatNode's form.
type Result struct {
	Name    string `json:"name"`
	Path    string `json:"path"`
	Content string `json:"content,omitempty"`
	Given   bool   `json:"given,omitempty"`
}

// Output is an output of the pipeline; without a value if that is not known or
// sensitive.
type Output struct {
	Name        string          `json:"name"`
	Type        json.RawMessage `json:"type,omitempty"`
	Value       json.RawMessage `json:"value,omitempty"`
	Sensitive   bool            `json:"sensitive,omitempty"`
	Description string          `json:"description,omitempty"`
}

// NotAPlanError says that a file is no saved plan, or none that can be read.
type NotAPlanError struct{ Path, Why string }

func (e *NotAPlanError) Error() string {
	return fmt.Sprintf("%s is not a saved plan: %s", e.Path, e.Why)
}

// Write writes the document durably.
func (d *Document) Write(path string) error {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(d); err != nil {
		return fmt.Errorf("write the plan: %w", err)
	}
	if err := replace.Durably(path, []byte(b.String()), 0o644); err != nil {
		return fmt.Errorf("write the plan: %w", err)
	}
	return nil
}

// Read reads a document. A file that is none is a *NotAPlanError.
func Read(path string) (*Document, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the plan: %w", err)
	}
	var head struct {
		Format        string `json:"format"`
		FormatVersion string `json:"format_version"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return nil, &NotAPlanError{path, "it is damaged, or was written by something else (" + err.Error() + ")"}
	}
	if head.Format != Format {
		return nil, &NotAPlanError{path, fmt.Sprintf("it has no \"format\": %q; flow plan --out writes one, flow plan --json writes another document", Format)}
	}
	first, _, _ := strings.Cut(FormatVersion, ".")
	if v, _, _ := strings.Cut(head.FormatVersion, "."); v != first {
		return nil, &NotAPlanError{path, fmt.Sprintf("it has format version %s, and this flow reads %s", head.FormatVersion, FormatVersion)}
	}
	d := &Document{}
	if err := json.Unmarshal(b, d); err != nil {
		return nil, &NotAPlanError{path, "it is damaged (" + err.Error() + ")"}
	}
	return d, nil
}
