package worktree

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flow-pipelines/flow/engine/digest"
)

const (
	benchDirs  = 100
	benchFiles = 1000 // in each directory
)

// many makes a tree of benchDirs*benchFiles files of 1 KB.
func many(b *testing.B, p *project) {
	b.Helper()
	if testing.Short() {
		b.Skip("makes 100,000 files")
	}
	buf := make([]byte, 1024)
	rng := rand.NewChaCha8([32]byte{1})
	old := time.Now().Add(-time.Hour)
	for i := range benchDirs {
		dir := filepath.Join(p.root, "data", fmt.Sprintf("d%04d", i))
		p.must(os.MkdirAll(dir, 0o755))
		for j := range benchFiles {
			_, _ = rng.Read(buf)
			name := filepath.Join(dir, fmt.Sprintf("file-%06d.bin", j))
			p.must(os.WriteFile(name, buf, 0o644))
			p.must(os.Chtimes(name, old, old))
		}
	}
}

// BenchmarkManyFiles reports, for 100,000 files of 1 KB, the wall and CPU time of
// a bare stat walk and of each operation.
func BenchmarkManyFiles(b *testing.B) {
	ctx := context.Background()
	p := newProject(b)
	many(b, p)
	b.ResetTimer()
	for range b.N {
		took := func(name string, f func()) {
			start, used := time.Now(), cpuTime(b)
			f()
			b.ReportMetric(float64(time.Since(start).Milliseconds()), name+"-ms")
			b.ReportMetric(float64((cpuTime(b) - used).Milliseconds()), name+"-cpu-ms")
		}
		took("statwalk", func() { statWalk(b, filepath.Join(p.root, "data")) })
		var n digest.Node
		took("first-hash", func() { n = p.hash("data") })
		took("flush", func() { p.must(p.Flush(ctx)) })
		took("store", func() { p.must(p.Store(ctx, "data", Filter{}, n)) })
		p.reopen()
		took("noop", func() { n = p.hash("data") })
		took("missing", func() { _, err := p.Missing(ctx, n); p.must(err) })
		took("checkout-new", func() { _, err := p.Checkout(ctx, "copy", Filter{}, n); p.must(err) })
		took("checkout-noop", func() { _, err := p.Checkout(ctx, "copy", Filter{}, n); p.must(err) })
	}
}

func cpuTime(tb testing.TB) time.Duration {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// statWalk is the floor of a no-op check: names and stats, nothing else.
func statWalk(tb testing.TB, root string) (n int) {
	f, names, err := readNames(root, false)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	for _, name := range names {
		at, err := lstat(int(f.Fd()), name)
		if err != nil {
			tb.Fatal(err)
		}
		n++
		if at.isDir() {
			n += statWalk(tb, filepath.Join(root, name))
		}
	}
	return n
}

// BenchmarkLargeFile hashes one file in the page cache.
func BenchmarkLargeFile(b *testing.B) {
	p := newProject(b)
	p.write("f", strings.Repeat("0123456789abcdef", 256<<20/16))
	b.SetBytes(256 << 20)
	b.ResetTimer()
	for range b.N {
		if _, _, _, err := p.hashFile(context.Background(), unix.AT_FDCWD, filepath.Join(p.root, "f"), false); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStage is what one trivial stage costs here: an input laid out and
// verified, an output collected and checked out.
func BenchmarkStage(b *testing.B) {
	ctx := context.Background()
	p := newProject(b)
	p.write("in", "input")
	in := p.stored("in")
	i := 0
	var stage, collect, checkout time.Duration
	for b.Loop() {
		i++
		dir := filepath.Join(p.root, "exec", fmt.Sprint(i))
		start := time.Now()
		_, err := p.Stage(ctx, "in", in, dir)
		p.must(err)
		p.must(p.Verify(ctx, "in", in, dir))
		stage += time.Since(start)
		name := filepath.Join(dir, "out")
		p.must(os.WriteFile(name, fmt.Append(nil, "output ", i), 0o644))
		start = time.Now()
		n, err := p.Collect(ctx, name)
		p.must(err)
		collect += time.Since(start)
		start = time.Now()
		_, err = p.Checkout(ctx, fmt.Sprint("out/", i), Filter{}, n)
		p.must(err)
		checkout += time.Since(start)
	}
	for name, d := range map[string]time.Duration{"stage": stage, "collect": collect, "checkout": checkout} {
		b.ReportMetric(float64(d.Microseconds())/float64(i), name+"-µs")
	}
}
