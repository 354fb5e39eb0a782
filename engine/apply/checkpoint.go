package apply

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/event"
	"github.com/flow-pipelines/flow/engine/key"
	"github.com/flow-pipelines/flow/engine/worktree"
)

// checkpoints is where the job saves what it needs to go on: a directory for
// each stage, in it one for each key. It is never in the job's own directory,
// so that it is whole whenever and however the job or flow ends; the job finds
// it through a link.
func (j *job) checkpoints() string {
	return filepath.Join(j.Checkpoints, j.step.Addr.FileName(), j.step.Key.Short())
}

// linkCheckpoint puts the job's checkpoints where it looks for them.
func (j *job) linkCheckpoint() error {
	path := j.step.Stage.Job.Checkpoint
	if path == "" {
		return nil
	}
	dir := j.checkpoints()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make directory for checkpoints: %w", err)
	}
	link := filepath.Join(j.work, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		return err
	}
	if saved, err := os.ReadDir(dir); err == nil && len(saved) > 0 {
		j.emit(event.Event{Kind: event.Progress, Addr: j.step.Addr, Text: "goes on from what an earlier attempt saved"})
	} else if from := j.step.From; from != nil {
		if err := j.beginFrom(*from, dir); err != nil {
			return err
		}
	}
	return os.Symlink(dir, link)
}

// beginFrom fills the directory, which is empty, with what an earlier run saved.
// If that is gone meanwhile, the job begins from nothing.
func (j *job) beginFrom(from key.Point, dir string) error {
	if err := os.Remove(dir); err != nil {
		return fmt.Errorf("make directory for checkpoints: %w", err)
	}
	if err := j.Saved.CopyTo(from, dir); err != nil {
		j.warn(j.step.Addr, "begins from nothing: %v", err)
		return os.MkdirAll(dir, 0o755)
	}
	j.emit(event.Event{Kind: event.Progress, Addr: j.step.Addr, Text: "continues from " + from.String()})
	return nil
}

// keepCheckpoint keeps what a job that has succeeded saved, if there may be one
// that goes further, and forgets what else there is of its stage.
func (j *job) keepCheckpoint() error {
	st := j.step.Stage
	if p, ok := key.PointOf(j.step.Manifest, st.Args, st.Job.ResumeOver); ok {
		if err := j.Saved.Keep(j.checkpoints(), p, j.step.Key); err != nil {
			return err
		}
	}
	return j.forgetCheckpoints(j.step.Addr)
}

// forgetCheckpoints removes those of a stage: it has come to a result, is to run
// from the start, or is no longer part of the pipeline. Those with other keys go
// too, since nobody would ever remove them.
func (a *apply) forgetCheckpoints(at addr.Address) error {
	if err := worktree.RemoveAll(filepath.Join(a.Checkpoints, at.FileName())); err != nil {
		return fmt.Errorf("remove checkpoints: %w", err)
	}
	return nil
}
