// Package memo remembers that a plan found nothing to do, together with all
// that it looked at, so that the next one need not be made while all that is as
// it was.
//
// A plan is a function of the program, its options, and the answers that the
// world gave to questions: what do these files of the pipeline say, what does
// flow.lock say, what lies at this path, which files match this glob. It depends
// on nothing else, since there are two doors to the world and each keeps a
// record: config.Look for what is evaluated, and plan.World, which a Recorder
// stands before, for what is decided. A Memo is that record. If every question
// in it, asked again, has the same answer, then a plan made now is the plan that
// was made then: nothing to do. If one has not, or cannot be asked, or the memo
// is damaged, nobody knows, and the plan is made.
//
// Small things are asked again as they were: files of the pipeline are read,
// flow.lock is hashed, globs are expanded, directories are hashed through the
// stat cache. There are two files or more for each stage, though, and what each
// holds is answered by one lstat. That is sound if a file that looks now as it
// did when the memo was written has the content that the plan saw:
//
//   - Between memo and now: a file that looks the same (device, inode, size,
//     mode, modification time and change time in nanoseconds) was not written,
//     for each write moves the change time, which no program can set back, and
//     the change time of a memo's file lies before the memo began to be made.
//   - Between the plan's look and the memo: the plan begins with a change of a
//     file of its own, which tells what the time is to the file system (Begin).
//     Files, and the directories that lead to them up to the project, that have
//     an earlier change time were not written, replaced or moved since. If one
//     has not, no memo is written: the next plan will.
//
// What is not a plain file in plain directories of the project's own file
// system (a link, a directory, something behind a link or a mount) is not
// trusted to this and is hashed again.
//
// A memo is made of a plan of the whole pipeline that keeps every stage and has
// nothing to warn of. It is not made if something was asked that only matters to
// other plans, such as what git tracks, nor of a stage type that observes the
// world by itself (stage.Observer), nor where other revisions are read
// (baseline). It lies in .flow and may be deleted at any time.
//
// The package is called by engine alone, and decides nothing.
package memo

import (
	"context"

	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/plan"
	"github.com/flow-pipelines/flow/engine/stage"
)

// Memo is what a plan that found nothing to do has looked at.
type Memo struct {
	// Stages is how many stages there are, all kept.
	Stages int `json:"stages"`
	// Made names the program and the options that the plan was made with.
	Made digest.Digest `json:"made"`
	// Lock is the content of flow.lock.
	Lock digest.Digest `json:"lock"`
	// Cache is where the cache is, relative to the project unless absolute.
	Cache string `json:"cache"`
	// Ignore is the content of .gitignore, if an apply would leave it alone;
	// Outside says that it would since the project is in no git repository.
	Ignore  digest.Digest `json:"ignore"`
	Outside bool          `json:"outside,omitempty"`
	// Looks are what the pipeline was evaluated from.
	Looks []config.Look `json:"looks"`
	// Modules are the files of modules from elsewhere, by directory.
	Modules map[string]digest.Digest `json:"modules,omitempty"`
	// Trees, Globs and Objects are what is asked of the project again.
	Trees   []Tree          `json:"trees,omitempty"`
	Globs   []Glob          `json:"globs,omitempty"`
	Objects []digest.Digest `json:"objects,omitempty"` // that the cache has

	files []file
}

// Tree is what lay at a path.
type Tree struct {
	Path    string      `json:"path"`
	Include []string    `json:"include,omitempty"`
	Ignore  []string    `json:"ignore,omitempty"`
	Kind    digest.Kind `json:"kind"`
	Size    int64       `json:"size"`
	Files   int64       `json:"files"`

	Digest digest.Digest `json:"digest"`
}

func (t *Tree) output() stage.Output {
	return stage.Output{Path: t.Path, Include: t.Include, Ignore: t.Ignore}
}

func (t *Tree) node() digest.Node {
	return digest.Node{Kind: t.Kind, Digest: t.Digest, Size: t.Size, Files: t.Files}
}

// Glob is the files that a glob matched.
type Glob struct {
	Pattern string        `json:"pattern"`
	Files   digest.Digest `json:"files"`
}

// Asks reports whether Same asks more of the world than how files look.
func (m *Memo) Asks() bool { return len(m.Trees)+len(m.Globs)+len(m.Objects) > 0 }

// Alike reports whether each plain file of the project at root looks as it did.
func (m *Memo) Alike(root string) bool { return alike(root, m.files) }

// Same asks the world what the plan has asked it, and reports whether the
// answers are the same.
func (m *Memo) Same(ctx context.Context, w plan.World) bool {
	for i := range m.Trees {
		t := &m.Trees[i]
		if n, err := w.Hash(ctx, t.output()); err != nil || n != t.node() {
			return false
		}
	}
	for _, g := range m.Globs {
		if found, err := w.Expand(ctx, g.Pattern); err != nil || digestOf(found) != g.Files {
			return false
		}
	}
	for _, d := range m.Objects {
		if missing, err := w.Missing(ctx, digest.Node{Digest: d}, true); err != nil || missing > 0 {
			return false
		}
	}
	return true
}
