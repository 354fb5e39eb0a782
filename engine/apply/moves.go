package apply

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/lock"
	"github.com/flow-pipelines/flow/engine/plan"
	"github.com/flow-pipelines/flow/engine/stage"
)

// relocate moves outputs whose stage, or whose place, has another name now,
// before any stage could write to the old place. What cannot be moved is
// restored from the cache as anything else, or made again.
func (a *apply) relocate(ctx context.Context, pl *plan.Plan) error {
	movable := map[string]bool{}
	for _, o := range pl.Orphans {
		movable[o.Path] = o.Fate == plan.Relocate
	}
	for _, s := range pl.Steps {
		before := a.Lock.Get(s.Addr)
		if s.Action != plan.Restore || s.Given() || before == nil || before.Key != s.Key {
			continue
		}
		after := *before
		after.Results = slices.Clone(before.Results)
		for _, o := range s.Stage.Job.Outputs {
			i := slices.IndexFunc(after.Results, func(r lock.Result) bool { return r.Name == o.Name })
			if i < 0 || !movable[after.Results[i].Path] || !a.apart(after.Results[i].Path, o.Path) {
				continue
			}
			moved, err := a.move(ctx, after.Results[i], o)
			if err != nil {
				return err
			}
			if moved {
				after.Results[i].Path = o.Path
			}
		}
		a.Lock.Put(&after)
	}
	return nil
}

// apart reports whether neither path lies in the other, and no link of the
// user's is on the way to the new one.
func (a *apply) apart(from, to string) bool {
	if from == to || strings.HasPrefix(from, to+"/") || strings.HasPrefix(to, from+"/") {
		return false
	}
	for dir := path.Dir(to); dir != "."; dir = path.Dir(dir) {
		if info, err := os.Lstat(a.abs(dir)); err == nil && !info.IsDir() {
			return false
		}
	}
	return true
}

// move renames one output, if the old place holds it and the new one nothing.
func (a *apply) move(ctx context.Context, old lock.Result, to stage.Output) (bool, error) {
	there, err := a.World.Hash(ctx, stage.Output{Path: old.Path})
	if errors.Is(err, fs.ErrNotExist) || err == nil && there != old.Node {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	dest := a.abs(to.Path)
	if _, err := os.Lstat(dest); !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if err := os.MkdirAll(filepath.Dir(dest), 0o755); err != nil {
		return false, err
	}
	if err := os.Rename(a.abs(old.Path), dest); errors.Is(err, syscall.EXDEV) {
		return false, nil // behind a link to another disk
	} else if err != nil {
		return false, err
	}
	a.Files.RemoveEmpty(path.Dir(old.Path))
	return true, nil
}

// discard takes away what no stage writes any more. What is still on record,
// since the stage that was to replace it failed, stays for now.
func (a *apply) discard(ctx context.Context, orphans []plan.Orphan) error {
	if len(orphans) == 0 {
		return nil
	}
	recorded := map[string]bool{}
	for _, s := range a.Lock.Stages() {
		for _, r := range s.Results {
			recorded[r.Path] = true
		}
	}
	var aside []plan.Orphan
	var places []string
	defer func() { a.tellAside(aside, places) }()
	for _, o := range orphans {
		if o.Fate == plan.Leave || recorded[o.Path] {
			continue
		}
		there, err := a.World.Hash(ctx, stage.Output{Path: o.Path})
		if errors.Is(err, fs.ErrNotExist) || err == nil && there != o.Node {
			continue // changed since the plan: not ours to touch
		}
		if err != nil {
			return err
		}
		kept, err := a.Files.SetAside(o.Path, a.Record.ID())
		if err != nil {
			return err
		}
		aside, places = append(aside, o), append(places, kept)
		a.Files.RemoveEmpty(path.Dir(o.Path))
	}
	return nil
}

// mostAside is how many of the files that were set aside are named: the plan has
// listed them.
const mostAside = 3

// tellAside says in one warning what was set aside, and where it is now.
func (a *apply) tellAside(aside []plan.Orphan, places []string) {
	switch n := len(aside); n {
	case 0:
		return
	case 1:
		a.warn(aside[0].Addr, "%s is kept as %s", aside[0].Path, places[0])
		return
	}
	var names []string
	for _, o := range aside[:min(len(aside), mostAside)] {
		names = append(names, o.Path)
	}
	more := ""
	if n := len(aside) - len(names); n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	a.warn(addr.Address{}, "%d outputs that no stage writes any more are kept in %s: %s%s",
		len(aside), strings.TrimSuffix(places[0], "/"+aside[0].Path), strings.Join(names, ", "), more)
}

func (a *apply) abs(rel string) string { return filepath.Join(a.Root, filepath.FromSlash(rel)) }
