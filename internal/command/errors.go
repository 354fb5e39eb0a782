package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/flow-pipelines/flow/engine"
	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/plan"
	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/engine/suggest"
	"github.com/flow-pipelines/flow/internal/view"
)

// exit ends a command with a status. What there is to say has been said.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

const (
	exitError   exit = 1
	exitChanges exit = 2 // plan --detailed-exitcode: there is something to do
)

// hinted is an error with a next step.
type hinted struct {
	error
	hint string
}

func (e *hinted) Unwrap() error { return e.error }

// usageError is a command line that makes no sense.
type usageError struct {
	text, hint string
}

func (e *usageError) Error() string { return e.text }

func usage(format string, args ...any) error { return &usageError{text: fmt.Sprintf(format, args...)} }

// report writes an error that ended a command and returns the exit status.
func (sh *Shell) report(cmd *cobra.Command, err error) int {
	var (
		status   exit
		mistakes *plan.Mistakes
		nothing  *engine.NoPipelineError
		unknown  *engine.UnknownStageError
		problem  *stage.Problem
		bad      *usageError
		hint     *hinted
		stale    *stalePlan
	)
	p := sh.err()
	switch {
	case errors.As(err, &status):
		return int(status)
	case errors.As(err, &stale):
		stale.report(p)
	case errors.As(err, &mistakes):
		p.Diagnostics(mistakes.Diags, mistakes.Files)
		if view.OnGitHub(sh.Environ) {
			view.Annotations(sh.Streams.Err, sh.Environ, sh.dir(), mistakes.Diags)
		}
	case errors.As(err, &nothing):
		p.Error(nothing.Error(), "go to the project's directory, name it with -C DIR, or begin one with flow init")
	case errors.As(err, &unknown):
		hint := "flow status lists the stages"
		if unknown.Similar != "" {
			hint = "did you mean " + unknown.Similar + "?"
		}
		p.Error(fmt.Sprintf("there is no stage %s", unknown.Pattern), hint)
	case errors.As(err, &problem):
		p.Error(problem.Summary, problem.Detail)
	case errors.As(err, &bad):
		hint := bad.hint
		if hint == "" {
			hint = strings.TrimSpace(cmd.CommandPath()) + " --help shows how it is used"
		}
		p.Error(bad.text, hint)
	case errors.As(err, &hint):
		p.Error(hint.Error(), hint.hint)
	case errors.Is(err, context.Canceled):
		p.Error("interrupted", "")
	default:
		p.Error(err.Error(), "")
	}
	return int(exitError)
}

// flagError makes an error of pflag one of usage, with the flag that was
// probably meant.
func flagError(cmd *cobra.Command, err error) error {
	e := &usageError{text: err.Error()}
	var unknown *pflag.NotExistError
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		f := invalid.GetFlag()
		e.text = fmt.Sprintf("--%s %q is not %s", f.Name, invalid.GetValue(), kindOf(f))
		return e
	}
	if !errors.As(err, &unknown) {
		return e
	}
	e.text = fmt.Sprintf("%s has no flag --%s", cmd.CommandPath(), unknown.GetSpecifiedName())
	if unknown.GetSpecifiedShortnames() != "" {
		e.text = fmt.Sprintf("%s has no flag -%s", cmd.CommandPath(), unknown.GetSpecifiedName())
		return e
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if n := cmp.Or(elsewhere[unknown.GetSpecifiedName()], suggest.Nearest(unknown.GetSpecifiedName(), names)); n != "" {
		e.hint = "did you mean --" + n + "?"
	}
	return e
}

// elsewhere are the flags of Terraform that are called otherwise here.
var elsewhere = map[string]string{"auto-approve": "yes", "replace": "rerun"}

// oneDash complains about a long flag with one dash, as Terraform has them. To
// pflag that is a group of short ones: -out=FILE would be -o with the file ut=FILE.
func oneDash(root *cobra.Command, args []string) (*cobra.Command, error) {
	cmd, _, err := root.Find(args)
	if err != nil || cmd == root || cmd.DisableFlagParsing {
		return nil, nil //nolint:nilerr // what is wrong with the command is told when it is executed
	}
	for _, a := range args {
		if a == "--" {
			break
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(a, "-"), "=")
		if !strings.HasPrefix(a, "-") || len(name) < 2 || name[0] == '-' {
			continue
		}
		meant := cmp.Or(elsewhere[name], name)
		if cmd.Flag(meant) != nil || cmd.InheritedFlags().Lookup(meant) != nil {
			return cmd, &usageError{
				text: fmt.Sprintf("%s has no flag -%s", cmd.CommandPath(), name),
				hint: fmt.Sprintf("did you mean --%s, with two dashes?", meant),
			}
		}
	}
	return nil, nil
}

// kindOf says what a flag takes.
func kindOf(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "int":
		return "a whole number"
	case "bool":
		return "true or false"
	}
	return "a " + f.Value.Type()
}

// habits are the commands of Terraform that flow does otherwise.
var habits = map[string]string{
	"destroy": "a stage that is taken out of the pipeline is forgotten by the next flow apply, and its outputs go to .flow/trash",
	"import":  "a file of the project is read by its path; flow explain dataset tells more",
	"refresh": "flow plan and flow apply look at all files anew",
	"state":   "flow show lists what is recorded in flow.lock",
	"taint":   "flow apply --rerun ADDRESS runs a stage anew",
}

// unknownCommand is the Args of commands that have commands.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, c := range cmd.Commands() {
		if !c.Hidden {
			names = append(names, c.Name())
		}
	}
	e := &usageError{text: fmt.Sprintf("%s has no command %q", cmd.CommandPath(), args[0])}
	if h := habits[args[0]]; h != "" && !cmd.HasParent() {
		e.hint = h
	} else if n := suggest.Nearest(args[0], names); n != "" {
		e.hint = fmt.Sprintf("did you mean %s %s?", cmd.CommandPath(), n)
	}
	return e
}

// atMost is the Args of commands with up to n arguments.
func atMost(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) <= n:
			return nil
		case n == 0:
			return usage("%s takes no arguments, but got %q", cmd.CommandPath(), args[0])
		}
		return usage("%s takes at most %d arguments, but got %d", cmd.CommandPath(), n, len(args))
	}
}

// exactly is the Args of commands with n arguments.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < n {
			return usage("%s needs %s", cmd.CommandPath(), what)
		}
		return atMost(n)(cmd, args)
	}
}

// address parses what a user typed for a single stage.
func address(text string) (addr.Address, error) {
	a, err := addr.Parse(text)
	if err != nil {
		return a, &usageError{text: err.Error(), hint: "an address is TYPE.NAME, or for one of several instances 'TYPE.NAME[\"KEY\"]' in single quotes"}
	}
	return a, nil
}

// patterns parses what a user typed for one or several stages.
func patterns(texts []string) ([]addr.Pattern, error) {
	var ps []addr.Pattern
	for _, t := range texts {
		p, err := addr.ParsePattern(t)
		if err != nil {
			return nil, &usageError{text: err.Error(), hint: "an address is TYPE.NAME, or for one of several instances 'TYPE.NAME[\"KEY\"]', and * in it stands for any text; put it in single quotes"}
		}
		ps = append(ps, p)
	}
	return ps, nil
}
