package runs_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/flow-pipelines/flow/engine/runs"
)

// TestMain lets the test binary be a run that is killed.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "victim" {
		r, err := runs.Create(os.Args[2], runs.Record{Flow: "test"}, time.Now)
		if err != nil {
			os.Exit(2)
		}
		_ = os.WriteFile(r.Log("exec.x"), []byte("half a li"), 0o644)
		_, _ = os.Stdout.WriteString(r.ID() + "\n")
		time.Sleep(time.Minute)
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// clock ticks a second with every look, from the same moment.
func clock() func() time.Time {
	var mu sync.Mutex
	at := time.Date(2026, 11, 24, 16, 0, 40, 0, time.UTC)
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		at = at.Add(time.Second)
		return at
	}
}

func create(t *testing.T, dir string, clock func() time.Time) *runs.Run {
	t.Helper()
	r, err := runs.Create(dir, runs.Record{Command: []string{"flow", "apply"}, Flow: "0.1.0"}, clock)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Finish(runs.Failed, nil) })
	return r
}

func finish(t *testing.T, r *runs.Run, s runs.Status) {
	t.Helper()
	if err := r.Finish(s, map[string]int{"run": 2}); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, dir, ref string) *runs.Past {
	t.Helper()
	p, err := runs.Open(dir, ref)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func ids(t *testing.T, dir string) []string {
	t.Helper()
	list, err := runs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, p := range list {
		ids = append(ids, p.ID)
	}
	return ids
}

func TestLifeOfARun(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "yet")
	r := create(t, dir, clock())
	if !regexp.MustCompile(`^20261124-160041-[a-z2-9]{4}$`).MatchString(r.ID()) {
		t.Errorf("id %q", r.ID())
	}
	p := open(t, dir, r.ID())
	if p.Status != runs.Running || !p.Live() || !p.Ended.IsZero() || p.Flow != "0.1.0" || p.PID != os.Getpid() {
		t.Errorf("while it runs: %+v", p)
	}
	for i := range 3 {
		if err := r.Event(map[string]int{"n": i}); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(r.Log("exec.x"), []byte("hello\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	finish(t, r, runs.Succeeded)
	finish(t, r, runs.Failed) // too late
	if err := r.Event(1); err == nil {
		t.Error("an event after the end: no error")
	}
	if err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	if p.Status != runs.Succeeded || p.Live() || p.Ended.Sub(p.Started) != time.Second || p.Counts["run"] != 2 {
		t.Errorf("after its end: %+v", p)
	}
	events, err := os.ReadFile(p.Events())
	if err != nil || string(events) != "{\"n\":0}\n{\"n\":1}\n{\"n\":2}\n" {
		t.Errorf("events: %q, %v", events, err)
	}
	if logs, err := p.Logs(); err != nil || !slices.Equal(logs, []string{"exec.x"}) {
		t.Errorf("logs: %v, %v", logs, err)
	}
}

func TestRecordFormat(t *testing.T) {
	dir := t.TempDir()
	r, err := runs.Create(dir, runs.Record{Command: []string{"flow", "apply", "--yes"}, Flow: "0.1.0", Commit: "abc", Dirty: true, Host: "h"}, clock())
	if err != nil {
		t.Fatal(err)
	}
	finish(t, r, runs.Succeeded)
	got, err := os.ReadFile(filepath.Join(r.Dir(), "run.json"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(got), r.ID(), "ID")
	text = regexp.MustCompile(`"pid": \d+`).ReplaceAllString(text, `"pid": 1`)
	want, err := os.ReadFile("testdata/run.v1.json")
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", text, want)
	}
}

func TestListIsNewestFirstAndToleratesRubbish(t *testing.T) {
	dir := t.TempDir()
	now := clock()
	var want []string
	for range 5 {
		r := create(t, dir, now)
		finish(t, r, runs.Failed)
		want = append([]string{r.ID()}, want...)
	}
	for path, text := range map[string]string{
		"README": "x", "empty/x": "", "20261124-160041-half/run.json": `{"version": 1, "id": "20261`,
		"20261124-160041-futu/run.json": `{"version": 99, "id": "20261124-160041-futu"}`,
		"copy of one/run.json":          `{"version": 1, "id": "20261124-160041-abcd"}`,
		".new-123/lock":                 "",
	} {
		path = filepath.Join(dir, path)
		_ = os.MkdirAll(filepath.Dir(path), 0o755)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := ids(t, dir); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := ids(t, filepath.Join(dir, "nowhere")); got != nil {
		t.Errorf("no directory: got %v", got)
	}
}

func TestOpenByReference(t *testing.T) {
	dir := t.TempDir()
	var none *runs.NotFoundError
	if _, err := runs.Open(dir, runs.Latest); !errors.As(err, &none) {
		t.Errorf("no runs: got %v", err)
	}
	now := clock()
	a, b := create(t, dir, now), create(t, dir, now)
	for ref, want := range map[string]string{"latest": b.ID(), a.ID(): a.ID(), a.ID()[:15]: a.ID(), b.ID()[:17]: b.ID()} {
		if got := open(t, dir, ref).ID; got != want {
			t.Errorf("%s: got %s, want %s", ref, got, want)
		}
	}
	if _, err := runs.Open(dir, "2026"); !errors.As(err, &none) || len(none.Matches) != 2 {
		t.Errorf("ambiguous: got %v", err)
	}
	for _, ref := range []string{"2027", "..", "../x", "/"} {
		if _, err := runs.Open(dir, ref); !errors.As(err, &none) || len(none.Matches) != 0 {
			t.Errorf("%s: got %v", ref, err)
		}
	}
}

func TestManyAtOnceHaveDifferentIDs(t *testing.T) {
	dir := t.TempDir()
	at := time.Now()
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			r, err := runs.Create(dir, runs.Record{}, func() time.Time { return at })
			if err != nil {
				t.Error(err)
				return
			}
			if err := r.Finish(runs.Succeeded, nil); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if n := len(ids(t, dir)); n != 50 {
		t.Errorf("%d runs", n)
	}
}

func startVictim(t *testing.T, dir string) (*exec.Cmd, string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "victim", dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	id, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return cmd, strings.TrimSpace(id)
}

func TestKilledRunIsInterrupted(t *testing.T) {
	dir := t.TempDir()
	cmd, id := startVictim(t, dir)
	p := open(t, dir, id)
	if p.Status != runs.Running || !p.Live() {
		t.Errorf("while it runs: %+v", p)
	}
	follow := p.Follow(t.Context(), p.Log("exec.x"))
	defer follow.Close()
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if got, err := io.ReadAll(follow); err != nil || string(got) != "half a li" {
		t.Errorf("follow: %q, %v", got, err)
	}
	if got := open(t, dir, id).Status; got != runs.Interrupted {
		t.Errorf("after its death: %s", got)
	}
}

func TestFollowSeesEverythingToTheEnd(t *testing.T) {
	dir := t.TempDir()
	r := create(t, dir, clock())
	p := open(t, dir, runs.Latest)
	got := make(chan string, 1)
	go func() {
		f := p.Follow(t.Context(), p.Log("exec.late"))
		defer f.Close()
		data, err := io.ReadAll(f)
		if err != nil {
			t.Error(err)
		}
		got <- string(data)
	}()
	time.Sleep(150 * time.Millisecond) // the log is not there yet
	want := strings.Repeat("a line of the log\n", 10_000)
	log, err := os.Create(r.Log("exec.late"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	for chunk := range slices.Chunk([]byte(want), len(want)/3) {
		if _, err := log.Write(chunk); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	finish(t, r, runs.Succeeded)
	if g := <-got; g != want {
		t.Errorf("read %d of %d bytes", len(g), len(want))
	}
}

func TestFollowOfAnEndedRunAndOfNothing(t *testing.T) {
	dir := t.TempDir()
	r := create(t, dir, clock())
	_ = r.Event("x")
	finish(t, r, runs.Succeeded)
	p := open(t, dir, runs.Latest)
	for path, want := range map[string]string{p.Events(): "\"x\"\n", p.Log("exec.never"): ""} {
		if got, err := io.ReadAll(p.Follow(t.Context(), path)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
}

func TestFollowEndsWithItsContext(t *testing.T) {
	dir := t.TempDir()
	create(t, dir, clock())
	p := open(t, dir, runs.Latest)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := io.ReadAll(p.Follow(ctx, p.Events())); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestPruneKeepsTheNewestAndTheLiving(t *testing.T) {
	dir := t.TempDir()
	now := clock()
	living := create(t, dir, now)
	var all []string
	for range 4 {
		r := create(t, dir, now)
		finish(t, r, runs.Succeeded)
		all = append(all, r.ID())
	}
	dead := filepath.Join(dir, ".new-dead")
	if err := os.Mkdir(dead, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(dead, time.Time{}, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	removed, err := runs.Prune(dir, 2)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{all[1], all[0]}; !slices.Equal(removed, want) {
		t.Errorf("removed %v, want %v", removed, want)
	}
	if got, want := ids(t, dir), []string{all[3], all[2], living.ID()}; !slices.Equal(got, want) {
		t.Errorf("left %v, want %v", got, want)
	}
	if _, err := os.Stat(dead); err == nil {
		t.Error("what died in Create is still there")
	}
}
