package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/flow-pipelines/flow/engine/cas"
	"github.com/flow-pipelines/flow/engine/cas/castest"
	"github.com/flow-pipelines/flow/engine/digest"
)

// child is the environment variable that makes the test binary a process that
// writes to the store named by it.
var ctx = context.Background()

const child, childMode = "FLOW_TEST_DISK_STORE", "FLOW_TEST_DISK_MODE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(child); dir != "" {
		if err := runChild(dir, os.Getenv(childMode)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func open(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestStore(t *testing.T) {
	castest.Run(t, castest.Harness{
		New: func(t *testing.T) cas.Store { return open(t, t.TempDir()) },
		Damage: func(t *testing.T, s cas.Store, d digest.Digest) {
			spoilObject(t, s.(*Store), d)
		},
	})
}

// spoilObject flips a byte in the middle of an object, behind the store's back.
func spoilObject(t *testing.T, s *Store, d digest.Digest) {
	t.Helper()
	p, at, ok, err := s.packs.look(d)
	if err != nil {
		t.Fatal(err)
	}
	if !ok {
		spoil(t, s.objectPath(d))
		return
	}
	spoilAt(t, p.path+packExt, at.at+recordHead+int64(at.size)/2)
}

// spoil flips a byte in the middle of a file.
func spoil(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	spoilAt(t, path, info.Size()/2)
}

func spoilAt(t *testing.T, path string, at int64) {
	t.Helper()
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}

// object is the i-th of the objects that children write: most small, some large.
func childObject(i int) []byte {
	size := 10 + i*37%5000
	if i%16 == 0 {
		size = ReflinkSize + i
	}
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(i), byte(i >> 8)}).Read(b)
	return b
}

const childObjects = 64

func runChild(dir, mode string) error {
	s, err := Open(dir, Options{})
	if err != nil {
		return err
	}
	switch mode {
	case "full":
		// No file may grow past 1 MiB: the small objects fit, the large ones
		// meet the limit half-way, as they would a full disk.
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 1 << 20, Max: 1 << 20}); err != nil {
			return err
		}
		b := childObject(16)
		err := s.Put(ctx, digest.OfBytes(b), bytes.NewReader(b))
		if !errors.Is(err, syscall.EFBIG) {
			return fmt.Errorf("got %w, want EFBIG", err)
		}
		b = childObject(1)
		return s.Put(ctx, digest.OfBytes(b), bytes.NewReader(b))
	case "batch":
		b, err := s.NewBatch(ctx)
		if err != nil {
			return err
		}
		for i := range childObjects {
			o := childObject(i)
			if err := b.Put(ctx, digest.OfBytes(o), bytes.NewReader(o)); err != nil {
				return err
			}
		}
		if err := b.Commit(ctx); err != nil {
			return err
		}
	default:
		for i := range childObjects {
			o := childObject((i*29 + os.Getpid()) % childObjects)
			if err := s.Put(ctx, digest.OfBytes(o), bytes.NewReader(o)); err != nil {
				return err
			}
		}
	}
	return s.Close()
}

func startChild(t *testing.T, dir, mode string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), child+"="+dir, childMode+"="+mode)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// check reads every object and returns how many there are.
func check(t *testing.T, s *Store) int {
	t.Helper()
	n := 0
	err := s.Each(ctx, func(d digest.Digest, _ int64) error {
		n++
		return s.Verify(ctx, d)
	})
	if err != nil {
		t.Error(err)
	}
	return n
}

func temps(t *testing.T, s *Store) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(s.dir, "tmp", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestKilledWritersLeaveWholeObjectsOrNone(t *testing.T) {
	dir := t.TempDir()
	for i := range 20 {
		mode := "batch"
		if i%2 == 0 {
			mode = "single"
		}
		cmd := startChild(t, dir, mode)
		time.Sleep(time.Duration(5+rand.IntN(40)) * time.Millisecond)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		check(t, open(t, dir))
	}
	cmd := startChild(t, dir, "single")
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	if n := check(t, s); n != childObjects {
		t.Errorf("got %d objects, want %d", n, childObjects)
	}
	if left := temps(t, s); len(left) > 0 {
		t.Errorf("killed processes left %q", left)
	}
}

func TestSeveralProcessesShareOneStore(t *testing.T) {
	dir := t.TempDir()
	var cmds []*exec.Cmd
	for i := range 4 {
		cmds = append(cmds, startChild(t, dir, []string{"batch", "single"}[i%2]))
	}
	for _, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	s := open(t, dir)
	if n := check(t, s); n != childObjects {
		t.Errorf("got %d objects, want %d", n, childObjects)
	}
	if left := temps(t, s); len(left) > 0 {
		t.Errorf("left %q", left)
	}
}

func TestFileSizeLimitLeavesNoHalfObject(t *testing.T) {
	dir := t.TempDir()
	if err := startChild(t, dir, "full").Wait(); err != nil {
		t.Fatal(err)
	}
	if n := check(t, open(t, dir)); n != 1 {
		t.Errorf("got %d objects, want the one that fits", n)
	}
}

func TestDamageIsReportedAndSetAside(t *testing.T) {
	var heard []*cas.DamagedError
	s, err := Open(t.TempDir(), Options{OnDamage: func(e *cas.DamagedError) { heard = append(heard, e) }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	b := childObject(3)
	d := digest.OfBytes(b)
	if err := s.Put(ctx, d, bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	spoilObject(t, s, d)
	dst := filepath.Join(t.TempDir(), "f")
	var e *cas.DamagedError
	if _, err := s.Place(ctx, d, dst, Want{Perm: 0o644}); !errors.As(err, &e) {
		t.Fatalf("got %v, want a *DamagedError", err)
	}
	if _, err := os.Lstat(dst); !errors.Is(err, fs.ErrNotExist) {
		t.Error("damage was handed out")
	}
	if len(heard) != 1 || heard[0].Digest != d || !strings.Contains(heard[0].Where, "damaged") {
		t.Errorf("heard %v", heard)
	}
	if _, err := os.Stat(heard[0].Where); err != nil {
		t.Error(err)
	}
}

func TestLargeObjectsAreRehashedOnlyWhenTheyLookOtherwise(t *testing.T) {
	s := open(t, t.TempDir())
	b := make([]byte, LinkSize)
	d := digest.OfBytes(b)
	if err := s.Put(ctx, d, bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	place := func() (How, error) {
		return s.Place(ctx, d, filepath.Join(t.TempDir(), "f"), Want{Perm: 0o644})
	}
	how, err := place()
	if err != nil {
		t.Fatal(err)
	}
	if how == Copied {
		t.Skip("this file system has no links")
	}
	o, err := s.open(d)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if !s.trusted(o) {
		t.Error("not trusted after it was read")
	}
	// Damage that leaves size and times as they were is a failing disk's, and
	// seen by a read. All else is seen by the next look.
	spoil(t, s.objectPath(d))
	var e *cas.DamagedError
	if _, err := place(); !errors.As(err, &e) {
		t.Errorf("got %v, want a *DamagedError", err)
	}
	if how, err := place(); !errors.Is(err, cas.ErrNotFound) {
		t.Errorf("got %v, %v, want ErrNotFound", how, err)
	}
}

func TestPutFile(t *testing.T) {
	s := open(t, t.TempDir())
	for _, size := range []int{10, ReflinkSize + 1} {
		for _, mv := range []bool{true, false} {
			b := make([]byte, size)
			b[0] = byte(size)
			if mv {
				b[1] = 1
			}
			d := digest.OfBytes(b)
			path := filepath.Join(t.TempDir(), "f")
			if err := os.WriteFile(path, b, 0o644); err != nil {
				t.Fatal(err)
			}
			batch, err := s.NewBatch(ctx)
			if err != nil {
				t.Fatal(err)
			}
			var mismatch *cas.MismatchError
			if err := batch.PutFile(ctx, digest.OfBytes([]byte("other")), Source{Path: path}); !errors.As(err, &mismatch) {
				t.Errorf("got %v, want a *MismatchError", err)
			}
			if err := batch.PutFile(ctx, d, Source{Path: path, Move: mv}); err != nil {
				t.Fatal(err)
			}
			if err := batch.Commit(ctx); err != nil {
				t.Fatal(err)
			}
			if err := batch.Close(); err != nil {
				t.Fatal(err)
			}
			got, err := cas.ReadAll(ctx, s, d)
			if err != nil || !bytes.Equal(got, b) {
				t.Errorf("%d bytes, move %v: %v", size, mv, err)
			}
			if info, err := os.Stat(path); !mv && (err != nil || info.Mode().Perm() != 0o644) {
				t.Errorf("the user's file was touched: %v, %v", info, err)
			}
		}
	}
}

func TestFormatOfTheFuture(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "VERSION"), []byte("flow cache 2\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var e *VersionError
	if _, err := Open(dir, Options{}); !errors.As(err, &e) {
		t.Errorf("got %v, want a *VersionError", err)
	}
}

func TestStoreComesBackWhenItsDirectoryIsDeleted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	s := open(t, dir)
	b := []byte("object")
	for range 2 {
		if err := s.Put(ctx, digest.OfBytes(b), bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOpenAndLookMakeNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made/later")
	s := open(t, dir)
	b := []byte("b")
	d := digest.OfBytes(b)
	if ok, err := s.Has(ctx, d); ok || err != nil {
		t.Errorf("has: got %v, %v", ok, err)
	}
	if _, err := s.Open(ctx, d); !errors.Is(err, cas.ErrNotFound) {
		t.Errorf("open: got %v, want cas.ErrNotFound", err)
	}
	if n := check(t, s); n != 0 {
		t.Errorf("each: got %d objects", n)
	}
	if err := s.remove(ctx, []digest.Digest{d}); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(filepath.Dir(dir)); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("something was made: %v", err)
	}
	if err := s.Put(ctx, d, bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "VERSION")); err != nil || string(got) != version {
		t.Errorf("VERSION: got %q, %v", got, err)
	}
}

func TestAFormatThatAppearsAfterOpenIsRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	s := open(t, dir)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "VERSION"), []byte("flow cache 9\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var ve *VersionError
	if err := s.Put(ctx, digest.OfBytes(nil), bytes.NewReader(nil)); !errors.As(err, &ve) {
		t.Errorf("got %v, want a *VersionError", err)
	}
}

func TestManyWhoFindOneDamageAreHeardOnce(t *testing.T) {
	var heard atomic.Int64
	s, err := Open(t.TempDir(), Options{OnDamage: func(*cas.DamagedError) { heard.Add(1) }})
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, PackSize) // a file of its own
	d := digest.OfBytes(b)
	if err := s.Put(ctx, d, bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	spoil(t, s.objectPath(d))
	var readers []io.ReadCloser
	for range 4 {
		r, err := s.Open(ctx, d)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		readers = append(readers, r)
	}
	for _, r := range readers {
		var e *cas.DamagedError
		if _, err := io.ReadAll(r); !errors.As(err, &e) {
			t.Errorf("got %v, want a *DamagedError", err)
		}
	}
	if heard.Load() != 1 {
		t.Errorf("heard of it %d times, want 1", heard.Load())
	}

	// One in a pack is judged when it is opened.
	b = childObject(3)
	d = digest.OfBytes(b)
	if err := s.Put(ctx, d, bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	spoilObject(t, s, d)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := s.Open(ctx, d); !errors.Is(err, cas.ErrNotFound) {
				t.Errorf("got %v, want a miss", err)
			}
		})
	}
	wg.Wait()
	if heard.Load() != 2 {
		t.Errorf("heard of %d objects, want 2", heard.Load())
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// Large files that can be neither linked nor given away are copied, in and out,
// and checked meanwhile.
func TestCopiesOfLargeFilesAreChecked(t *testing.T) {
	dir := t.TempDir()
	s := open(t, filepath.Join(dir, "store"))
	b := make([]byte, digest.Parallel+12345)
	_, _ = rand.NewChaCha8([32]byte{3}).Read(b)
	src := filepath.Join(dir, "src")
	if err := os.WriteFile(src, b, 0o644); err != nil {
		t.Fatal(err)
	}
	d, other := digest.OfBytes(b), digest.OfBytes(b[1:])
	batch, err := s.NewBatch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer batch.Close()
	var mismatch *cas.MismatchError
	if err := batch.PutFile(ctx, other, Source{Path: src}); !errors.As(err, &mismatch) || mismatch.Got != d {
		t.Errorf("put as something else: got %v, want a *cas.MismatchError", err)
	}
	if err := batch.PutFile(ctx, d, Source{Path: src}); err != nil {
		t.Fatal(err)
	}
	if err := batch.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	dst := filepath.Join(dir, "dst")
	if _, err := s.Place(ctx, d, dst, Want{Perm: 0o644, NoLink: true}); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(dst); err != nil || !bytes.Equal(got, b) {
		t.Errorf("copied out: got %d bytes, %v", len(got), err)
	}
	spoilObject(t, s, d)
	var damaged *cas.DamagedError
	again := filepath.Join(dir, "again")
	if _, err := s.Place(ctx, d, again, Want{Perm: 0o644, NoLink: true}); !errors.As(err, &damaged) {
		t.Errorf("damaged: got %v, want a *cas.DamagedError", err)
	}
	if _, err := os.Lstat(again); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is damaged was left behind: %v", err)
	}
}
