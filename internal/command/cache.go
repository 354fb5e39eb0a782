package command

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/flow-pipelines/flow/engine"
	"github.com/flow-pipelines/flow/engine/cas/disk"
	"github.com/flow-pipelines/flow/engine/plan"
	"github.com/flow-pipelines/flow/engine/reach"
	"github.com/flow-pipelines/flow/internal/view"
)

// CacheOptions are the arguments of cache du, gc and verify.
type CacheOptions struct {
	Shell *Shell
	Variables
	All  bool // du
	JSON bool

	// gc
	DryRun, Yes             bool
	History, Results, Trash age
	Forget                  []string
}

func newCache(sh *Shell) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cache",
		Short: "See what the cache holds, clean it, check it",
		Args:  unknownCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCacheDu(sh, runCacheDu), newCacheGC(sh, runCacheGC), newCacheVerify(sh, runCacheVerify))
	return cmd
}

// age is a flag: 36h, 90d, 8w.
type age time.Duration

func (a *age) String() string {
	if *a == 0 {
		return ""
	}
	return time.Duration(*a).String()
}

// Type is what the help and errors call it.
func (a *age) Type() string { return "time such as 90d, 8w or 36h" }

// Set reads it.
func (a *age) Set(text string) error {
	unit := map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour}
	for letter, length := range unit {
		if n, err := strconv.Atoi(strings.TrimSuffix(text, letter)); strings.HasSuffix(text, letter) && err == nil && n > 0 {
			*a = age(time.Duration(n) * length)
			return nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return errors.New("not a " + a.Type())
	}
	*a = age(d)
	return nil
}

func newCacheDu(sh *Shell, run func(context.Context, *CacheOptions) error) *cobra.Command {
	o := &CacheOptions{Shell: sh}
	cmd := &cobra.Command{
		Use:   "du",
		Short: "Show what takes up the cache, and who needs it",
		Long:  "Show how much of the cache belongs to each stage and to no other, what stages share, what earlier commits, recorded runs and other projects need, and what nobody does.",
		Args:  atMost(0),
		RunE:  func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.BoolVarP(&o.All, "all", "a", false, "list all stages, not only the largest")
	jsonFlag(f, &o.JSON)
	addVariables(f, &o.Variables)
	return cmd
}

func runCacheDu(ctx context.Context, o *CacheOptions) error {
	sh := o.Shell
	p, err := sh.openRecords(o.Variables)
	if err != nil {
		return sh.fail(o.JSON, err)
	}
	use, err := p.CacheUse(ctx)
	if err != nil {
		return cacheError(err)
	}
	if o.JSON {
		return view.CacheUseJSON(sh.Streams.Out, use)
	}
	sh.out().CacheUse(use, p.Root(), o.All)
	return nil
}

func newCacheGC(sh *Shell, run func(context.Context, *CacheOptions) error) *cobra.Command {
	o := &CacheOptions{Shell: sh}
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "Remove from the cache what nobody needs",
		Long: `Remove what nobody needs: what is named neither by flow.lock in the tree, nor by
one in git (branches, tags, stashes, all earlier commits, the index), nor by a
saved plan, nor by a result of a recorded run, nor by another project that uses
the cache, nor by a flow that is at work. Files in the project are not touched.

--history and --results narrow what counts.`,
		Example: `  flow cache gc --dry-run
  flow cache gc --history 90d --results 7d`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.BoolVarP(&o.DryRun, "dry-run", "n", false, "remove nothing, say what would be")
	f.Var(&o.History, "history", "of commits, keep for those of the last `AGE`, and for what branches, tags and stashes point to")
	f.Var(&o.Results, "results", "of results that no flow.lock names, keep those of the last `AGE`; default: those whose run is recorded")
	f.Var(&o.Trash, "trash", "also delete what has lain in .flow/trash for `AGE`")
	f.StringArrayVar(&o.Forget, "forget", nil, "do not ask the project in `DIR`, which is no more")
	_ = cmd.MarkFlagDirname("forget") // fails only for a flag that is not there
	f.BoolVarP(&o.Yes, "yes", "y", false, "do not ask before earlier versions are removed")
	jsonFlag(f, &o.JSON)
	addVariables(f, &o.Variables)
	return cmd
}

func runCacheGC(ctx context.Context, o *CacheOptions) error {
	sh := o.Shell
	p, err := sh.openRecords(o.Variables)
	if err != nil {
		return sh.fail(o.JSON, err)
	}
	meter := view.NewMeter(sh.Streams)
	defer meter.Close()
	g := engine.GCOptions{
		DryRun: o.DryRun, History: time.Duration(o.History), Results: time.Duration(o.Results), Trash: time.Duration(o.Trash),
		Busy: func() {
			sh.err().Printf("another flow is storing something in the cache; waiting until it has finished\n")
		},
		Progress: meter.Show,
	}
	for _, dir := range o.Forget {
		g.Forget = append(g.Forget, filepath.Clean(sh.path(dir)))
	}
	if o.History > 0 && !o.DryRun && !o.Yes {
		if ok, err := o.confirm(ctx, p, g); err != nil || !ok {
			return err
		}
	}
	rep, err := p.CollectGarbage(ctx, g)
	if err != nil {
		return cacheError(err)
	}
	meter.Close()
	if o.JSON {
		return view.GCJSON(sh.Streams.Out, rep, o.DryRun)
	}
	sh.out().GC(rep, o.DryRun)
	return nil
}

// confirm asks before versions are removed that git still names.
func (o *CacheOptions) confirm(ctx context.Context, p *engine.Project, g engine.GCOptions) (bool, error) {
	g.DryRun = true
	rep, err := p.CollectGarbage(ctx, g)
	if err != nil || rep.Versions.Objects == 0 {
		return err == nil, cacheError(err)
	}
	what := fmt.Sprintf("%s of commits that are older than that will be gone: data that is nowhere else cannot be brought back", plan.Bytes(rep.Versions.Bytes))
	return o.Shell.goOn(ctx, what, o.JSON, "see what would go (flow cache gc --dry-run) and add --yes")
}

// cacheError adds what to do.
func cacheError(err error) error {
	var (
		gone    *reach.GoneError
		alive   *engine.AliveError
		damaged *reach.DamagedError
		state   *reach.StateError
		version *disk.VersionError
	)
	switch {
	case errors.As(err, &gone):
		return &hinted{err, "if it was moved, run flow status there; if its disk is not mounted, mount it. If it is no more, or was moved: flow cache gc --forget " + view.ShellQuote(gone.Root)}
	case errors.As(err, &alive):
		return &hinted{err, "delete it first, or leave out --forget"}
	case errors.As(err, &damaged):
		return &hinted{err, "nothing was removed; flow cache verify finds what is damaged and says how to get it back"}
	case errors.As(err, &state):
		return &hinted{err, "nothing was removed; run it again if such results may go"}
	case errors.As(err, &version):
		return &hinted{err, "nothing was changed"}
	}
	return err
}

func newCacheVerify(sh *Shell, run func(context.Context, *CacheOptions) error) *cobra.Command {
	o := &CacheOptions{Shell: sh}
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Read all of the cache and find what is damaged",
		Long:  "Read everything in the cache and compare it with its digest. What is damaged is put out of the way; it stays in the directory damaged of the cache. What flow.lock names and the cache lacks, damaged or not, is stored if it is in place. The exit status is 1 if something remains.",
		Args:  atMost(0),
		RunE:  func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o) },
	}
	f := cmd.Flags()
	jsonFlag(f, &o.JSON)
	addVariables(f, &o.Variables)
	return cmd
}

func runCacheVerify(ctx context.Context, o *CacheOptions) error {
	sh := o.Shell
	p, err := sh.openRecords(o.Variables)
	if err != nil {
		return sh.fail(o.JSON, err)
	}
	meter := view.NewMeter(sh.Streams)
	defer meter.Close()
	rep, err := p.VerifyCache(ctx, meter.Show)
	if err != nil {
		return cacheError(err)
	}
	meter.Close()
	if o.JSON {
		err = view.VerifyJSON(sh.Streams.Out, rep)
	} else {
		sh.out().Verify(rep)
	}
	if err == nil && view.Broken(rep) {
		return exitError
	}
	return err
}
