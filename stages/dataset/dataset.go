// Package dataset is the stage type "dataset": a file or directory of the
// project whose content flow versions.
//
// Nothing runs. The output is the user's own file, where it is; the engine
// hashes it, keeps its content in the cache unless store = false, and brings
// it back on checkout. So the package reads no files at all, and it refuses
// paths that leave the project: what is not in the project cannot be brought
// back by a checkout of it.
package dataset

import (
	"path"
	"strconv"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/flow-pipelines/flow/engine/stage"
)

// Config holds the arguments.
type Config struct {
	Path    string   `json:"path" flow:"required" doc:"File or directory of the project, relative to it. A directory may end in a slash."`
	Include []string `json:"include" doc:"Globs, relative to the directory, of the only files that count. Two stars match any number of directories."`
	Ignore  []string `json:"ignore" doc:"Globs, relative to the directory, of files that do not count."`
	Store   bool     `json:"store" default:"true" doc:"Keep the content in the cache, so that a checkout can bring it back. With false it is hashed and watched only, for data that is too large to keep twice."`
}

// Type is the stage type.
type Type struct{}

var _ stage.Type = Type{}

// Output is the name of the only output.
const Output = "data"

// Schema describes the block.
func (Type) Schema() *stage.Schema {
	return &stage.Schema{
		Name:    "dataset",
		Version: 1,
		Summary: "A file or directory of the project, versioned by its content",
		Doc: `The content of the file, or of all files below the directory, is what later stages depend on: not its time, owner or permissions.

With ` + "`store = true`" + ` (the default) the content goes into the cache and a checkout of an earlier commit brings it back. With ` + "`store = false`" + ` flow notices changes but keeps no copy.

To use data from elsewhere, copy it into the project first.`,
		Example: `dataset "scans" {
  path   = "data/scans/"
  ignore = ["**/*.tmp", "**/.DS_Store"]
}`,
		Body:    stage.BodyOf[Config](),
		Outputs: []stage.OutputDoc{{Name: Output, Doc: "The file or directory itself."}},
	}
}

// Job says that the output is given.
func (Type) Job(req *stage.Request) (*stage.Job, error) {
	cfg, err := stage.Decode[Config](req.Args)
	if err != nil {
		return nil, err
	}
	var problems stage.Problems
	if req.IsUnknown("path") {
		return nil, stage.Problemf("path", "The path of a dataset must be known before anything runs",
			"It depends on the metrics of a stage. Use a stage with an output instead, such as an exec.")
	}
	clean, problem := inProject(cfg.Path)
	if problem != nil {
		problems = append(problems, problem)
	}
	problems = append(problems, checkGlobs("include", cfg.Include)...)
	problems = append(problems, checkGlobs("ignore", cfg.Ignore)...)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return &stage.Job{
		Given: true,
		Outputs: []stage.Output{{
			Name:    Output,
			Path:    clean,
			Dir:     strings.HasSuffix(cfg.Path, "/") || len(cfg.Include)+len(cfg.Ignore) > 0,
			Include: cfg.Include,
			Ignore:  cfg.Ignore,
			NoStore: !cfg.Store,
		}},
	}, nil
}

func inProject(name string) (string, *stage.Problem) {
	clean := path.Clean(name)
	first, _, _ := strings.Cut(clean, "/")
	switch {
	case name == "":
		return "", stage.Problemf("path", "The path is empty", "Name a file or directory of the project, such as \"data/scans.csv\".")
	case path.IsAbs(name), first == "~", first == "..":
		return "", stage.Problemf("path", "The path leaves the project",
			"%q is outside, where a checkout could not bring it back. Copy the data into the project and name it relative to that.", name)
	case clean == ".":
		return "", stage.Problemf("path", "The path is the project itself",
			"A dataset is a part of the project. Put the data in a directory of its own, such as \"data/\".")
	case first == ".git" || first == ".flow":
		return "", stage.Problemf("path", "The path belongs to "+map[string]string{".git": "git", ".flow": "flow"}[first],
			"%q changes on its own. Put the data in a directory of its own, such as \"data/\".", name)
	case strings.ContainsAny(clean, "*?[{"):
		return "", stage.Problemf("path", "The path is a pattern",
			"A dataset is one file or directory. Name the directory and choose its files by include:\n\n  path    = %q\n  include = [%q]", splitPattern(clean)[0], splitPattern(clean)[1])
	}
	return clean, nil
}

// splitPattern parts "data/*.csv" into the directory "data/" and "*.csv".
func splitPattern(pattern string) [2]string {
	base, rest := doublestar.SplitPattern(pattern)
	return [2]string{base + "/", rest}
}

func checkGlobs(argument string, globs []string) stage.Problems {
	var problems stage.Problems
	for i, glob := range globs {
		at := argument + "[" + strconv.Itoa(i) + "]"
		switch {
		case !doublestar.ValidatePattern(glob) || glob == "":
			problems = append(problems, stage.Problemf(at, "Not a glob",
				"%q cannot be read. Stars match within a name, two stars any number of directories, brackets one of several characters: \"**/*.tmp\".", glob))
		case path.IsAbs(glob) || strings.HasPrefix(path.Clean(glob), ".."):
			problems = append(problems, stage.Problemf(at, "The glob leaves the dataset",
				"%q is to be relative to the dataset's directory.", glob))
		}
	}
	return problems
}
