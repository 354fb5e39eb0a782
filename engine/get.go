package engine

import (
	"context"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/lock"
	"github.com/flow-pipelines/flow/engine/modules"
	"github.com/flow-pipelines/flow/engine/plan"
)

// GetOptions say what to fetch.
type GetOptions struct {
	// Upgrade looks every revision up again, and pins what it is now.
	Upgrade bool
	// Busy is told what to tell a person before Get waits for who holds the
	// project; may be nil.
	Busy func(text string)
}

// Got is what Get found.
type Got struct {
	Modules []modules.Got
	Plugins []GotPlugin
}

// Get fetches the modules that come from git and pins them in flow.lock, and the
// plugins that are installed. It is all that touches the network on behalf of the
// pipeline's text. It needs no values of variables.
func Get(ctx context.Context, opts Options, o GetOptions) (*Got, error) {
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	root, err := projectRoot(opts.Dir)
	if err != nil {
		return nil, err
	}
	p := &Project{opts: opts, root: root}
	release, err := p.hold(ctx, o.Busy)
	if err != nil {
		return nil, err
	}
	defer release()
	if p.lock, err = lock.ReadFile(root); err != nil {
		return nil, p.lockMistake(err)
	}
	g := &modules.Getter{Root: root, Environ: opts.Environ, Locked: p.lock, Upgrade: o.Upgrade}
	var diags hcl.Diagnostics
	load := opts.config(root, func(at addr.Module, source string) (string, string, error) {
		return g.Find(ctx, at, source)
	})
	load.Plugins = opts.Plugins
	p.pipeline, diags = config.Read(load)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if diags.HasErrors() {
		return nil, &plan.Mistakes{Diags: diags, Files: p.Files()}
	}
	pins := g.Pins()
	plugins, got, err := pinPlugins(p.pipeline.Plugins(), p.lock, o.Upgrade)
	if err != nil {
		return nil, err
	}
	if len(pins)+len(p.lock.Modules())+len(plugins)+len(p.lock.Plugins()) > 0 {
		p.lock.SetModules(pins)
		p.lock.SetPlugins(plugins)
		if err := lock.WriteFile(root, p.lock); err != nil {
			return nil, err
		}
	}
	return &Got{Modules: g.Got, Plugins: got}, g.Clean()
}
