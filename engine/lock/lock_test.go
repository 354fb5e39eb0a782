package lock_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/key"
	"github.com/flow-pipelines/flow/engine/lock"
	"github.com/flow-pipelines/flow/engine/stage"
)

func sample() *lock.Lock {
	l := &lock.Lock{}
	n := digest.Node{Kind: digest.File, Digest: digest.OfBytes([]byte("x")), Size: 1, Files: 1}
	m := key.Manifest{
		{Kind: key.TypeFact, Name: "train", Value: "1"},
		{Kind: key.Argument, Name: "epochs", Value: "60"},
		{Kind: key.Argument, Name: "token", Value: `"hunter2"`, Sensitive: true},
		{Kind: key.Input, Name: "data", Value: key.FormatInput(n, ".csv")},
	}
	l.Put(&lock.Stage{
		Addr: addr.Address{Type: "train", Name: "mlp", Key: addr.StringKey("small")}, Key: m.Key(), Manifest: m,
		Results: []lock.Result{{Name: "model", Path: "out/train/mlp/small/model", Node: digest.Node{Kind: digest.Dir, Digest: digest.OfBytes([]byte("y")), Size: 21034, Files: 4}}},
		Metrics: stage.Metrics{"validation": map[string]any{"f1": json.Number("0.971")}, "epochs_run": json.Number("42")},
	})
	l.Put(&lock.Stage{
		Addr: addr.Address{Type: "dataset", Name: "scans"}, Key: key.Manifest{}.Key(),
		Results: []lock.Result{{Name: "data", Path: "data/my scans.csv", Node: n, Given: true}},
	})
	return l
}

func TestFormatIsStable(t *testing.T) {
	got, err := sample().Format()
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "v1.lock")
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if strings.Contains(string(got), "hunter2") {
		t.Error("a sensitive value is written down")
	}
}

func TestParseIsTheInverseOfFormat(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := &lock.Lock{}
		for i := range rapid.IntRange(0, 4).Draw(t, "stages") {
			s := &lock.Stage{Addr: addr.Address{Type: "exec", Name: "s", Key: addr.IntKey(i)}, Key: key.Key{1}}
			for _, name := range rapid.SliceOfNDistinct(rapid.String(), 0, 3, rapid.ID).Draw(t, "facts") {
				s.Manifest = append(s.Manifest, key.Fact{Kind: key.Environment, Name: name, Value: rapid.String().Draw(t, "value")})
			}
			for _, path := range rapid.SliceOfN(rapid.String(), 0, 2).Draw(t, "paths") {
				s.Results = append(s.Results, lock.Result{Name: "o", Path: path, Node: digest.Node{Kind: digest.File, Digest: digest.OfBytes(nil)}, Given: rapid.Bool().Draw(t, "given")})
			}
			for name, v := range rapid.MapOfN(rapid.String(), rapid.String(), 0, 3).Draw(t, "metrics") {
				if s.Metrics == nil {
					s.Metrics = stage.Metrics{}
				}
				s.Metrics[name] = v
			}
			l.Put(s)
		}
		text, err := l.Format()
		if err != nil {
			t.Fatal(err)
		}
		back, err := lock.Parse(text)
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		again, err := back.Format()
		if err != nil {
			t.Fatal(err)
		}
		if string(again) != string(text) {
			t.Fatalf("got:\n%s\nwant:\n%s", again, text)
		}
	})
}

func TestParseNamesTheLine(t *testing.T) {
	good, err := sample().Format()
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		text string
		line int
		want string
	}{
		"merge conflict": {strings.Replace(string(good), "key ", "<<<<<<< HEAD\nkey ", 1), 6, "unresolved merge conflict"},
		"future":         {strings.Replace(string(good), "version 1", "version 7", 1), 3, "format version 7"},
		"old":            {strings.Replace(string(good), "version 1", "version 0", 1), 3, "format version 0"},
		"cut short":      {string(good[:len(good)/3]), 8, "result data"},
		"empty":          {"", 1, "no version line"},
		"other file":     {"{}\n", 1, "want a version line"},
		"bad digest":     {strings.Replace(string(good), "blake3:", "md5:", 1), 8, "unknown algorithm"},
		"twice":          {string(good) + string(good[strings.Index(string(good), "\nstage dataset"):]), 21, "second time"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := lock.Parse([]byte(tt.text))
			var pe *lock.ParseError
			if !errors.As(err, &pe) {
				t.Fatalf("got %v, want a ParseError", err)
			}
			if pe.Line != tt.line || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got line %d, %v; want line %d, %q", pe.Line, err, tt.line, tt.want)
			}
			if pe.Future != (name == "future") || pe.Conflict != (name == "merge conflict") {
				t.Errorf("future %v, conflict %v", pe.Future, pe.Conflict)
			}
		})
	}
}

// What git or a hand puts together from two results is not believed.
func TestAStageWhoseLinesDoNotFitIsNotRecorded(t *testing.T) {
	good, err := sample().Format()
	if err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string][2]string{
		"a metric":  {"f1 0.971", "f1 0.999"},
		"a result":  {"21034 4 out", "21035 4 out"},
		"a fact":    {"epochs 60", "epochs 61"},
		"no check":  {"\ncheck ", "\n# check "},
		"a line":    {"metric epochs_run 42\n", ""},
		"other key": {"key k1:d", "key k1:e"},
	} {
		text := string(good)
		i := strings.Index(text, "stage train")
		text = text[:i] + strings.Replace(text[i:], edit[0], edit[1], 1)
		if text == string(good) {
			t.Fatalf("%s: nothing edited", name)
		}
		l, err := lock.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		d := l.Doubtful()
		if len(d) != 1 || d[0].Addr.Type != "train" || d[0].Line != 10 || l.Len() != 1 {
			t.Errorf("%s: doubtful %v, %d recorded", name, d, l.Len())
		}
	}
}

func FuzzParse(f *testing.F) {
	good, err := sample().Format()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := lock.Parse(b)
		if err != nil {
			return
		}
		if _, err := l.Format(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestPinsOfModulesAreKept(t *testing.T) {
	l := sample()
	pin := lock.Module{Source: "git::https://example.org/lib.git?ref=v1", Commit: "8f3e0c", Content: digest.OfBytes([]byte("m"))}
	l.SetModules([]lock.Module{pin, {Source: "git::file:///a.git", Commit: "1", Content: digest.OfBytes(nil)}})
	text, err := l.Clone().Format()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"\nmodule git::file:///a.git\n",
		"\nmodule git::https://example.org/lib.git?ref=v1\ncommit 8f3e0c\ncontent " + pin.Content.String() + "\n\nstage dataset.scans\n",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("got:\n%s\nwant %q in it", text, want)
		}
	}
	back, err := lock.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if got := back.Module(pin.Source); got == nil || *got != pin {
		t.Errorf("got %v, want %v", got, pin)
	}
	for _, wrong := range []string{"module x y\n", "module x\ncommit 1\n", "module x\nkey 1\n", "commit 1\n"} {
		if _, err := lock.Parse([]byte("version 1\n\n" + wrong)); err == nil {
			t.Errorf("%q: got no error", wrong)
		}
	}
}

func TestPluginsArePinnedBeforeTheStages(t *testing.T) {
	l := sample()
	d := digest.OfBytes([]byte("program"))
	l.SetPlugins([]lock.Plugin{{Name: "duckdb", Version: "1.0.0", Content: map[string]digest.Digest{"linux/amd64": d, "darwin/arm64": d}}})
	b, err := l.Clone().Format()
	if err != nil {
		t.Fatal(err)
	}
	want := "\nplugin duckdb\nversion 1.0.0\ncontent darwin/arm64 " + d.String() + "\ncontent linux/amd64 " + d.String() + "\n\nstage dataset.scans\n"
	if !strings.Contains(string(b), want) {
		t.Errorf("got:\n%s\nwant in it:\n%s", b, want)
	}
	again, err := lock.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if got := again.Plugin("duckdb"); got == nil || got.Version != "1.0.0" || got.Content["linux/amd64"] != d || again.Len() != l.Len() {
		t.Errorf("read again: %+v and %d stages", got, again.Len())
	}
	for _, wrong := range []string{"plugin x y\n", "plugin x\nversion 1\n", "plugin x\ncontent a b\n", "plugin x\ncommit 1\n"} {
		if _, err := lock.Parse([]byte("version 1\n" + wrong)); err == nil {
			t.Errorf("%q is read without complaint", wrong)
		}
	}
}
