package plan

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/lock"
	"github.com/flow-pipelines/flow/engine/stage"
)

// given decides about the user's own files: nothing runs, but new content is
// recorded, and content that is gone is brought back.
func (d *decision) given(ctx context.Context) error {
	st := d.step.Stage
	if st.Lifecycle.AlwaysRun {
		return stage.Problemf("lifecycle.always_run", "Nothing runs here", "%s stands for files of yours, which every plan looks at anyway. Take the argument out.", st.Addr)
	}
	if err := d.manifest(); err != nil {
		return err
	}
	for _, o := range st.Job.Outputs {
		n, err := d.w.Hash(ctx, o)
		if errors.Is(err, fs.ErrNotExist) {
			return d.givenMissing(ctx, o)
		}
		if err != nil {
			return err
		}
		d.step.Results = append(d.step.Results, lock.Result{Name: o.Name, Path: o.Path, Node: n, Given: true})
		if err := d.givenChanged(ctx, o, n); err != nil {
			return err
		}
	}
	d.step.Known = true
	if len(d.step.Reasons) == 0 {
		d.step.Action = Keep
		return nil
	}
	d.step.Action = Run
	return nil
}

func (d *decision) givenChanged(ctx context.Context, o stage.Output, n digest.Node) error {
	if d.locked == nil {
		d.because(Reason{Kind: FirstTime, Text: "new: " + nodeText(n)})
		return nil
	}
	old, _ := d.locked.Result(o.Name)
	switch {
	case old.Node.IsZero():
		d.because(Reason{Kind: DataChanged, Text: o.Path + ": new, " + nodeText(n)})
	case old.Node != n:
		r, err := dataReason(ctx, d.w, DataChanged, o, old.Node, n)
		if err != nil {
			return err
		}
		d.because(r)
	case d.locked.Key != d.step.Key:
		d.because(changes(d.step.Stage.Schema.Body, d.locked.Manifest, d.step.Manifest, nil)...)
	case !o.NoStore:
		missing, err := d.w.Missing(ctx, n, true)
		if err != nil {
			return err
		}
		if missing > 0 {
			d.because(Reason{Kind: NotCached, Text: o.Path + " is not in the cache"})
		}
	}
	return nil
}

func (d *decision) givenMissing(ctx context.Context, o stage.Output) error {
	var old lock.Result
	if d.locked != nil {
		old, _ = d.locked.Result(o.Name)
	}
	// What was recorded at another path is other data.
	if old.Node.IsZero() || old.Path != o.Path {
		return stage.Problemf("path", fmt.Sprintf("No file or directory %q", o.Path), "It is not in the project, and %s knows no earlier version of it. Put the data there, or correct the path; it is relative to the project directory.", lock.FileName)
	}
	missing, err := d.w.Missing(ctx, old.Node, false)
	if err != nil {
		return err
	}
	if missing > 0 {
		return stage.Problemf("path", fmt.Sprintf("No file or directory %q", o.Path), "%s records its content (%s), but the cache of this machine does not hold it. Copy the data to that path again.", lock.FileName, old.Node.Digest.Short())
	}
	d.step.Action, d.step.Known = Restore, true
	d.step.Results = []lock.Result{{Name: o.Name, Path: o.Path, Node: old.Node, Given: true}}
	d.step.RestoreBytes = old.Node.Size
	d.because(Reason{Kind: MissingOutput, Text: o.Path + " is missing"})
	return nil
}
