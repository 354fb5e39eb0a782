package engine

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/lock"
	"github.com/flow-pipelines/flow/engine/stage"
)

// baseline reads the metrics that flow.lock has in a revision of git; it is the
// pipeline's config.Baseline. It reads what git has on this machine and fetches
// nothing.
func (p *Project) baseline(rev string) (config.Recorded, error) {
	p.baselined.Store(true)
	var none config.Recorded
	ctx := context.Background() // a moment's work in the middle of an evaluation
	if _, err := p.git(ctx, "rev-parse", "--git-dir"); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return none, errors.New("earlier versions of flow.lock are read with git, which is not in PATH")
		}
		return none, errors.New("the project is not in a git repository")
	}
	commit, err := p.git(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", rev+"^{commit}")
	if err != nil {
		return none, &config.UnknownRevision{Err: fmt.Errorf("no revision %q is known to git on this machine; a branch or a tag of a remote has to be fetched first (git fetch origin %s)", rev, rev)}
	}
	// "./" makes the path relative to the project.
	text, err := p.git(ctx, "show", commit+":./"+lock.FileName)
	if err != nil {
		return none, fmt.Errorf("the revision %q has no %s in this directory", rev, lock.FileName)
	}
	l, err := lock.Parse([]byte(text))
	if err != nil {
		return none, &config.UnreadableBaseline{Err: fmt.Errorf("%s of the revision %q cannot be read: %w", lock.FileName, rev, err)}
	}
	r := config.Recorded{Metrics: make(map[addr.Address]stage.Metrics, l.Len())}
	for _, s := range l.Stages() {
		r.Metrics[s.Addr] = s.Metrics
	}
	for _, d := range l.Doubtful() {
		r.Doubtful = append(r.Doubtful, d.Addr)
	}
	return r, nil
}

// Revisions lists what names a revision of the git repository that a directory is
// in: HEAD, branches and tags. There are none outside of one.
func Revisions(ctx context.Context, dir string) []string {
	out, err := exec.CommandContext(ctx, "git", "-C", dir, "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/tags", "refs/remotes").Output()
	if err != nil {
		return nil
	}
	return append([]string{"HEAD", "HEAD~1"}, strings.Fields(string(out))...)
}
