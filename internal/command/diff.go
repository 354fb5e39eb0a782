package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"github.com/flow-pipelines/flow/engine/lock"
	"github.com/flow-pipelines/flow/internal/view"
)

// DiffOptions are the arguments of diff.
type DiffOptions struct {
	Shell *Shell
	// From and To are git revisions; To is "" for the file in the work tree.
	From, To string
	JSON     bool
}

func newDiff(sh *Shell, run func(context.Context, *DiffOptions) error) *cobra.Command {
	o := &DiffOptions{Shell: sh}
	cmd := &cobra.Command{
		Use:   "diff [REV [REV]]",
		Short: "Show what changed in data, arguments and metrics between revisions",
		Long: `Compare flow.lock between two git revisions, or between one (by default HEAD)
and the work tree. Nothing but flow.lock is read: no data has to be there.`,
		Example: `  flow diff
  flow diff HEAD~1
  flow diff v1.0 main
  flow diff v1.0..main --json`,
		Args:              atMost(2),
		ValidArgsFunction: sh.completeRevisions,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.From, o.To = revisions(args)
			return run(cmd.Context(), o)
		},
	}
	jsonFlag(cmd.Flags(), &o.JSON)
	return cmd
}

// revisions reads REV, REV REV and REV..REV.
func revisions(args []string) (from, to string) {
	switch len(args) {
	case 0:
		return "HEAD", ""
	case 1:
		if a, b, ok := strings.Cut(args[0], ".."); ok && !strings.HasPrefix(b, ".") {
			if a == "" {
				a = "HEAD"
			}
			if b == "" {
				b = "HEAD"
			}
			return a, b
		}
		return args[0], ""
	}
	return args[0], args[1]
}

func runDiff(ctx context.Context, o *DiffOptions) error {
	sh := o.Shell
	before, err := sh.lockAt(ctx, o.From)
	if err != nil {
		return err
	}
	var after *lock.Lock
	if o.To == "" {
		after, err = sh.locked()
	} else {
		after, err = sh.lockAt(ctx, o.To)
	}
	if err != nil {
		return err
	}
	diffs, err := lock.Diff(before, after)
	if err != nil {
		return err
	}
	if o.JSON {
		return view.DiffJSON(sh.Streams.Out, diffs)
	}
	if len(diffs) == 0 {
		sh.err().Printf("No difference.\n")
	}
	sh.out().Diff(diffs)
	return nil
}

// lockAt reads flow.lock as it is in a git revision.
func (sh *Shell) lockAt(ctx context.Context, rev string) (*lock.Lock, error) {
	if strings.HasPrefix(rev, "-") {
		return nil, usage("%q is not a revision", rev)
	}
	if _, err := sh.git(ctx, "rev-parse", "--is-inside-work-tree"); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return nil, &hinted{fmt.Errorf("git is not in PATH"), "flow diff reads earlier versions of flow.lock with git: install it"}
		}
		return nil, &hinted{fmt.Errorf("%s is not in a git repository", sh.dir()), "flow diff compares revisions of flow.lock: git init, and commit it"}
	}
	if _, err := sh.git(ctx, "rev-parse", "--verify", "--quiet", rev+"^{commit}"); err != nil {
		e := &hinted{fmt.Errorf("git knows no revision %q", rev), "git log --oneline -- flow.lock lists those that changed it"}
		if rev == "HEAD" {
			e.error, e.hint = fmt.Errorf("the git repository has no commit yet"), "commit flow.lock, then there is something to compare with"
		}
		return nil, e
	}
	// "./" makes the path relative to the directory git runs in.
	b, err := sh.git(ctx, "show", rev+":./"+lock.FileName)
	if err != nil {
		return nil, &hinted{fmt.Errorf("revision %s has no %s in this directory", rev, lock.FileName), "flow apply writes it; commit it to git"}
	}
	l, err := lock.Parse(b)
	if err != nil {
		return nil, fmt.Errorf("in revision %s: %w", rev, err)
	}
	return l, nil
}

func (sh *Shell) git(ctx context.Context, args ...string) ([]byte, error) {
	c := exec.CommandContext(ctx, "git", append([]string{"-C", sh.dir()}, args...)...)
	c.Env = sh.Environ
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil {
		return nil, fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(errs.String()))
	}
	return out.Bytes(), nil
}
