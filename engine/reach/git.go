package reach

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flow-pipelines/flow/engine/lock"
)

// everywhere matches each flow.lock of a repository: a project may have had
// another place in it.
const everywhere = ":(top,glob)**/" + lock.FileName

// history gives f each flow.lock that git has, once: of all refs and reflogs,
// of the index, and of stashes. Outside of a repository there is none.
// own says that what the environment tells git is meant for this project.
func history(ctx context.Context, root string, own bool, policy Policy, f func([]byte) error) error {
	r := repository{root: root, env: os.Environ(), blobs: map[string]bool{}}
	if !own {
		r.env = slices.DeleteFunc(r.env, func(kv string) bool { return strings.HasPrefix(kv, "GIT_") })
	}
	if !inRepository(root) && (!own || os.Getenv("GIT_DIR") == "") {
		return nil
	}
	if policy.History > 0 {
		r.since = policy.Now.Add(-policy.History)
	}
	if err := r.index(ctx); err != nil {
		return err
	}
	if err := r.log(ctx); err != nil {
		return err
	}
	if !r.since.IsZero() {
		if err := r.tips(ctx); err != nil {
			return err
		}
	}
	return r.read(ctx, f)
}

// inRepository looks for a .git in a directory and those above: whether there is
// a repository must not depend on whether git works.
func inRepository(dir string) bool {
	for {
		if _, err := os.Lstat(filepath.Join(dir, ".git")); err == nil {
			return true
		}
		up := filepath.Dir(dir)
		if up == dir {
			return false
		}
		dir = up
	}
}

type repository struct {
	root  string
	env   []string
	since time.Time       // of the commits that count; zero: all
	blobs map[string]bool // the contents of flow.lock, by git's names
}

// git runs git and gives lines what it writes.
func (r *repository) git(ctx context.Context, stdin io.Reader, lines func(*bufio.Reader) error, args ...string) error {
	c := exec.CommandContext(ctx, "git", append([]string{"-C", r.root, "-c", "log.showRoot=true", "--no-replace-objects"}, args...)...)
	c.Stdin, c.Env = stdin, r.env
	var complaint bytes.Buffer
	c.Stderr = &complaint
	out, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return err
	}
	err = lines(bufio.NewReaderSize(out, 64<<10))
	if err != nil {
		_ = c.Process.Kill()
	}
	if werr := c.Wait(); err == nil && werr != nil {
		err = fmt.Errorf("git %s: %w: %s", args[0], werr, strings.TrimSpace(complaint.String()))
	}
	return err
}

// each gives f each part of git's output that ends in a byte.
func each(end byte, f func(string) error) func(*bufio.Reader) error {
	return func(out *bufio.Reader) error {
		for {
			part, err := out.ReadString(end)
			if errors.Is(err, io.EOF) && part == "" {
				return nil
			}
			if err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			if err := f(strings.TrimSuffix(part, string(end))); err != nil {
				return err
			}
		}
	}
}

// add notes a blob, unless its name says that there is none.
func (r *repository) add(blob string) {
	if strings.Trim(blob, "0") != "" {
		r.blobs[blob] = true
	}
}

// index notes what is staged, all sides of a conflict.
func (r *repository) index(ctx context.Context) error {
	return r.git(ctx, nil, each(0, func(entry string) error {
		if fields := strings.Fields(entry); len(fields) > 2 { // mode, blob, stage, path
			r.add(fields[1])
		}
		return nil
	}), "ls-files", "--stage", "-z", "--", everywhere)
}

// log notes what commits have brought and taken away.
func (r *repository) log(ctx context.Context) error {
	old := false
	return r.git(ctx, nil, each('\n', func(line string) error {
		if stamp, ok := strings.CutPrefix(line, "commit "); ok {
			sec, err := strconv.ParseInt(stamp, 10, 64)
			old = err == nil && time.Unix(sec, 0).Before(r.since)
			return nil
		}
		// :mode mode blob blob status path
		if fields := strings.Fields(line); strings.HasPrefix(line, ":") && len(fields) > 4 && !old {
			r.add(fields[2])
			r.add(fields[3])
		}
		return nil
	}), "log", "--all", "--reflog", "--full-history", "-m", "--raw", "--no-abbrev", "--no-renames", "--no-color", "--format=commit %ct", "--", everywhere)
}

// tips notes what the commits have that something points to: refs, the HEADs of
// all work trees, and each stash with the index that it was made from.
func (r *repository) tips(ctx context.Context) error {
	commits := map[string]bool{}
	note := each('\n', func(line string) error {
		for _, name := range strings.Fields(line) {
			commits[name] = true
		}
		return nil
	})
	if err := r.git(ctx, nil, note, "for-each-ref", "--format=%(objectname)"); err != nil {
		return err
	}
	err := r.git(ctx, nil, each('\n', func(line string) error {
		if name, ok := strings.CutPrefix(line, "HEAD "); ok && strings.Trim(name, "0") != "" {
			commits[name] = true
		}
		return nil
	}), "worktree", "list", "--porcelain")
	if err != nil {
		return err
	}
	if r.git(ctx, nil, each('\n', func(string) error { return nil }), "rev-parse", "--verify", "--quiet", "refs/stash") == nil {
		if err := r.git(ctx, nil, note, "log", "--walk-reflogs", "--format=%H %P", "refs/stash"); err != nil {
			return err
		}
	}
	for name := range commits {
		if err := r.tree(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// tree notes what a commit has; a ref may also point to something else.
func (r *repository) tree(ctx context.Context, commit string) error {
	if r.git(ctx, nil, each('\n', func(string) error { return nil }), "rev-parse", "--verify", "--quiet", commit+"^{tree}") != nil {
		return nil //nolint:nilerr // a blob with a name of its own
	}
	return r.git(ctx, nil, each(0, func(entry string) error {
		facts, name, _ := strings.Cut(entry, "\t") // mode, type, blob
		if fields := strings.Fields(facts); path.Base(name) == lock.FileName && len(fields) == 3 && fields[1] == "blob" {
			r.add(fields[2])
		}
		return nil
	}), "ls-tree", "-r", "-z", "--full-tree", commit)
}

// read gives f the contents that were noted.
func (r *repository) read(ctx context.Context, f func([]byte) error) error {
	if len(r.blobs) == 0 {
		return nil
	}
	var names strings.Builder
	for blob := range r.blobs {
		names.WriteString(blob + "\n")
	}
	return r.git(ctx, strings.NewReader(names.String()), func(out *bufio.Reader) error {
		for range r.blobs {
			head, err := out.ReadString('\n')
			if err != nil {
				return fmt.Errorf("git cat-file: %w", err)
			}
			fields := strings.Fields(head) // blob, type, size
			if len(fields) != 3 {
				return fmt.Errorf("git has no longer what a commit names: %s", strings.TrimSpace(head))
			}
			size, err := strconv.Atoi(fields[2])
			if err != nil {
				return fmt.Errorf("git cat-file: %w", err)
			}
			text := make([]byte, size+1) // and a newline
			if _, err := io.ReadFull(out, text); err != nil {
				return fmt.Errorf("git cat-file: %w", err)
			}
			if err := f(text[:size]); err != nil {
				return err
			}
		}
		return nil
	}, "cat-file", "--batch")
}
