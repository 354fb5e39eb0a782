package engine_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/flow-pipelines/flow/engine"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/plan"
	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/stages/dataset"
	"github.com/flow-pipelines/flow/stages/exec"
)

// remembered is a project with one of everything that a plan looks at.
type remembered struct {
	t    *rapid.T
	root string
	dir  string // of the project, in root
	opts engine.Options
}

const rememberedPipeline = `
pipeline "p" {
  env = ["REGION"]
}

variable "text" {
  type    = string
  default = "default"
}

dataset "one" {
  path = "data/one.txt"
}

dataset "many" {
  path   = "data/many"
  ignore = ["*.tmp"]
}

exec "globbed" {
  command = ["join", "res/globbed.txt", var.text, "src/a.py"]
  inputs  = ["src/*.py"]
  outputs = { o = "res/globbed.txt" }
}

exec "behind" {
  command = ["join", "res/behind.txt", try(env("REGION"), "none"), dataset.one.path, exec.globbed.path]
  outputs = { o = "res/behind.txt" }
}

exec "linked" {
  command = ["join", "res/linked.txt", "linked", "link.txt"]
  inputs  = ["link.txt", dataset.many.path]
  outputs = { o = "res/linked.txt" }
}

exec "files" {
  for_each = fileset("conf", "*.conf")
  command  = ["join", "res/${each.key}", try(file("conf/${each.key}"), "gone"), "src/a.py"]
  inputs   = ["src/a.py"]
  outputs  = { o = "res/${each.key}" }
}

exec "asks" {
  command = ["join", "res/asks.txt", "${try(file("maybe"), "none")} ${filedigest("data/one.txt")} ${templatefile("conf/t.tmpl", { x = 1 })}", "src/a.py"]
  inputs  = ["src/a.py"]
  outputs = { o = "res/asks.txt" }
}

check "calm" {
  assert {
    condition     = !fileexists("flag")
    error_message = "There is a flag."
  }
}

module "m" {
  source = "./m"
}
`

func newRemembered(t *rapid.T, root string) *remembered {
	m := &remembered{t: t, root: root, dir: filepath.Join(root, "project")}
	for name, text := range map[string]string{
		"pipeline.hcl":   rememberedPipeline,
		"m/m.hcl":        "exec \"inner\" {\n  command = [\"join\", \"res/inner.txt\", \"inner\", \"src/a.py\"]\n  inputs  = [\"src/a.py\"]\n  outputs = { o = \"res/inner.txt\" }\n}\n",
		"data/one.txt":   "one\n",
		"data/many/a":    "a\n",
		"data/many/b":    "b\n",
		"src/a.py":       "a = 1\n",
		"src/b.py":       "b = 1\n",
		"conf/x.conf":    "x\n",
		"conf/y.conf":    "y\n",
		"conf/t.tmpl":    "t ${x}\n",
		"elsewhere.txt":  "elsewhere\n",
		"../bin/program": "program\n",
		"../vars":        "text = \"file\"\n",
	} {
		m.write(name, text)
	}
	m.must(os.Symlink("elsewhere.txt", m.path("link.txt")))
	m.opts = engine.Options{
		Dir: m.dir, Types: []stage.Type{dataset.Type{}, exec.Type{}}, Executor: &joiner{}, Self: []string{m.path("../bin/program")},
		Vars: map[string]string{},
	}
	return m
}

func (m *remembered) path(name string) string { return filepath.Join(m.dir, name) }

func (m *remembered) must(err error) {
	if err != nil {
		m.t.Helper()
		m.t.Fatal(err)
	}
}

func (m *remembered) write(name, text string) {
	m.must(os.MkdirAll(filepath.Dir(m.path(name)), 0o755))
	m.must(os.WriteFile(m.path(name), []byte(text), 0o644))
}

// plan makes a plan; an error is none, as of a pipeline that is wrong.
func (m *remembered) plan() (pl *plan.Plan, warned bool, err error) {
	p, err := engine.Open(m.opts)
	if err != nil {
		return nil, false, err
	}
	defer p.Close()
	pl, err = p.Plan(context.Background(), engine.Selection{})
	warned = len(p.Warnings()) > 0
	if pl != nil {
		warned = warned || slices.ContainsFunc(pl.Checks, func(c config.Check) bool { return len(c.Warnings()) > 0 })
	}
	return pl, warned, err
}

// ask holds what is remembered to a plan. If that is nothing, a plan that makes
// use of what was looked at in vain decides as one does that looks for itself.
func (m *remembered) ask(what string) {
	m.opts.Looked = &engine.Looked{}
	n, ok := engine.UpToDate(context.Background(), m.opts)
	used, _, usedErr := m.plan()
	m.opts.Looked = nil
	pl, warned, err := m.plan()
	if got, want := decisions(used, usedErr), decisions(pl, err); got != want {
		m.t.Fatalf("%s: with what was looked at before, the plan is\n%s\nand without\n%s", what, got, want)
	}
	switch {
	case !ok:
	case err != nil:
		m.t.Fatalf("%s: nothing to do, says the memo; the plan says %v", what, err)
	case !pl.Empty() || warned || n != len(pl.Steps) || n != pl.Count(plan.Keep):
		for _, s := range pl.Steps {
			m.t.Logf("%s: %s %v", s.Addr, s.Action, s.Reasons)
		}
		m.t.Fatalf("%s: nothing to do for %d stages, says the memo", what, n)
	}
}

func decisions(pl *plan.Plan, err error) string {
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for _, s := range pl.Steps {
		fmt.Fprintln(&b, s.Addr, s.Action, s.Results)
		for _, r := range s.Reasons {
			fmt.Fprintln(&b, " ", r.Kind, r.Text, len(r.Files))
		}
	}
	return b.String()
}

// settle applies, and plans until it is remembered that nothing is left: what has
// only just changed is not. It does nothing where the pipeline is wrong by now.
func (m *remembered) settle() {
	p, err := engine.Open(m.opts)
	if err != nil {
		return
	}
	defer p.Close()
	rep, err := p.Apply(context.Background(), engine.ApplyOptions{Jobs: 2})
	if err != nil || len(rep.Failed) > 0 {
		return
	}
	for range 500 {
		pl, warned, err := m.plan()
		m.must(err)
		if !pl.Empty() {
			m.t.Fatal("an apply has left something to do")
		}
		if warned {
			return
		}
		if n, ok := engine.UpToDate(context.Background(), m.opts); ok && n == len(pl.Steps) {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	m.t.Fatal("nothing to do is not remembered")
}

// files are the plain files of the project below the directories.
func (m *remembered) files(dirs ...string) []string {
	var found []string
	for _, dir := range dirs {
		m.must(filepath.WalkDir(m.path(dir), func(p string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				rel, _ := filepath.Rel(m.dir, p)
				found = append(found, rel)
			}
			return err
		}))
	}
	return found
}

// disturb changes something in the world, and says what.
func (m *remembered) disturb(n int) string {
	t := m.t
	any := func(dirs ...string) string {
		return rapid.SampledFrom(m.files(dirs...)).Draw(t, "file")
	}
	// later writes a file again and puts its modification time back.
	later := func(name string, text []byte) {
		before, err := os.Stat(m.path(name))
		m.must(err)
		m.must(os.WriteFile(m.path(name), text, 0o644))
		m.must(os.Chtimes(m.path(name), before.ModTime(), before.ModTime()))
	}
	changed := func(b []byte) []byte {
		b = slices.Clone(b)
		if len(b) == 0 {
			return []byte("#")
		}
		b[0] = byte('A' + (int(b[0])+n)%26)
		return b
	}
	user := []string{"data", "src", "conf", "m", "res"}
	switch k := rapid.IntRange(0, 23).Draw(t, "disturbance"); k {
	case 0:
		f := any(user...)
		now := time.Now()
		m.must(os.Chtimes(m.path(f), now, now))
		return "touched " + f
	case 1, 2:
		f := any("data", "src", "conf", "res")
		b, err := os.ReadFile(m.path(f))
		m.must(err)
		if k == 1 {
			b = changed(b)
		}
		later(f, b)
		return "wrote " + f + " at its old time and size"
	case 3:
		f := any(user...)
		m.must(os.Remove(m.path(f)))
		if f == "m/m.hcl" || f == "src/a.py" || f == "data/one.txt" || f == "conf/t.tmpl" {
			m.write(f, map[string]string{"m/m.hcl": "locals {}\n", "src/a.py": "new\n", "data/one.txt": "new\n", "conf/t.tmpl": "new"}[f])
		}
		return "removed " + f
	case 4:
		f := any("data", "src", "res")
		info, err := os.Stat(m.path(f))
		m.must(err)
		m.must(os.Chmod(m.path(f), info.Mode()^0o111))
		return "changed the mode of " + f
	case 5, 6, 7: // a link, hard or symbolic, to the same or other content
		f := any("data", "src", "res")
		b, err := os.ReadFile(m.path(f))
		m.must(err)
		if k == 6 {
			b = changed(b)
		}
		other := fmt.Sprintf("../other%d", n)
		m.write(other, string(b))
		m.must(os.Remove(m.path(f)))
		if k == 7 {
			m.must(os.Link(m.path(other), m.path(f)))
		} else {
			m.must(os.Symlink(m.path(other), m.path(f)))
		}
		return "linked " + f
	case 8:
		m.write(fmt.Sprintf("src/new%d.py", n), "new\n")
		return "a new file that a glob matches"
	case 9:
		m.write(fmt.Sprintf("conf/new%d.conf", n), "new\n")
		return "a new file of a fileset"
	case 10:
		m.write(fmt.Sprintf("data/many/new%d%s", n, rapid.SampledFrom([]string{"", ".tmp"}).Draw(t, "ending")), "new\n")
		return "a new file of a directory"
	case 11:
		m.write(fmt.Sprintf("extra%d.hcl", n), fmt.Sprintf("exec \"extra%d\" {\n  command = [\"join\", \"res/extra%d.txt\", \"extra\"]\n  outputs = { o = \"res/extra%d.txt\" }\n}\n", n, n, n))
		return "a new file of the pipeline"
	case 12:
		text := rapid.SampledFrom([]string{"text = \"auto\"\n", "# no value\n", "nothing = 1\n"}).Draw(t, "values")
		m.write("values.auto.hclvars", text)
		return "a file of variables: " + text
	case 13, 22:
		m.opts.Environ = rapid.SampledFrom([][]string{nil, {"REGION=eu"}, {"FLOW_VAR_text=environ"}, {"OTHER=1"}}).Draw(t, "environment")
		return fmt.Sprint("environment ", m.opts.Environ)
	case 14, 23:
		m.opts.Vars = rapid.SampledFrom([]map[string]string{{}, {"text": "given"}}).Draw(t, "variables")
		m.opts.VarFiles = rapid.SampledFrom([][]string{nil, {"../vars"}}).Draw(t, "files of variables")
		return fmt.Sprint("variables ", m.opts.Vars, m.opts.VarFiles)
	case 15:
		b, err := os.ReadFile(m.path("flow.lock"))
		if err != nil || len(b) == 0 { // removed by a disturbance before
			b = []byte("# empty\n")
		}
		at := rapid.IntRange(0, len(b)-1).Draw(t, "byte")
		if rapid.Bool().Draw(t, "a comment") {
			b = append(b, "# comment\n"...)
		} else {
			b = slices.Delete(b, at, at+1)
		}
		m.write("flow.lock", string(b))
		return "edited flow.lock"
	case 16:
		m.must(os.RemoveAll(m.path(rapid.SampledFrom([]string{".flow/cache", ".flow/state.db", ".flow", "flow.lock"}).Draw(t, "which"))))
		return "removed what flow keeps"
	case 17:
		if b, err := os.ReadFile(m.path(".flow/memo/plan")); err == nil {
			at := rapid.IntRange(0, len(b)-1).Draw(t, "byte")
			b[at]++
			m.write(".flow/memo/plan", string(b[:rapid.SampledFrom([]int{len(b), at}).Draw(t, "length")]))
		}
		return "damaged the memo"
	case 18: // other files of the same times, sizes and names
		d := rapid.SampledFrom([]string{"data", "src", "conf", "data/many"}).Draw(t, "directory")
		was := m.path(fmt.Sprintf("../was%d", n))
		m.must(os.Rename(m.path(d), was))
		m.must(os.CopyFS(m.path(d), os.DirFS(was)))
		f := any(d)
		b, err := os.ReadFile(m.path(f))
		m.must(err)
		if rapid.Bool().Draw(t, "changed") {
			later(f, changed(b))
		}
		return "replaced the directory " + d
	case 19:
		d := rapid.SampledFrom([]string{"data", "src", "conf", "res"}).Draw(t, "directory")
		if info, err := os.Lstat(m.path(d)); err == nil && info.IsDir() {
			was := m.path(fmt.Sprintf("../was%d", n))
			m.must(os.Rename(m.path(d), was))
			m.must(os.Symlink(was, m.path(d)))
		}
		return "put the directory " + d + " elsewhere"
	case 20:
		m.write("../bin/program", fmt.Sprintf("program %d\n", n))
		return "another program"
	default:
		f := rapid.SampledFrom([]string{"flag", "maybe", "elsewhere.txt"}).Draw(t, "file")
		m.write(f, fmt.Sprintf("content %d\n", n))
		return "wrote " + f
	}
}

// Whatever happens to the world: where the memo says that there is nothing to
// do, so does a plan; and after an apply, that there is nothing to do is
// remembered.
func TestTheMemoIsNeverStale(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		root, err := os.MkdirTemp("", "flow-memo-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(root)
		m := newRemembered(t, root)
		m.ask("nothing has run")
		m.settle()
		if _, ok := engine.UpToDate(context.Background(), m.opts); !ok {
			t.Fatal("the pipeline cannot be applied")
		}
		for n := range rapid.IntRange(1, 6).Draw(t, "disturbances") {
			what := m.disturb(n)
			t.Log(what)
			if rapid.IntRange(0, 4).Draw(t, "and another") == 0 {
				continue
			}
			if m.ask(what); rapid.IntRange(0, 4).Draw(t, "go on") > 0 {
				m.settle()
			}
		}
	})
}
