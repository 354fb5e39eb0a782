package host_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/plugins/host"
)

// environ is one in which the plugins of testdata are in PATH and nothing is
// remembered of them.
func environ(t *testing.T) []string {
	t.Helper()
	bin, err := filepath.Abs("testdata/bin")
	if err != nil {
		t.Fatal(err)
	}
	return []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
}

// Whatever a plugin does when it is asked what it is, there is one error, which
// names it and says what it did.
func TestAPluginThatDoesNotDescribeItself(t *testing.T) {
	for name, want := range map[string]string{
		"hanging":       "took longer than 300ms and was ended",
		"flooding":      "says too much",
		"crashing":      `failed with exit status 3; it said "Traceback: no module named nowhere"`,
		"killed":        "failed with signal: segmentation fault",
		"garbled":       `does not describe itself as a plugin: not JSON of the expected form`,
		"silent":        "describe answers nothing: a plugin prints what it is",
		"future":        "speaks another version of the protocol: it speaks 7, this flow 1",
		"impostor":      `says that it is called "somebody-else", not "impostor"`,
		"typeless":      "no stage type",
		"unversioned":   `version "latest": want a number`,
		"mistyped":      `stage type x: argument a: unknown type "float"`,
		"escaping":      `output o: path "../../secret"`,
		"uninterpreted": "cannot be started: what stands behind its #! is not there",
		"nowhere":       "A program called flow-plugin-nowhere is needed",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := &host.Host{Environ: environ(t)}
			if name == "hanging" {
				h.Patience = 300 * time.Millisecond
			}
			_, _, err := h.Find(name)
			var p *stage.Problem
			if !errors.As(err, &p) {
				t.Fatalf("got %v, want a problem", err)
			}
			if !strings.Contains(p.Error(), want) || !strings.Contains(p.Error(), name) {
				t.Errorf("got %q, want %q in it, and the name", p.Error(), want)
			}
		})
	}
}

// run lets the plugin nasty do a job.
func run(t *testing.T, ctx context.Context, how string) (stage.Metrics, string, error) {
	t.Helper()
	m, said, _, err := runIn(t, ctx, how)
	return m, said, err
}

// runIn is run, and returns the job's directory.
func runIn(t *testing.T, ctx context.Context, how string) (m stage.Metrics, said, dir string, err error) {
	t.Helper()
	h := &host.Host{Environ: environ(t)}
	p, _, err := h.Find("nasty")
	if err != nil {
		t.Fatal(err)
	}
	var log, events bytes.Buffer
	r := &stage.Run{Log: &log, Events: &events}
	args, _ := json.Marshal(map[string]string{"how": how})
	r.Spec = stage.Spec{Type: "nasty", Args: args, Outputs: map[string]string{"out": "out.txt"}, CPUs: 1, Plugin: p}
	dir = t.TempDir()
	m, err = host.RunIn(ctx, dir, r)
	return m, log.String() + events.String(), dir, err
}

func TestARunIsListenedTo(t *testing.T) {
	t.Parallel()
	m, said, err := run(t, t.Context(), "right")
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := m["n"].(json.Number); n != "1" {
		t.Errorf("metrics: got %v", m)
	}
	if want := "to the log\n" + `{"step":1,"metrics":{"loss":0.5}}` + "\n"; said != want {
		t.Errorf("log and events: got %q, want %q", said, want)
	}
}

// A fault of the plugin is one problem of the block, a mistake of the user's
// that the plugin found is one of the argument, and a failure is an error.
func TestARunThatGoesWrong(t *testing.T) {
	for how, want := range map[string]struct{ text, path string }{
		"garbage":       {`Line 2 on its standard output is no event`, ""},
		"unknown-event": {`an event of the unknown type "song"`, ""},
		"long-line":     {"longer than 1 MiB", ""},
		"flood":         {"It wrote more than 64 MiB of events", ""},
		"lie":           {`its output "out", out.txt, is not there`, ""},
		"mute-problem":  {"exit status 2, that something is wrong with the stage, and not what", ""},
		"lost":          {"exit status 64, which says that it does not know the word run, the stage type nasty or version 1 of the protocol", ""},
		"contradiction": {`It reports "Bad", and by exit status 0 that all is well`, ""},
		"infinite":      {"is no event: not JSON", ""},
		"problem":       {"No such way", "how"},
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			_, _, err := run(t, t.Context(), how)
			ps := stage.ProblemsIn(err)
			if len(ps) != 1 {
				t.Fatalf("got %v, want one problem", err)
			}
			if !strings.Contains(ps[0].Error(), want.text) || ps[0].Path != want.path {
				t.Errorf("got %q at %q, want %q in it at %q", ps[0].Error(), ps[0].Path, want.text, want.path)
			}
		})
	}
	for how, want := range map[string]struct {
		text   string
		status int
	}{
		"crash": {"plugin nasty 1.0.0 failed: signal: segmentation fault", 128 + 11},
		"fail":  {"plugin nasty 1.0.0 failed: exit status 1", 1},
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			_, _, err := run(t, t.Context(), how)
			var exit *stage.ExitError
			if !errors.As(err, &exit) || exit.Status != want.status || !strings.HasPrefix(err.Error(), want.text) || len(stage.ProblemsIn(err)) > 0 {
				t.Errorf("got %v, want %v and no problem of the user's", err, want)
			}
		})
	}
}

// A child that holds the pipe open keeps nobody waiting.
func TestARunEndsWithItsPlugin(t *testing.T) {
	t.Parallel()
	if _, _, err := run(t, t.Context(), "linger"); err != nil {
		t.Error(err)
	}
}

// Nor does one in a session of its own, which is not killed with the plugin's group,
// and about which a line says that it is there.
func TestARunEndsThoughADaemonHoldsItsOutput(t *testing.T) {
	if _, err := exec.LookPath("setsid"); err != nil {
		t.Skip(err)
	}
	for _, how := range []string{"daemon", "noisy-daemon"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			m, log, dir, err := runIn(t, t.Context(), how)
			endDaemon(t, filepath.Join(dir, "daemon.pid"))
			if err != nil || !strings.Contains(log, "warning: plugin nasty has ended, and a process in a session of its own") {
				t.Errorf("got %v, and the log %.300q", err, log)
			}
			if n, _ := m["n"].(json.Number); how == "daemon" && n != "1" {
				t.Errorf("metrics: got %v", m)
			}
		})
	}
}

// endDaemon ends the process whose number a file has, if it is there.
func endDaemon(t *testing.T, file string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Error(err)
	}
}

func TestARunThatHangsEndsWhenItIsAsked(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, _, err := run(t, ctx, "hang"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the deadline", err)
	}
}

// A plugin of its own, for tests that change it.
func own(t *testing.T, project, version string, files ...string) {
	t.Helper()
	text := `#!/bin/sh
echo x >>"$FLOW_TEST_STARTS"
cat "$(dirname "$0")/description.json"
`
	list, err := json.Marshal(append([]string{"description.json"}, files...))
	if err != nil {
		t.Fatal(err)
	}
	desc := `{"protocol":1,"name":"own","version":"` + version + `","summary":"s","files":` + string(list) + `,"types":[{"name":"own","version":1,"summary":"s","body":{},"outputs":[]}]}`
	for name, content := range map[string]string{"flow-plugin-own": text, "description.json": desc} {
		if err := os.MkdirAll(filepath.Join(project, "plugins"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(project, "plugins", name), []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// Files that are older than a tick prove by their looks what they hold.
	past := time.Now().Add(-time.Hour)
	for _, name := range []string{"flow-plugin-own", "description.json"} {
		if err := os.Chtimes(filepath.Join(project, "plugins", name), past, past); err != nil {
			t.Fatal(err)
		}
	}
}

// A plugin may be made of files and directories, and of nothing that has no end.
func TestAPluginOfOddFiles(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	endless := filepath.Join(t.TempDir(), "endless")
	if err := errors.Join(os.WriteFile(endless, nil, 0o600), os.Truncate(endless, 1<<40)); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		"/dev/zero":        "read /dev/zero: it is neither a file nor a directory of the plugin",
		fifo:               "fifo: it is neither a file nor a directory of the plugin",
		filepath.Dir(fifo): "fifo: it is neither a file nor a directory of the plugin",
		"/":                "read /: it is neither a file nor a directory of the plugin",
		"missing":          "missing: no such file or directory",
		endless:            "names files of its own that took longer than 2s to read",
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			project := t.TempDir()
			h := &host.Host{Project: project, Environ: append(environ(t), "FLOW_TEST_STARTS=/dev/null"), Patience: 2 * time.Second}
			own(t, project, "1.0.0", file)
			_, _, err := h.Find("own")
			var p *stage.Problem
			if !errors.As(err, &p) || !strings.Contains(p.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
}

// What lies in a directory that a plugin is made of is part of it.
func TestAPluginOfADirectory(t *testing.T) {
	project := t.TempDir()
	h := &host.Host{Project: project, Environ: append(environ(t), "FLOW_TEST_STARTS=/dev/null")}
	own(t, project, "1.0.0", "lib")
	seen := map[string]bool{}
	for _, change := range [][2]string{{"lib/a.py", "1"}, {"lib/a.py", "2"}, {"lib/deep/b.py", "1"}, {"lib/c.py", "1"}} {
		file := filepath.Join(project, "plugins", filepath.FromSlash(change[0]))
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(change[1]), 0o600)); err != nil {
			t.Fatal(err)
		}
		p, _, err := h.Find("own")
		if err != nil {
			t.Fatal(err)
		}
		if seen[p.Digest] {
			t.Errorf("after %v: the digest is one that was before", change)
		}
		seen[p.Digest] = true
	}
}

func TestAnInterruptEndsADescription(t *testing.T) {
	interrupted := make(chan struct{})
	close(interrupted)
	h := &host.Host{Environ: environ(t), Interrupted: interrupted}
	if _, _, err := h.Find("hanging"); err == nil || !strings.Contains(err.Error(), "had said what it is: context canceled") {
		t.Errorf("got %v", err)
	}
}

func TestAPluginIsStartedOnceForAllPlans(t *testing.T) {
	project := t.TempDir()
	starts := filepath.Join(t.TempDir(), "starts")
	h := &host.Host{Project: project, Environ: append(environ(t), "FLOW_TEST_STARTS="+starts)}
	count := func() int {
		b, _ := os.ReadFile(starts)
		return len(b) / 2
	}
	own(t, project, "1.0.0")
	first, _, err := h.Find("own")
	if err != nil {
		t.Fatal(err)
	}
	// Written this very moment, it is looked at again, and not started.
	for range 3 {
		again, _, err := h.Find("own")
		if err != nil || again.Digest != first.Digest {
			t.Fatalf("got %v, %v; want %v", again, err, first)
		}
	}
	before := count()
	if before > 2 {
		t.Errorf("started %d times", before)
	}
	// One of its files changes: another plugin, and another digest.
	own(t, project, "1.1.0")
	second, _, err := h.Find("own")
	if err != nil {
		t.Fatal(err)
	}
	if second.Version != "1.1.0" || second.Digest == first.Digest || count() != before+1 {
		t.Errorf("got version %s, digest %s (was %s), %d starts", second.Version, second.Digest, first.Digest, count())
	}
	// Back to what it was: the digest, too, wherever the project lies.
	elsewhere := t.TempDir()
	own(t, elsewhere, "1.0.0")
	h.Project = elsewhere
	third, _, err := h.Find("own")
	if err != nil || third.Digest != first.Digest {
		t.Errorf("got %v, %v; want digest %s", third, err, first.Digest)
	}
}
