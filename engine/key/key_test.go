package key_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/key"
	"github.com/flow-pipelines/flow/engine/stage"
)

func node(text string) digest.Node {
	return digest.Node{Kind: digest.File, Digest: digest.OfBytes([]byte(text)), Size: int64(len(text)), Files: 1}
}

func subject() key.Subject {
	return key.Subject{
		Schema: &stage.Schema{Name: "exec", Version: 1, Plugin: &stage.Plugin{Name: "p", Version: "1.0", Digest: "blake3:00"}},
		Args:   json.RawMessage(`{"command":["a"],"env":{"A":"1"}}`),
		Job: &stage.Job{
			Command:      []string{"awk", "-f", "x.awk"},
			Env:          map[string]string{"A": "1"},
			Inputs:       []stage.Input{{Role: "inputs[0]", Path: "x.awk"}},
			Outputs:      []stage.Output{{Name: "out", Path: "out.csv"}},
			MetricsFiles: []string{"m.json"},
		},
		Inputs: []key.Content{{Name: "x.awk", Path: "x.awk", Node: node("print")}},
	}
}

func keyOf(t testing.TB, s key.Subject) key.Key {
	t.Helper()
	m, err := key.ManifestOf(s)
	if err != nil {
		t.Fatal(err)
	}
	return m.Key()
}

// A field that is added to a job, an input, an output or a plugin must be sorted into one
// of these lists, or this test fails: a field that is forgotten in the key
// makes flow keep results that are wrong.
func TestEveryFieldOfAJobIsHashedOrKnownNotToBe(t *testing.T) {
	hashed := map[string]func(*key.Subject){
		"Job.Command":      func(s *key.Subject) { s.Job.Command = append(s.Job.Command, "-x") },
		"Job.Env":          func(s *key.Subject) { s.Job.Env = map[string]string{"A": "2"} },
		"Job.Outputs":      func(s *key.Subject) { s.Job.Outputs = nil },
		"Job.MetricsFiles": func(s *key.Subject) { s.Job.MetricsFiles = []string{"n.json"} },
		"Job.Isolation":    func(s *key.Subject) { s.Job.Isolation = stage.None },
		"Output.Name":      func(s *key.Subject) { s.Job.Outputs[0].Name = "b" },
		"Output.Path":      func(s *key.Subject) { s.Job.Outputs[0].Path = "b.csv" },
		"Output.Dir":       func(s *key.Subject) { s.Job.Outputs[0].Dir = true },
		"Output.Ignore":    func(s *key.Subject) { s.Job.Outputs[0].Ignore = []string{"*.tmp"} },
		"Output.Include":   func(s *key.Subject) { s.Job.Outputs[0].Include = []string{"*.csv"} },
		"Plugin.Name":      func(s *key.Subject) { s.Schema.Plugin.Name = "q" },
		"Plugin.Version":   func(s *key.Subject) { s.Schema.Plugin.Version = "2.0" },
		"Plugin.Digest":    func(s *key.Subject) { s.Schema.Plugin.Digest = "blake3:01" },
		"Plugin.Versions":  func(s *key.Subject) { s.Schema.Plugin.Versions = map[string]string{"engine": "3"} },
	}
	notHashed := map[string]string{
		"Job.Inputs":     "by content, as Subject.Inputs",
		"Job.Checkpoint": "what was saved on the way to a result does not change it",
		"Job.ResumeOver": "where a run begins does not change what it comes to",
		"Job.Given":      "says what a key means; a given file's content is compared as such",
		"Input.Role":     "by Content.Name",
		"Input.Path":     "by Content.Path",
		"Input.From":     "what counts is the content, not who made it",
		"Output.Kind":    "what it holds shows in what it is",
		"Output.NoStore": "where bytes are kept does not change them",
		"Plugin.Program": "where the plugin lies; what it is counts by Digest",
		"Plugin.Reads":   "where its own files lie",
		"Plugin.Own":     "says whether flow.lock pins it",
	}
	for _, typ := range []reflect.Type{reflect.TypeFor[stage.Job](), reflect.TypeFor[stage.Input](), reflect.TypeFor[stage.Output](), reflect.TypeFor[stage.Plugin]()} {
		for i := range typ.NumField() {
			name := typ.Name() + "." + typ.Field(i).Name
			change, isHashed := hashed[name]
			if _, isNot := notHashed[name]; isHashed == isNot {
				t.Errorf("%s is neither hashed nor listed as not hashed, or both", name)
			}
			if !isHashed {
				continue
			}
			s := subject()
			change(&s)
			if keyOf(t, s) == keyOf(t, subject()) {
				t.Errorf("a change of %s does not change the key", name)
			}
		}
	}
}

func TestInputsCountByContentAndName(t *testing.T) {
	for name, change := range map[string]func(*key.Subject){
		"content": func(s *key.Subject) { s.Inputs[0].Node = node("print $1") },
		"name":    func(s *key.Subject) { s.Inputs[0].Name = "y.awk" },
		"mode":    func(s *key.Subject) { s.Inputs[0].Node.Kind = digest.Executable },
		"version": func(s *key.Subject) { s.Schema = &stage.Schema{Name: "exec", Version: 2} },
	} {
		s := subject()
		change(&s)
		if keyOf(t, s) == keyOf(t, subject()) {
			t.Errorf("a change of the %s does not change the key", name)
		}
	}
}

func TestPathsDoNotCountForJobsOfFlowsOwn(t *testing.T) {
	s := key.Subject{
		Schema: &stage.Schema{Name: "split", Version: 1},
		Args:   json.RawMessage(`{"parts":{"test":0.2,"train":0.8},"input":{"input":"input"}}`),
		Job:    &stage.Job{Outputs: []stage.Output{{Name: "train", Path: "out/split/a/train.csv"}}},
		Inputs: []key.Content{{Name: "input", Path: "data/a.csv", Node: node("x")}},
	}
	before := keyOf(t, s)
	s.Job.Outputs[0].Path = "out/split/renamed/train.csv"
	s.Inputs[0].Path = "data/b.csv"
	if keyOf(t, s) != before {
		t.Error("a renamed stage has another key")
	}
	s.Inputs[0].Path = "data/b.parquet"
	if keyOf(t, s) == before {
		t.Error("another format has the same key")
	}
}

func TestDiffNamesWhatChanged(t *testing.T) {
	s := key.Subject{Schema: &stage.Schema{Name: "train", Version: 1}, Job: &stage.Job{}}
	s.Args = json.RawMessage(`{"epochs":10,"model":{"mlp":{"hidden":[16]}},"old":1}`)
	before, err := key.ManifestOf(s)
	if err != nil {
		t.Fatal(err)
	}
	s.Args = json.RawMessage(`{"epochs":20,"model":{"mlp":{"hidden":[16],"dropout":0.1}}}`)
	after, err := key.ManifestOf(s)
	if err != nil {
		t.Fatal(err)
	}
	want := []key.Change{
		{Kind: key.Argument, Name: "epochs", Old: "10", New: "20", HasOld: true, HasNew: true},
		{Kind: key.Argument, Name: "model.mlp.dropout", New: "0.1", HasNew: true},
		{Kind: key.Argument, Name: "old", Old: "1", HasOld: true},
	}
	if d := cmp.Diff(want, key.Diff(before, after, nil)); d != "" {
		t.Error(d)
	}
}

func TestSensitiveValuesAreHashedButNotWritten(t *testing.T) {
	s := key.Subject{Schema: &stage.Schema{Name: "fetch", Version: 1}, Job: &stage.Job{}, Sensitive: []string{"token"}}
	s.Args = json.RawMessage(`{"token":"hunter2","url":"x"}`)
	m, err := key.ManifestOf(s)
	if err != nil {
		t.Fatal(err)
	}
	s.Args = json.RawMessage(`{"token":"hunter3","url":"x"}`)
	other, err := key.ManifestOf(s)
	if err != nil {
		t.Fatal(err)
	}
	if m.Key() == other.Key() {
		t.Error("the value does not count")
	}
	if v, _ := m.Redacted().Get(key.Argument, "token"); v != key.Hidden {
		t.Errorf("written as %q", v)
	}
	if cs := key.Diff(m.Redacted(), other, nil); len(cs) != 0 {
		t.Errorf("compared with a hidden value: %v", cs)
	}
}

func TestKeysDoNotDependOnTheOrderOfMaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc := rapid.MapOf(rapid.StringN(1, 6, -1), rapid.IntRange(0, 9)).Draw(t, "doc")
		b, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		leaves, err := key.Flatten(b)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.IsSortedFunc(leaves, func(a, b key.Leaf) int { return strings.Compare(a.Path, b.Path) }) {
			t.Fatalf("not sorted: %v", leaves)
		}
	})
}

func document(depth int) *rapid.Generator[any] {
	leaf := rapid.OneOf(rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.String().AsAny(), rapid.IntRange(-9, 9).AsAny(),
		rapid.SliceOfN(rapid.IntRange(0, 3), 0, 3).AsAny(), rapid.Just[any](map[string]any{}))
	if depth == 0 {
		return leaf
	}
	return rapid.OneOf(leaf, rapid.MapOfN(rapid.String(), document(depth-1), 0, 4).AsAny(),
		rapid.SliceOfN(document(depth-1), 0, 3).AsAny())
}

func TestUnflattenIsTheInverseOfFlatten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc := rapid.MapOfN(rapid.String(), document(3), 0, 4).Draw(t, "doc")
		b, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		leaves, err := key.Flatten(b)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range leaves {
			if strings.ContainsAny(l.Path, " \n") {
				t.Fatalf("the path %q is not one word", l.Path)
			}
		}
		back, err := key.Unflatten(leaves)
		if err != nil {
			t.Fatal(err)
		}
		again, err := json.Marshal(back)
		if err != nil {
			t.Fatal(err)
		}
		if string(again) != string(b) {
			t.Fatalf("got %s, want %s", again, b)
		}
	})
}
