package pinned

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/zclconf/go-cty/cty"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/key"
	"github.com/flow-pipelines/flow/engine/lock"
	"github.com/flow-pipelines/flow/engine/plan"
	"github.com/flow-pipelines/flow/engine/stage"
)

func file(content string) digest.Node {
	return digest.Node{Kind: digest.File, Digest: digest.OfBytes([]byte(content)), Size: int64(len(content)), Files: 1}
}

// train is a step that reads a script of the project and an upstream's output
// that is not known yet.
func train(script string, secret string) *plan.Step {
	a := addr.Address{Type: "exec", Name: "train", Key: addr.StringKey("a")}
	up := addr.Address{Type: "exec", Name: "prep"}
	return &plan.Step{
		Addr: a, Action: plan.Run, Usual: 1500 * time.Millisecond,
		Stage: &config.Stage{Addr: a, Deps: []addr.Address{up}, Schema: &stage.Schema{Name: "exec"}, Job: &stage.Job{}, Unknown: []string{"epochs"}},
		Manifest: key.Manifest{
			{Kind: key.TypeFact, Name: "exec", Value: "1"},
			{Kind: key.Input, Name: "train.py", Value: key.FormatInput(file(script), "train.py")},
			{Kind: key.Environment, Name: "TOKEN", Value: secret, Sensitive: true},
		},
		Reasons: []plan.Reason{
			{Kind: plan.Changed, Text: "input train.py changed", Change: &key.Change{Kind: key.Input, Name: "train.py", Old: "x", New: "y", HasOld: true, HasNew: true}},
			{Kind: plan.DataChanged, Text: "data", Files: []plan.FileChange{{Path: "a", New: file("new")}}, More: 2},
			{Kind: plan.Upstream, Text: "exec.prep runs first", Stages: []addr.Address{up}},
		},
	}
}

func document(t *testing.T, steps ...*plan.Step) *Document {
	t.Helper()
	d := &Document{Format: Format, FormatVersion: FormatVersion, Flow: "0.1.0", Stages: []Stage{}, Lock: map[string]digest.Digest{}}
	for _, s := range steps {
		st, err := stageOf(s)
		if err != nil {
			t.Fatal(err)
		}
		d.Stages = append(d.Stages, st)
	}
	return d
}

func TestADocumentIsReadAsItWasWritten(t *testing.T) {
	d := document(t, train("v1", "hush-hush"))
	d.Selection.Exclude = []addr.Pattern{addr.PatternOf(addr.Address{Type: "deploy", Name: "x"})}
	if err := d.addVariables([]config.Variable{
		{Name: "list", Value: cty.TupleVal([]cty.Value{cty.NumberFloatVal(0.1), cty.NullVal(cty.String)})},
		{Name: "token", Value: cty.StringVal("hush-hush"), Sensitive: true},
	}, nil); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "x.plan")
	if err := d.Write(path); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(path); strings.Contains(string(b), "hush-hush") {
		t.Errorf("the plan has the sensitive value:\n%s", b)
	}
	back, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	before, _ := json.Marshal(d)
	after, _ := json.Marshal(back)
	if diff := cmp.Diff(string(after), string(before)); diff != "" {
		t.Error(diff)
	}
	values, err := back.Values()
	if err != nil || len(values) != 1 || !values["list"].RawEquals(cty.TupleVal([]cty.Value{cty.NumberFloatVal(0.1), cty.NullVal(cty.String)})) {
		t.Errorf("got %#v, %v", values, err)
	}
	pl, err := back.Plan()
	if err != nil {
		t.Fatal(err)
	}
	got, want := pl.Steps[0], train("v1", key.Hidden)
	if diff := cmp.Diff(got.Reasons, want.Reasons, cmpopts.EquateComparable(addr.Address{})); diff != "" || got.Usual != want.Usual || got.Addr != want.Addr {
		t.Errorf("got %+v\n%s", got, diff)
	}
}

func TestCompareNamesWhatDiffers(t *testing.T) {
	locked := func(d *Document, content string) *Document {
		l := &lock.Lock{}
		a := addr.Address{Type: "exec", Name: "prep"}
		l.Put(&lock.Stage{Addr: a, Results: []lock.Result{{Name: "x", Path: "x", Node: file(content)}}})
		if err := d.addLock(l, a); err != nil {
			t.Fatal(err)
		}
		return d
	}
	prove := func(value string) *Document {
		d := document(t)
		if err := d.addVariables([]config.Variable{{Name: "token", Value: cty.StringVal(value), Sensitive: true}}, []byte("salt")); err != nil {
			t.Fatal(err)
		}
		return d
	}
	kept := train("v1", "s")
	kept.Action = plan.Keep
	// What prep writes is known, or not yet; the rest was not looked at behind a gate.
	told := func(known bool, action plan.Action) *plan.Step {
		s := train("v1", "s")
		s.Action, s.Stage.Unknown, s.Reasons = action, nil, []plan.Reason{{Text: "exec.prep runs first"}}
		s.Stage.Job.Inputs = []stage.Input{{Role: "prep.csv", Path: "prep.csv", From: &stage.Source{Address: "exec.prep"}}}
		if known {
			s.Manifest = append(s.Manifest, key.Fact{Kind: key.Input, Name: "prep.csv", Value: key.FormatInput(file("1"), "prep.csv")})
			s.Key = s.Manifest.Key()
		}
		return s
	}
	gated := told(false, plan.Blocked)
	gated.Manifest, gated.Reasons = nil, []plan.Reason{{Text: "when: x is false"}}
	newer := document(t)
	newer.Flow = "0.2.0"
	for _, tt := range []struct {
		name        string
		before, now *Document
		want        []string
	}{
		{"nothing", document(t, train("v1", "s")), document(t, train("v1", "s")), nil},
		{"a script", document(t, train("v1", "s")), document(t, train("v22", "s")), []string{`exec.train["a"]: input train.py changed, 2 B → 3 B`}},
		{"an action", document(t, train("v1", "s")), document(t, kept), []string{`exec.train["a"]: was to run, and is now to be kept: input train.py changed`}},
		{"a stage", document(t, train("v1", "s")), document(t), []string{`exec.train["a"]: is no stage of the plan any more`}},
		{"what is not known any more", document(t, told(true, plan.Keep)), document(t, told(false, plan.Defer)), []string{`exec.train["a"]: was to be kept, and is now to run perhaps: exec.prep runs first`}},
		{"what is known now", document(t, told(false, plan.Run)), document(t, told(true, plan.Run)), nil},
		{"a gate", document(t, told(true, plan.Run)), document(t, gated), []string{`exec.train["a"]: was to run, and is now blocked: when: x is false`}},
		{"flow", document(t), newer, []string{"flow: version 0.1.0 made the plan, this is version 0.2.0"}},
		{"the lock", locked(document(t), "1"), locked(document(t), "2"), []string{"flow.lock: exec.prep was recorded again since the plan was made"}},
		{"a new entry", document(t), locked(document(t), "2"), []string{"flow.lock: exec.prep was recorded since the plan was made"}},
		{"the same secret", prove("hush"), prove("hush"), nil},
		{"another secret", prove("hush"), prove("hash"), []string{"variable token: has not the (sensitive) value that it was planned with"}},
	} {
		ds, err := tt.before.Compare(tt.now)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, d := range ds {
			got = append(got, d.String())
		}
		if diff := cmp.Diff(got, tt.want); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
}

func TestCheckLetsInWhatWasNotKnown(t *testing.T) {
	check := document(t, train("v1", "s")).Checker()
	upstream := train("v1", "s")
	upstream.Manifest = append(upstream.Manifest, key.Fact{Kind: key.Input, Name: "prep.csv", Value: key.FormatInput(file("1"), "prep.csv")},
		key.Fact{Kind: key.Argument, Name: "epochs", Value: "3"})
	upstream.Stage.Job.Inputs = []stage.Input{{Role: "prep.csv", Path: "prep.csv", From: &stage.Source{Address: "exec.prep"}}}
	if err := check(upstream); err != nil {
		t.Errorf("what upstream made is refused: %v", err)
	}
	added := train("v1", "s")
	added.Manifest = append(added.Manifest, key.Fact{Kind: key.Input, Name: "new.py", Value: key.FormatInput(file("1"), "new.py")})
	var stale *StaleError
	for name, step := range map[string]*plan.Step{"a new file": added, "a changed file": train("v2", "s")} {
		if err := check(step); !errors.As(err, &stale) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func FuzzReadNeverPanics(f *testing.F) {
	f.Add([]byte(`{"format": "flow-plan", "format_version": "2.0", "stages": [{"address": "a.b", "facts": [{"kind": "input"}], "results": [{"content": "x"}]}]}`))
	f.Add([]byte(`{"format": "flow-plan", "format_version": "1.0"}`))
	f.Add([]byte(`{"format": "flow-plan", "format_version": "2.0", "variables": [{"name": "x", "type": "\"string\"", "value": "1"}]}`))
	f.Add([]byte("not JSON"))
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "x")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := Read(path)
		var not *NotAPlanError
		if err != nil {
			if !errors.As(err, &not) {
				t.Fatalf("got %v, want a NotAPlanError", err)
			}
			return
		}
		_, _ = d.Values()
		_, _ = d.Plan()
		_, _ = d.Compare(d)
	})
}
