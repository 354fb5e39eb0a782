package reach_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/flow-pipelines/flow/engine/cas"
	"github.com/flow-pipelines/flow/engine/cas/disk"
	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/reach"
	"github.com/flow-pipelines/flow/engine/state"
)

var ctx = context.Background()

// child makes the test binary a process that works on the named project until it
// is killed, in a mode: see runChild.
const child, childMode = "FLOW_TEST_REACH", "FLOW_TEST_REACH_MODE"

func TestMain(m *testing.M) {
	if root := os.Getenv(child); root != "" {
		if err := runChild(root, os.Getenv(childMode)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

type fataler interface {
	Fatal(args ...any)
	Helper()
}

func must(t fataler, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// project is a directory with a cache in it.
type project struct {
	reach.Project
	store *disk.Store
}

func openProject(t fataler, root string) project {
	t.Helper()
	must(t, os.MkdirAll(filepath.Join(root, ".flow"), 0o755))
	s, err := disk.Open(filepath.Join(root, ".flow", "cache"), disk.Options{User: root})
	must(t, err)
	return project{reach.At(root, ".flow"), s}
}

func (p project) lockText(t fataler, roots ...digest.Digest) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(p.Root, "flow.lock"), []byte(texts(roots)), 0o644))
}

func texts(roots []digest.Digest) string {
	var b strings.Builder
	for i, d := range roots {
		fmt.Fprintf(&b, "stage exec.s%d\nresult out %s d 12 3 out\n", i, d)
	}
	return b.String()
}

// collect is what the engine does. stop, if not nil, ends it early.
func (p project) collect(stop func() bool) error {
	c, err := p.store.Clear(ctx, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	s, err := reach.New(ctx, p.store)
	if err != nil {
		return err
	}
	if err := s.MarkProject(ctx, p.Project, reach.Policy{Now: time.Now()}, reach.Nobody); err != nil {
		return err
	}
	if err := s.MarkTexts(ctx, c.Leases); err != nil {
		return err
	}
	waves, err := s.Unneeded(ctx)
	if err != nil {
		return err
	}
	for _, wave := range waves {
		for _, d := range wave {
			if stop != nil && stop() {
				return nil
			}
			if err := c.Remove(ctx, []digest.Digest{d}); err != nil {
				return err
			}
		}
	}
	return nil
}

// graph are objects that lead to each other. Those of a later number may name
// those of an earlier one.
type graph struct {
	bytes [][]byte
	names [][]int
}

func (g *graph) digest(i int) digest.Digest { return digest.OfBytes(g.bytes[i]) }

// add adds a file, or a directory with the objects of the given numbers.
func (g *graph) add(file []byte, names []int) {
	if names == nil {
		g.bytes, g.names = append(g.bytes, file), append(g.names, nil)
		return
	}
	var t digest.Tree
	for i, n := range names {
		kind := digest.File
		if g.names[n] != nil {
			kind = digest.Dir
		}
		t = append(t, digest.Entry{Name: fmt.Sprintf("%04d", i), Node: digest.Node{Kind: kind, Digest: g.digest(n), Size: 1, Files: 1}})
	}
	g.bytes, g.names = append(g.bytes, t.Encode()), append(g.names, names)
}

func (g *graph) put(t fataler, s *disk.Store) {
	t.Helper()
	batch, err := s.NewBatch(ctx)
	must(t, err)
	defer batch.Close()
	for _, b := range g.bytes {
		must(t, batch.Put(ctx, digest.OfBytes(b), bytes.NewReader(b)))
	}
	must(t, batch.Commit(ctx))
}

// closure is what roots lead to, found by going through the graph.
func (g *graph) closure(roots []int) map[digest.Digest]bool {
	all := map[digest.Digest]bool{}
	var visit func(i int)
	visit = func(i int) {
		all[g.digest(i)] = true
		for _, n := range g.names[i] {
			visit(n)
		}
	}
	for _, r := range roots {
		visit(r)
	}
	return all
}

func drawGraph(t *rapid.T) *graph {
	g := &graph{}
	for i := range rapid.IntRange(1, 40).Draw(t, "objects") {
		switch kind := rapid.IntRange(0, 9).Draw(t, "kind"); {
		case i == 0 || kind < 5:
			g.add(fmt.Appendf(nil, "file %d", i), nil)
		case kind == 5:
			g.add(bytes.Repeat([]byte{byte(i)}, disk.PackSize+i), nil)
		case kind == 6: // a file of the user's that begins like a listing
			g.add(fmt.Appendf(nil, "%s%d", digest.TreeHeader, i), nil)
		default:
			g.add(nil, rapid.SliceOfN(rapid.IntRange(0, i-1), 0, 5).Draw(t, "names"))
		}
	}
	return g
}

// What any text leads to stays, and nothing else does, in whatever order the
// texts name it and however objects share others.
func TestWhatIsReachableStaysAndNothingElse(t *testing.T) {
	base := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		root := filepath.Join(base, fmt.Sprint(n))
		p := openProject(t, root)
		defer os.RemoveAll(root)
		defer p.store.Close()
		g := drawGraph(t)
		g.put(t, p.store)

		some := rapid.SliceOfN(rapid.IntRange(0, len(g.bytes)-1), 0, 4)
		ds := func(is []int) (all []digest.Digest) {
			for _, i := range is {
				all = append(all, g.digest(i))
			}
			return all
		}
		inPlaced := some.Draw(t, "placed")
		must(t, os.MkdirAll(p.Placed, 0o755))
		must(t, os.WriteFile(filepath.Join(p.Placed, "1.lock"), []byte(texts(ds(inPlaced))), 0o644))
		inLock, inPlan, inRun, inData, leased, old := some.Draw(t, "lock"), some.Draw(t, "plan"), some.Draw(t, "run"), some.Draw(t, "data"), some.Draw(t, "leased"), some.Draw(t, "old")
		p.lockText(t, ds(inLock)...)
		plan := filepath.Join(root, "plan.json")
		must(t, os.WriteFile(plan, []byte(texts(ds(inPlan))), 0o644))
		must(t, p.KeepPlan(plan))
		must(t, os.MkdirAll(filepath.Join(p.Runs, "r1"), 0o755))
		must(t, os.WriteFile(filepath.Join(p.Runs, "r1", "run.json"), []byte(texts(ds(inData))), 0o644))
		db := state.New(p.State, state.Options{})
		must(t, db.Update(ctx, func(tx *state.Tx) error {
			for run, is := range map[string][]int{"r1": inRun, "r0": old} {
				for j, i := range is {
					kind := digest.File
					if g.names[i] != nil {
						kind = digest.Dir
					}
					r := state.Result{Outputs: map[string]digest.Node{"o": {Kind: kind, Digest: g.digest(i)}}, Run: run}
					if err := tx.PutResult(state.Key{run[1], byte(j)}, r); err != nil {
						return err
					}
				}
			}
			return nil
		}))
		for _, d := range ds(leased) {
			must(t, p.store.Hold(ctx, d))
		}
		must(t, p.collect(nil))

		var roots []int
		for _, is := range [][]int{inPlaced, inLock, inPlan, inRun, inData, leased} {
			roots = append(roots, is...)
		}
		want := g.closure(roots)
		for i, b := range g.bytes {
			got, err := cas.ReadAll(ctx, p.store, g.digest(i))
			switch needed := want[g.digest(i)]; {
			case needed && (err != nil || !bytes.Equal(got, b)):
				t.Fatalf("object %d is needed and gone: %v", i, err)
			case !needed && !errors.Is(err, cas.ErrNotFound):
				t.Fatalf("object %d is not needed and there: %v", i, err)
			}
		}
		must(t, p.store.Compact(ctx))
		for d := range want {
			must(t, p.store.Verify(ctx, d))
		}
	})
}

// runChild is another process: it collects garbage, or stores graphs and records
// them as an apply does, for ever.
func runChild(root, mode string) error {
	p := openProject(failing{}, root)
	if mode == "collect" {
		for {
			if err := p.collect(nil); err != nil {
				return err
			}
			if err := p.store.Compact(ctx); err != nil {
				return err
			}
		}
	}
	for round := 0; ; round++ {
		// Content comes again and again, so that much of it is found rather than
		// stored.
		i := rand.IntN(20)
		top, err := storeNumbered(p, i)
		if err != nil {
			return err
		}
		// A stage takes its time to be recorded, while others remove things.
		time.Sleep(time.Duration(rand.IntN(40)) * time.Millisecond)
		line, err := json.Marshal(numbered{i, top})
		if err != nil {
			return err
		}
		lockFile := filepath.Join(root, fmt.Sprintf("%d-flow.lock", os.Getpid()))
		if err := os.WriteFile(lockFile, []byte(top.String()+"\n"), 0o644); err != nil {
			return err
		}
		if err := os.Rename(lockFile, filepath.Join(root, "flow.lock")); err != nil {
			return err
		}
		if _, err := fmt.Println(string(line)); err != nil {
			return err
		}
		for _, o := range numberedGraph(i).bytes {
			if err := p.store.Verify(ctx, digest.OfBytes(o)); err != nil {
				return fmt.Errorf("named and gone: %w", err)
			}
		}
		if round%5 == 4 { // another command
			if err := p.store.Close(); err != nil {
				return err
			}
			p = openProject(failing{}, root)
		}
	}
}

type numbered struct {
	Graph int
	Top   digest.Digest
}

// storeNumbered stores a directory of directories as engine/worktree does.
func storeNumbered(p project, i int) (top digest.Digest, err error) {
	b, err := p.store.NewBatch(ctx)
	if err != nil {
		return top, err
	}
	defer b.Close()
	g := numberedGraph(i)
	for _, o := range g.bytes {
		if err := b.Put(ctx, digest.OfBytes(o), bytes.NewReader(o)); err != nil {
			return top, err
		}
	}
	if err := b.Commit(ctx); err != nil {
		return top, err
	}
	top = g.digest(len(g.bytes) - 1)
	return top, b.Hold(top)
}

func numberedGraph(i int) *graph {
	g := &graph{}
	var dirs []int
	for d := range 3 {
		var files []int
		for f := range 10 {
			files = append(files, len(g.bytes))
			g.add(fmt.Appendf(nil, "file %d of %d", f, (i+d)%20), nil)
		}
		dirs = append(dirs, len(g.bytes))
		g.add(nil, files)
	}
	g.add(nil, dirs)
	return g
}

type failing struct{}

func (failing) Fatal(args ...any) { panic(fmt.Sprint(args...)) }
func (failing) Helper()           {}

func startChild(t *testing.T, root, mode string) (*exec.Cmd, io.Reader) {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), child+"="+root, childMode+"="+mode)
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	must(t, err)
	must(t, c.Start())
	return c, out
}

// wantWhole checks that a listing has all that it leads to.
func wantWhole(t *testing.T, s *disk.Store, d digest.Digest) {
	t.Helper()
	b, err := cas.ReadAll(ctx, s, d)
	if err != nil {
		t.Fatalf("needed and gone: %v", err)
	}
	tree, err := digest.DecodeTree(b)
	must(t, err)
	for _, e := range tree {
		if e.Kind == digest.Dir {
			wantWhole(t, s, e.Digest)
		} else if err := s.Verify(ctx, e.Digest); err != nil {
			t.Fatalf("needed and gone: %v", err)
		}
	}
}

// A collector works beside a process that finds and stores things all the time,
// and both are killed again and again. Whatever flow.lock names is there, and no
// listing is without what it leads to.
func TestNothingIsLostBesideAWriterAndByKills(t *testing.T) {
	root := t.TempDir()
	p := openProject(t, root)
	top, err := storeNumbered(p, 0)
	must(t, err)
	p.lockText(t, top)
	must(t, p.store.Close())
	rounds, named := 8, 0
	if testing.Short() {
		rounds = 2
	}
	for range rounds {
		collector, _ := startChild(t, root, "collect")
		writer, out := startChild(t, root, "write")
		lines := make(chan int)
		go func() {
			n := 0
			dec := json.NewDecoder(out)
			for {
				var line numbered
				if dec.Decode(&line) != nil {
					break
				}
				if n++; n == 20+rand.IntN(20) || n == 40 {
					_ = writer.Process.Kill()
				}
			}
			lines <- n
		}()
		n := <-lines
		named += n
		_ = collector.Process.Kill()
		if err := collector.Wait(); !killed(err) {
			t.Fatalf("the collector ended: %v", err)
		}
		if err := writer.Wait(); !killed(err) {
			t.Fatalf("the writer ended: %v", err)
		}
		check(t, root)
	}
	if named == 0 {
		t.Fatal("nothing was named")
	}
}

func killed(err error) bool {
	var exit *exec.ExitError
	return errors.As(err, &exit) && exit.ExitCode() == -1
}

func check(t *testing.T, root string) {
	t.Helper()
	p := openProject(t, root)
	defer p.store.Close()
	text, err := os.ReadFile(filepath.Join(root, "flow.lock"))
	must(t, err)
	_, name, _ := strings.Cut(string(text), "blake3:")
	top, err := digest.Parse("blake3:" + name[:2*digest.Size])
	must(t, err)
	wantWhole(t, p.store, top)
	must(t, p.store.Each(ctx, func(d digest.Digest, _ int64) error {
		if p.store.Starts(d, []byte(digest.TreeHeader)) {
			wantWholeBelow(t, p.store, d)
		}
		return nil
	}))
}

// wantWholeBelow is wantWhole for a listing that nobody may need: the writer puts
// what a listing leads to before the listing.
func wantWholeBelow(t *testing.T, s *disk.Store, d digest.Digest) {
	t.Helper()
	b, err := cas.ReadAll(ctx, s, d)
	must(t, err)
	tree, err := digest.DecodeTree(b)
	must(t, err)
	for _, e := range tree {
		if has, err := s.Has(ctx, e.Digest); err != nil || !has {
			t.Fatalf("a listing is there without %s: %v", e.Name, err)
		}
	}
}

// A collector that is interrupted at any object leaves no listing without what it
// leads to.
func TestListingsGoFirst(t *testing.T) {
	for _, stop := range []int{0, 1, 2, 3, 4, 5, 20} {
		root := t.TempDir()
		p := openProject(t, root)
		g := numberedGraph(1)
		g.put(t, p.store)
		p.lockText(t)
		n := 0
		must(t, p.collect(func() bool { n++; return n > stop }))
		must(t, p.store.Each(ctx, func(d digest.Digest, _ int64) error {
			if p.store.Starts(d, []byte(digest.TreeHeader)) {
				wantWholeBelow(t, p.store, d)
			}
			return nil
		}))
		must(t, p.store.Close())
	}
}

// A damaged listing hides what is needed: nothing is known then.
func TestADamagedListingIsAnError(t *testing.T) {
	root := t.TempDir()
	p := openProject(t, root)
	g := numberedGraph(1)
	g.put(t, p.store)
	top := g.digest(len(g.bytes) - 1)
	p.lockText(t, top)
	must(t, p.store.Close())
	packs, err := filepath.Glob(filepath.Join(root, ".flow", "cache", "packs", "*.pack"))
	must(t, err)
	b, err := os.ReadFile(packs[0])
	must(t, err)
	at := bytes.LastIndex(b, []byte(digest.TreeHeader))
	b[at+len(digest.TreeHeader)+5] ^= 1
	must(t, os.WriteFile(packs[0], b, 0o644))
	p = openProject(t, root)
	defer p.store.Close()
	var damaged *reach.DamagedError
	if err := p.collect(nil); !errors.As(err, &damaged) {
		t.Errorf("got %v, want a *reach.DamagedError", err)
	}
}
