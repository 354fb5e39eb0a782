// Package resume keeps what successful runs have saved on their way, so that a
// run that is to go further begins where they ended: a training over 20 epochs
// after the tenth.
//
// A stage says over which of its arguments that is so. What such a run saved is
// filed under a hash of its manifest without these arguments, which two runs have
// in common that differ in nothing else, whatever they are called; and below that
// by the arguments' numbers. A run can go on from one with numbers none of which
// is larger than its own.
//
// Nothing here decides what a stage comes to: its key has all arguments. A saved
// state that is gone, or was trimmed, costs time.
package resume

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flow-pipelines/flow/engine/key"
	"github.com/flow-pipelines/flow/engine/worktree"
)

// Store keeps states in a directory:
//
//	KEY/10,0.5-a1b2c3d4e5f6/	what the run with these numbers and this key saved
type Store struct{ Dir string }

// What is kept at most: of runs that differ only in how far they went, and of
// all; in bytes as well.
const (
	mostOfAKey = 4
	mostStates = 256
	mostBytes  = 16 << 30
)

func (s Store) of(p key.Point) string { return filepath.Join(s.Dir, hex.EncodeToString(p.Key[:])) }

// Find returns where a run to p goes on from: of the runs that did not go
// further, the point of the one that went furthest.
func (s Store) Find(p key.Point) (from key.Point, ok bool) {
	from, dir := s.find(p)
	return from, dir != ""
}

func (s Store) find(p key.Point) (best key.Point, dir string) {
	entries, _ := os.ReadDir(s.of(p)) // one that cannot be read is as good as none
	for _, e := range entries {
		values, ok := parse(e.Name())
		if !ok || !e.IsDir() {
			continue
		}
		at := key.Point{Key: p.Key, Names: p.Names, Values: values}
		if p.Reaches(at) && (dir == "" || slices.Compare(values, best.Values) > 0) {
			best, dir = at, filepath.Join(s.of(p), e.Name())
		}
	}
	return best, dir
}

// parse reads the numbers of a name.
func parse(name string) ([]float64, bool) {
	at := strings.LastIndex(name, "-")
	if at < 0 {
		return nil, false
	}
	texts := strings.Split(name[:at], ",")
	values := make([]float64, len(texts))
	for i, t := range texts {
		var err error
		if values[i], err = strconv.ParseFloat(t, 64); err != nil {
			return nil, false
		}
	}
	return values, true
}

// Keep takes the directory in which the run with key k has saved its state at p.
func (s Store) Keep(dir string, p key.Point, k key.Key) error {
	if entries, err := os.ReadDir(dir); err != nil || len(entries) == 0 {
		return err
	}
	texts := make([]string, len(p.Values))
	for i, v := range p.Values {
		texts[i] = strconv.FormatFloat(v, 'g', -1, 64)
	}
	to := filepath.Join(s.of(p), strings.Join(texts, ",")+"-"+k.Short())
	if err := os.MkdirAll(s.of(p), 0o755); err != nil {
		return fmt.Errorf("keep what a run saved: %w", err)
	}
	if err := worktree.RemoveAll(to); err != nil {
		return fmt.Errorf("keep what a run saved: %w", err)
	}
	if err := os.Rename(dir, to); err != nil {
		return fmt.Errorf("keep what a run saved: %w", err)
	}
	if err := touch(to); err != nil {
		return err
	}
	return s.trim()
}

// touch makes a state the last to be trimmed.
func touch(dir string) error {
	now := time.Now()
	if err := os.Chtimes(dir, now, now); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("keep what a run saved: %w", err)
	}
	return nil
}

// CopyTo copies what was saved at the point to a directory that is not there yet.
// It is whole or not there at all.
func (s Store) CopyTo(from key.Point, dir string) error {
	_, saved := s.find(from)
	if saved == "" {
		return fmt.Errorf("copy what a run saved: %w", fs.ErrNotExist)
	}
	temp := dir + ".new"
	if err := worktree.RemoveAll(temp); err != nil {
		return fmt.Errorf("copy what a run saved: %w", err)
	}
	if err := os.CopyFS(temp, os.DirFS(saved)); err != nil {
		return errors.Join(fmt.Errorf("copy what a run saved: %w", err), worktree.RemoveAll(temp))
	}
	if err := os.Rename(temp, dir); err != nil {
		return fmt.Errorf("copy what a run saved: %w", err)
	}
	return touch(saved)
}

// trim removes the states that were used least recently.
func (s Store) trim() error {
	type kept struct {
		key, path string
		used      time.Time
	}
	var all []kept
	keys, _ := os.ReadDir(s.Dir) // what cannot be listed is not trimmed
	for _, k := range keys {
		states, _ := os.ReadDir(filepath.Join(s.Dir, k.Name()))
		for _, st := range states {
			if info, err := st.Info(); err == nil {
				all = append(all, kept{k.Name(), filepath.Join(s.Dir, k.Name(), st.Name()), info.ModTime()})
			}
		}
	}
	slices.SortFunc(all, func(a, b kept) int { return b.used.Compare(a.used) })
	of := map[string]int{}
	var bytes int64
	for i, one := range all {
		of[one.key]++
		bytes += worktree.Size(one.path)
		if i > 0 && (i >= mostStates || bytes > mostBytes || of[one.key] > mostOfAKey) {
			if err := worktree.RemoveAll(one.path); err != nil {
				return fmt.Errorf("trim what runs saved: %w", err)
			}
			_ = os.Remove(filepath.Dir(one.path)) // if it was the last of its key
		}
	}
	return nil
}
