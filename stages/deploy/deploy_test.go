package deploy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flow-pipelines/flow/engine/stage"
)

// project is a place to deploy in, with a clock that moves a second a look.
type project struct {
	t    *testing.T
	dir  string
	time time.Time
}

func newProject(t *testing.T) *project {
	return &project{t: t, dir: t.TempDir(), time: time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)}
}

func (p *project) now() time.Time {
	p.time = p.time.Add(time.Second)
	return p.time
}

func (p *project) root() string { return filepath.Join(p.dir, "serving", "x") }

// model makes a model directory with the given content.
func (p *project) model(content string) string {
	p.t.Helper()
	dir := filepath.Join(p.t.TempDir(), "model")
	if err := os.MkdirAll(filepath.Join(dir, "sub"), 0o755); err != nil {
		p.t.Fatal(err)
	}
	for _, name := range []string{"model.onnx", "sub/card.md"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o444); err != nil {
			p.t.Fatal(err)
		}
	}
	return dir
}

func (p *project) args(model string, keep int) json.RawMessage {
	p.t.Helper()
	args, err := json.Marshal(Config{Model: stage.Artifact(model), Directory: &Directory{Path: "serving/x", Keep: keep}})
	if err != nil {
		p.t.Fatal(err)
	}
	return args
}

func (p *project) deploy(model string, keep int) (stage.Metrics, error) {
	p.t.Helper()
	return Type{Now: p.now}.Run(p.t.Context(), &stage.Run{
		Spec: stage.Spec{
			Type: "deploy", Address: "deploy.local", Project: p.dir, Args: p.args(model, keep),
			Outputs: map[string]string{Output: filepath.Join(p.t.TempDir(), "deployment.json")},
		},
		Log: io.Discard,
	})
}

func (p *project) mustDeploy(model string, keep int) string {
	p.t.Helper()
	m, err := p.deploy(model, keep)
	if err != nil {
		p.t.Fatal(err)
	}
	version, _ := m["version"].(string)
	return version
}

// served returns the content that a reader finds, an error if a file is not
// there or the files are not of one model.
func (p *project) served() (string, error) {
	first, err := os.ReadFile(filepath.Join(p.root(), "current", "model.onnx"))
	if err != nil {
		return "", err
	}
	second, err := os.ReadFile(filepath.Join(p.root(), "current", "sub", "card.md"))
	if err != nil {
		return "", err
	}
	if string(first) != string(second) {
		return "", fmt.Errorf("two halves: %q and %q", first, second)
	}
	return string(first), nil
}

func (p *project) wantServed(want string) {
	p.t.Helper()
	if got, err := p.served(); err != nil || got != want {
		p.t.Errorf("served: got %q, %v, want %q", got, err, want)
	}
}

func (p *project) onDisk() []string {
	p.t.Helper()
	entries, err := os.ReadDir(filepath.Join(p.root(), "versions"))
	if err != nil {
		p.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestADeploymentIsServedAndRecorded(t *testing.T) {
	p := newProject(t)
	a := p.mustDeploy(p.model("a"), 3)
	b := p.mustDeploy(p.model("b"), 3)
	p.wantServed("b")
	record, err := Read(p.root())
	if err != nil {
		t.Fatal(err)
	}
	if record.Current != b || len(record.Versions) != 2 || record.Versions[0].Name != a {
		t.Errorf("got %+v", record)
	}
	v := record.Versions[1]
	if v.By != "deploy.local" || v.Files != 2 || v.Size != 2 || v.Digest.Short() != v.Name {
		t.Errorf("got %+v", v)
	}
	var history []string
	for _, c := range record.History {
		history = append(history, c.Action+" "+c.From+">"+c.To)
	}
	if diff := cmp.Diff([]string{"deploy >" + a, "deploy " + a + ">" + b}, history); diff != "" {
		t.Errorf("want then got:\n%s", diff)
	}
	link, err := os.Readlink(filepath.Join(p.root(), "current"))
	if want := "versions/" + b; err != nil || link != want {
		t.Errorf("got %q, %v, want %q: a link that is absolute breaks when the directory moves", link, err, want)
	}
}

func TestTheSameModelAgainChangesNothing(t *testing.T) {
	p := newProject(t)
	first := p.mustDeploy(p.model("a"), 3)
	info, err := os.Stat(filepath.Join(p.root(), "versions", first, "model.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	if second := p.mustDeploy(p.model("a"), 3); second != first {
		t.Errorf("got version %s, want %s", second, first)
	}
	again, err := os.Stat(filepath.Join(p.root(), "versions", first, "model.onnx"))
	if err != nil || !os.SameFile(info, again) {
		t.Errorf("the file was written again: %v", err)
	}
}

func TestAFileIsDeployedInADirectory(t *testing.T) {
	p := newProject(t)
	file := filepath.Join(p.model("a"), "model.onnx")
	if err := os.Chmod(file, 0o755); err != nil {
		t.Fatal(err)
	}
	p.mustDeploy(file, 3)
	info, err := os.Stat(filepath.Join(p.root(), "current", "model.onnx"))
	if err != nil || info.Mode()&0o100 == 0 {
		t.Errorf("got %v, %v", info, err)
	}
}

func TestOldVersionsGoButNeverTheCurrentOne(t *testing.T) {
	p := newProject(t)
	var versions []string
	for _, content := range []string{"a", "b", "c", "d"} {
		versions = append(versions, p.mustDeploy(p.model(content), 3))
	}
	want := slices.Sorted(slices.Values(versions[1:]))
	if diff := cmp.Diff(want, p.onDisk()); diff != "" {
		t.Errorf("want then got:\n%s", diff)
	}
	if _, err := Rollback(t.Context(), p.root(), versions[1], p.now()); err != nil {
		t.Fatal(err)
	}
	p.wantServed("b")
	// The oldest is current now and deployed anew; the second oldest goes.
	p.mustDeploy(p.model("b"), 2)
	want = slices.Sorted(slices.Values([]string{versions[1], versions[3]}))
	if diff := cmp.Diff(want, p.onDisk()); diff != "" {
		t.Errorf("want then got:\n%s", diff)
	}
}

func TestRollback(t *testing.T) {
	p := newProject(t)
	a, b, c := p.mustDeploy(p.model("a"), 5), p.mustDeploy(p.model("b"), 5), p.mustDeploy(p.model("c"), 5)
	for _, step := range []struct{ to, want, served string }{
		{"", b, "b"}, {"", a, "a"}, {c, c, "c"}, {c, c, "c"}, {a[:6], a, "a"},
	} {
		got, err := Rollback(t.Context(), p.root(), step.to, p.now())
		if err != nil || got != step.want {
			t.Errorf("to %q: got %q, %v, want %q", step.to, got, err, step.want)
		}
		p.wantServed(step.served)
	}
	for to, want := range map[string]string{
		"":     "There is no earlier version",
		"zzz":  `There is no version "zzz": The versions are, oldest first: ` + a + " (current), " + b + ", " + c + ".",
		"none": "There is no version",
	} {
		_, err := Rollback(t.Context(), p.root(), to, p.now())
		var problem *stage.Problem
		if !errors.As(err, &problem) || !strings.Contains(err.Error(), want) {
			t.Errorf("to %q: got %v, want %q", to, err, want)
		}
	}
	p.wantServed("a")
	if got, err := (Type{Now: p.now}).Rollback(p.dir, p.args("", 5), b); err != nil || got != b {
		t.Errorf("got %q, %v, want %q", got, err, b)
	}
	p.wantServed("b")
	if _, err := Rollback(t.Context(), p.root(), a, p.now()); err != nil {
		t.Fatal(err)
	}
	if _, err := Rollback(t.Context(), filepath.Join(p.dir, "other"), "", p.now()); err == nil || !strings.Contains(err.Error(), "Nothing is deployed") {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(filepath.Join(p.root(), "versions", b, "model.onnx"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Rollback(t.Context(), p.root(), b, p.now()); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("got %v", err)
	}
}

func TestChangesFromOutsideAreSeen(t *testing.T) {
	p := newProject(t)
	model := p.model("b")
	a := p.mustDeploy(p.model("a"), 3)
	m, err := p.deploy(model, 3)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := m["version"].(string)
	link := filepath.Join(p.root(), "current")
	relink := func(to string) func() error {
		return func() error { return errors.Join(os.Remove(link), os.Symlink(to, link)) }
	}
	for _, row := range []struct {
		what string
		do   func() error
		want string
	}{
		{"nothing", func() error { return nil }, ""},
		{"switched by hand", relink("versions/" + a), "serving/x/current points to version " + a + "; version " + b + " was deployed"},
		{"rolled back", func() error {
			_, err := Rollback(t.Context(), p.root(), b, p.now())
			if err == nil {
				_, err = Rollback(t.Context(), p.root(), "", p.now())
			}
			return err
		}, ""},
		{"link removed", func() error { return os.Remove(link) }, "serving/x/current is gone"},
		{"version removed", func() error {
			return errors.Join(os.Symlink("versions/"+b, link), os.RemoveAll(filepath.Join(p.root(), "versions", b)))
		}, "serving/x/current points to version " + b + ", which is gone"},
		{"all removed", func() error { return os.RemoveAll(p.root()) }, "serving/x/current is gone"},
	} {
		if err := row.do(); err != nil {
			t.Fatalf("%s: %v", row.what, err)
		}
		got, err := Type{}.Observe(p.dir, p.args(model, 3), m)
		if err != nil || got.Drift != row.want {
			t.Errorf("%s: got %q, %v, want %q", row.what, got, err, row.want)
		}
		if meant := got.Meant != ""; meant != (row.what == "rolled back") {
			t.Errorf("%s: got %q as what was meant", row.what, got.Meant)
		}
	}
	p.mustDeploy(model, 3)
	p.wantServed("b")
	if got, err := (Type{}).Observe(p.dir, p.args(model, 3), m); got != (stage.Observation{}) || err != nil {
		t.Errorf("after deploying again: got %q, %v", got, err)
	}
}

func TestChangedFilesOfTheCurrentVersionAreSeen(t *testing.T) {
	for want, do := range map[string]func(dir string) error{
		"": func(string) error { return nil },
		"serving/x/current/model.onnx was changed since it was deployed: it has 4 bytes, not 1": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "model.onnx"), []byte("more"), 0o644)
		},
		"serving/x/current/sub/card.md was changed since it was deployed": func(dir string) error {
			name := filepath.Join(dir, "sub", "card.md")
			return errors.Join(os.WriteFile(name, []byte("x"), 0o644), os.Chtimes(name, time.Time{}, time.Now().Add(time.Second)))
		},
		"serving/x/current/model.onnx is gone": func(dir string) error { return os.Remove(filepath.Join(dir, "model.onnx")) },
		"serving/x/current/extra.txt was added since it was deployed": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "extra.txt"), nil, 0o644)
		},
		"serving/x/current/model.onnx is gone, and so on: 2 files are not as deployed": func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, "model.onnx")), os.Remove(filepath.Join(dir, "sub", "card.md")))
		},
	} {
		p := newProject(t)
		model := p.model("a")
		m, err := p.deploy(model, 3)
		if err != nil {
			t.Fatal(err)
		}
		if err := do(filepath.Join(p.root(), "current") + "/"); err != nil {
			t.Fatal(err)
		}
		if got, err := (Type{}).Observe(p.dir, p.args(model, 3), m); err != nil || got.Drift != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
		again, err := p.deploy(model, 3)
		if err != nil {
			t.Fatal(err)
		}
		p.wantServed("a")
		if got, err := (Type{}).Observe(p.dir, p.args(model, 3), again); err != nil || got != (stage.Observation{}) {
			t.Errorf("%s, deployed again: got %q, %v", want, got, err)
		}
	}
}

func TestARecordWithoutStatsIsReadable(t *testing.T) {
	p := newProject(t)
	model := p.model("a")
	m, err := p.deploy(model, 3)
	if err != nil {
		t.Fatal(err)
	}
	record, err := Read(p.root())
	if err != nil {
		t.Fatal(err)
	}
	record.Versions[0].Contents = nil
	old := target{root: p.root(), name: "serving/x", now: p.now}
	if err := old.writeRecord(record); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.root(), "current", "model.onnx"), []byte("more"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := (Type{}).Observe(p.dir, p.args(model, 3), m); err != nil || got != (stage.Observation{}) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestADamagedVersionIsWrittenAgain(t *testing.T) {
	p := newProject(t)
	a := p.mustDeploy(p.model("a"), 3)
	if err := os.WriteFile(filepath.Join(p.root(), "versions", a, "model.onnx"), []byte("bad"), 0o644); err != nil {
		t.Fatal(err)
	}
	second := p.mustDeploy(p.model("a"), 3)
	p.wantServed("a")
	if diff := cmp.Diff([]string{a + "-2"}, p.onDisk()); diff != "" {
		t.Errorf("want then got:\n%s", diff)
	}
	if third := p.mustDeploy(p.model("a"), 3); third != second {
		t.Errorf("got version %s, want %s", third, second)
	}
}

func TestALostOrDamagedRecordIsMadeAnew(t *testing.T) {
	for _, content := range []string{"", "{", `{"format": 1, "versions": 3}`} {
		p := newProject(t)
		a, b := p.mustDeploy(p.model("a"), 3), p.mustDeploy(p.model("b"), 3)
		record := filepath.Join(p.root(), "deployment.json")
		if err := os.WriteFile(record, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		c := p.mustDeploy(p.model("c"), 3)
		got, err := Read(p.root())
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, v := range got.Versions {
			names = append(names, v.Name)
		}
		if diff := cmp.Diff([]string{a, b, c}, names); diff != "" {
			t.Errorf("%q, want then got:\n%s", content, diff)
		}
	}
}

func TestWhatIsNotFlowsIsNotReplaced(t *testing.T) {
	for what, do := range map[string]func(root string) error{
		"a file in place of the directory": func(root string) error {
			return errors.Join(os.MkdirAll(filepath.Dir(root), 0o755), os.WriteFile(root, nil, 0o644))
		},
		"a directory in place of the link": func(root string) error { return os.MkdirAll(filepath.Join(root, "current"), 0o755) },
		"a link to elsewhere": func(root string) error {
			return errors.Join(os.MkdirAll(root, 0o755), os.Symlink("/srv/x", filepath.Join(root, "current")))
		},
		"a later format": func(root string) error {
			return errors.Join(os.MkdirAll(root, 0o755), os.WriteFile(filepath.Join(root, "deployment.json"), []byte(`{"format": 2}`), 0o644))
		},
	} {
		p := newProject(t)
		if err := do(p.root()); err != nil {
			t.Fatal(err)
		}
		_, err := p.deploy(p.model("a"), 3)
		var problem *stage.Problem
		if !errors.As(err, &problem) || problem.Path != "directory.path" || problem.Detail == "" {
			t.Errorf("%s: got %v", what, err)
		}
	}
}

func TestASecondDeploymentWaitsForTheFirst(t *testing.T) {
	p := newProject(t)
	done := make(chan error)
	models := []string{p.model("a"), p.model("b"), p.model("c")}
	for _, model := range models {
		go func() {
			target := target{root: p.root(), name: "serving/x", now: time.Now}
			_, err := target.deploy(t.Context(), model, "deploy.local", 3)
			done <- err
		}()
	}
	for range models {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if _, err := p.served(); err != nil {
		t.Error(err)
	}
	p.wantClean(3)
}

func TestMistakesPointAtTheArgument(t *testing.T) {
	for args, want := range map[string]string{
		`{}`:                                     ": A deployment needs a target",
		`{"directory": {"path": "", "keep": 3}}`: "directory.path: The path is empty",
		`{"directory": {"path": ".", "keep": 3}}`:             "directory.path: The directory is not the deployment's own",
		`{"directory": {"path": "../x", "keep": 3}}`:          "directory.path: The path leaves the project",
		`{"directory": {"path": "~/x", "keep": 3}}`:           "directory.path: The path begins with ~",
		`{"directory": {"path": ".flow/x", "keep": 3}}`:       "directory.path: The directory is not the deployment's own",
		`{"directory": {"path": "x", "keep": 0}}`:             "directory.keep: Too few versions to keep",
		`{"directory": {"path": "/srv/models/x", "keep": 1}}`: "",
	} {
		job, err := Type{}.Job(&stage.Request{Args: json.RawMessage(args), Dir: "out/deploy/x"})
		if want == "" {
			if err != nil || len(job.Outputs) != 1 {
				t.Errorf("%s: got %v", args, err)
			}
			continue
		}
		var problems stage.Problems
		if !errors.As(err, &problems) || len(problems) != 1 {
			t.Errorf("%s: got %v, want one problem", args, err)
			continue
		}
		if got := problems[0].Path + ": " + problems[0].Summary; got != want {
			t.Errorf("%s: got %q, want %q", args, got, want)
		}
	}
	if s := (Type{}).Schema(); !s.Effect || len(s.Body.Blocks) != 1 {
		t.Errorf("got %+v", s)
	}
}
