package pinned

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/key"
	"github.com/flow-pipelines/flow/engine/lock"
	"github.com/flow-pipelines/flow/engine/plan"
)

// Made is what a document is made of.
type Made struct {
	Plan      *plan.Plan
	Pipeline  *config.Pipeline
	Lock      *lock.Lock
	Flow      string
	Selection Selection
	// Salt is that of the document to compare with; nil makes one if there
	// is something sensitive.
	Salt []byte
}

// Of writes a plan down.
func Of(m Made) (*Document, error) {
	d := &Document{
		Format: Format, FormatVersion: FormatVersion, Flow: m.Flow, Pipeline: m.Pipeline.Settings().Name,
		Selection: m.Selection, Files: m.Pipeline.Sources(), Read: m.Pipeline.FilesRead(),
		Lock: map[string]digest.Digest{}, Stages: make([]Stage, 0, len(m.Plan.Steps)),
		Targeted: m.Plan.Targeted, Removed: m.Plan.Removed,
		Forecast: m.Plan.Forecast,
	}
	if err := d.addVariables(m.Pipeline.Variables(), m.Salt); err != nil {
		return nil, err
	}
	for _, s := range m.Plan.Steps {
		st, err := stageOf(s)
		if err != nil {
			return nil, err
		}
		d.Stages = append(d.Stages, st)
		if err := d.addLock(m.Lock, s.Addr); err != nil {
			return nil, err
		}
	}
	d.addRest(m.Plan)
	for _, a := range m.Plan.Removed {
		if err := d.addLock(m.Lock, a); err != nil {
			return nil, err
		}
	}
	for _, o := range m.Plan.Outputs {
		out := Output{Name: o.Name, Sensitive: o.Sensitive, Description: o.Description}
		if !o.Sensitive && o.Value != cty.NilVal && o.Value.IsWhollyKnown() {
			var err error
			if out.Type, out.Value, err = marshal(o.Value); err != nil {
				return nil, fmt.Errorf("output %s: %w", o.Name, err)
			}
		}
		d.Outputs = append(d.Outputs, out)
	}
	return d, nil
}

func marshal(v cty.Value) (typ, value []byte, err error) {
	if typ, err = ctyjson.MarshalType(v.Type()); err != nil {
		return nil, nil, err
	}
	value, err = ctyjson.Marshal(v, v.Type())
	return typ, value, err
}

func (d *Document) addVariables(vs []config.Variable, salt []byte) error {
	for _, v := range vs {
		out := Variable{Name: v.Name, Sensitive: v.Sensitive}
		typ, value, err := marshal(v.Value)
		if err != nil {
			return fmt.Errorf("variable %s: %w", v.Name, err)
		}
		if !v.Sensitive {
			out.Type, out.Value = typ, value
			d.Variables = append(d.Variables, out)
			continue
		}
		if salt == nil {
			salt = make([]byte, 16)
			_, _ = rand.Read(salt) // never fails
		}
		d.Salt = salt
		if out.Proof, err = proof(v.Name, value, salt); err != nil {
			return err
		}
		d.Variables = append(d.Variables, out)
	}
	return nil
}

// proofRounds make each guess of a sensitive value cost about 50 ms.
const proofRounds = 200_000

func proof(name string, value, salt []byte) ([]byte, error) {
	return pbkdf2.Key(sha256.New, name+"="+string(value), salt, proofRounds, 32)
}

// addLock pins what flow.lock has of a stage, if anything.
func (d *Document) addLock(l *lock.Lock, a addr.Address) error {
	entry := l.Get(a)
	if entry == nil {
		return nil
	}
	one := &lock.Lock{}
	one.Put(entry)
	text, err := one.Format()
	if err != nil {
		return err
	}
	d.Lock[a.String()] = digest.OfBytes(text)
	return nil
}

func stageOf(s *plan.Step) (Stage, error) {
	out := Stage{
		Address: s.Addr, Action: s.Action, Key: s.Key, Facts: factsOf(s.Manifest), Unknown: s.Stage.Unknown,
		Given: s.Given(), Effect: s.Stage.Schema.Effect, DependsOn: slices.Clone(s.Stage.Deps), Awaits: slices.Clone(s.Stage.Awaits),
		Reasons: s.Reasons, Known: s.Known, Failing: failingOf(s.Failing), Usual: s.Usual.Seconds(), RestoreBytes: s.RestoreBytes,
		upstream: map[string]bool{},
	}
	program := key.Subject{Job: s.Stage.Job, Unknown: s.Stage.Unknown}.Program()
	for _, in := range s.Stage.Job.Inputs {
		switch {
		case in.From == nil:
		case program:
			out.upstream[in.Path], out.upstream[in.Whole()] = true, true
		default:
			out.upstream[in.Role] = true
		}
	}
	if len(s.Metrics) > 0 {
		var err error
		if out.Metrics, err = json.Marshal(s.Metrics); err != nil {
			return out, fmt.Errorf("%s: metrics: %w", s.Addr, err)
		}
	}
	for _, r := range s.Results {
		out.Results = append(out.Results, Result{r.Name, r.Path, formatNode(r.Node), r.Given})
	}
	return out, nil
}

func factsOf(m key.Manifest) []Fact {
	facts := make([]Fact, 0, len(m))
	for _, f := range m.Redacted() {
		facts = append(facts, Fact{f.Kind.String(), f.Name, f.Value})
	}
	return facts
}

func formatNode(n digest.Node) string {
	if n.IsZero() {
		return ""
	}
	return key.FormatNode(n)
}
