package command

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// firstPipeline is the pipeline that init writes. It works at once, with sh and
// awk alone.
//
//go:embed pipeline.hcl
var firstPipeline []byte

// InitOptions are the arguments of init.
type InitOptions struct {
	Shell *Shell
	Dir   string
}

func newInit(sh *Shell, run func(*InitOptions) error) *cobra.Command {
	o := &InitOptions{Shell: sh}
	return &cobra.Command{
		Use:   "init [DIR]",
		Short: "Begin a pipeline: a commented example that works at once",
		Long:  "Write a commented pipeline.hcl with a small example, and the lines that git needs in .gitignore and .gitattributes. A pipeline that is there is left alone.",
		Args:  atMost(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.Dir = args[0]
			}
			return run(o)
		},
	}
}

func runInit(o *InitOptions) error {
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
	if len(found) > 0 {
		out.Printf("kept     %s\n", filepath.Base(found[0]))
	} else {
		if err := writeNew(filepath.Join(dir, "pipeline.hcl"), firstPipeline); err != nil {
			return err
		}
		out.Printf("wrote    pipeline.hcl\n")
	}
	for _, f := range []struct {
		name  string
		lines []string
	}{
		{".gitignore", []string{"/.flow/", "/out/"}},
		{".gitattributes", []string{"flow.lock text eol=lf linguist-generated"}},
	} {
		added, err := addLines(filepath.Join(dir, f.name), f.lines)
		if err != nil {
			return err
		}
		verb := "kept    "
		if added {
			verb = "extended"
		}
		out.Printf("%s %s\n", verb, f.name)
	}
	if len(found) == 0 {
		out.Printf("\nRead pipeline.hcl, then: flow plan, flow apply. flow explain lists the stage types.\n")
	}
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

// addLines adds the lines to a text file that it does not have.
func addLines(path string, lines []string) (added bool, err error) {
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	have := strings.Split(string(old), "\n")
	for i, l := range have {
		have[i] = strings.Trim(strings.TrimSpace(l), "/")
	}
	var add strings.Builder
	if len(old) > 0 && !strings.HasSuffix(string(old), "\n") {
		add.WriteString("\n")
	}
	for _, l := range lines {
		if !slices.Contains(have, strings.Trim(l, "/")) {
			fmt.Fprintln(&add, l)
			added = true
		}
	}
	if !added {
		return false, nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return false, err
	}
	_, err = f.WriteString(add.String())
	return true, errors.Join(err, f.Close())
}
