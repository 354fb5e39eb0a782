//go:build linux

package local_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flow-pipelines/flow/engine/executor"
	"github.com/flow-pipelines/flow/engine/executor/local"
)

// project is a project with an exec directory, as a confined task finds it.
type project struct {
	exec           *local.Executor
	home, root     string
	dir, log, venv string
}

func newProject(t testing.TB) *project {
	e := open(t)
	if why := e.Unconfined(); why != "" {
		t.Skip(why)
	}
	home := t.TempDir()
	p := &project{exec: e, home: home, root: filepath.Join(home, "code", "project")}
	p.dir = filepath.Join(p.root, ".flow", "exec", "1")
	p.venv = filepath.Join(p.root, ".venv")
	p.log = filepath.Join(p.root, ".flow", "log")
	for path, text := range map[string]string{
		"code/project/data/secret.csv":     "secret\n",
		"code/project/pipeline.hcl":        "\n",
		"code/project/.git/config":         "secret\n",
		"code/project/.venv/bin/tool":      "#!/bin/sh\necho tool\n",
		"code/project/src/run.sh":          "#!/bin/sh\necho ran\n",
		"code/project/.flow/exec/1/in.csv": "declared\n",
		"code/project/.flow/exec/2/in.csv": "secret\n",
		"code/.git/config":                 "secret\n",
		"code/sibling/notes.txt":           "neighbour\n",
		"settings/conf":                    "conf\n",
	} {
		path = filepath.Join(home, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		mode := os.FileMode(0o644)
		if strings.HasPrefix(text, "#!") {
			mode = 0o755
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func (p *project) task(command ...string) executor.Task {
	return executor.Task{
		ID: "exec.confined", Dir: p.dir, Log: p.log, Command: command,
		Env:     []string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + p.home, "P=" + p.root},
		Confine: &executor.Confinement{Project: p.root, Allow: []string{p.venv}},
	}
}

// sh runs a script and returns its log.
func (p *project) sh(t *testing.T, script string) (executor.Result, string) {
	t.Helper()
	_ = os.Remove(p.log)
	res, err := p.exec.Run(t.Context(), p.task("sh", "-c", script))
	if err != nil {
		t.Fatal(err)
	}
	if res.Unconfined != "" {
		t.Errorf("unconfined: %s", res.Unconfined)
	}
	log, err := os.ReadFile(p.log)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(log)
}

func TestConfinedTaskCannotReachTheProject(t *testing.T) {
	p := newProject(t)
	for _, script := range []string{
		`cat "$P/data/secret.csv"`,
		`cat ../../../data/secret.csv`,
		`cat "$P/.git/config"`,
		`cat "$P/../.git/config"`,
		`cat "$P/.flow/exec/2/in.csv"`,
		`ls "$P/data"`,
		`ls "$P"`,
		`"$P/src/run.sh"`,
		`echo x > "$P/data/new.csv"`,
		`echo x >> "$P/data/secret.csv"`,
		`rm "$P/data/secret.csv"`,
		`mv in.csv "$P/data/in.csv"`,
		`mkdir "$P/new"`,
		`echo x > "$P/.venv/bin/tool"`,
		`cd "$P" && cat data/secret.csv`,
		`ln -s "$P/data/secret.csv" link && cat link`,
		`cat "/proc/self/cwd/../../../data/secret.csv"`,
	} {
		res, log := p.sh(t, script)
		if res.OK() || strings.Contains(log, "secret\n") || !strings.Contains(log, "ermission denied") {
			t.Errorf("%s: %+v, log %q", script, res, log)
		}
	}
}

func TestConfinedTaskReachesTheRest(t *testing.T) {
	p := newProject(t)
	for _, script := range []string{
		`cat in.csv && echo x > out && mkdir -p a/b && mv out a/b/out && cat a/b/out && rm -r a`,
		`"$P/.venv/bin/tool"`,
		`head -c 10 /usr/bin/env > x && cat /etc/passwd > y && ls /usr /etc > z`,
		`f=$(mktemp -p "${TMPDIR:-/var/tmp}") && echo x > $f && mv $f in.csv && cat in.csv`,
		`cat "$HOME/settings/conf" && echo y > "$HOME/settings/conf" && mkdir -p "$HOME/.cache/x" && echo z > "$HOME/.cache/x/y"`,
		`cat "$P/../sibling/notes.txt"`,
		`test -e "$P/data/secret.csv"`,
		`echo out > /dev/stdout && echo err > /dev/stderr && echo null > /dev/null`,
		`pwd && ls . && ps > /dev/null || true`,
	} {
		if res, log := p.sh(t, script); !res.OK() {
			t.Errorf("%s: %+v, log %q", script, res, log)
		}
	}
}

func TestConfinedToWritablePaths(t *testing.T) {
	p := newProject(t)
	task := p.task("sh", "-c", `echo x > "$P/data/new" && cat "$P/data/secret.csv" && ! cat "$P/pipeline.hcl"`)
	task.Confine.Writable = []string{filepath.Join(p.root, "data"), filepath.Join(p.root, "not there")}
	res, err := p.exec.Run(t.Context(), task)
	if err != nil || !res.OK() {
		t.Errorf("got %+v, %v", res, err)
	}
}

// A way to the project through a symbolic link beside it stays closed.
func TestSymlinksDoNotLeadIntoTheProject(t *testing.T) {
	p := newProject(t)
	if err := os.Symlink(p.root, filepath.Join(p.home, "shortcut")); err != nil {
		t.Fatal(err)
	}
	if res, log := p.sh(t, `cat "$HOME/shortcut/data/secret.csv"`); res.OK() {
		t.Errorf("got %+v, log %q", res, log)
	}
	task := p.task("sh", "-c", `cat "$P/data/secret.csv"`)
	task.Confine.Project = filepath.Join(p.home, "shortcut")
	if res, err := p.exec.Run(t.Context(), task); err != nil || res.OK() {
		t.Errorf("project named by a link: got %+v, %v", res, err)
	}
}

func TestConfinementRefusesToBeEmptied(t *testing.T) {
	p := newProject(t)
	for _, path := range []string{p.root, p.home, "/"} {
		task := p.task("true")
		task.Confine.Allow = []string{path}
		if _, err := p.exec.Run(t.Context(), task); err == nil {
			t.Errorf("allow %s: no error", path)
		}
	}
}

func TestProgramInTheProjectIsDenied(t *testing.T) {
	p := newProject(t)
	_, err := p.exec.Run(t.Context(), p.task(filepath.Join(p.root, "src/run.sh")))
	var e *executor.ProgramError
	if !errors.As(err, &e) || e.Reason != executor.Denied {
		t.Errorf("got %v", err)
	}
	if res, err := p.exec.Run(t.Context(), p.task(filepath.Join(p.venv, "bin/tool"))); err != nil || !res.OK() {
		t.Errorf("allowed program: got %+v, %v", res, err)
	}
}

// Neither this process nor later tasks are confined by an earlier one.
func TestConfinementEndsWithTheTask(t *testing.T) {
	p := newProject(t)
	secret := filepath.Join(p.root, "data/secret.csv")
	for range 20 {
		if res, _ := p.sh(t, `! cat "$P/data/secret.csv"`); !res.OK() {
			t.Fatalf("got %+v", res)
		}
		if _, err := os.ReadFile(secret); err != nil {
			t.Fatal(err)
		}
		free := p.task("cat", secret)
		free.Confine = nil
		if res, err := p.exec.Run(t.Context(), free); err != nil || !res.OK() {
			t.Fatalf("got %+v, %v", res, err)
		}
	}
	if err := p.exec.Close(); err != nil {
		t.Fatal(err)
	}
	// The thread of the last one may still be on its way out.
	for end := time.Now().Add(2 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		confined, _ := filepath.Glob("/proc/self/task/*")
		confined = slices.DeleteFunc(confined, func(thread string) bool {
			status, _ := os.ReadFile(thread + "/status")
			return !strings.Contains(string(status), "NoNewPrivs:\t1")
		})
		if len(confined) == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("threads %v are still confined", confined)
		}
	}
}

// A directory that is used again, under another name, keeps its rules; what is
// beside the project now counts, not what was when they were made; and another
// directory of the same name is another one.
func TestConfinementIsOfDirectoriesAndNotOfNames(t *testing.T) {
	p := newProject(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	run := func(room, script string) {
		t.Helper()
		work := filepath.Join(room, "work")
		must(os.Mkdir(work, 0o755))
		task := p.task("sh", "-c", script)
		task.Dir, task.Confine.Writable = work, []string{room}
		if res, err := p.exec.Run(t.Context(), task); err != nil || !res.OK() {
			log, _ := os.ReadFile(p.log)
			t.Fatalf("got %+v, %v\n%s", res, err, log)
		}
		must(os.RemoveAll(work))
	}
	first, second := filepath.Join(p.root, ".flow/exec/first"), filepath.Join(p.root, ".flow/exec/second")
	must(os.Mkdir(first, 0o755))
	run(first, `echo x > out && ! cat "$P/data/secret.csv"`)
	must(os.Rename(first, second))
	must(os.Mkdir(first, 0o755))
	must(os.WriteFile(filepath.Join(first, "kept"), []byte("secret\n"), 0o644))
	run(second, `echo x > out && ! cat "$P/data/secret.csv" && ! cat ../../first/kept`)

	must(os.WriteFile(filepath.Join(p.home, "new"), []byte("new\n"), 0o644))
	run(second, `cat "$HOME/new" && ! cat ../../first/kept`)
	must(os.Mkdir(filepath.Join(p.home, "code/later"), 0o755))
	run(second, `touch "$HOME/code/later/x" && echo x > out`)
	must(os.Rename(filepath.Join(p.home, "settings"), filepath.Join(p.root, "settings")))
	run(second, `! cat "$P/settings/conf"`)

	must(os.RemoveAll(second))
	must(os.Mkdir(second, 0o755))
	run(second, `echo x > out && ! cat "$P/data/secret.csv"`)
}

// The hints are found in what real programs print.
func TestHintsFromRealPrograms(t *testing.T) {
	p := newProject(t)
	secret := filepath.Join(p.root, "data/secret.csv")
	programs := map[string][]string{
		"cat":         {"cat", "FILE"},
		"dash or ash": {"sh", "-c", "read x < FILE"},
		"bash":        {"bash", "-c", "read x < FILE"},
		"awk":         {"awk", "{ print }", "FILE"},
		"mawk":        {"mawk", "{ print }", "FILE"},
		"gawk":        {"gawk", "{ print }", "FILE"},
		"awk getline": {"awk", "BEGIN { if ((getline x < \"FILE\") < 0) exit 1 }"},
		"sed":         {"sed", "-n", "p", "FILE"},
		"cp":          {"cp", "FILE", "copy"},
		"python":      {"python3", "-c", "open('FILE')"},
		"perl":        {"perl", "-e", "open(F, '<', 'FILE') or die \"cannot open FILE: $!\""},
		"node":        {"node", "-e", "require('fs').readFileSync('FILE')"},
		"script":      {"python3", "FILE"},
	}
	for name, command := range programs {
		for _, file := range []string{"data/secret.csv", secret} {
			task := p.task()
			for _, word := range command {
				task.Command = append(task.Command, strings.ReplaceAll(word, "FILE", file))
			}
			task.Env = append(task.Env, "PATH="+os.Getenv("PATH"))
			_ = os.Remove(p.log)
			res, err := p.exec.Run(t.Context(), task)
			if errors.As(err, new(*executor.ProgramError)) {
				continue // not on this machine
			}
			if err != nil {
				t.Fatal(err)
			}
			log, _ := os.ReadFile(p.log)
			hints := executor.Hints(executor.Failure{
				Log: log, Argv: task.Command, Project: p.root, Dir: p.dir,
				Inputs: []string{"in.csv"}, Exists: func(rel string) bool { _, err := os.Stat(filepath.Join(p.root, rel)); return err == nil },
			})
			if len(hints) == 0 || hints[0].Path != "data/secret.csv" || hints[0].Absolute != (file == secret) {
				t.Errorf("%s, %s: %+v, got %+v from %q", name, file, res, hints, log)
			}
		}
	}
}

func TestPeakMemory(t *testing.T) {
	p := newProject(t)
	res, log := p.sh(t, "head -c 300000000 /dev/zero | tail -c 200000000 > /dev/null")
	if !res.OK() || res.PeakMemory < 200_000_000 || res.PeakMemory > 300_000_000 {
		t.Errorf("got %+v, log %q", res, log)
	}
	if res, _ := p.sh(t, "true"); res.PeakMemory > 20_000_000 {
		t.Errorf("a shell takes %d bytes", res.PeakMemory)
	}
}
