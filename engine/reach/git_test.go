package reach_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flow-pipelines/flow/engine/cas"
	"github.com/flow-pipelines/flow/engine/digest"
)

// Whatever a user does with git, each flow.lock that git can still bring back by
// a name or a reflog keeps what it names.
func TestWhatGitCanBringBackStays(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	seeds := uint64(8)
	if testing.Short() {
		seeds = 2
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			top := t.TempDir()
			git(t, top, "init", "-q", "-b", "main")
			must(t, os.WriteFile(filepath.Join(top, ".gitignore"), []byte(".flow/\n"), 0o644))
			where := "project"
			p := openProject(t, filepath.Join(top, where))
			contents := map[string]string{} // by digest
			version := 0
			write := func() {
				version++
				text := fmt.Sprintf("content %d of %d", version, seed)
				d := digest.OfBytes([]byte(text))
				must(t, p.store.Put(ctx, d, strings.NewReader(text)))
				contents[d.String()] = text
				p.lockText(t, d)
			}
			steps := []func(){
				write,
				func() { write(); gitMay(top, "add", "."); gitMay(top, "commit", "-qm", "a version") },
				func() { write(); gitMay(top, "add", ".") },
				func() { write(); gitMay(top, "add", "."); gitMay(top, "commit", "-q", "--amend", "-m", "better") },
				func() { gitMay(top, "stash", "-q") },
				func() { gitMay(top, "stash", "pop", "-q"); gitMay(top, "checkout", "-q", "--theirs", ".") },
				func() { gitMay(top, "checkout", "-q", "-f", "-b", fmt.Sprintf("branch%d", version)) },
				func() { gitMay(top, "checkout", "-q", "-f", "main") },
				func() { gitMay(top, "tag", "-a", "-m", "t", fmt.Sprintf("tag%d", version)) },
				func() {
					gitMay(top, "merge", "-q", "-s", "ours", "-m", "m", fmt.Sprintf("branch%d", rng.IntN(version+1)))
				},
				func() { gitMay(top, "reset", "-q", "--hard", "HEAD~1") },
				func() { gitMay(top, "worktree", "add", "-q", "--detach", filepath.Join(t.TempDir(), "w")) },
				func() { gitMay(top, "branch", "-D", fmt.Sprintf("branch%d", rng.IntN(version+1))) },
			}
			write()
			for range 14 {
				steps[rng.IntN(len(steps))]()
				must(t, os.MkdirAll(filepath.Join(top, where), 0o755))
			}
			must(t, p.collect(nil))

			var texts []string
			for _, list := range [][]string{{"rev-list", "--all", "--reflog"}, {"rev-list", "--walk-reflogs", "--all"}} {
				for _, commit := range strings.Fields(gitMay(top, list...)) {
					texts = append(texts, gitMay(top, "show", commit+":project/flow.lock"))
				}
			}
			texts = append(texts, gitMay(top, "show", ":project/flow.lock"))
			if b, err := os.ReadFile(filepath.Join(p.Root, "flow.lock")); err == nil {
				texts = append(texts, string(b))
			}
			named := 0
			for _, text := range texts {
				for d, want := range contents {
					if !strings.Contains(text, d) {
						continue
					}
					named++
					parsed, err := digest.Parse(d)
					must(t, err)
					if got, err := cas.ReadAll(ctx, p.store, parsed); err != nil || string(got) != want {
						t.Errorf("%q: got %q, %v", want, got, err)
					}
				}
			}
			if named == 0 {
				t.Error("nothing was named")
			}
			must(t, p.store.Close())
		})
	}
}

func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	if out, err := gitCommand(dir, args...).CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
}

// gitMay runs git, which may refuse.
func gitMay(dir string, args ...string) string {
	out, _ := gitCommand(dir, args...).Output()
	return string(out)
}

func gitCommand(dir string, args ...string) *exec.Cmd {
	c := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=A", "-c", "user.email=a@example.org"}, args...)...)
	c.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	return c
}
