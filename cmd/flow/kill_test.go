//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// killPipeline is a chain and two side branches whose stages take a while, some
// with children that leave their process group.
const killPipeline = `
dataset "raw" { path = "raw.txt" }
exec "a" {
  command = ["sh", "-c", "sleep 0.15; cat raw.txt raw.txt > a.txt"]
  inputs  = [dataset.raw]
  outputs = { o = "a.txt" }
}
exec "b" {
  count   = 3
  command = ["sh", "-c", "setsid sleep 0.1 & sleep 0.1; wc -c a.txt > b${count.index}.txt; wait"]
  inputs  = [exec.a]
  outputs = { o = "b${count.index}.txt" }
}
exec "c" {
  command = ["sh", "-c", "mkdir -p tree; for i in 1 2 3 4 5 6 7 8; do cat b0.txt b1.txt > tree/$i.txt; sleep 0.02; done"]
  inputs  = [exec.b[0], exec.b[1], exec.b[2]]
  outputs = { tree = "tree/" }
}
exec "e" {
  for_each = fileset(exec.c.path, "*.txt")
  command  = ["sh", "-c", "sleep 0.02; cat tree/${each.key} > e-${each.key}"]
  inputs   = ["${exec.c.path}/${each.key}"]
  outputs  = { o = "e-${each.key}" }
}
exec "d" {
  command = concat(["sh", "-c", "cat \"$@\" > d.txt", "d"], [for e in exec.e : e.path])
  outputs = { o = "d.txt" }
}
`

// flow killed at random moments: the next apply finishes, results are right,
// and no process of a stage is left running.
func TestKilledAppliesLeaveNothingBroken(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	flow, err := exec.LookPath("flow")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"pipeline.hcl": killPipeline, "raw.txt": strings.Repeat("data\n", 1000)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	marker := fmt.Sprintf("X_KILL_TEST=%d", os.Getpid())
	rng := rand.New(rand.NewPCG(1, 2)) // moments spread over the whole apply, the same each time
	kills := 0
	for range 40 {
		c := exec.Command(flow, "apply", "--yes", "--progress", "plain")
		c.Dir, c.Env = dir, append(os.Environ(), marker)
		var out bytes.Buffer
		c.Stdout, c.Stderr = &out, &out
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		died := make(chan error, 1)
		go func() { died <- c.Wait() }()
		select {
		case err := <-died:
			if err != nil {
				t.Fatalf("after %d kills apply fails: %v\n%s", kills, err, out.String())
			}
		case <-time.After(time.Duration(20+rng.IntN(600)) * time.Millisecond):
			if err := c.Process.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			<-died
			kills++
			waitForNoProcess(t, marker)
		}
		if kills == 10 {
			break
		}
		// An apply that came through before it was killed: begin anew.
		if kills > 0 && rng.IntN(3) == 0 {
			text := strings.Repeat("data\n", 1000+kills)
			if err := os.WriteFile(filepath.Join(dir, "raw.txt"), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if kills < 10 {
		t.Fatalf("only %d applies could be killed", kills)
	}
	must(t, dir, flow, "apply", "--yes")
	must(t, dir, flow, "plan", "--detailed-exitcode")
	raw, err := os.ReadFile(filepath.Join(dir, "raw.txt"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "d.txt"))
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Repeat(fmt.Sprintf("%d a.txt\n%d a.txt\n", 2*len(raw), 2*len(raw)), 8)
	if string(got) != want {
		t.Errorf("d.txt holds %q, want %q", got, want)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".flow", "exec", "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func must(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	c := exec.Command(name, args...)
	c.Dir = dir
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
}

// waitForNoProcess waits until no process has the marker in its environment.
func waitForNoProcess(t *testing.T, marker string) {
	t.Helper()
	var left []string
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if left = marked(marker); len(left) == 0 {
			return
		}
	}
	t.Fatalf("still running after a kill: %v", left)
}

func marked(marker string) []string {
	var found []string
	envs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, e := range envs {
		b, err := os.ReadFile(e)
		if err != nil || !bytes.Contains(b, []byte(marker)) {
			continue
		}
		cmd, _ := os.ReadFile(filepath.Join(filepath.Dir(e), "cmdline"))
		if len(cmd) == 0 {
			continue // a zombie that its parent has yet to reap
		}
		found = append(found, filepath.Base(filepath.Dir(e))+" "+string(bytes.ReplaceAll(cmd, []byte{0}, []byte{' '})))
	}
	return found
}

// flow killed while it stores a data set of many small files: what is in the
// packs by then does no harm, the next apply goes on, and checkout brings all of
// it back.
func TestKilledWhileManyFilesAreStored(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	flow, err := exec.LookPath("flow")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	const files = 4000
	content := func(i, version int) []byte { return fmt.Appendf(nil, "file %d of version %d\n", i, version) }
	write := func(version int) {
		for i := range files {
			name := filepath.Join(dir, fmt.Sprintf("data/%02d/%04d", i%40, i))
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, content(i, version), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "pipeline.hcl"), []byte("dataset \"data\" { path = \"data\" }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	packed := func() (n int64) {
		_ = filepath.WalkDir(filepath.Join(dir, ".flow", "cache"), func(_ string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				if info, err := d.Info(); err == nil {
					n += info.Size()
				}
			}
			return nil
		})
		return n
	}
	kills, version := 0, 0
	for attempt := 0; kills < 4; attempt++ {
		if attempt == 40 {
			t.Fatalf("only %d applies could be killed while they stored", kills)
		}
		version++
		write(version)
		before := packed()
		c := exec.Command(flow, "apply", "--yes", "--progress", "plain")
		c.Dir = dir
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		died := make(chan error, 1)
		go func() { died <- c.Wait() }()
		// After the first bytes in a pack, and later each time.
		for running := true; running; {
			select {
			case err := <-died:
				if err != nil {
					t.Fatalf("after %d kills apply fails: %v", kills, err)
				}
				running = false
			default:
				if packed() <= before+int64(kills)*40_000 {
					continue
				}
				if err := c.Process.Kill(); err != nil {
					t.Fatal(err)
				}
				if err := <-died; err != nil {
					kills++
				}
				running = false
			}
		}
	}
	must(t, dir, flow, "apply", "--yes")
	must(t, dir, flow, "plan", "--detailed-exitcode")
	if err := os.RemoveAll(filepath.Join(dir, "data")); err != nil {
		t.Fatal(err)
	}
	must(t, dir, flow, "checkout")
	for i := range files {
		got, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("data/%02d/%04d", i%40, i)))
		if err != nil {
			t.Fatal(err)
		}
		if want := content(i, version); !bytes.Equal(got, want) {
			t.Fatalf("file %d holds %q, want %q", i, got, want)
		}
	}
}
