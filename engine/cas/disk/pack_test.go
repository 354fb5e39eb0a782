package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/flow-pipelines/flow/engine/cas"
	"github.com/flow-pipelines/flow/engine/digest"
)

// small is the i-th of many small objects.
func small(i int) []byte {
	b := make([]byte, 1+i*131%4000)
	_, _ = rand.NewChaCha8([32]byte{byte(i), byte(i >> 8), 7}).Read(b)
	return b
}

func putAll(t *testing.T, s *Store, objects ...[]byte) {
	t.Helper()
	b, err := s.NewBatch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		if err := b.Put(ctx, digest.OfBytes(o), bytes.NewReader(o)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

func wantObjects(t *testing.T, s *Store, objects ...[]byte) {
	t.Helper()
	for _, o := range objects {
		if got, err := cas.ReadAll(ctx, s, digest.OfBytes(o)); err != nil || !bytes.Equal(got, o) {
			t.Fatalf("read %d bytes: got %d, %v", len(o), len(got), err)
		}
	}
}

func packFiles(t *testing.T, s *Store, ext string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(s.packs.dir, "*"+ext))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func smalls(n int) [][]byte {
	objects := make([][]byte, n)
	for i := range objects {
		objects[i] = small(i)
	}
	return objects
}

// crash drops a store as a killed process does: what it had not written is gone.
func crash(s *Store) {
	s.packer.mu.Lock()
	if s.packer.f != nil {
		_ = s.packer.f.Close()
	}
	s.packer.mu.Unlock()
	s.packs.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session != nil {
		_ = s.session.dir.Close()
	}
}

func TestSmallObjectsShareOnePackOverManyProcesses(t *testing.T) {
	dir := t.TempDir()
	for _, o := range smalls(50) {
		s := open(t, dir)
		putAll(t, s, o)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, dir)
	wantObjects(t, s, smalls(50)...)
	if packs := packFiles(t, s, packExt); len(packs) != 1 {
		t.Errorf("got %d packs, want 1", len(packs))
	}
	if _, err := os.Stat(filepath.Join(dir, "objects")); err == nil {
		if files, _ := filepath.Glob(filepath.Join(dir, "objects/*/*")); len(files) > 0 {
			t.Errorf("small objects are files: %q", files)
		}
	}
}

func TestTheIndexIsWrittenAndTrustedByTheNext(t *testing.T) {
	dir := t.TempDir()
	objects := smalls(2000)
	s := open(t, dir)
	putAll(t, s, objects...)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	wantObjects(t, s, objects[0])
	p := s.packs.known[0]
	if p.index == nil || len(p.tail) != 0 || p.index.count != len(objects) {
		t.Fatalf("got index %+v, %d records behind it", p.index, len(p.tail))
	}
	wantObjects(t, s, objects...) // by a read each at first, then from memory
	if p.index.bytes.Load() == nil {
		t.Error("the index was not loaded")
	}
	for i := range 500 {
		if ok, err := s.Has(ctx, digest.OfBytes(fmt.Append(nil, "never put ", i))); ok || err != nil {
			t.Fatalf("got %v, %v for what was never put", ok, err)
		}
	}
}

func TestAPackIsReadWithoutItsIndex(t *testing.T) {
	for name, spoilIndex := range map[string]func(name string) error{
		"lost":  os.Remove,
		"empty": func(name string) error { return os.Truncate(name, 0) },
		"cut":   func(name string) error { return os.Truncate(name, 1000) },
		"garbage": func(name string) error {
			return os.WriteFile(name, []byte("not an index, and not the size of one"), 0o644)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			objects := smalls(300)
			s := open(t, dir)
			putAll(t, s, objects...)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if err := spoilIndex(packFiles(t, s, indexExt)[0]); err != nil {
				t.Fatal(err)
			}
			s = open(t, dir)
			wantObjects(t, s, objects...)
			putAll(t, s, []byte("one more"))
			if err := s.Close(); err != nil { // writes it again
				t.Fatal(err)
			}
			s = open(t, dir)
			wantObjects(t, s, objects...)
			if x := s.packs.known[0].index; x == nil || x.count != len(objects)+1 {
				t.Errorf("the index was not written again: %+v", x)
			}
		})
	}
}

// A flipped bit in the index hides or misplaces objects, and nothing worse.
func TestADamagedIndexNeverGivesWrongBytes(t *testing.T) {
	dir := t.TempDir()
	objects := smalls(300)
	s := open(t, dir)
	putAll(t, s, objects...)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	index := packFiles(t, s, indexExt)[0]
	good, err := os.ReadFile(index)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		b := bytes.Clone(good)
		b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
		if err := os.WriteFile(index, b, 0o644); err != nil {
			t.Fatal(err)
		}
		s := open(t, dir)
		for _, o := range objects {
			got, err := cas.ReadAll(ctx, s, digest.OfBytes(o))
			if err == nil && !bytes.Equal(got, o) || err != nil && !errors.Is(err, cas.ErrNotFound) {
				t.Fatalf("got %d bytes, %v", len(got), err)
			}
		}
		putAll(t, s, objects...)
		wantObjects(t, s, objects...)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestATornTailIsIgnoredAndHealed(t *testing.T) {
	dir := t.TempDir()
	objects := smalls(20)
	s := open(t, dir)
	putAll(t, s, objects...)
	crash(s)
	pack := packFiles(t, s, packExt)[0]
	whole, err := os.ReadFile(pack)
	if err != nil {
		t.Fatal(err)
	}
	next := appendRecord(nil, digest.OfBytes(small(99)), small(99))
	for cut := 0; cut < len(next); cut += 1 + len(next)/40 {
		for _, zeros := range []int{0, 5000} { // a file may grow before its bytes arrive
			torn := append(bytes.Clone(whole), next[:cut]...)
			torn = append(torn, make([]byte, zeros)...)
			if err := os.WriteFile(pack, torn, 0o644); err != nil {
				t.Fatal(err)
			}
			s := open(t, dir)
			wantObjects(t, s, objects...)
			if ok, err := s.Has(ctx, digest.OfBytes(small(99))); ok || err != nil {
				t.Fatalf("half an object: got %v, %v", ok, err)
			}
			more := []byte("written over what is torn")
			putAll(t, s, more)
			crash(s)
			s = open(t, dir)
			wantObjects(t, s, append(objects, more)...)
			if packs := packFiles(t, s, packExt); len(packs) != 1 {
				t.Fatalf("got %d packs, want the one", len(packs))
			}
		}
	}
}

func TestDamageInAPackHidesNothingElse(t *testing.T) {
	for _, closed := range []bool{true, false} { // with an index, and without
		dir := t.TempDir()
		objects := smalls(100)
		s := open(t, dir)
		putAll(t, s, objects...)
		spoilObject(t, s, digest.OfBytes(objects[50]))
		if closed {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		} else {
			crash(s)
		}
		s = open(t, dir)
		if _, err := cas.ReadAll(ctx, s, digest.OfBytes(objects[50])); !errors.Is(err, cas.ErrNotFound) {
			t.Errorf("closed %v: got %v, want a miss", closed, err)
		}
		putAll(t, s, objects[50])
		wantObjects(t, s, objects...)
		other := open(t, dir) // another process sees the damage and what heals it
		wantObjects(t, other, objects...)
	}
}

func TestWhatAnotherProcessStoresIsFound(t *testing.T) {
	dir := t.TempDir()
	a, b := open(t, dir), open(t, dir)
	for i := range 40 {
		o := small(i)
		putAll(t, a, o)
		wantObjects(t, b, o)
		a, b = b, a
	}
	if packs := packFiles(t, a, packExt); len(packs) != 2 {
		t.Errorf("got %d packs, want one for each writer", len(packs))
	}
	if n := check(t, a); n != 40 {
		t.Errorf("got %d objects, want 40", n)
	}
}

func TestCompactionKeepsWhatCounts(t *testing.T) {
	dir := t.TempDir()
	objects := smalls(400)
	a, b := open(t, dir), open(t, dir)
	putAll(t, a, objects[:200]...)
	putAll(t, b, objects[200:]...)
	before := int64(0)
	for _, p := range packFiles(t, a, packExt) {
		info, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		before += info.Size()
	}
	for i, o := range objects {
		if i%2 == 0 {
			if err := a.remove(ctx, []digest.Digest{digest.OfBytes(o)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	reader := open(t, dir)
	wantObjects(t, reader, objects[1]) // knows the packs as they were
	if err := a.Compact(ctx); err != nil {
		t.Fatal(err)
	}
	packs := packFiles(t, a, packExt)
	if len(packs) != 1 {
		t.Fatalf("got %d packs, want 1", len(packs))
	}
	if info, err := os.Stat(packs[0]); err != nil || info.Size() > before*6/10 {
		t.Errorf("of %d bytes %d are left, %v", before, info.Size(), err)
	}
	for i, o := range objects {
		for _, s := range []*Store{a, reader, open(t, dir)} {
			if i%2 != 0 {
				wantObjects(t, s, o)
			}
		}
		if ok, err := open(t, dir).Has(ctx, digest.OfBytes(o)); ok != (i%2 != 0) || err != nil {
			t.Fatalf("object %d: got %v, %v", i, ok, err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(a.packs.dir, "*"+newExt)); len(left) > 0 {
		t.Errorf("left %q", left)
	}
}

func TestSmallObjectsOfFormerVersionsAreReadAndPacked(t *testing.T) {
	dir := t.TempDir()
	objects := smalls(600)
	s := open(t, dir)
	for _, o := range objects {
		path := s.objectPath(digest.OfBytes(o))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, o, 0o444); err != nil {
			t.Fatal(err)
		}
	}
	wantObjects(t, s, objects...)
	if n := check(t, s); n != len(objects) {
		t.Errorf("got %d objects, want %d", n, len(objects))
	}
	putAll(t, s, objects...)
	if packs := packFiles(t, s, packExt); len(packs) != 0 {
		t.Error("what is there was stored again")
	}
	spoilObject(t, s, digest.OfBytes(objects[0]))
	if err := s.Compact(ctx); err != nil {
		t.Fatal(err)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "objects/*/*")); len(files) > 0 {
		t.Errorf("%d are still files", len(files))
	}
	wantObjects(t, open(t, dir), objects[1:]...)
	if ok, err := s.Has(ctx, digest.OfBytes(objects[0])); ok || err != nil {
		t.Errorf("damage was packed: %v, %v", ok, err)
	}
}

func TestAReadOnlyCacheIsRead(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may write everywhere; see engine/worktree for the same as another user")
	}
	dir := t.TempDir()
	s := open(t, dir)
	putAll(t, s, small(1))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(s.packs.dir, 0o555); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.Chmod(s.packs.dir, 0o755) }()
	wantObjects(t, open(t, dir), small(1))
}

// TestPacksAgainstAModel has two processes put, commit, remove, compact, meet
// damage, and crash at any moment, with or without the power. What was committed
// and not removed since is there; nothing ever reads as other bytes.
func TestPacksAgainstAModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp("", "flow-packs-")
		if err != nil {
			rt.Fatal(err)
		}
		defer os.RemoveAll(dir)
		m := &modelled{T: rt, dir: dir, safe: map[int]bool{}}
		for i := range m.procs {
			m.start(i)
		}
		rt.Repeat(map[string]func(*rapid.T){
			"put":     m.put,
			"commit":  m.commit,
			"remove":  m.remove,
			"damage":  m.damage,
			"compact": m.compact,
			"restart": m.restart,
			"kill":    func(t *rapid.T) { m.kill(m.any()) },
			"power":   m.power,
			"":        m.check,
		})
		for i := range m.procs {
			m.kill(i)
		}
	})
}

type process struct {
	store *Store
	batch *Batch
	began bool
	put   []int        // objects in the batch
	blind map[int]bool // objects that went while the batch was under way
}

type modelled struct {
	*rapid.T
	dir   string
	procs [2]process
	safe  map[int]bool // objects that must be there
}

func (m *modelled) must(err error) {
	m.Helper()
	if err != nil {
		m.Fatal(err)
	}
}

func (m *modelled) any() int { return rapid.IntRange(0, len(m.procs)-1).Draw(m.T, "process") }

func (m *modelled) object() (int, digest.Digest) {
	i := rapid.IntRange(0, 30).Draw(m.T, "object")
	return i, digest.OfBytes(modelObject(i))
}

func modelObject(i int) []byte {
	if i == 7 {
		return make([]byte, PackSize) // a file of its own
	}
	return small(i)
}

func (m *modelled) start(i int) {
	s, err := Open(m.dir, Options{})
	m.must(err)
	b, err := s.NewBatch(ctx)
	m.must(err)
	m.procs[i] = process{store: s, batch: b, blind: map[int]bool{}}
}

func (m *modelled) put(*rapid.T) {
	p := &m.procs[m.any()]
	i, d := m.object()
	m.must(p.batch.Put(ctx, d, bytes.NewReader(modelObject(i))))
	p.began = true
	if !p.blind[i] {
		p.put = append(p.put, i)
	}
}

func (m *modelled) commit(*rapid.T) {
	p := &m.procs[m.any()]
	m.must(p.batch.Commit(ctx))
	for _, i := range p.put {
		m.safe[i] = true
	}
	p.put, p.began = nil, false
	clear(p.blind)
}

// gone forgets an object, also as one that a batch found and need not store.
func (m *modelled) gone(i int, by *process) {
	delete(m.safe, i)
	for j := range m.procs {
		p := &m.procs[j]
		p.put = slices.DeleteFunc(p.put, func(o int) bool { return o == i })
		p.blind[i] = p.began && p != by
	}
}

func (m *modelled) remove(*rapid.T) {
	i, d := m.object()
	p := &m.procs[m.any()]
	m.must(p.store.remove(ctx, []digest.Digest{d}))
	m.gone(i, p)
}

// damage flips a bit of an object, which is found at once: before that, it counts
// as being there.
func (m *modelled) damage(*rapid.T) {
	i, d := m.object()
	by := &m.procs[m.any()]
	s := by.store
	p, at, ok, err := s.packs.look(d)
	m.must(err)
	if !ok {
		return
	}
	m.must(s.packer.write(p, at))
	f, err := os.OpenFile(p.path+packExt, os.O_RDWR, 0)
	m.must(err)
	b := make([]byte, 1)
	_, err = f.ReadAt(b, at.at+recordHead)
	m.must(err)
	b[0] ^= 1
	_, err = f.WriteAt(b, at.at+recordHead)
	m.must(err)
	m.must(f.Close())
	if err := s.Verify(ctx, d); !errors.Is(err, cas.ErrNotFound) {
		m.Fatalf("verify: got %v, want a miss", err)
	}
	m.gone(i, by)
}

func (m *modelled) compact(*rapid.T) { m.must(m.procs[m.any()].store.Compact(ctx)) }

func (m *modelled) restart(*rapid.T) {
	i := m.any()
	m.must(m.procs[i].batch.Close())
	m.must(m.procs[i].store.Close())
	m.start(i)
}

func (m *modelled) kill(i int) {
	crash(m.procs[i].store)
	m.start(i)
}

// power is a loss of power: of what no process has synced any part may be left.
func (m *modelled) power(*rapid.T) {
	for i := range m.procs {
		w := &m.procs[i].store.packer
		w.mu.Lock()
		p, synced, written := w.p, w.synced, w.written
		w.mu.Unlock()
		crash(m.procs[i].store)
		if p == nil || written == synced {
			continue
		}
		left := rapid.Int64Range(synced, written).Draw(m.T, "left")
		err := os.Truncate(p.path+packExt, left)
		if err == nil && rapid.Bool().Draw(m.T, "zeros") {
			err = os.Truncate(p.path+packExt, written)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			m.Fatal(err)
		}
	}
	for i := range m.procs {
		m.start(i)
	}
}

func (m *modelled) check(*rapid.T) {
	for j := range m.procs {
		s := m.procs[j].store
		for _, i := range slices.Sorted(maps.Keys(m.safe)) {
			o := modelObject(i)
			if got, err := cas.ReadAll(ctx, s, digest.OfBytes(o)); err != nil || !bytes.Equal(got, o) {
				m.Fatalf("process %d: object %d: got %d bytes, %v", j, i, len(got), err)
			}
		}
		listed := map[digest.Digest]bool{}
		m.must(s.Each(ctx, func(d digest.Digest, _ int64) error {
			if listed[d] {
				m.Errorf("%s is listed twice", d.Short())
			}
			listed[d] = true
			return nil
		}))
		for i := range m.safe {
			if !listed[digest.OfBytes(modelObject(i))] {
				m.Errorf("process %d: object %d is not listed", j, i)
			}
		}
	}
}
