package command

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"github.com/flow-pipelines/flow/engine"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/plan"
	"github.com/flow-pipelines/flow/engine/replace"
)

// FmtOptions are the arguments of fmt.
type FmtOptions struct {
	Shell       *Shell
	Files       []string
	Check, Diff bool
	// Recursive takes the files of the directories below, too.
	Recursive bool
}

func newFmt(sh *Shell, run func(*FmtOptions) error) *cobra.Command {
	o := &FmtOptions{Shell: sh}
	cmd := &cobra.Command{
		Use:   "fmt [FILE…]",
		Short: "Lay out HCL files in the usual way",
		Long: `Rewrite the *.hcl and *.hclvars files of the project, or those named, in the
usual layout, and list those that changed. Of a directory, its files are meant; with
--recursive also those of all directories below it, such as modules, but for those
whose names begin with a dot and for links. A file named - is standard input, which is written to
standard output. JSON (*.hcl.json) is left as it is.`,
		Example: `  flow fmt
  flow fmt --recursive --check --diff     # in a CI: writes nothing, exits with 1`,
		ValidArgsFunction: textFiles,
		RunE: func(_ *cobra.Command, args []string) error {
			o.Files = args
			return run(o)
		},
	}
	cmd.Flags().BoolVar(&o.Check, "check", false, "write nothing; exit with 1 if a file would change")
	cmd.Flags().BoolVar(&o.Diff, "diff", false, "show what changes")
	cmd.Flags().BoolVarP(&o.Recursive, "recursive", "r", false, "format the files of the directories below, too")
	return cmd
}

func runFmt(o *FmtOptions) error {
	files := o.Files
	if len(files) == 0 {
		files = []string{"."}
	}
	files, err := o.expand(files)
	if err != nil {
		return err
	}
	changed := false
	var wrong plan.Mistakes
	wrong.Files = map[string]*hcl.File{}
	for _, f := range files {
		c, err := o.format(f, &wrong)
		if err != nil {
			return err
		}
		changed = changed || c
	}
	if wrong.Diags.HasErrors() {
		return &wrong
	}
	if changed && o.Check {
		return exitError
	}
	return nil
}

// expand puts the files of a directory, and perhaps of those below it, in its place.
func (o *FmtOptions) expand(named []string) ([]string, error) {
	sh := o.Shell
	var files []string
	for _, f := range named {
		dir := sh.path(f)
		if info, err := os.Stat(dir); f == "-" || err != nil || !info.IsDir() {
			if strings.HasSuffix(f, ".json") && err == nil {
				sh.err().Printf("%s: JSON is not formatted.\n", f)
				continue
			}
			files = append(files, f) // a file that is not there is told of when it is read
			continue
		}
		found, err := o.within(dir)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 && config.Present(dir) {
			sh.err().Printf("Nothing to format: the pipeline is in JSON, which is not formatted.\n")
			continue
		}
		if len(found) == 0 {
			return nil, &engine.NoPipelineError{Dir: dir}
		}
		files = append(files, found...)
	}
	return files, nil
}

// within returns the files of a directory, sorted: first its own, then those of
// the directories below it, if they are wanted.
func (o *FmtOptions) within(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files, below []string
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch ext := filepath.Ext(e.Name()); {
		case !e.IsDir() && (ext == ".hcl" || ext == ".hclvars"):
			files = append(files, path)
		case e.IsDir() && o.Recursive && !strings.HasPrefix(e.Name(), "."):
			more, err := o.within(path)
			if err != nil {
				return nil, err
			}
			below = append(below, more...)
		}
	}
	return append(files, below...), nil
}

// format formats one file and reports whether that changed it. A file that
// does not parse is left as it is, and told in wrong.
func (o *FmtOptions) format(file string, wrong *plan.Mistakes) (changed bool, err error) {
	sh := o.Shell
	var src []byte
	name := file
	if file == "-" {
		name = "standard input"
		src, err = io.ReadAll(sh.Streams.In)
	} else {
		src, err = os.ReadFile(sh.path(file))
		if rel, err := filepath.Rel(sh.dir(), sh.path(file)); err == nil {
			name = rel
		}
	}
	if err != nil {
		return false, err
	}
	formatted, diags := config.Format(src, name)
	if diags.HasErrors() {
		wrong.Diags = append(wrong.Diags, diags...)
		wrong.Files[name] = &hcl.File{Bytes: src}
		return false, nil
	}
	changed = !bytes.Equal(src, formatted)
	switch {
	case o.Diff && changed:
		_, err = sh.Streams.Out.Write(diff.Diff(name, src, name, formatted))
	case file == "-" && !o.Check:
		_, err = sh.Streams.Out.Write(formatted)
	case changed:
		sh.out().Printf("%s\n", name)
	}
	if err != nil || !changed || o.Check || file == "-" {
		return changed, err
	}
	return true, rewrite(sh.path(file), formatted)
}

// rewrite replaces a file's content, so that a crash leaves the old or the new.
func rewrite(path string, b []byte) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if err := replace.Durably(path, b, info.Mode().Perm()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
