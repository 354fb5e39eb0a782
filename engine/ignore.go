package engine

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/flow-pipelines/flow/engine/replace"
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
	old, err := p.gitignore()
	if err != nil {
		return err
	}
	before, managed, after := splitIgnore(old)
	want := p.ignoredPaths()
	fresh := unlisted(want, managed)
	if len(fresh) == 0 && len(managed) == len(want) || !p.inRepository(ctx) {
		return nil
	}
	// Asking git costs a process: only what is new is asked about.
	want = slices.DeleteFunc(want, func(line string) bool {
		path := strings.ReplaceAll(strings.Trim(line, "/"), `\`, "")
		return fresh[line] && p.world(p.lock).Tracked(ctx, path)
	})
	var b strings.Builder
	b.WriteString(before)
	if before != "" && !strings.HasSuffix(before, "\n") {
		b.WriteString("\n")
	}
	b.WriteString(ignoreBegin + "\n" + strings.Join(want, "\n") + "\n" + ignoreEnd + "\n" + after)
	if b.String() == old {
		return nil
	}
	return os.WriteFile(p.gitignoreFile(), []byte(b.String()), 0o644)
}

// hide keeps git from the .flow directory from the first command on, which may be
// a plan: that writes no .gitignore of the user's. In a project that is read-only
// there is nothing to hide.
func (p *Project) hide() {
	name := p.path(".gitignore")
	if _, err := os.Lstat(name); err == nil {
		return
	}
	if os.MkdirAll(filepath.Dir(name), 0o755) == nil {
		_ = replace.Quickly(name, []byte("*\n"), 0o644)
	}
}

func (p *Project) gitignoreFile() string { return filepath.Join(p.root, ".gitignore") }

// gitignore is the text of the project's .gitignore, "" if there is none.
func (p *Project) gitignore() (string, error) {
	b, err := os.ReadFile(p.gitignoreFile())
	if err != nil && !os.IsNotExist(err) {
		return "", err
	}
	return string(b), nil
}

// ignores reports whether a .gitignore of this text has all lines that should
// stand there, and no others between the marks.
func (p *Project) ignores(text string) bool {
	_, managed, _ := splitIgnore(text)
	want := p.ignoredPaths()
	return len(managed) == len(want) && len(unlisted(want, managed)) == 0
}

// unlisted are the lines that are not among those that there are.
func unlisted(want, there []string) map[string]bool {
	have := make(map[string]bool, len(there))
	for _, line := range there {
		have[line] = true
	}
	lines := map[string]bool{}
	for _, line := range want {
		if !have[line] {
			lines[line] = true
		}
	}
	return lines
}

// inRepository reports whether the project is in a git repository, and git there
// to tell.
func (p *Project) inRepository(ctx context.Context) bool {
	_, err := p.git(ctx, "rev-parse", "--is-inside-work-tree")
	return err == nil
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
func escapeIgnore(path string) string { return ignoreEscapes.Replace(path) }

var ignoreEscapes = strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`, " ", `\ `)

func splitIgnore(text string) (before string, managed []string, after string) {
	before, rest, ok := strings.Cut(text, ignoreBegin+"\n")
	if !ok {
		return text, nil, ""
	}
	body, after, _ := strings.Cut(rest, ignoreEnd+"\n")
	return before, strings.Split(strings.TrimSuffix(body, "\n"), "\n"), after
}
