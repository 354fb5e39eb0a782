package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/cas"
	"github.com/flow-pipelines/flow/engine/cas/disk"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/gpu"
	"github.com/flow-pipelines/flow/engine/lock"
	"github.com/flow-pipelines/flow/engine/memo"
	"github.com/flow-pipelines/flow/engine/modules"
	"github.com/flow-pipelines/flow/engine/plan"
	"github.com/flow-pipelines/flow/engine/schedule"
	"github.com/flow-pipelines/flow/engine/state"
	"github.com/flow-pipelines/flow/engine/worktree"
)

// Project is an open project. It holds no lock and no open database: several
// processes may have one project open. A Project is for one goroutine.
type Project struct {
	opts     Options
	root     string
	pipeline *config.Pipeline
	lock     *lock.Lock
	db       *state.DB
	store    *disk.Store
	files    *worktree.Worktree

	// warnings are diagnostics of the HCL that are no errors.
	warnings, lockWarnings hcl.Diagnostics

	gpus   *gpu.Pool // once a stage has asked
	missed *sync.Map // by the last plan, see world

	// What the pipeline was loaded with, for a memo: the text of flow.lock, the
	// content of modules from elsewhere, by directory, and whether other
	// revisions are read.
	opened    digest.Digest
	modules   map[string]digest.Digest
	baselined atomic.Bool
	memo      *memo.Memo // that the last plan has written, if any

	damage atomic.Int64 // objects
	heir   *Project     // that has taken over the cache

	mu   sync.Mutex // guards warn; the cache reports from many goroutines
	warn func(text string)

	warned bool // something was told

	// applied says that there was an apply, and blocked which stages were behind
	// a closed gate then: what flow.lock has of them is none of its results.
	applied bool
	spares  bool // plan.Plan.Spares of what was applied
	blocked []addr.Address
}

// NoPipelineError says that a directory holds no pipeline.
type NoPipelineError struct{ Dir string }

func (e *NoPipelineError) Error() string {
	return fmt.Sprintf("no pipeline in %s: it holds no *.hcl file", e.Dir)
}

// projectRoot returns the absolute path of a directory with a pipeline in it.
// Links are resolved, since a confined program is judged by real paths.
func projectRoot(dir string) (string, error) {
	root, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if root, err = filepath.EvalSymlinks(root); err != nil {
		return "", err
	}
	if !config.Present(root) {
		return "", &NoPipelineError{root}
	}
	return root, nil
}

// Open reads the project's files. It writes nothing. Wrong HCL and a damaged
// flow.lock are *plan.Mistakes.
func Open(opts Options) (*Project, error) {
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	root, err := projectRoot(opts.Dir)
	if err != nil {
		return nil, err
	}
	p := &Project{opts: opts, root: root, warn: opts.Warn, modules: map[string]digest.Digest{}}
	// flow.lock is read while the pipeline is, which seldom needs it for that.
	readLock := sync.OnceValues(func() (*lock.Lock, error) {
		l, err := lock.ReadFile(root)
		if err != nil {
			return &lock.Lock{}, err
		}
		return l, nil
	})
	go func() { _, _ = readLock() }()
	load := opts.config(root, func(at addr.Module, source string) (string, string, error) {
		l, err := readLock()
		if err != nil {
			return "", "", &config.SourceError{Summary: "flow.lock cannot be read, which pins the module", Detail: err.Error() + "."}
		}
		folder, checkout, err := modules.Find(root, l, at, source)
		if err == nil {
			s, _ := modules.ParseSource(source) // Find has
			p.modules[checkout] = l.Module(s.Pin()).Content
		}
		return folder, checkout, err
	})
	load.Baseline = p.baseline
	load.Recorded = recordedOutputs(readLock)
	if opts.Plugins != nil {
		load.Plugins = pinnedPlugins{opts.Plugins, readLock}
	}
	var diags hcl.Diagnostics
	var lockErr error
	p.pipeline, diags = config.Load(load)
	p.lock, lockErr = readLock()
	p.opened = p.lock.Read()
	p.warnings = diags
	if diags.HasErrors() {
		if !opts.Records {
			return nil, &plan.Mistakes{Diags: diags, Files: p.Files()}
		}
		p.warnings = nil
	}
	if lockErr != nil {
		return p, p.lockMistake(lockErr)
	}
	p.doubt()
	return p, nil
}

// readLock reads flow.lock again.
func (p *Project) readLock() (err error) {
	if p.lock, err = lock.ReadFile(p.root); err != nil {
		return p.lockMistake(err)
	}
	p.doubt()
	return nil
}

// doubt warns of what flow.lock records and is not used.
func (p *Project) doubt() {
	p.lockWarnings = nil
	for _, d := range p.lock.Doubtful() {
		p.lockWarnings = append(p.lockWarnings, &hcl.Diagnostic{
			Severity: hcl.DiagWarning,
			Summary:  fmt.Sprintf("What %s records of %s is not used", lock.FileName, d.Addr),
			Detail:   "Its lines do not fit together, as after an edit or a merge that took some lines from one side and some from the other. The stage is decided anew, from the cache where it can be.",
			Subject:  &hcl.Range{Filename: lock.FileName, Start: hcl.Pos{Line: d.Line, Column: 1}, End: hcl.Pos{Line: d.Line, Column: 1}},
		})
	}
}

// config is what config.Load takes.
func (o Options) config(root string, remote func(at addr.Module, source string) (string, string, error)) config.Options {
	return config.Options{
		Dir: root, Types: o.Types, Plugins: o.Plugins, Version: o.Version, Vars: o.Vars, VarFiles: o.VarFiles, Environ: o.Environ, Remote: remote,
		Values: o.Values, Unset: o.Unset,
	}
}

// Close frees what the project holds; nothing that it said is affected.
func (p *Project) Close() error {
	if p.store == nil {
		return nil
	}
	return p.store.Close()
}

// wire makes the rooms that plan and apply work in, and the .flow directory.
// What only reads the pipeline leaves no trace.
func (p *Project) wire() error { return p.wireTo(p.pipeline.Settings().Cache) }

func (p *Project) wireTo(cache string) error {
	if p.files != nil {
		return nil
	}
	p.db = state.New(p.path("state.db"), state.Options{})
	switch {
	case cache == "":
		cache = p.path("cache")
	case !filepath.IsAbs(cache):
		cache = filepath.Join(p.root, cache)
	}
	if p.takeOver(cache) {
		return nil
	}
	var err error
	if p.store, err = disk.Open(cache, disk.Options{OnDamage: p.damaged, User: p.root}); err != nil {
		return fmt.Errorf("open the cache: %w", err)
	}
	p.files, err = worktree.New(p.root, p.store, p.db, worktree.Options{})
	return err
}

// damaged tells of the first damaged object of the cache. A disk that loses one
// loses many, and each is put aside and made again without a word.
func (p *Project) damaged(d *cas.DamagedError) {
	if p.heir != nil {
		p.heir.damaged(d)
		return
	}
	if p.damage.Add(1) == 1 {
		p.warning("the cache is damaged: " + d.Error() + "; what is damaged is put aside and made again")
	}
}

// warning tells of something that went wrong and was survived.
func (p *Project) warning(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.warned = true
	if p.warn != nil {
		p.warn(text)
	}
}

// warnWith has warnings told by tell from now on.
func (p *Project) warnWith(tell func(text string)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.warn = tell
}

// flush writes what was learnt about files, and tells of a state database that
// had to be put aside.
func (p *Project) flush(ctx context.Context) error {
	err := p.files.Flush(ctx)
	for _, w := range p.db.Warnings() {
		p.warning(w.String())
	}
	return err
}

// path returns a path in .flow.
func (p *Project) path(elem ...string) string {
	return filepath.Join(append([]string{p.root, Dir}, elem...)...)
}

// Root is the absolute path of the project.
func (p *Project) Root() string { return p.root }

// Pipeline is what the HCL files say.
func (p *Project) Pipeline() *config.Pipeline { return p.pipeline }

// Files are the parsed HCL files, for snippets in diagnostics.
func (p *Project) Files() map[string]*hcl.File {
	if p.pipeline == nil {
		return nil
	}
	return p.pipeline.Files()
}

// Warnings are diagnostics about the pipeline that are no errors.
func (p *Project) Warnings() hcl.Diagnostics { return slices.Concat(p.warnings, p.lockWarnings) }

// Lock is what flow.lock says. The caller does not change it.
func (p *Project) Lock() *lock.Lock { return p.lock }

// Outputs evaluates the pipeline's output blocks with the metrics that flow.lock
// has. One that names a metric that turned out not to exist is a *plan.Mistakes;
// the others are returned all the same.
func (p *Project) Outputs() ([]config.Output, error) {
	pipeline, known := p.recorded()
	outs, diags := pipeline.Outputs(known)
	refused := slices.ContainsFunc(pipeline.Deferred(), func(d config.Deferred) bool { return len(d.Mistakes) > 0 })
	if p.applied && (refused || p.spares) {
		return outs, nil // what is wrong with the results is told of the block, or the stage
	}
	if diags.HasErrors() {
		return outs, &plan.Mistakes{Diags: diags, Files: p.Files()}
	}
	return outs, nil
}

// RunsDir is where the records of runs are; see engine/runs.
func (p *Project) RunsDir() string { return p.path("runs") }

// lockMistake makes a diagnostic of a flow.lock that cannot be read.
func (p *Project) lockMistake(err error) error {
	var pe *lock.ParseError
	if !errors.As(err, &pe) {
		return err
	}
	d := &hcl.Diagnostic{
		Severity: hcl.DiagError,
		Summary:  lock.FileName + " cannot be read",
		Detail:   fmt.Sprintf("%v. flow wrote this file and expects it as it was; take it back from git (git checkout -- %s), or delete it: the next apply writes it anew, from the cache where it can.", pe.Err, lock.FileName),
		Subject:  &hcl.Range{Filename: lock.FileName, Start: hcl.Pos{Line: pe.Line, Column: 1}, End: hcl.Pos{Line: pe.Line, Column: 1}},
	}
	switch {
	case pe.Conflict:
		d.Summary = lock.FileName + " has an unresolved merge conflict"
		d.Detail = fmt.Sprintf("Take either side (git checkout --ours %s) and run flow apply: it brings the file up to date with the merged pipeline.", lock.FileName)
	case pe.Future:
		d.Summary = lock.FileName + " was written by a newer flow"
		d.Detail = fmt.Sprintf("It has %v. Update flow to the version that your team uses.", pe.Err)
	}
	return &plan.Mistakes{Diags: hcl.Diagnostics{d}, Files: p.Files()}
}

// capacity returns what the machine has: CPUs and bytes of memory.
func capacity() (cpus float64, memory int64) {
	return float64(runtime.NumCPU()), machineMemory()
}

// Plan decides what is to be done with each stage. It changes nothing in the
// project; what it learns about files is remembered in .flow.
func (p *Project) Plan(ctx context.Context, sel Selection) (*plan.Plan, error) {
	pl, err := p.plan(ctx, choose(sel))
	if err == nil {
		p.warnOfGPUs(pl)
	}
	return pl, err
}

func (p *Project) plan(ctx context.Context, c plan.Choose) (*plan.Plan, error) {
	if err := p.wire(); err != nil {
		return nil, err
	}
	p.hide()
	r, diags := p.renamed()
	if diags.HasErrors() {
		return nil, &plan.Mistakes{Diags: diags, Files: p.Files()}
	}
	looked := p.world(r.Lock)
	p.missed, looked.looks = looked.missed, p.looks()
	looked.from = make(map[addr.Address]addr.Address, len(r.Moved))
	for _, m := range r.Moved {
		looked.from[m.To] = m.From
	}
	var w plan.World = looked
	finish := func(*plan.Plan) {}
	if c == nil { // all of it
		w, finish = p.remember(w)
	}
	pl, err := plan.Make(ctx, w, p.pipeline, r.Lock, c, plan.Options{})
	if err != nil {
		return nil, err
	}
	for _, text := range r.Unmoved {
		p.warning(text)
	}
	pl.Rename(r.Moved)
	finish(pl)
	p.Forecast(pl, 0)
	return pl, p.flush(ctx)
}

// renamed is flow.lock as the moved blocks of the pipeline want it.
func (p *Project) renamed() (plan.Renamed, hcl.Diagnostics) {
	moves := p.pipeline.Moves()
	if len(moves) == 0 {
		return plan.Renamed{Lock: p.lock}, nil
	}
	stages, diags := p.pipeline.Stages(config.NoResults{})
	if diags.HasErrors() {
		return plan.Renamed{Lock: p.lock}, nil // planning tells what is wrong
	}
	if diags := p.pipeline.CheckMoves(stages); diags.HasErrors() {
		return plan.Renamed{}, diags
	}
	// What may be an instance of a deferred block counts as there.
	deferred := p.pipeline.Deferred()
	there := make(map[addr.Address]bool, len(stages))
	for _, st := range stages {
		there[st.Addr] = true
	}
	return plan.Rename(p.lock, moves, func(a addr.Address) bool {
		return there[a] || slices.ContainsFunc(deferred, func(d config.Deferred) bool { return d.Covers(a) })
	}), nil
}

// Forecast finds out how long a plan takes with so many stages at once; 0 is
// what an apply does that is not told.
func (p *Project) Forecast(pl *plan.Plan, jobs int) {
	cpus, memory := capacity()
	gpus := math.MaxInt // of no interest if no stage asks
	if pool, err := p.gpuPool(pl); err == nil && pool != nil {
		gpus = len(pool.Devices)
	}
	pl.Forecast.Jobs = jobsOr(jobs)
	pl.Forecast.Elapsed = schedule.Elapsed(pl.Steps, schedule.Capacity{
		Jobs: pl.Forecast.Jobs, CPUs: cpus, Memory: memory, GPUs: gpus, Licenses: p.pipeline.Settings().Capacity,
	})
}

// jobsOr is how many stages run at once if so many are asked for.
func jobsOr(jobs int) int {
	if jobs < 1 {
		return runtime.NumCPU()
	}
	return jobs
}

// recordedOutputs finds the output in flow.lock that a path is, or lies in. The
// user's own files are none.
func recordedOutputs(read func() (*lock.Lock, error)) func(string) (string, bool) {
	paths := sync.OnceValue(func() map[string]bool {
		all := map[string]bool{}
		l, _ := read() // what is wrong with it is told
		for _, s := range l.Stages() {
			for _, r := range s.Results {
				if !r.Given {
					all[r.Path] = true
				}
			}
		}
		return all
	})
	return func(name string) (string, bool) {
		for at := name; at != "."; at = path.Dir(at) {
			if paths()[at] {
				return at, true
			}
		}
		return "", false
	}
}
