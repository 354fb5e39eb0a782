package command

import (
	"context"
	_ "embed"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/flow-pipelines/flow/engine"
	"github.com/flow-pipelines/flow/engine/worktree"
)

// firstPipeline is the pipeline that init writes. It works at once, with sh and
// awk alone.
//
//go:embed pipeline.hcl
var firstPipeline []byte

// What init writes for git. The part of .gitignore is the one that an apply
// keeps up to date, to the letter (see engine/ignore.go), so that the first
// apply finds it in place; a script test compares.
const (
	ignoreBegin = "# flow: what flow manages; written by flow, up to the end mark"
	ignoreEnd   = "# flow: end"
	attributes  = "flow.lock text eol=lf linguist-generated"
)

// ignored are the lines of .gitignore for a pipeline that writes to out.
func ignored() []string {
	lines := []string{"/" + engine.Dir + "/", "/out/", worktree.TempPattern}
	slices.Sort(lines)
	return lines
}

// InitOptions are the arguments of init.
type InitOptions struct {
	Shell *Shell
	Dir   string
}

func newInit(sh *Shell, run func(context.Context, *InitOptions) error) *cobra.Command {
	o := &InitOptions{Shell: sh}
	return &cobra.Command{
		Use:               "init [DIR]",
		Short:             "Begin a pipeline: a commented example that works at once",
		Long:              "Write a commented pipeline.hcl with a small example, and the lines that git needs in .gitignore and .gitattributes. A pipeline that is there is left alone; its modules from git are fetched, as flow get does.",
		Args:              atMost(1),
		ValidArgsFunction: oneDirectory,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.Dir = args[0]
			}
			return run(cmd.Context(), o)
		},
	}
}

func runInit(ctx context.Context, o *InitOptions) error {
	sh := o.Shell
	dir := sh.path(o.Dir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	out := sh.out()
	found, err := filepath.Glob(filepath.Join(dir, "*.hcl"))
	if err != nil {
		return err
	}
	if more, err := filepath.Glob(filepath.Join(dir, "*.hcl.json")); err == nil {
		found = append(found, more...)
	}
	if len(found) > 0 {
		out.Printf("kept     %s\n", filepath.Base(found[0]))
	} else {
		if err := writeNew(filepath.Join(dir, "pipeline.hcl"), firstPipeline); err != nil {
			return err
		}
		out.Printf("wrote    pipeline.hcl\n")
	}
	for _, f := range []struct{ name, first, text string }{
		{".gitignore", ignoreBegin, ignoreBegin + "\n" + strings.Join(ignored(), "\n") + "\n" + ignoreEnd + "\n"},
		{".gitattributes", attributes, attributes + "\n"},
	} {
		verb, err := addText(filepath.Join(dir, f.name), f.first, f.text)
		if err != nil {
			return err
		}
		out.Printf("%-8s %s\n", verb, f.name)
	}
	if len(found) > 0 {
		return sh.get(ctx, dir, false, true)
	}
	out.Printf("\nRead pipeline.hcl, then: flow plan, flow apply. flow explain lists the stage types.\n")
	return nil
}

// writeNew writes a file that must not be there.
func writeNew(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}

// addText adds text, whose first line is given, to a file without that line. It
// returns what it did, for a person.
func addText(path, first, text string) (verb string, err error) {
	old, err := os.ReadFile(path)
	verb = "extended"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		verb = "wrote"
	case err != nil:
		return "", err
	case slices.Contains(strings.Split(string(old), "\n"), first):
		return "kept", nil
	case len(old) > 0 && !strings.HasSuffix(string(old), "\n"):
		text = "\n" + text
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(text)
	return verb, errors.Join(err, f.Close())
}
