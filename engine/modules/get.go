package modules

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/lock"
)

// Getter fetches modules. It is for one goroutine.
type Getter struct {
	Root string
	// Environ is what git is started with.
	Environ []string
	// Locked are the pins there are. With Upgrade they are left out of
	// account, and every revision is looked up again.
	Locked  *lock.Lock
	Upgrade bool

	// Got are the modules found so far, in the order of the text.
	Got []Got

	pins   map[string]lock.Module // of this call
	places map[string]string      // by pin, a directory that holds it
}

// Got is what became of one module block.
type Got struct {
	At     addr.Module
	Source string
	Commit string
	Status Status
}

// Status says what was done.
type Status string

// The ways a module can come to be there.
const (
	Kept    Status = "kept"
	Fetched Status = "fetched"
)

// Find is modules.Find, except that it fetches what is not there.
func (g *Getter) Find(ctx context.Context, at addr.Module, source string) (folder, checkout string, err error) {
	s, err := ParseSource(source)
	if err != nil {
		return "", "", err
	}
	if g.pins == nil {
		g.pins, g.places = map[string]lock.Module{}, map[string]string{}
	}
	id := s.Pin()
	pin, ok := g.pins[id]
	if old := g.Locked.Module(id); !ok && old != nil && !g.Upgrade {
		pin = *old
	}
	checkout = directory(at)
	dir := filepath.Join(g.Root, checkout)
	status := Kept
	if have, err := contentOf(dir); pin.Commit == "" || err != nil || have != pin.Content {
		if pin, err = g.fetch(ctx, s, pin, dir); err != nil {
			return "", "", mistake("The module cannot be fetched", "%s: %v.", source, err)
		}
		status = Fetched
	}
	g.pins[id], g.places[id] = pin, dir
	g.Got = append(g.Got, Got{At: at, Source: source, Commit: pin.Commit, Status: status})
	return path.Join(checkout, s.Folder), checkout, nil
}

// Pins are what flow.lock is to say of the modules found, and no others.
func (g *Getter) Pins() []lock.Module {
	pins := make([]lock.Module, 0, len(g.pins))
	for _, p := range g.pins {
		pins = append(pins, p)
	}
	slices.SortFunc(pins, func(a, b lock.Module) int { return strings.Compare(a.Source, b.Source) })
	return pins
}

// Clean removes the directories of modules that are no longer used.
func (g *Getter) Clean() error {
	entries, err := os.ReadDir(filepath.Join(g.Root, Dir))
	if os.IsNotExist(err) {
		return nil
	}
	used := map[string]bool{}
	for _, got := range g.Got {
		used[path.Base(directory(got.At))] = true
	}
	for _, e := range entries {
		if !used[e.Name()] {
			err = errors.Join(err, os.RemoveAll(filepath.Join(g.Root, Dir, e.Name())))
		}
	}
	return err
}

// fetch puts a repository's files at dir. If it is pinned, the files have to be
// those of the pin.
func (g *Getter) fetch(ctx context.Context, s Source, pin lock.Module, dir string) (lock.Module, error) {
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return pin, err
	}
	temp, err := os.MkdirTemp(parent, ".new-")
	if err != nil {
		return pin, err
	}
	defer os.RemoveAll(temp)
	commit := pin.Commit
	if have := g.places[s.Pin()]; have != "" {
		err = os.CopyFS(temp, os.DirFS(have))
	} else {
		commit, err = g.clone(ctx, s, pin.Commit, temp)
	}
	if err != nil {
		return pin, err
	}
	content, err := contentOf(temp)
	if err != nil {
		return pin, err
	}
	if pin.Commit != "" && content != pin.Content {
		return pin, fmt.Errorf("commit %.12s comes out with other files than when it was pinned; a git filter or a setting such as core.symlinks may change files as they are checked out. To pin what is there now, run: flow get --upgrade", pin.Commit)
	}
	if err := os.Chmod(temp, 0o755); err != nil {
		return pin, err
	}
	if err := os.RemoveAll(dir); err != nil {
		return pin, err
	}
	return lock.Module{Source: s.Pin(), Commit: commit, Content: content}, os.Rename(temp, dir)
}

// clone checks out a commit, or what the source's ref is now, into an empty
// directory, and leaves nothing of git's there.
func (g *Getter) clone(ctx context.Context, s Source, commit, into string) (string, error) {
	git := func(args ...string) (string, error) { return g.git(ctx, into, args...) }
	if _, err := git("init", "--quiet"); err != nil {
		return "", err
	}
	want := commit
	if want == "" {
		want = s.Ref
	}
	if want == "" {
		want = "HEAD"
	}
	found := "FETCH_HEAD"
	// One revision is enough, where the server gives it by this name.
	if _, err := git("fetch", "--quiet", "--no-tags", "--depth=1", "--", s.Repository, want); err != nil {
		if _, err := git("fetch", "--quiet", "--tags", "--", s.Repository, "+refs/heads/*:refs/remotes/origin/*"); err != nil {
			return "", err
		}
		found = want
	}
	got, err := git("rev-parse", "--quiet", "--verify", "--end-of-options", found+"^{commit}")
	if err != nil {
		return "", fmt.Errorf("the repository has no revision %s", want)
	}
	got = strings.TrimSpace(got)
	if _, err := git("checkout", "--quiet", "--detach", got, "--"); err != nil {
		return "", err
	}
	return got, os.RemoveAll(filepath.Join(into, ".git"))
}

// git runs git in a directory. It asks nothing: there may be nobody to answer.
func (g *Getter) git(ctx context.Context, dir string, args ...string) (string, error) {
	settings := []string{"-c", "core.hooksPath=/dev/null", "-c", "core.autocrlf=false", "-c", "core.fsmonitor=false", "-c", "advice.detachedHead=false"}
	cmd := exec.CommandContext(ctx, "git", append(settings, args...)...)
	cmd.Dir = dir
	cmd.Env = slices.DeleteFunc(slices.Clone(g.Environ), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		// Within a hook of git these name the repository of the project.
		return slices.Contains([]string{"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR"}, name)
	})
	cmd.Env = append(cmd.Env, "GIT_TERMINAL_PROMPT=0", "GIT_ALLOW_PROTOCOL=https:ssh:file", "GIT_LFS_SKIP_SMUDGE=1", "LC_ALL=C")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return "", errors.New("the program git is needed, and is not installed")
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil:
		said := strings.TrimSpace(strings.ReplaceAll(errs.String(), "\n", "; "))
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSuffix(said, "."))
	}
	return out.String(), nil
}
