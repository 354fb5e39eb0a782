package command

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/flow-pipelines/flow/engine"
	"github.com/flow-pipelines/flow/engine/modules"
	"github.com/flow-pipelines/flow/internal/view"
)

// GetOptions are the arguments of get.
type GetOptions struct {
	Shell   *Shell
	Upgrade bool
}

func newGet(sh *Shell, run func(context.Context, *GetOptions) error) *cobra.Command {
	o := &GetOptions{Shell: sh}
	cmd := &cobra.Command{
		Use:   "get",
		Short: "Fetch the modules that come from git, and pin plugins",
		Long: `Fetch the modules whose source is in git into .flow/modules, and pin them in
flow.lock: the commit and the content. What flow.lock pins already is fetched as
it was. No other command touches the network for a module.

Plugins are installed by other means. Those that the pipeline declares are pinned
too, unless they are files of the project: a plugin that is not the one of
flow.lock is not used.`,
		Example: `  flow get               # after a clone, or after writing a module block
  flow get --upgrade     # take what branches and tags are now`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o) },
	}
	cmd.Flags().BoolVar(&o.Upgrade, "upgrade", false, "look every revision up again, and pin what it is now")
	return cmd
}

func runGet(ctx context.Context, o *GetOptions) error {
	return o.Shell.get(ctx, o.Shell.dir(), o.Upgrade, false)
}

// get fetches the modules of the project in dir and lists them. With quiet it
// says nothing where there are none.
func (sh *Shell) get(ctx context.Context, dir string, upgrade, quiet bool) error {
	opts, err := sh.options(Variables{})
	if err != nil {
		return err
	}
	opts.Dir = dir
	got, err := engine.Get(ctx, opts, engine.GetOptions{
		Upgrade: upgrade,
		Busy:    func(text string) { sh.err().Printf("%s\n", text) },
	})
	if err != nil {
		return err
	}
	sh.showPlugins(got.Plugins)
	if len(got.Modules) > 0 || !quiet && len(got.Plugins) == 0 {
		sh.showModules(got.Modules)
	}
	return nil
}

func (sh *Shell) showPlugins(got []engine.GotPlugin) {
	for _, p := range got {
		status := "kept"
		switch {
		case p.Own:
			status = "own"
		case p.Pinned:
			status = "pinned"
		}
		sh.out().Printf("%-8s plugin %s %s, %s\n", status, p.Name, p.Version, p.Program)
	}
}

func (sh *Shell) showModules(got []modules.Got) {
	out := sh.out()
	for _, g := range got {
		out.Printf("%-8s %s at %.12s, from %s\n", g.Status, g.At, g.Commit, g.Source)
	}
	if len(got) == 0 {
		out.Printf("No module of this pipeline comes from git, and it uses no plugin.\n")
		return
	}
	out.Printf("%s from git in place, as flow.lock says.\n", view.Plural(len(got), "module"))
}
