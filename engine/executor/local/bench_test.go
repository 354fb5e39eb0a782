//go:build linux

package local_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/flow-pipelines/flow/engine/executor"
)

// BenchmarkTask is a whole task: /bin/true with a log. os/exec is the floor.
func BenchmarkTask(b *testing.B) {
	b.Run("os-exec", func(b *testing.B) {
		for b.Loop() {
			if err := exec.Command("/bin/true").Run(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("local", func(b *testing.B) {
		e, dir := open(b), b.TempDir()
		t := executor.Task{ID: "exec.x", Dir: dir, Log: filepath.Join(dir, "log"), Env: os.Environ(), Command: []string{"/bin/true"}}
		for b.Loop() {
			if _, err := e.Run(b.Context(), t); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("confined", func(b *testing.B) {
		p := newProject(b)
		for b.Loop() {
			if _, err := p.exec.Run(b.Context(), p.task("/bin/true")); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("confined-1000-neighbours", func(b *testing.B) {
		p := newProject(b)
		for i := range 1000 {
			if err := os.Mkdir(filepath.Join(p.home, "work", "n"+itoa(i)), 0o755); err != nil {
				b.Fatal(err)
			}
		}
		b.ResetTimer()
		for b.Loop() {
			if _, err := p.exec.Run(b.Context(), p.task("/bin/true")); err != nil {
				b.Fatal(err)
			}
		}
	})
}
