package engine

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/flow-pipelines/flow/engine/worktree"
)

const (
	ignoreBegin = "# flow: what flow manages; written by flow, up to the end mark"
	ignoreEnd   = "# flow: end"
)

// ignore keeps git from what flow manages: the .flow directory, outputs, and
// those of the user's data that git does not track already. The lines stand
// between two marks in the project's .gitignore; all other lines are the
// user's. Outside of a git repository it does nothing.
func (p *Project) ignore(ctx context.Context) error {
	file := filepath.Join(p.root, ".gitignore")
	old, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	before, managed, after := splitIgnore(string(old))
	want := p.ignoredPaths()
	// Asking git costs a process: only what is new is asked about.
	var fresh []string
	for _, line := range want {
		if !slices.Contains(managed, line) {
			fresh = append(fresh, line)
		}
	}
	if len(fresh) == 0 && len(managed) == len(want) {
		return nil
	}
	if _, err := p.git(ctx, "rev-parse", "--is-inside-work-tree"); err != nil {
		return nil //nolint:nilerr // not a repository, or no git
	}
	want = slices.DeleteFunc(want, func(line string) bool {
		path := strings.ReplaceAll(strings.Trim(line, "/"), `\`, "")
		return slices.Contains(fresh, line) && p.world(p.lock).Tracked(ctx, path)
	})
	var b strings.Builder
	b.WriteString(before)
	if before != "" && !strings.HasSuffix(before, "\n") {
		b.WriteString("\n")
	}
	b.WriteString(ignoreBegin + "\n" + strings.Join(want, "\n") + "\n" + ignoreEnd + "\n" + after)
	if b.String() == string(old) {
		return nil
	}
	return os.WriteFile(file, []byte(b.String()), 0o644)
}

// ignoredPaths are the lines that should stand in .gitignore, sorted.
func (p *Project) ignoredPaths() []string {
	out := "/" + p.pipeline.Settings().OutputDir + "/"
	lines := []string{"/" + Dir + "/", out, worktree.TempPattern}
	for _, s := range p.lock.Stages() {
		for _, r := range s.Results {
			if line := "/" + escapeIgnore(r.Path); !strings.HasPrefix(line, out) {
				lines = append(lines, line)
			}
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

// escapeIgnore keeps the characters that mean something in a .gitignore from
// doing so.
func escapeIgnore(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`, " ", `\ `).Replace(path)
}

func splitIgnore(text string) (before string, managed []string, after string) {
	before, rest, ok := strings.Cut(text, ignoreBegin+"\n")
	if !ok {
		return text, nil, ""
	}
	body, after, _ := strings.Cut(rest, ignoreEnd+"\n")
	return before, strings.Split(strings.TrimSuffix(body, "\n"), "\n"), after
}
