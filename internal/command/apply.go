package command

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/flow-pipelines/flow/engine"
	"github.com/flow-pipelines/flow/engine/event"
	"github.com/flow-pipelines/flow/engine/plan"
	"github.com/flow-pipelines/flow/internal/view"
)

// ApplyOptions are the arguments of apply.
type ApplyOptions struct {
	Shell *Shell
	Variables
	SelectionFlags
	Jobs                 int
	KeepGoing, Yes, JSON bool
	Progress             string
	// File is a saved plan to carry out; "" plans anew.
	File string
	// Command is what the user typed.
	Command []string
}

func newApply(sh *Shell, run func(context.Context, *ApplyOptions) error) *cobra.Command {
	o := &ApplyOptions{Shell: sh}
	cmd := &cobra.Command{
		Use:   "apply [FILE]",
		Short: "Run what the plan says, and nothing else",
		Long: `Bring the pipeline up to date: restore what is known, run what is not, side by
side where the pipeline allows it. What is finished stays finished; after a
failure or an interrupt, the next apply goes on from there.

With a FILE that flow plan --out wrote, do exactly what that plan says, without a
question, or nothing if anything has changed since it was made.

Before a stage acts outside of the project, such as deploy, flow asks; --yes
answers. The first interrupt (Ctrl-C) tells running stages to end, the second
kills them.`,
		Example: `  flow apply
  flow apply --target 'train.mlp["wide"]' --jobs 2
  flow apply --yes --progress plain
  flow apply next.plan`,
		Args:              atMost(1),
		ValidArgsFunction: oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkJobs(cmd, o.Jobs); err != nil {
				return err
			}
			if err := o.checkProgress(); err != nil {
				return err
			}
			o.Command = append(append([]string{"flow", "apply"}, args...), flagsSet(cmd)...)
			if len(args) > 0 {
				o.File = args[0]
			}
			return run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	addVariables(f, &o.Variables)
	addSelection(sh, cmd, &o.SelectionFlags)
	f.IntVarP(&o.Jobs, "jobs", "j", 0, "run at most `N` stages at once (default: the number of CPUs)")
	f.BoolVarP(&o.KeepGoing, "keep-going", "k", false, "after a failure, go on with what does not depend on it")
	f.BoolVarP(&o.Yes, "yes", "y", false, "do not ask before a stage acts outside of the project")
	f.StringVar(&o.Progress, "progress", "", "show progress as `KIND`: "+strings.Join(view.ProgressKinds(), ", ")+" (also: FLOW_PROGRESS)")
	f.BoolVar(&o.JSON, "json", false, "write what happens as JSON, an object a line")
	_ = cmd.RegisterFlagCompletionFunc("progress", cobra.FixedCompletions(view.ProgressKinds(), cobra.ShellCompDirectiveNoFileComp))
	sortFlags(f)
	return cmd
}

// checkJobs refuses a number of jobs with which nothing would run.
func checkJobs(cmd *cobra.Command, jobs int) error {
	if cmd.Flags().Changed("jobs") && jobs < 1 {
		return usage("--jobs is at least 1, not %d; without it, as many stages run as there are CPUs", jobs)
	}
	return nil
}

// checkProgress refuses a kind of progress that there is not, before anything
// runs and also if nothing will.
func (o *ApplyOptions) checkProgress() error {
	kind, from := o.Progress, "--progress"
	if kind == "" {
		kind, from = view.Getenv(o.Shell.Environ, "FLOW_PROGRESS"), "FLOW_PROGRESS"
	}
	if kinds := view.ProgressKinds(); kind != "" && !slices.Contains(kinds, kind) {
		return usage("%s is one of %s, not %q", from, strings.Join(kinds, ", "), kind)
	}
	return nil
}

// progressOptions say how the user wants to see progress.
func (o *ApplyOptions) progressOptions(p *engine.Project) view.ProgressOptions {
	sh := o.Shell
	po := view.ProgressOptions{Kind: o.Progress, Streams: sh.Streams, Environ: sh.Environ, Clock: sh.Clock, Version: sh.Version.Version}
	if p != nil {
		po.Files, po.Dir = p.Files(), p.Root()
	}
	if po.Kind == "" {
		po.Kind = view.Getenv(sh.Environ, "FLOW_PROGRESS")
	}
	if o.JSON {
		po.Kind, po.JSON = view.ProgressJSON, sh.Streams.Out
	}
	return po
}

func runApply(ctx context.Context, o *ApplyOptions) error {
	sel, err := o.selection()
	if err != nil {
		return err
	}
	saved, err := o.saved()
	if err != nil {
		return err
	}
	if sel.Empty() && o.terse() {
		if n, ok := o.Shell.known(ctx, o.Variables, engine.Applied); ok {
			o.Shell.out().UpToDate(n)
			return nil
		}
	}
	p, err := o.Shell.openPinned(o.Variables, saved)
	if err != nil {
		return o.fail(err)
	}
	progress, err := view.NewProgress(o.progressOptions(p))
	if err != nil {
		return usage("%v", err)
	}
	calm := context.AfterFunc(ctx, progress.Interrupting)
	if d, ok := progress.(view.Dying); ok {
		o.Shell.whenKilled(d.Killed)
		defer o.Shell.whenKilled(nil)
	}
	var took float64 // without the time that a question waited for its answer
	sink := func(e event.Event) {
		if e.Kind == event.RunFinished {
			took = e.Elapsed
		}
		progress.Event(e)
	}
	rep, err := p.Apply(ctx, engine.ApplyOptions{
		Selection: sel, Pinned: saved, Jobs: o.Jobs, KeepGoing: o.KeepGoing, Sink: sink, Command: o.Command,
		Confirm: func(pl *plan.Plan) (bool, error) { return o.confirm(ctx, progress, pl) },
	})
	calm()
	progress.Close()
	if err != nil {
		return o.fail(outdated(o.File, err))
	}
	rep.Elapsed = time.Duration(took * float64(time.Second))
	return o.finish(p, progress, rep)
}

// terse reports whether one line is all there is to say if there is nothing to do.
func (o *ApplyOptions) terse() bool {
	return o.File == "" && !o.JSON && !view.OnGitHub(o.Shell.Environ) && o.progressOptions(nil).Kind != view.ProgressJSON
}

// fail passes an error on; with --json, mistakes become lines of the stream.
func (o *ApplyOptions) fail(err error) error {
	diags, files, ok := mistakes(err)
	if !ok || !o.JSON {
		return err
	}
	po := o.progressOptions(nil)
	po.Files = files
	view.StreamDiagnostics(o.Shell.Streams.Out, po, diags)
	return exitError
}

// confirm shows the plan and, if a stage will act outside of the project, asks.
func (o *ApplyOptions) confirm(ctx context.Context, progress view.Progress, pl *plan.Plan) (bool, error) {
	progress.Plan(pl)
	if pl.Empty() {
		return true, nil
	}
	kind := o.progressOptions(nil).Kind
	if kind != view.ProgressJSON && kind != view.ProgressQuiet {
		p := o.Shell.err()
		p.Plan(pl, false)
		p.Printf("\n")
	}
	effects, later := pl.Effects(), pl.LaterEffects()
	if len(effects)+len(later) == 0 || o.Yes || o.File != "" {
		return true, nil
	}
	names := make([]string, len(effects))
	for i, s := range effects {
		names[i] = effect(s)
	}
	for _, b := range later {
		names = append(names, b.String()+"[*] acts outside of the project, with instances that are known only then")
	}
	return o.Shell.goOn(ctx, view.And(names, 3), o.JSON, "read the plan (flow plan) and run flow apply --yes")
}

// effector is a stage type that says what its effect is: "deploys to x".
type effector interface {
	Effect(args json.RawMessage) string
}

// effect says what a stage does to the world.
func effect(s *plan.Step) string {
	what := ""
	if e, ok := s.Stage.Type.(effector); ok {
		what = e.Effect(s.Stage.Args)
	}
	if what == "" {
		what = "acts outside of the project"
	}
	return s.Addr.String() + " " + what
}

// goOn says what is going to be, and asks whether it shall; where nobody can be
// asked, that is an error with the hint.
func (sh *Shell) goOn(ctx context.Context, what string, json bool, hint string) (bool, error) {
	if !sh.Streams.InTTY || !sh.Streams.ErrTTY || json {
		return false, &hinted{fmt.Errorf("%s, and there is no terminal to ask on; nothing was done", what), hint}
	}
	return sh.ask(ctx, what+". Go on?")
}

// ask asks a question on the terminal. Only yes is yes.
func (sh *Shell) ask(ctx context.Context, question string) (bool, error) {
	sh.err().Printf("%s [y/N] ", question)
	answer := make(chan string, 1)
	go func() { // ends with the line, or with the process
		line, _ := bufio.NewReader(sh.Streams.In).ReadString('\n')
		answer <- line
	}()
	select {
	case <-ctx.Done():
		sh.err().Printf("\n")
		return false, ctx.Err()
	case line := <-answer:
		switch strings.ToLower(strings.TrimSpace(line)) {
		case "y", "yes":
			return true, nil
		}
		return false, nil
	}
}

// finish writes how it went.
func (o *ApplyOptions) finish(p *engine.Project, progress view.Progress, rep *engine.Report) error {
	outs, err := p.Outputs()
	if s, ok := progress.(view.Summarizer); ok {
		o.Shell.summary(s.Summary(rep, outs))
	}
	switch {
	case o.JSON:
		view.StreamOutputs(progress, outs)
	case rep.Declined:
		o.Shell.err().Printf("Nothing was done.\n")
	case rep.Run == "":
		o.Shell.out().NothingToDo(rep.Plan)
	default:
		if len(rep.Failed) == 0 { // a failure has put a blank line below itself
			o.Shell.err().Printf("\n")
		}
		o.Shell.out().Report(rep, outs)
	}
	if rep.Interrupted && !o.JSON {
		o.Shell.err().Hint("what is finished is recorded; flow apply goes on from there")
	}
	switch {
	case rep.Declined || rep.Interrupted || len(rep.Failed) > 0:
		return exitError
	case err != nil: // an output that has turned out to name nothing
		return o.fail(err)
	}
	return nil
}

// flagsSet writes the flags that were given, for the record of the run.
// Values of variables are left out: they may be secrets.
func flagsSet(cmd *cobra.Command) []string {
	var words []string
	cmd.Flags().Visit(func(f *pflag.Flag) {
		values := []string{f.Value.String()}
		if several, ok := f.Value.(pflag.SliceValue); ok {
			values = several.GetSlice()
		}
		for _, value := range values {
			switch {
			case f.Name == "var":
				name, _, _ := strings.Cut(value, "=")
				value = name + "=…"
			case f.Value.Type() == "bool" && value == "true":
				words = append(words, "--"+f.Name)
				continue
			}
			words = append(words, "--"+f.Name+"="+value)
		}
	})
	return words
}
