package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/flow-pipelines/flow/engine"
	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/event"
	"github.com/flow-pipelines/flow/engine/runs"
	"github.com/flow-pipelines/flow/engine/suggest"
	"github.com/flow-pipelines/flow/internal/view"
)

// LogsOptions are the arguments of logs.
type LogsOptions struct {
	Shell  *Shell
	Addr   string
	Run    string
	Follow bool
	JSON   bool
}

func newLogs(sh *Shell, run func(context.Context, *LogsOptions) error) *cobra.Command {
	o := &LogsOptions{Shell: sh}
	cmd := &cobra.Command{
		Use:   "logs [ADDR]",
		Short: "Show what stages printed, also while they run",
		Long: `Show what a stage printed when it last ran. Without an address, show what all
stages of the newest run printed, each line with its stage; with a pattern such
as 'train.*', those that it names.`,
		Example: `  flow logs -f
  flow logs train.mlp
  flow logs train.mlp --run 20261124`,
		Args:              atMost(1),
		ValidArgsFunction: sh.completeLogged,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.Addr = args[0]
			}
			return run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&o.Follow, "follow", "f", false, "wait for more while the run goes on")
	f.StringVar(&o.Run, "run", "", "the run (`ID`, or a beginning of it) instead of the newest")
	f.BoolVar(&o.JSON, "json", false, "write the recorded events as they are, a JSON object a line")
	_ = cmd.RegisterFlagCompletionFunc("run", sh.completeRuns)
	return cmd
}

func runLogs(ctx context.Context, o *LogsOptions) error {
	if o.Addr == "" {
		r, err := o.Shell.run(o.Run)
		if err != nil {
			return err
		}
		return o.events(ctx, r, nil)
	}
	ps, err := patterns([]string{o.Addr})
	if err != nil {
		return err
	}
	several, err := o.several(ps[0])
	if err != nil {
		return err
	}
	if several || o.JSON {
		r, err := o.runWithEvents(ps[0])
		if err != nil {
			return err
		}
		return o.events(ctx, r, ps[0].Match)
	}
	a, err := address(o.Addr)
	if err != nil {
		return err
	}
	r, err := o.runWithLog(a)
	if err != nil {
		return err
	}
	return o.copy(ctx, r, r.Log(a.FileName()), o.Shell.Streams.Out)
}

// several reports whether more than one stage may be meant: by a wildcard, or
// by a module or a block with instances.
func (o *LogsOptions) several(p addr.Pattern) (bool, error) {
	if p.Wild() {
		return true, nil
	}
	known, err := o.Shell.logged()
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(known, func(a addr.Address) bool { return p.Match(a) && a.String() != p.String() }), nil
}

// logged returns the stages that flow.lock has, and those of the newest run: one
// that has failed the first time is in that alone.
func (sh *Shell) logged() ([]addr.Address, error) {
	l, err := sh.locked()
	if err != nil {
		return nil, err
	}
	seen := map[addr.Address]bool{}
	for _, s := range l.Stages() {
		seen[s.Addr] = true
	}
	if r, err := sh.run(""); err == nil {
		_ = recordedEvents(r, func(e event.Event) { seen[e.Addr] = true }) // what cannot be read has no stages
	}
	delete(seen, addr.Address{})
	return slices.SortedFunc(maps.Keys(seen), addr.Compare), nil
}

// runWithEvents finds the run that is asked for, or the newest in which one of
// the stages did something.
func (o *LogsOptions) runWithEvents(p addr.Pattern) (*runs.Past, error) {
	newest, err := o.Shell.run(o.Run)
	if err != nil {
		return nil, err
	}
	all := []*runs.Past{newest}
	if o.Run == "" {
		if all, err = runs.List(o.Shell.runsDir()); err != nil {
			return nil, err
		}
	}
	var seen []addr.Address
	for _, r := range all {
		found := false
		err := recordedEvents(r, func(e event.Event) {
			if !e.Addr.IsZero() && e.Kind != event.Skipped {
				found = found || p.Match(e.Addr)
				seen = append(seen, e.Addr)
			}
		})
		if errors.Is(err, fs.ErrNotExist) {
			continue // a run that died before its first event
		}
		if err != nil {
			return nil, err
		}
		if found {
			return r, nil
		}
	}
	if o.Follow && newest.Live() {
		return newest, nil // its events will come
	}
	return nil, engine.CheckPatterns(seen, p)
}

// runWithLog finds the run that is asked for, or the newest in which the stage
// printed: a kept stage has no log in the newest.
func (o *LogsOptions) runWithLog(a addr.Address) (*runs.Past, error) {
	sh := o.Shell
	newest, err := sh.run(o.Run)
	if err != nil {
		return nil, err
	}
	all := []*runs.Past{newest}
	if o.Run == "" {
		if all, err = runs.List(sh.runsDir()); err != nil {
			return nil, err
		}
	}
	var names []string
	for _, r := range all {
		logs, err := r.Logs()
		if err != nil {
			return nil, err
		}
		if slices.Contains(logs, a.FileName()) {
			if r.ID != newest.ID {
				sh.err().Printf("%s last ran in run %s:\n", a, r.ID)
			}
			return r, nil
		}
		names = append(names, logs...)
	}
	if o.Follow && newest.Live() {
		return newest, nil // its log will come
	}
	known, err := sh.logged()
	if err != nil {
		return nil, err
	}
	var printed []string
	for _, other := range known {
		if slices.Contains(names, other.FileName()) {
			printed = append(printed, other.String())
		}
	}
	hint := "stages without a program of their own print nothing"
	if n := suggest.Nearest(a.String(), printed); n != "" {
		hint = "did you mean " + n + "?"
	} else if len(printed) > 0 {
		hint = "there are logs of " + view.And(printed, 8)
	}
	return nil, &hinted{fmt.Errorf("there is no log of %s", a), hint}
}

// copy writes a file of a run, as far as it is there, or while it grows.
func (o *LogsOptions) copy(ctx context.Context, r *runs.Past, path string, w io.Writer) error {
	var in io.ReadCloser
	if o.Follow {
		in = r.Follow(ctx, path)
	} else {
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		// A log may be long, and a terminal slow.
		defer context.AfterFunc(ctx, func() { _ = f.Close() })()
		in = f
	}
	defer in.Close()
	_, err := io.Copy(w, in)
	if ctx.Err() != nil {
		return nil // that is how following ends, and reading on
	}
	return err
}

// events shows what a run recorded, as plain progress shows it; of the stages
// that match alone, if match is not nil.
func (o *LogsOptions) events(ctx context.Context, r *runs.Past, match func(addr.Address) bool) error {
	sh := o.Shell
	if o.JSON && match == nil {
		return o.copy(ctx, r, r.Events(), sh.Streams.Out)
	}
	streams := *sh.Streams
	streams.Err, streams.ErrColor, streams.ErrTTY = streams.Out, streams.OutColor, streams.OutTTY
	progress, err := view.NewProgress(view.ProgressOptions{Kind: view.ProgressPlain, Streams: &streams, Environ: sh.Environ, Clock: sh.Clock})
	if err != nil {
		return err
	}
	defer progress.Close()
	show := progress.Event
	if o.JSON {
		out := json.NewEncoder(sh.Streams.Out)
		out.SetEscapeHTML(false)
		show = func(e event.Event) { _ = out.Encode(e) } // a closed pipe ends the command
	}
	lines, end := io.Pipe()
	copied := make(chan error, 1)
	go func() {
		err := o.copy(ctx, r, r.Events(), end)
		copied <- errors.Join(err, end.Close())
	}()
	err = eachEvent(lines, func(e event.Event) {
		if match == nil || match(e.Addr) {
			show(e)
		}
	})
	// A reader that gave up lets the writer go on.
	_ = lines.CloseWithError(err)
	return errors.Join(<-copied, err)
}
