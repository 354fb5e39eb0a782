package engine_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/flow-pipelines/flow/engine"
	"github.com/flow-pipelines/flow/engine/executor"
	"github.com/flow-pipelines/flow/engine/plan"
	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/stages/dataset"
	"github.com/flow-pipelines/flow/stages/exec"
)

// joiner is an executor without processes. Its one program writes a text and
// the content of its inputs, without comments, to its output:
// join OUTPUT TEXT INPUT…
type joiner struct {
	mu  sync.Mutex
	ran []string
}

func (j *joiner) Run(_ context.Context, t executor.Task) (executor.Result, error) {
	j.mu.Lock()
	j.ran = append(j.ran, t.ID)
	j.mu.Unlock()
	text := t.Command[2] + "\n"
	for _, in := range t.Command[3:] {
		b, err := os.ReadFile(filepath.Join(t.Dir, in))
		if err != nil {
			return executor.Result{Exit: 1}, nil
		}
		for line := range strings.Lines(string(b)) {
			if !strings.HasPrefix(line, "#") {
				text += line
			}
		}
	}
	return executor.Result{}, os.WriteFile(filepath.Join(t.Dir, t.Command[1]), []byte(text), 0o644)
}

// model is a pipeline as the test thinks of it.
type model struct {
	data   []string     // content of the data sets
	stages []modelStage // each needs only earlier ones
	// list is a data set that a stage passes on; what comes out are the
	// instances of another, which a third joins.
	list []string
}

// entries are what the stage list writes.
func (m *model) entries() []string {
	all := []string{"list"}
	for _, e := range m.list {
		if !strings.HasPrefix(e, "#") {
			all = append(all, e)
		}
	}
	slices.Sort(all)
	return all
}

const fanOut = `
dataset "list" { path = "data/list.txt" }
exec "list" {
  command = ["join", self.outputs.o.path, "list", dataset.list.path]
  outputs = { o = "res/list.txt" }
}
exec "fan" {
  for_each = toset(split("\n", trimspace(file(exec.list.path))))
  command  = ["join", self.outputs.o.path, each.value]
  outputs  = { o = "res/fan/${each.key}.txt" }
}
exec "all" {
  command = concat(["join", self.outputs.o.path, "all"], [for f in exec.fan : f.path])
  outputs = { o = "res/all.txt" }
}
`

type modelStage struct {
	text  string
	data  []int
	needs []int
}

func (m *model) hcl() string {
	var b strings.Builder
	for i := range m.data {
		fmt.Fprintf(&b, "dataset \"d%d\" {\n  path = \"data/%d.txt\"\n}\n", i, i)
	}
	for i, s := range m.stages {
		fmt.Fprintf(&b, "exec \"s%d\" {\n  command = [\"join\", self.outputs.o.path, %q", i, s.text)
		for _, d := range s.data {
			fmt.Fprintf(&b, ", dataset.d%d.path", d)
		}
		for _, n := range s.needs {
			fmt.Fprintf(&b, ", exec.s%d.path", n)
		}
		fmt.Fprintf(&b, "]\n  outputs = { o = \"res/%d.txt\" }\n}\n", i)
	}
	return b.String() + fanOut
}

func withoutComments(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		if !strings.HasPrefix(line, "#") {
			b.WriteString(line)
		}
	}
	return b.String()
}

func (m *model) expected(i int) string {
	s := m.stages[i]
	out := s.text + "\n"
	for _, d := range s.data {
		out += withoutComments(m.data[d])
	}
	for _, n := range s.needs {
		out += withoutComments(m.expected(n))
	}
	return out
}

func (m *model) write(t *rapid.T, dir string) {
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "pipeline.hcl"), m.hcl())
	write(t, filepath.Join(dir, "data", "list.txt"), strings.Join(append(slices.Clone(m.list), ""), "\n"))
	for i, d := range m.data {
		write(t, filepath.Join(dir, "data", fmt.Sprintf("%d.txt", i)), d)
	}
}

func write(t *rapid.T, path, text string) {
	if b, err := os.ReadFile(path); err == nil && string(b) == text {
		return
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (m *model) clone() *model {
	c := &model{data: append([]string(nil), m.data...), list: slices.Clone(m.list)}
	for _, s := range m.stages {
		c.stages = append(c.stages, modelStage{s.text, append([]int(nil), s.data...), append([]int(nil), s.needs...)})
	}
	return c
}

func drawModel(t *rapid.T) *model {
	m := &model{}
	for i := range rapid.IntRange(1, 3).Draw(t, "data sets") {
		m.data = append(m.data, fmt.Sprintf("data %d\n", i))
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "entries") {
		m.list = append(m.list, fmt.Sprintf("entry-%d", i))
	}
	for i := range rapid.IntRange(1, 7).Draw(t, "stages") {
		s := modelStage{text: fmt.Sprintf("stage %d", i)}
		if i == 0 || rapid.Bool().Draw(t, "reads data") {
			s.data = []int{rapid.IntRange(0, len(m.data)-1).Draw(t, "which data")}
		}
		for n := range i {
			if rapid.IntRange(0, 2).Draw(t, "edge") == 0 {
				s.needs = append(s.needs, n)
			}
		}
		m.stages = append(m.stages, s)
	}
	return m
}

// edit changes something and says what.
func (m *model) edit(t *rapid.T, n int) string {
	switch rapid.IntRange(0, 6).Draw(t, "edit") {
	case 0:
		i := rapid.IntRange(0, len(m.stages)-1).Draw(t, "stage")
		m.stages[i].text = fmt.Sprintf("edit %d", n)
		return fmt.Sprintf("text of s%d", i)
	case 1:
		i := rapid.IntRange(0, len(m.data)-1).Draw(t, "data")
		m.data[i] += fmt.Sprintf("line %d\n", n)
		return fmt.Sprintf("data %d", i)
	case 2: // a comment, which no stage passes on
		i := rapid.IntRange(0, len(m.data)-1).Draw(t, "data")
		m.data[i] += fmt.Sprintf("# comment %d\n", n)
		return fmt.Sprintf("comment in data %d", i)
	case 3:
		m.list = append(m.list, fmt.Sprintf("new-%d", n))
		return "new entry"
	case 4:
		if len(m.list) > 0 {
			m.list = m.list[1:]
		}
		return "an entry less"
	case 5:
		m.list = append(m.list, fmt.Sprintf("# comment %d", n))
		return "comment in the list"
	default:
		m.stages = append(m.stages, modelStage{text: fmt.Sprintf("new %d", n), needs: []int{rapid.IntRange(0, len(m.stages)-1).Draw(t, "needs")}})
		return "new stage"
	}
}

// TestMain makes do with fewer random pipelines than rapid's hundred: each is
// written, applied and edited on a real file system.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		if err := f.Value.Set("25"); err != nil {
			panic("BUG: " + err.Error())
		}
	}
	os.Exit(m.Run())
}

type bench struct {
	dir string
	exe *joiner
}

func (b *bench) open(t *rapid.T) *engine.Project {
	p, err := engine.Open(engine.Options{Dir: b.dir, Types: []stage.Type{dataset.Type{}, exec.Type{}}, Executor: b.exe, Self: []string{"flow"}})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return p
}

// apply applies, and returns what was planned before and which stages ran.
func (b *bench) apply(t *rapid.T, m *model) (*plan.Plan, map[string]bool) {
	m.write(t, b.dir)
	b.exe.ran = nil
	pl, err := b.open(t).Plan(context.Background(), engine.Selection{})
	if err != nil {
		t.Fatalf("plan: %v", err)
	}
	rep, err := b.open(t).Apply(context.Background(), engine.ApplyOptions{Jobs: 3})
	if err != nil {
		t.Fatalf("apply: %v", err)
	}
	if len(rep.Failed) > 0 {
		t.Fatalf("failed: %v", rep.Failed)
	}
	ran := map[string]bool{}
	for _, id := range b.exe.ran {
		if ran[id] {
			t.Fatalf("%s ran twice", id)
		}
		ran[id] = true
	}
	for i := range m.stages {
		got, err := os.ReadFile(filepath.Join(b.dir, "res", fmt.Sprintf("%d.txt", i)))
		if err != nil || string(got) != m.expected(i) {
			t.Fatalf("s%d holds %q, %v; want %q", i, got, err, m.expected(i))
		}
	}
	b.fannedOut(t, m)
	return pl, ran
}

// fannedOut compares the instances with the entries of the list.
func (b *bench) fannedOut(t *rapid.T, m *model) {
	want := "all\n" + strings.Join(m.entries(), "\n") + "\n"
	if got, err := os.ReadFile(filepath.Join(b.dir, "res", "all.txt")); err != nil || string(got) != want {
		t.Fatalf("all holds %q, %v; want %q", got, err, want)
	}
	files, err := os.ReadDir(filepath.Join(b.dir, "res", "fan"))
	if err != nil || len(files) != len(m.entries()) {
		t.Fatalf("%d files of instances, %v; want those of %v", len(files), err, m.entries())
	}
}

func (b *bench) nothingToDo(t *rapid.T) {
	pl, err := b.open(t).Plan(context.Background(), engine.Selection{})
	if err != nil {
		t.Fatal(err)
	}
	if !pl.Empty() {
		for _, s := range pl.Steps {
			if s.Action != plan.Keep {
				t.Fatalf("after an apply %s is to be %s: %v", s.Addr, s.Action, s.Reasons)
			}
		}
		t.Fatalf("after an apply these are left: %v", pl.Removed)
	}
}

// Whatever the pipeline and whatever is changed: results are right, an apply
// leaves nothing to do, what the plan keeps does not run and what it runs
// does, and going back to an earlier state runs nothing.
func TestAnyEditIsAppliedWithoutNeedlessWork(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "flow-model-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		b := &bench{dir: dir, exe: &joiner{}}
		m := drawModel(t)
		_, ran := b.apply(t, m)
		if want := len(m.stages) + len(m.entries()) + 2; len(ran) != want {
			t.Fatalf("the first apply ran %d of %d stages", len(ran), want)
		}
		b.nothingToDo(t)
		for n := range rapid.IntRange(1, 4).Draw(t, "edits") {
			before := m.clone()
			what := m.edit(t, n)
			pl, ran := b.apply(t, m)
			for _, s := range pl.Steps {
				id := s.Addr.String()
				switch {
				case s.Action == plan.Keep && ran[id]:
					t.Fatalf("%s: the plan keeps %s, apply ran it", what, id)
				case s.Action == plan.Run && !s.Given() && !ran[id]:
					t.Fatalf("%s: the plan runs %s (%v), apply did not", what, id, s.Reasons)
				}
			}
			for _, e := range before.entries() {
				if id := fmt.Sprintf("exec.fan[%q]", e); ran[id] {
					t.Fatalf("%s: %s ran, and its entry is as it was", what, id)
				}
			}
			b.nothingToDo(t)
			if rapid.Bool().Draw(t, "and back") {
				m = before
				if _, ran := b.apply(t, m); len(ran) > 0 {
					t.Fatalf("%s and back: %v ran again", what, ran)
				}
				b.nothingToDo(t)
			}
			if rapid.Bool().Draw(t, "delete an output") {
				i := rapid.IntRange(0, len(m.stages)-1).Draw(t, "which output")
				if err := os.Remove(filepath.Join(dir, "res", fmt.Sprintf("%d.txt", i))); err != nil {
					t.Fatal(err)
				}
				if _, ran := b.apply(t, m); len(ran) > 0 {
					t.Fatalf("a deleted output is made again by %v", ran)
				}
			}
		}
	})
}
