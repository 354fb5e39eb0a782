package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"

	"github.com/flow-pipelines/flow/engine/stage"
)

// Work does a job.
type Work func(context.Context, *stage.Run) (stage.Metrics, error)

// StageRun does one job of a stage type of flow's own, or, by plugins, of a
// plugin's: `flow stage-run SPEC`, in the job's work directory. It returns the exit status; see stage.Spec for the
// files it answers with.
func StageRun(ctx context.Context, types []stage.Type, plugins Work, specPath string, stderr io.Writer) (status int) {
	defer func() {
		if r := recover(); r != nil {
			fmt.Fprintf(stderr, "BUG: %v\nPlease report it with the following.\n%s", r, debug.Stack())
			status = 70 // EX_SOFTWARE
		}
	}()
	err := stageRun(ctx, types, plugins, specPath, stderr)
	if err == nil {
		return 0
	}
	fmt.Fprintf(stderr, "error: %v\n", err)
	if ps := stage.ProblemsIn(err); len(ps) > 0 {
		if werr := writeJSON(filepath.Join(filepath.Dir(specPath), stage.ProblemFile), ps); werr != nil {
			fmt.Fprintf(stderr, "error: %v\n", werr)
		}
	}
	if exit := (*stage.ExitError)(nil); errors.As(err, &exit) {
		return exit.Status
	}
	return 1
}

func stageRun(ctx context.Context, types []stage.Type, plugins Work, specPath string, stderr io.Writer) error {
	b, err := os.ReadFile(specPath)
	if err != nil {
		return err
	}
	run := &stage.Run{Log: stderr}
	if err := json.Unmarshal(b, &run.Spec); err != nil {
		return fmt.Errorf("read %s: %w", specPath, err)
	}
	if run.Version != stage.SpecVersion {
		return fmt.Errorf("%s has version %d; this flow reads version %d", specPath, run.Version, stage.SpecVersion)
	}
	work := plugins
	if run.Plugin == nil {
		runner, err := findRunner(types, run.Type)
		if err != nil {
			return err
		}
		work = runner.Run
	}
	if path := os.Getenv(stage.EventsEnv); path != "" {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
		if err != nil {
			return err
		}
		defer f.Close()
		run.Events = f
	}
	runtime.GOMAXPROCS(max(1, run.CPUs))
	metrics, err := work(ctx, run)
	if err != nil {
		return err
	}
	if metrics == nil {
		metrics = stage.Metrics{}
	}
	return writeJSON(filepath.Join(filepath.Dir(specPath), stage.ResultFile), metrics)
}

func findRunner(types []stage.Type, name string) (stage.Runner, error) {
	for _, t := range types {
		if t.Schema().Name != name {
			continue
		}
		if r, ok := t.(stage.Runner); ok {
			return r, nil
		}
		return nil, fmt.Errorf("stage type %q has no work of its own", name)
	}
	return nil, fmt.Errorf("unknown stage type %q", name)
}

func writeJSON(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	return os.WriteFile(path, b, 0o644)
}
