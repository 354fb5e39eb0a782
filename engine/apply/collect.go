package apply

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/event"
	"github.com/flow-pipelines/flow/engine/lock"
	"github.com/flow-pipelines/flow/engine/plan"
	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/engine/worktree"
)

// collect takes what the job wrote into the cache and reads its metrics.
func (j *job) collect(ctx context.Context) error {
	job := j.step.Stage.Job
	var err error
	if job.Isolation == stage.None {
		err = j.sameInputs(ctx)
	} else {
		err = j.unchangedInputs(ctx)
	}
	if err != nil {
		return err
	}
	if j.step.Metrics, err = j.metrics(); err != nil {
		return err
	}
	j.step.Metrics = j.redacted(j.step.Metrics)
	j.step.Results = nil
	for _, o := range job.Outputs {
		n, err := j.collectOutput(ctx, o)
		if err != nil {
			return err
		}
		j.step.Results = append(j.step.Results, lock.Result{Name: o.Name, Path: o.Path, Node: n})
	}
	j.step.Known = true
	return nil
}

func (j *job) collectOutput(ctx context.Context, o stage.Output) (digest.Node, error) {
	abs := filepath.Join(j.work, filepath.FromSlash(o.Path))
	info, err := os.Lstat(abs)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return digest.Node{}, j.missing(o)
	case err != nil:
		return digest.Node{}, err
	case info.IsDir() != o.Dir:
		want, got := "file", "directory"
		if o.Dir {
			want, got = got, want
		}
		return digest.Node{}, j.blame("outputs."+o.Name, fmt.Sprintf("Output %q is a %s", o.Name, got), fmt.Sprintf("The stage declares %s as a %s. A path that ends in a slash is a directory.", o.Path, want))
	}
	if j.step.Stage.Job.Isolation == stage.None {
		// The file stays where the program wrote it.
		n, err := j.World.Hash(ctx, o)
		if err != nil {
			return n, err
		}
		return n, j.Files.Store(ctx, o.Path, worktree.Filter{}, n)
	}
	n, err := j.Files.Collect(ctx, abs, j.work)
	if pe := (*worktree.PathError)(nil); errors.As(err, &pe) {
		return n, j.blame("outputs."+o.Name, fmt.Sprintf("Output %q cannot be kept", o.Name), fmt.Sprintf("%s %s.", path.Join(o.Path, pe.Path), pe.Reason))
	}
	if err != nil {
		return n, fmt.Errorf("collect output %s: %w", o.Path, err)
	}
	return n, nil
}

// missing blames a program that did not write an output; it names what the
// program did write, in case the path is only misspelt.
func (j *job) missing(o stage.Output) error {
	detail := fmt.Sprintf("The program ended well but wrote no %s. Correct the path, or the program.", o.Path)
	if others := j.undeclared(); len(others) > 0 {
		detail += fmt.Sprintf(" It wrote %s, which is not declared.", strings.Join(others, ", "))
	}
	return j.blame("outputs."+o.Name, fmt.Sprintf("Output %q was not written", o.Name), detail)
}

func (j *job) blame(at, summary, detail string) error {
	p := &stage.Problem{Path: at, Summary: summary, Detail: detail}
	return &failure{event.Event{Text: summary + ": " + detail, LogPath: j.rel(j.log), LogTail: lastLines(j.log, 40), Diags: j.pipeline().Diagnose(j.step.Addr, p)}}
}

// undeclared lists the first few files in the work directory that are neither
// input nor output.
func (j *job) undeclared() []string {
	const most = 5
	if j.step.Stage.Job.Isolation != stage.Strict {
		return nil
	}
	var found []string
	declared := func(rel string) bool {
		for _, in := range j.step.Inputs {
			if rel == in.Path || strings.HasPrefix(rel, in.Path+"/") {
				return true
			}
		}
		if rel == j.step.Stage.Job.Checkpoint {
			return true
		}
		for _, o := range j.step.Stage.Job.Outputs {
			if rel == o.Path || strings.HasPrefix(rel, o.Path+"/") {
				return true
			}
		}
		return false
	}
	_ = filepath.WalkDir(j.work, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil //nolint:nilerr // this list only helps to explain; what is unreadable is left out
		}
		rel, err := filepath.Rel(j.work, p)
		if err == nil && !declared(filepath.ToSlash(rel)) {
			found = append(found, filepath.ToSlash(rel))
		}
		if len(found) == most {
			return fs.SkipAll
		}
		return nil
	})
	return found
}

// sameInputs compares the inputs of a program that has read them in the project
// itself, where anybody may write, with what the key says of them.
func (j *job) sameInputs(ctx context.Context) error {
	for _, in := range j.step.Inputs {
		now, err := j.World.Hash(ctx, in.At)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("look at input %s again: %w", in.At.Path, err)
		}
		if now != in.Node {
			return j.blame(in.Role, fmt.Sprintf("The input %s changed while %s ran", in.At.Path, j.step.Addr), "Without isolation a program reads the files of the project as they are, so nobody knows what it has read. Run flow apply again when nothing writes to them; a program that changes an input should change a copy, and that should be an output.")
		}
	}
	return nil
}

// unchangedInputs compares the inputs in the job's own directory with what was
// laid out there.
func (j *job) unchangedInputs(ctx context.Context) error {
	for _, in := range j.step.Inputs {
		err := j.Files.Verify(ctx, in.Path, in.Node, j.work)
		var changed *worktree.ChangedError
		switch {
		case errors.As(err, &changed):
			return j.blame(in.Role, fmt.Sprintf("The stage changed its input %s", in.Path), "An input belongs to the stage that wrote it. Copy it to an output of this stage and change the copy.")
		case err != nil:
			return err
		}
	}
	return nil
}

// metrics reads what the job found.
func (j *job) metrics() (stage.Metrics, error) {
	st := j.step.Stage
	if len(st.Job.Command) == 0 {
		b, err := os.ReadFile(filepath.Join(j.dir, stage.ResultFile))
		if err != nil {
			return nil, fmt.Errorf("read the metrics of %s: %w", st.Addr, err)
		}
		return plan.DecodeMetrics(b)
	}
	m, ok := st.Type.(stage.Measurer)
	if !ok || len(st.Job.MetricsFiles) == 0 {
		return nil, nil
	}
	metrics, err := m.Measure(j.work, st.Job.MetricsFiles)
	if err != nil {
		if len(stage.ProblemsIn(err)) == 0 {
			return nil, err
		}
		return nil, &failure{event.Event{Text: err.Error(), LogPath: j.rel(j.log), LogTail: lastLines(j.log, 40), Diags: j.pipeline().Diagnose(st.Addr, err)}}
	}
	return metrics, nil
}
