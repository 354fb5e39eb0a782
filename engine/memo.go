package engine

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/lock"
	"github.com/flow-pipelines/flow/engine/memo"
	"github.com/flow-pipelines/flow/engine/modules"
	"github.com/flow-pipelines/flow/engine/plan"
	"github.com/flow-pipelines/flow/engine/stage"
)

// memoDir is where the memo is, in .flow. It has a directory of its own, whose
// times flow may change.
const memoDir = "memo"

// UpToDate returns how many stages there are if a plan of all of them would find
// nothing to do and have nothing to say: if all that the last such plan looked
// at is as it was. False: nobody knows, and a plan tells. It costs a look at
// each file, and parses nothing.
func UpToDate(ctx context.Context, opts Options) (stages int, ok bool) {
	m := remembered(ctx, opts)
	if m == nil {
		return 0, false
	}
	return m.Stages, true
}

// Applied is UpToDate for who would apply: it says no as well if another is at
// work in the project, or if an apply would look after .gitignore.
func Applied(ctx context.Context, opts Options) (stages int, ok bool) {
	root, err := projectRoot(opts.Dir)
	if err != nil {
		return 0, false
	}
	opts.Clock = time.Now
	p := &Project{opts: opts, root: root}
	// A context that has ended does not wait.
	once, cancel := context.WithCancel(ctx)
	cancel()
	release, err := p.hold(once, nil)
	if err != nil {
		return 0, false
	}
	defer release()
	m := remembered(ctx, opts)
	if m == nil || m.Ignore.IsZero() {
		return 0, false
	}
	text, err := p.gitignore()
	if err != nil || digest.OfBytes([]byte(text)) != m.Ignore || m.Outside && p.inRepository(ctx) {
		return 0, false
	}
	return m.Stages, true
}

// remembered returns the memo if it holds, nil if it does not.
func remembered(ctx context.Context, opts Options) *memo.Memo {
	root, err := projectRoot(opts.Dir)
	if err != nil {
		return nil
	}
	p := &Project{opts: opts, root: root}
	made, ok := p.made()
	if !ok {
		return nil
	}
	m, err := memo.Read(p.memoFile())
	if err != nil || m.Made != made || p.lockDigest() != m.Lock {
		return nil
	}
	for checkout, content := range m.Modules {
		if d, err := modules.Content(root, checkout); err != nil || d != content {
			return nil
		}
	}
	if !config.SameLooks(opts.config(root, nil), m.Looks) || !m.Alike(root) {
		return nil
	}
	if m.Asks() {
		if err := p.wireTo(m.Cache); err != nil {
			return nil
		}
		w := p.world(&lock.Lock{})
		w.noted = map[string]digest.Node{}
		if !m.Same(ctx, w) {
			if opts.Looked != nil {
				*opts.Looked = Looked{p, w.noted}
			}
			return nil
		}
		_ = p.Close() // nothing was written
	}
	return m
}

// Looked is what was looked at, and by whom.
type Looked struct {
	by    *Project
	trees map[string]digest.Node // what lies at an output, by look
}

// look is a question of a world's Hash.
func look(o stage.Output) string { return fmt.Sprintf("%q %q %q", o.Path, o.Include, o.Ignore) }

// takeOver makes p use what an earlier project has wired to the same cache.
func (p *Project) takeOver(cache string) bool {
	l := p.opts.Looked
	if l == nil || l.by == nil || l.by.root != p.root || l.by.store.Dir() != cache {
		return false
	}
	p.db, p.store, p.files = l.by.db, l.by.store, l.by.files
	l.by.heir = p
	return true
}

// looks are what an earlier project has looked at, once.
func (p *Project) looks() map[string]digest.Node {
	l := p.opts.Looked
	if l == nil || l.by == nil || l.by.heir != p {
		return nil
	}
	trees := l.trees
	l.trees = nil
	return trees
}

func (p *Project) memoFile() string { return p.path(memoDir, "plan") }

// lockDigest is Lock.Read of the file.
func (p *Project) lockDigest() digest.Digest {
	f, err := os.Open(filepath.Join(p.root, lock.FileName))
	if err != nil {
		return digest.Digest{}
	}
	defer f.Close()
	d, _, err := digest.OfReader(f)
	if err != nil {
		return digest.Digest{}
	}
	return d
}

// made names the program and the options, as far as they decide what a plan
// finds; false if that cannot be told. The files that options name are among
// the pipeline's looks, and so are the variables of the environment but those
// that set variables of the pipeline.
func (p *Project) made() (digest.Digest, bool) {
	o := p.opts
	if len(o.Self) == 0 || o.Records || len(o.Values) > 0 {
		return digest.Digest{}, false
	}
	program, err := memo.Program(o.Self[0])
	if err != nil {
		return digest.Digest{}, false
	}
	var words []string
	say := func(kind string, values ...string) {
		for _, v := range values {
			words = append(words, kind, v)
		}
	}
	say("self", o.Self...)
	say("program", program)
	say("version", o.Version)
	say("project", p.root)
	say("file", o.VarFiles...)
	for _, name := range slices.Sorted(maps.Keys(o.Vars)) {
		say("var", name, o.Vars[name])
	}
	for _, kv := range o.Environ {
		if strings.HasPrefix(kv, config.VariableEnv) {
			say("environ", kv)
		}
	}
	h := digest.NewHasher()
	for _, w := range words {
		fmt.Fprintf(h, "%d %s\n", len(w), w)
	}
	return h.Sum(), true
}

// remember stands before the world while a plan of the whole pipeline is made,
// and returns what to do with that plan: if it finds nothing to do, a memo is
// written of what it looked at. Without one the next plan takes longer, and that
// is all: errors are none of the user's business.
func (p *Project) remember(w plan.World) (plan.World, func(*plan.Plan)) {
	dir := p.path(memoDir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return w, func(*plan.Plan) {}
	}
	r := memo.Record(w, dir)
	return r, func(pl *plan.Plan) {
		m, ok := p.memoOf(pl)
		if !ok || !r.Complete(m) {
			return
		}
		if text, err := p.gitignore(); err == nil && p.ignores(text) {
			m.Ignore = digest.OfBytes([]byte(text))
		}
		if memo.Write(p.memoFile(), m) == nil {
			p.memo = m
		}
	}
}

// rememberOutside adds to the memo that an apply, which has just had nothing to
// do, has nothing to do for git either.
func (p *Project) rememberOutside(ctx context.Context) {
	m := p.memo
	if m == nil || !m.Ignore.IsZero() {
		return
	}
	if text, err := p.gitignore(); err == nil && !p.inRepository(ctx) {
		m.Ignore, m.Outside = digest.OfBytes([]byte(text)), true
		_ = memo.Write(p.memoFile(), m)
	}
}

// memoOf is a memo of a plan, without what it asked of the world; false if the
// plan is none to remember.
func (p *Project) memoOf(pl *plan.Plan) (*memo.Memo, bool) {
	made, ok := p.made()
	kept := pl.Count(plan.Keep)
	p.mu.Lock()
	quiet := !p.warned && len(p.Warnings())+len(pl.Unfit()) == 0 && !slices.ContainsFunc(pl.Checks, func(c config.Check) bool { return len(c.Warnings()) > 0 })
	p.mu.Unlock()
	observed := slices.ContainsFunc(pl.Steps, func(s *plan.Step) bool {
		_, ok := s.Stage.Type.(stage.Observer)
		return ok
	})
	looks, steady := p.pipeline.Looks()
	if !ok || !steady || !quiet || observed || p.baselined.Load() || kept == 0 || kept < len(pl.Steps) || !pl.Empty() || p.opened != p.lock.Read() {
		return nil, false
	}
	return &memo.Memo{
		Stages: kept, Made: made, Lock: p.lock.Read(), Cache: p.pipeline.Settings().Cache, Looks: looks, Modules: p.modules,
	}, true
}
