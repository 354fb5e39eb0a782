package state

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/digest"
)

var ctx = context.Background()

// child makes the test binary a process that writes to the named database
// until it is killed.
const child = "FLOW_TEST_STATE"

func TestMain(m *testing.M) {
	path := os.Getenv(child)
	if path == "" {
		os.Exit(m.Run())
	}
	db := New(path, Options{})
	for i := range 1000 {
		if err := db.Update(ctx, func(tx *Tx) error { return tx.PutResult(Key{byte(i), byte(i >> 8)}, sample(i)) }); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
	}
	os.Exit(0)
}

// newDB returns a database whose pages are checked when the test ends.
func newDB(t *testing.T) *DB {
	t.Helper()
	db := New(filepath.Join(t.TempDir(), "state.db"), Options{LockWait: 5 * time.Second})
	t.Cleanup(func() { checkPages(t, db) })
	return db
}

func checkPages(t *testing.T, db *DB) {
	t.Helper()
	if info, err := os.Stat(db.path); errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return
	}
	b, err := bolt.Open(db.path, 0o600, &bolt.Options{Timeout: 5 * time.Second, ReadOnly: true, PreLoadFreelist: true})
	if err != nil {
		t.Error(err)
		return
	}
	defer b.Close()
	_ = b.View(func(tx *bolt.Tx) error {
		for err := range tx.Check() {
			t.Error(err)
		}
		return nil
	})
}

func sample(i int) Result {
	return Result{
		Outputs:  map[string]digest.Node{"model": {Kind: digest.Dir, Digest: digest.OfBytes([]byte{byte(i)}), Size: int64(i), Files: 2}},
		Metrics:  json.RawMessage(`{"f1":0.5}`),
		Manifest: fmt.Sprintf("stage train 1\nepochs %d\n", i),
		Duration: time.Duration(i) * time.Second,
		Finished: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
		Run:      "run-1",
	}
}

func update(t *testing.T, db *DB, f func(*Tx) error) {
	t.Helper()
	if err := db.Update(ctx, f); err != nil {
		t.Fatal(err)
	}
}

func TestResultsComeBack(t *testing.T) {
	db := newDB(t)
	if _, ok, err := db.Result(ctx, Key{1}); ok || err != nil {
		t.Errorf("before the first write: got %v, %v", ok, err)
	}
	update(t, db, func(tx *Tx) error {
		for i := range 100 {
			if err := tx.PutResult(Key{byte(i)}, sample(i)); err != nil {
				return err
			}
		}
		return tx.DeleteResult(Key{7})
	})
	rs, err := db.Results(ctx, []Key{{3}, {7}, {200}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[Key]Result{{3}: sample(3)}, rs); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	n := 0
	err = db.View(ctx, func(tx *Tx) error {
		return tx.EachResult(func(k Key, r Result) error { n++; return nil })
	})
	if n != 99 || err != nil {
		t.Errorf("each: got %d, %v, want 99", n, err)
	}
}

func TestAFailedUpdateWritesNothing(t *testing.T) {
	db := newDB(t)
	mine := errors.New("mine")
	err := db.Update(ctx, func(tx *Tx) error {
		_ = tx.PutResult(Key{1}, sample(1))
		return mine
	})
	if !errors.Is(err, mine) {
		t.Errorf("got %v, want %v", err, mine)
	}
	if _, ok, _ := db.Result(ctx, Key{1}); ok {
		t.Error("it was written")
	}
	if err := db.View(ctx, func(tx *Tx) error { return tx.PutResult(Key{1}, sample(1)) }); err == nil {
		t.Error("a view could write")
	}
}

func TestDirectories(t *testing.T) {
	db := newDB(t)
	file := func(name string) File {
		return File{Name: name, Size: 5, MTime: -7, CTime: 9, Inode: 1 << 60, Digest: digest.OfBytes([]byte(name))}
	}
	update(t, db, func(tx *Tx) error {
		for _, dir := range []string{"", "a", "a/b", "a-b", "ab"} {
			if err := tx.PutFiles(dir, Files{file("1"), file("2" + dir)}); err != nil {
				return err
			}
		}
		return nil
	})
	var dirs []string
	err := db.View(ctx, func(tx *Tx) error {
		got, err := tx.Files("a/b")
		if diff := cmp.Diff(Files{file("1"), file("2a/b")}, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		if err != nil {
			return err
		}
		return tx.EachFiles("a", func(dir string, encoded []byte) error {
			dirs = append(dirs, dir)
			_, err := DecodeFiles(encoded)
			return err
		})
	})
	if err != nil || strings.Join(dirs, " ") != "a a/b" {
		t.Errorf("below a: got %q, %v", dirs, err)
	}
	dirs = nil
	_ = db.View(ctx, func(tx *Tx) error {
		return tx.EachFiles("", func(dir string, _ []byte) error { dirs = append(dirs, dir); return nil })
	})
	if len(dirs) != 5 {
		t.Errorf("all: got %q", dirs)
	}
	update(t, db, func(tx *Tx) error { return tx.PutFiles("a", nil) })
	_ = db.View(ctx, func(tx *Tx) error {
		if got, err := tx.Files("a"); got != nil || err != nil {
			t.Errorf("deleted: got %v, %v", got, err)
		}
		return nil
	})
}

func TestUsualDurationIsTheMedianOfTheLastOrElseTheBlocks(t *testing.T) {
	db := newDB(t)
	a, b := addr.Address{Type: "train", Name: "a", Key: addr.StringKey("x")}, addr.Address{Type: "train", Name: "a", Key: addr.StringKey("y")}
	for _, s := range []int{100, 100, 3, 1, 2, 50, 2} {
		update(t, db, func(tx *Tx) error { return tx.AddDuration(a, time.Duration(s)*time.Second) })
	}
	_ = db.View(ctx, func(tx *Tx) error {
		if d, ok := tx.Duration(a); d != 2*time.Second || !ok {
			t.Errorf("a: got %v, %v, want 2s", d, ok)
		}
		if d, ok := tx.Duration(b); d != 2*time.Second || !ok {
			t.Errorf("b: got %v, %v, want its block's 2s", d, ok)
		}
		if d, ok := tx.Duration(addr.Address{Type: "train", Name: "b"}); ok {
			t.Errorf("train.b: got %v", d)
		}
		return nil
	})
}

func TestDamagedDatabasesAreMovedAside(t *testing.T) {
	good := newDB(t)
	for i := range 20 {
		update(t, good, func(tx *Tx) error {
			for j := range 50 {
				if err := tx.PutResult(Key{byte(i), byte(j)}, sample(j)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	whole, err := os.ReadFile(good.path)
	if err != nil {
		t.Fatal(err)
	}
	zeroed := bytes.Clone(whole)
	clear(zeroed[2*os.Getpagesize():])
	for name, content := range map[string][]byte{
		"text":      []byte("not a database, but long enough to be read as one " + strings.Repeat("x", 20000)),
		"short":     whole[:1000],
		"cut":       whole[:2*os.Getpagesize()+100],
		"no metas":  append(make([]byte, 2*os.Getpagesize()), whole[2*os.Getpagesize():]...),
		"no pages":  zeroed,
		"half":      whole[:len(whole)/2/os.Getpagesize()*os.Getpagesize()],
		"scrambled": scramble(whole),
	} {
		t.Run(name, func(t *testing.T) {
			db := New(filepath.Join(t.TempDir(), "state.db"), Options{})
			for _, first := range []string{"read", "write"} {
				if err := os.WriteFile(db.path, content, 0o644); err != nil {
					t.Fatal(err)
				}
				if first == "read" {
					for i := range 20 {
						if _, _, err := db.Result(ctx, Key{byte(i), 3}); err != nil {
							t.Fatalf("read: %v", err)
						}
					}
				}
				update(t, db, func(tx *Tx) error { return tx.PutResult(Key{99}, sample(99)) })
				if _, ok, err := db.Result(ctx, Key{99}); !ok || err != nil {
					t.Errorf("first %s: got %v, %v", first, ok, err)
				}
			}
			ws := db.Warnings()
			t.Logf("%d warnings: %v", len(ws), ws)
			for _, w := range ws {
				if _, err := os.Stat(w.MovedTo); err != nil || w.String() == "" {
					t.Error(err)
				}
			}
			if len(ws) == 0 && name != "half" && name != "scrambled" {
				t.Error("no warning")
			}
			if len(db.Warnings()) > 0 {
				t.Error("warned twice")
			}
		})
	}
}

func scramble(whole []byte) []byte {
	b := bytes.Clone(whole)
	for i := 2 * os.Getpagesize(); i < len(b); i += 97 {
		b[i] ^= 0x55
	}
	return b
}

func TestAFlippedBitIsAMiss(t *testing.T) {
	db := newDB(t)
	update(t, db, func(tx *Tx) error { return tx.PutResult(Key{1}, sample(1)) })
	b, err := os.ReadFile(db.path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(db.path, bytes.ReplaceAll(b, []byte("epochs 1"), []byte("epochs 3")), 0o644); err != nil {
		t.Fatal(err)
	}
	if r, ok, err := db.Result(ctx, Key{1}); ok || err != nil {
		t.Errorf("got %+v, %v, %v", r, ok, err)
	}
}

func TestFormatOfTheFuture(t *testing.T) {
	db := newDB(t)
	update(t, db, func(tx *Tx) error { return tx.bolt.Bucket(bucketMeta).Put(keyFormat, []byte("flow state 2")) })
	var e *VersionError
	if _, _, err := db.Result(ctx, Key{}); !errors.As(err, &e) {
		t.Errorf("read: got %v, want a *VersionError", err)
	}
	if err := db.Update(ctx, func(*Tx) error { return nil }); !errors.As(err, &e) {
		t.Errorf("write: got %v, want a *VersionError", err)
	}
	if ws := db.Warnings(); len(ws) > 0 {
		t.Errorf("it was moved aside: %v", ws)
	}
}

func TestAnotherProcessInItsTransactionIsWaitedFor(t *testing.T) {
	db := newDB(t)
	update(t, db, func(*Tx) error { return nil })
	other, err := bolt.Open(db.path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	impatient := New(db.path, Options{LockWait: 20 * time.Millisecond})
	var e *LockError
	if _, _, err := impatient.Result(ctx, Key{}); !errors.As(err, &e) {
		t.Errorf("got %v, want a *LockError", err)
	}
	cancelled, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	if _, _, err := db.Result(cancelled, Key{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want context.DeadlineExceeded", err)
	}
	time.AfterFunc(50*time.Millisecond, func() { _ = other.Close() })
	if _, _, err := db.Result(ctx, Key{}); err != nil {
		t.Error(err)
	}
}

func TestConcurrentTransactions(t *testing.T) {
	db := newDB(t)
	second := New(db.path, Options{}) // as another process would
	done := make(chan error)
	for worker := range 8 {
		go func() {
			d := []*DB{db, second}[worker%2]
			for i := range 10 {
				err := d.Update(ctx, func(tx *Tx) error { return tx.PutResult(Key{byte(worker), byte(i)}, sample(i)) })
				if err == nil {
					_, _, err = d.Result(ctx, Key{byte(worker)})
				}
				if err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	n := 0
	_ = db.View(ctx, func(tx *Tx) error { return tx.EachResult(func(Key, Result) error { n++; return nil }) })
	if n != 80 {
		t.Errorf("got %d results, want 80", n)
	}
}

// A process was killed after it had made the file and before it had written.
func TestAnEmptyFileIsNoDatabaseYet(t *testing.T) {
	db := newDB(t)
	if err := os.WriteFile(db.path, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := db.Result(ctx, Key{1}); ok || err != nil {
		t.Errorf("got %v, %v, want nothing", ok, err)
	}
	update(t, db, func(tx *Tx) error { return tx.PutResult(Key{1}, sample(1)) })
	if _, ok, err := db.Result(ctx, Key{1}); !ok || err != nil {
		t.Errorf("got %v, %v, want a result", ok, err)
	}
}

func TestKilledWriter(t *testing.T) {
	db := newDB(t)
	for i := range 10 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), child+"="+db.path)
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(4+7*i) * time.Millisecond)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		checkPages(t, db)
		update(t, db, func(tx *Tx) error { return tx.PutResult(Key{255, 255, byte(i)}, sample(i)) })
	}
	if ws := db.Warnings(); len(ws) > 0 {
		t.Errorf("moved aside: %v", ws)
	}
}

func FuzzDecodeFiles(f *testing.F) {
	f.Add(EncodeFiles(Files{{Name: "a", Size: 1, MTime: 2, CTime: 3, Inode: 4}, {Name: "b"}}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		fs, err := DecodeFiles(b)
		if err != nil {
			return
		}
		again, err := DecodeFiles(EncodeFiles(fs))
		if diff := cmp.Diff(fs, again); err != nil || diff != "" {
			t.Errorf("%v (-want +got)\n%s", err, diff)
		}
	})
}

func BenchmarkDecodeFiles(b *testing.B) {
	fs := make(Files, 1000)
	for i := range fs {
		fs[i] = File{Name: fmt.Sprintf("file-%06d.bin", i), Size: 1024, MTime: time.Now().UnixNano(), CTime: time.Now().UnixNano(), Inode: uint64(1e6 + i)}
	}
	enc := EncodeFiles(fs)
	b.SetBytes(int64(len(enc)))
	for b.Loop() {
		if _, err := DecodeFiles(enc); err != nil {
			b.Fatal(err)
		}
	}
}

// Results that come at once are all durable when Record returns, in whichever
// transaction, and known before.
func TestRecordTogether(t *testing.T) {
	db := newDB(t)
	const n = 200
	at, err := addr.Parse("exec.s")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if err := db.Record(ctx, at, Key{byte(i)}, sample(i)); err != nil {
				t.Error(err)
			}
			other := New(db.path, Options{})
			got, ok, err := other.Result(ctx, Key{byte(i)})
			if err != nil || !ok {
				t.Errorf("result %d: %v, %v", i, ok, err)
			}
			if diff := cmp.Diff(sample(i), got); diff != "" {
				t.Errorf("result %d: %s", i, diff)
			}
			if _, ok := db.Recorded(Key{byte(i)}); !ok {
				t.Errorf("result %d is not known", i)
			}
		})
	}
	wg.Wait()
	if _, ok := db.Recorded(Key{n}); ok {
		t.Error("a result that nobody recorded is known")
	}
}
