package worktree

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/flow-pipelines/flow/engine/state"
)

// cache is the stat cache of one command: records of directories, read from the
// database in few transactions and written back in few.
type cache struct {
	db *state.DB

	mu    sync.Mutex
	all   bool // everything in the database is in dirs
	tried bool // to load everything
	dirs  map[string]*record
	below map[string]bool // directories that were loaded with all below them
	dirty int             // files in records to be written
}

// record is a directory's files, encoded or decoded; neither when the database
// has none. single are files that were learnt one at a time and win over those:
// to put each in its place in files would move thousands, for each of thousands
// of outputs that lie in one directory.
type record struct {
	encoded []byte
	files   state.Files
	single  map[string]state.File
	dirty   bool
}

// size is how many files the record has, or a few more.
func (r *record) size() int { return len(r.files) + len(r.single) }

// decode makes files of what was read.
func (r *record) decode() {
	if r.files == nil && r.encoded != nil {
		files, err := state.DecodeFiles(r.encoded)
		if err != nil {
			files = nil // as good as none
		}
		r.files, r.encoded = files, nil
	}
}

// whole returns all files. Who has an earlier answer keeps it as it was.
func (r *record) whole() state.Files {
	r.decode()
	if len(r.single) == 0 {
		return r.files
	}
	all := make(state.Files, 0, r.size())
	for _, f := range r.files {
		if _, again := r.single[f.Name]; !again {
			all = append(all, f)
		}
	}
	for _, f := range r.single {
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b state.File) int { return strings.Compare(a.Name, b.Name) })
	r.files, r.single = all, nil
	return all
}

const (
	// Up to here all records are loaded in the first transaction: about
	// 100,000 files. Ten thousand stages then cost one transaction, not one
	// each of 52 µs. Beyond, just the directories asked for are.
	loadAllBytes = 8 << 20

	// More files to be written than this are written at once.
	flushFiles = 200_000
)

func newCache(db *state.DB) *cache {
	return &cache{db: db, dirs: map[string]*record{}, below: map[string]bool{}}
}

var errStop = errors.New("stop")

// load reads the records of dir, and with deep those of all directories below
// it, if they have not been read.
func (c *cache) load(ctx context.Context, dir string, deep bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.tried {
		if err := c.loadAll(ctx); err != nil {
			return err
		}
	}
	if c.all || c.hasBelow(dir) || !deep && c.dirs[dir] != nil {
		return nil
	}
	err := c.db.View(ctx, func(tx *state.Tx) error {
		if deep {
			return tx.EachFiles(dir, c.add)
		}
		files, err := tx.Files(dir)
		if c.dirs[dir] == nil {
			c.dirs[dir] = &record{files: files}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("read stat cache: %w", err)
	}
	if deep {
		c.below[dir] = true
	}
	return nil
}

func (c *cache) loadAll(ctx context.Context) error {
	size := 0
	err := c.db.View(ctx, func(tx *state.Tx) error {
		return tx.EachFiles("", func(dir string, encoded []byte) error {
			if size += len(encoded); size > loadAllBytes {
				return errStop
			}
			return c.add(dir, encoded)
		})
	})
	c.tried, c.all = true, err == nil
	if err != nil && !errors.Is(err, errStop) {
		return fmt.Errorf("read stat cache: %w", err)
	}
	return nil
}

// add keeps a record as it was read, unless it is known better.
func (c *cache) add(dir string, encoded []byte) error {
	if c.dirs[dir] == nil {
		c.dirs[dir] = &record{encoded: encoded}
	}
	return nil
}

func (c *cache) hasBelow(dir string) bool {
	for {
		if c.below[dir] {
			return true
		}
		if dir == "" {
			return false
		}
		dir, _ = split(dir)
	}
}

// files returns a directory's record, which must have been loaded and must not
// be changed.
func (c *cache) files(dir string) state.Files {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.dirs[dir]
	if r == nil {
		return nil
	}
	before := r.size()
	files := r.whole()
	if r.dirty {
		c.dirty += len(files) - before
	}
	return files
}

// file returns one file of a directory's record, which must have been loaded.
func (c *cache) file(dir, name string) (state.File, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.dirs[dir]
	if r == nil {
		return state.File{}, false
	}
	if f, ok := r.single[name]; ok {
		return f, true
	}
	r.decode()
	return r.files.Find(name)
}

// put replaces a directory's record.
func (c *cache) put(ctx context.Context, dir string, files state.Files) error {
	c.mu.Lock()
	c.set(dir, files)
	full := c.dirty >= flushFiles
	c.mu.Unlock()
	if full {
		return c.flush(ctx)
	}
	return nil
}

func (c *cache) set(dir string, files state.Files) {
	r := c.dirs[dir]
	if r == nil {
		r = &record{}
		c.dirs[dir] = r
	}
	if r.dirty {
		c.dirty -= r.size()
	}
	r.files, r.encoded, r.single, r.dirty = files, nil, nil, true
	c.dirty += len(files)
}

// putFile replaces one file in its directory's record, which must have been
// loaded.
func (c *cache) putFile(dir string, f state.File) {
	if old, ok := c.file(dir, f.Name); ok && old == f {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.dirs[dir]
	if r == nil {
		r = &record{}
		c.dirs[dir] = r
	}
	r.decode()
	before := 0
	if r.dirty {
		before = r.size()
	}
	if r.single == nil {
		r.single = map[string]state.File{}
	}
	r.single[f.Name] = f
	r.dirty = true
	c.dirty += r.size() - before
}

// flush writes the changed records in one transaction, sorted. In a project
// that cannot be written to there is nowhere to remember them, and no harm in
// that: the next command reads the files again.
func (c *cache) flush(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var dirs []string
	for dir, r := range c.dirs {
		if r.dirty {
			dirs = append(dirs, dir)
		}
	}
	if len(dirs) == 0 {
		return nil
	}
	slices.Sort(dirs)
	err := c.db.Update(ctx, func(tx *state.Tx) error {
		for _, dir := range dirs {
			if err := tx.PutFiles(dir, c.dirs[dir].whole()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, state.ErrReadOnly) {
		return fmt.Errorf("write stat cache: %w", err)
	}
	for _, dir := range dirs {
		c.dirs[dir].dirty = false
	}
	c.dirty = 0
	return nil
}
