// Package command is flow's command line: flags, and what each command does
// with the engine and the views.
//
// A command is an Options struct, a constructor that fills it from arguments,
// and a run function that works on the options alone, so that tests can check
// either half. All that a command gets from its surroundings is in Shell:
// nothing here reads the environment, the clock or the standard streams
// directly, exits, or keeps state in a variable.
//
// Results go to standard output, progress and errors to standard error. Main
// returns the exit status: 0, 1 for any error, and 2 where a command says so
// (plan --detailed-exitcode).
package command

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/flow-pipelines/flow/engine"
	"github.com/flow-pipelines/flow/engine/pinned"
	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/internal/view"
	"github.com/flow-pipelines/flow/plugins/host"
)

// Shell is what a command gets from its surroundings.
type Shell struct {
	Streams *view.Streams
	// Dir is the working directory, absolute.
	Dir string
	// Environ is the environment, in os.Environ's form.
	Environ []string
	// Self starts this program.
	Self []string
	// Types returns the stage types there are.
	Types func() []stage.Type
	Clock func() time.Time
	// Version is flow's own.
	Version Version
	// Guard is the hidden command `guard`; see engine/executor/local/guard.
	Guard func(io.Reader) int

	// chdir is --chdir; noColor is --no-color.
	chdir   string
	noColor bool

	// interrupted is closed when the user has had enough.
	interrupted <-chan struct{}

	opened []*engine.Project // to be closed when the command ends
	looked engine.Looked     // by known, for who is opened next

	mu     sync.Mutex
	killed func() // see Killed
}

// close lets go of what the command has opened. That the next one is slower is
// all that a failure here can mean.
func (sh *Shell) close() {
	for _, p := range sh.opened {
		_ = p.Close()
	}
	sh.opened = nil
}

// Killed is called, from any goroutine, when a second interrupt is about to end
// the process: what is on the screen is tidied up.
func (sh *Shell) Killed() {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.killed != nil {
		sh.killed()
	}
}

// whenKilled sets what Killed does.
func (sh *Shell) whenKilled(do func()) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.killed = do
}

// Version says which flow this is.
type Version struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

// dir is the directory of the project.
func (sh *Shell) dir() string { return sh.path(".") }

// checkDir refuses a --chdir that leads nowhere.
func (sh *Shell) checkDir() error {
	if sh.chdir == "" {
		return nil
	}
	switch info, err := os.Stat(sh.dir()); {
	case errors.Is(err, fs.ErrNotExist):
		return usage("no directory %s", sh.chdir)
	case err == nil && !info.IsDir():
		return usage("%s is not a directory", sh.chdir)
	}
	return nil // any other trouble is told of by who meets it
}

// path makes a path that a user gave absolute.
func (sh *Shell) path(p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	base := sh.chdir
	if !filepath.IsAbs(base) {
		base = filepath.Join(sh.Dir, base)
	}
	return filepath.Join(base, p)
}

// out and err return printers to the two outputs.
func (sh *Shell) out() *view.Printer { return sh.Streams.Printer() }
func (sh *Shell) err() *view.Printer { return sh.Streams.ErrPrinter() }

// Variables are the flags of commands that read a pipeline.
type Variables struct {
	Vars     []string
	VarFiles []string
}

// open opens the project.
func (sh *Shell) open(v Variables) (*engine.Project, error) {
	return sh.openWith(v, func(*engine.Options) {})
}

// known returns how many stages there are if ask knows, without opening the
// project, that there is nothing to do.
func (sh *Shell) known(ctx context.Context, v Variables, ask func(context.Context, engine.Options) (int, bool)) (stages int, ok bool) {
	opts, err := sh.options(v)
	if err != nil {
		return 0, false // which opening the project tells
	}
	return ask(ctx, opts)
}

// openRecords opens the project for a command that needs what is recorded, and
// the pipeline only as far as it is right.
func (sh *Shell) openRecords(v Variables) (*engine.Project, error) {
	return sh.openWith(v, func(o *engine.Options) { o.Records = true })
}

// openPinned opens the project with the values of variables that a saved plan
// has, if there is one.
func (sh *Shell) openPinned(v Variables, saved *pinned.Document) (*engine.Project, error) {
	if saved == nil {
		return sh.open(v)
	}
	values, err := saved.Values()
	if err != nil {
		return nil, err
	}
	return sh.openWith(v, func(o *engine.Options) { o.Values = values })
}

func (sh *Shell) openWith(v Variables, change func(*engine.Options)) (*engine.Project, error) {
	opts, err := sh.options(v)
	if err != nil {
		return nil, err
	}
	for _, f := range v.VarFiles {
		if _, err := os.Stat(sh.path(f)); errors.Is(err, fs.ErrNotExist) {
			return nil, usage("no variable file %s", f)
		}
	}
	change(&opts)
	p, err := engine.Open(opts)
	if err != nil {
		return nil, err
	}
	sh.opened = append(sh.opened, p)
	if w := p.Warnings(); len(w) > 0 {
		sh.err().Diagnostics(w, p.Files())
	}
	return p, nil
}

// plugins finds those that the project of this directory can use.
func (sh *Shell) plugins() *host.Host {
	dir := sh.dir()
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real // a confined program is judged by real paths
	}
	return &host.Host{Project: dir, Environ: sh.Environ, Interrupted: sh.interrupted}
}

// types are the stage types of flow's own, and those of all installed plugins,
// which the pipeline may not have declared. broken are the plugins that do not say
// what they are.
func (sh *Shell) types() (all []stage.Type, broken []string) {
	all = sh.Types()
	taken := map[string]bool{}
	for _, t := range all {
		taken[t.Schema().Name] = true
	}
	h := sh.plugins()
	for _, in := range h.Installed() {
		l, err := h.Load(in)
		if err != nil {
			broken = append(broken, in.Name)
			continue // flow plugin list tells why
		}
		for _, t := range l.Types {
			if name := t.Schema().Name; !taken[name] {
				taken[name] = true
				all = append(all, t)
			}
		}
	}
	return all, broken
}

// options are what the project is opened with.
func (sh *Shell) options(v Variables) (engine.Options, error) {
	vars := make(map[string]string, len(v.Vars))
	for _, assignment := range v.Vars {
		name, value, ok := strings.Cut(assignment, "=")
		if !ok || name == "" {
			return engine.Options{}, usage("--var %q is not of the form NAME=VALUE", assignment)
		}
		vars[name] = value
	}
	return engine.Options{
		Dir: sh.dir(), Types: sh.Types(), Plugins: sh.plugins(), Vars: vars, VarFiles: v.VarFiles, Environ: sh.Environ,
		Self: sh.Self, Version: sh.Version.Version, Clock: sh.Clock, Looked: &sh.looked,
		Warn: func(text string) { sh.err().Warning(text) },
	}, nil
}
