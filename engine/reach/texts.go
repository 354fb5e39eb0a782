package reach

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/lock"
	"github.com/flow-pipelines/flow/engine/replace"
	"github.com/flow-pipelines/flow/engine/runs"
	"github.com/flow-pipelines/flow/engine/state"
)

// Policy says how far back a project's past counts.
type Policy struct {
	// History is the age up to which commits count; 0 is all there are. What
	// branches, tags and stashes point to counts at any age.
	History time.Duration
	// Results is the age up to which results count that no flow.lock names. If
	// it is 0 those count whose run is recorded.
	Results time.Duration
	// Now is what ages are counted from.
	Now time.Time
}

// Project is a directory with a pipeline, by the places where it keeps texts.
type Project struct {
	Root   string // absolute
	Flow   string // its .flow
	Runs   string // a directory for each recorded run
	Plans  string // see KeepPlan
	Placed string // copies of flow.lock, of which git may have no other
	State  string // the state database
}

// At returns the project in a directory, with what is flow's own in dir.
func At(root, dir string) Project {
	flow := filepath.Join(root, dir)
	return Project{
		Root: root, Flow: flow, Runs: filepath.Join(flow, "runs"), Plans: filepath.Join(flow, "plans"),
		Placed: filepath.Join(flow, "placed"), State: filepath.Join(flow, "state.db"),
	}
}

// There reports whether there is a project: a mount point without its file
// system is none.
func (p Project) There() bool {
	for _, name := range []string{p.Flow, filepath.Join(p.Root, lock.FileName)} {
		if _, err := os.Lstat(name); err == nil {
			return true
		}
	}
	return false
}

// GoneError says that a project that uses the store is not where it was.
type GoneError struct{ Root string }

func (e *GoneError) Error() string {
	return fmt.Sprintf("%s uses this cache, and there is no project now: what it needs cannot be asked", e.Root)
}

// MarkProject marks what a project needs: what its flow.lock names, and then
// what its past does. as, if not Nobody, is the reason for all of it.
func (s *Survey) MarkProject(ctx context.Context, p Project, policy Policy, as Why) error {
	if !p.There() {
		return &GoneError{p.Root}
	}
	reason := func(why Why) Why {
		if as != Nobody {
			return as
		}
		return why
	}
	mark := func(why Why) func([]byte) error {
		return func(text []byte) error { return s.markText(ctx, reason(why), text) }
	}
	// What moves between git and the tree meanwhile (a stash) is seen in one of
	// the two places.
	if err := readFile(filepath.Join(p.Root, lock.FileName), mark(Lock)); err != nil {
		return err
	}
	if err := history(ctx, p.Root, as == Nobody, policy, mark(Commits)); err != nil {
		return fmt.Errorf("ask git what is needed: %w", err)
	}
	if err := readFile(filepath.Join(p.Root, lock.FileName), mark(Lock)); err != nil {
		return err
	}
	if err := eachFile(p.Placed, mark(Lock)); err != nil {
		return err
	}
	if err := p.plans(mark(Plans)); err != nil {
		return err
	}
	if err := p.records(policy, mark(Runs)); err != nil {
		return err
	}
	return p.results(ctx, policy, func(_ state.Key, r state.Result, counts bool) error {
		if !counts {
			return nil
		}
		for _, n := range r.Outputs {
			if err := s.Mark(ctx, reason(Runs), n.Digest); err != nil {
				return err
			}
		}
		return nil
	})
}

// MarkTexts marks what texts name that running processes have written.
func (s *Survey) MarkTexts(ctx context.Context, texts []string) error {
	for _, t := range texts {
		if err := s.markText(ctx, Running, []byte(t)); err != nil {
			return err
		}
	}
	return nil
}

func (s *Survey) markText(ctx context.Context, why Why, text []byte) error {
	for d := range digestsIn(text) {
		if err := s.Mark(ctx, why, d); err != nil {
			return err
		}
	}
	return nil
}

var algorithm = func() []byte {
	name, _, _ := strings.Cut(digest.Digest{}.String(), ":")
	return []byte(name + ":")
}()

// digestsIn finds the digests that are written in a text.
func digestsIn(text []byte) func(yield func(digest.Digest) bool) {
	const digits = 2 * digest.Size
	return func(yield func(digest.Digest) bool) {
		for {
			at := bytes.Index(text, algorithm)
			if at < 0 || len(text) < at+len(algorithm)+digits {
				return
			}
			d, err := digest.Parse(string(text[at : at+len(algorithm)+digits]))
			text = text[at+len(algorithm):]
			if err == nil && !yield(d) {
				return
			}
		}
	}
}

// readFile gives f the text of a file, if there is one.
func readFile(name string, f func([]byte) error) error {
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("ask what is needed: %w", err)
	}
	return f(b)
}

// KeepPlan has a plan that was saved in a file count as long as the file is there.
func (p Project) KeepPlan(file string) error {
	if err := os.MkdirAll(p.Plans, 0o755); err != nil {
		return err
	}
	name := digest.OfBytes([]byte(file)).Hex()[:16]
	return replace.Durably(filepath.Join(p.Plans, name), []byte(file+"\n"), 0o644)
}

func (p Project) plans(f func([]byte) error) error {
	return eachFile(p.Plans, func(file []byte) error {
		return readFile(strings.TrimSuffix(string(file), "\n"), f)
	})
}

// eachFile gives f the texts of the files in a directory, if there is one.
func eachFile(dir string, f func([]byte) error) error {
	entries, err := readDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue // on its way to its name
		}
		if err := readFile(filepath.Join(dir, e.Name()), f); err != nil {
			return err
		}
	}
	return nil
}

// readDir lists a directory, if there is one.
func readDir(dir string) ([]os.DirEntry, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("ask what is needed: %w", err)
	}
	return entries, nil
}

// records gives f what the records of runs say of the user's data.
func (p Project) records(policy Policy, f func([]byte) error) error {
	entries, err := readDir(p.Runs)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := filepath.Join(p.Runs, e.Name(), runs.RecordFile)
		info, err := os.Lstat(name)
		if err == nil && policy.Results > 0 && policy.Now.Sub(info.ModTime()) > policy.Results {
			continue
		}
		if err := readFile(name, f); err != nil {
			return err
		}
	}
	return nil
}

// results gives f the results, and says of each whether it counts.
func (p Project) results(ctx context.Context, policy Policy, f func(k state.Key, r state.Result, counts bool) error) error {
	recorded := map[string]bool{}
	entries, err := readDir(p.Runs)
	if err != nil {
		return err
	}
	for _, e := range entries {
		recorded[e.Name()] = true
	}
	db := state.New(p.State, state.Options{})
	err = db.View(ctx, func(tx *state.Tx) error {
		return tx.EachResult(func(k state.Key, r state.Result) error {
			current := recorded[r.Run]
			if policy.Results > 0 {
				current = policy.Now.Sub(r.Finished) <= policy.Results
			}
			return f(k, r, current)
		})
	})
	for _, w := range db.Warnings() {
		err = errors.Join(err, &StateError{w})
	}
	return err
}

// StateError says that a project's results were forgotten just now.
type StateError struct{ state.Warning }

func (e *StateError) Error() string {
	return e.String() + ": which results are needed that no flow.lock names is not known any more"
}

// Stale returns the results that neither count nor have all of their outputs
// among what is needed: whoever finds them could do nothing with them.
func (s *Survey) Stale(ctx context.Context, p Project, policy Policy) (keys []state.Key, err error) {
	err = p.results(ctx, policy, func(k state.Key, r state.Result, counts bool) error {
		if counts {
			return nil
		}
		for _, n := range r.Outputs {
			if !s.Needs(n.Digest) {
				keys = append(keys, k)
				break
			}
		}
		return nil
	})
	return keys, err
}
