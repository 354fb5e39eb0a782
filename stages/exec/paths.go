package exec

import (
	"fmt"
	"path"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/flow-pipelines/flow/engine/stage"
)

// inProject returns the path in its shortest form, or what is wrong with it.
func inProject(at, name string) (string, *stage.Problem) {
	clean := path.Clean(name)
	first, _, _ := strings.Cut(clean, "/")
	switch {
	case name == "":
		return clean, stage.Problemf(at, "The path is empty", "Name a file relative to the project, such as \"data/features.csv\".")
	case path.IsAbs(name) || first == "~" || first == "..":
		return clean, stage.Problemf(at, "The path leaves the project",
			"%q is outside, where flow neither keeps nor restores files. Write it relative to the project, such as \"data/features.csv\".", name)
	case clean == ".":
		return clean, stage.Problemf(at, "The path is the project itself", "Write to a directory of its own, such as \"out/\".")
	case stage.ReservedFor(clean) != "":
		return clean, stage.Problemf(at, "The path is not a stage's to write", "%q belongs to %s. Write to a directory of its own, such as \"out/\".", name, stage.ReservedFor(clean))
	case strings.ContainsRune(name, 0):
		return clean, stage.Problemf(at, "The path holds a zero byte", "No file can have this name.")
	}
	return clean, nil
}

func checkInputs(inputs []stage.Artifact, problems stage.Problems) stage.Problems {
	for i, in := range inputs {
		at := fmt.Sprintf("inputs[%d]", i)
		name := string(in)
		clean := path.Clean(name)
		switch {
		case name == "":
			problems = append(problems, stage.Problemf(at, "The input is empty", "Name a stage, or a file or glob of the project."))
		case path.IsAbs(name) || clean == ".." || strings.HasPrefix(clean, "../"):
			problems = append(problems, stage.Problemf(at, "The input leaves the project",
				"%q is outside, where another machine does not find it. Copy it into the project, and name it relative to that.", name))
		case !doublestar.ValidatePattern(name):
			problems = append(problems, stage.Problemf(at, "Not a path or a glob", "%q cannot be read. Stars match within a name, two stars any number of directories.", name))
		}
	}
	return problems
}

// checkOverlaps finds outputs that are, hold or lie in one another or an input.
func checkOverlaps(job *stage.Job, problems stage.Problems) stage.Problems {
	for i, o := range job.Outputs {
		at := "outputs." + o.Name
		for _, other := range job.Outputs[:i] {
			switch {
			case o.Path == other.Path:
				problems = append(problems, stage.Problemf(at, "Two outputs have one path", "%q and %q are both %q. Give each its own.", other.Name, o.Name, o.Path))
			case below(o.Path, other.Path) || below(other.Path, o.Path):
				problems = append(problems, stage.Problemf(at, "An output lies in another", "%q is %q and %q is %q. Give each its own, or keep the outer one only.", other.Name, other.Path, o.Name, o.Path))
			}
		}
		for _, in := range job.Inputs {
			if in.Path == "" {
				continue
			}
			switch {
			case covers(in, o.Path):
				problems = append(problems, stage.Problemf(at, "An output lies in an input",
					"%q belongs to the input %q (%s): the stage would change what it depends on and never be up to date. Write it elsewhere, or name the inputs more narrowly.", o.Path, in.Path, in.Role))
			case below(in.Path, o.Path):
				problems = append(problems, stage.Problemf(at, "An input lies in an output",
					"%q holds the input %q (%s) and is replaced as a whole after each run. Write to a directory of its own.", o.Path, in.Path, in.Role))
			}
		}
	}
	return problems
}

// covers reports whether the input surely takes in the path, as itself, as a
// directory, or as a match of its glob. A glob that might match a file below a
// directory is given the benefit of the doubt: "**/*.py" and "out/" go together.
func covers(in stage.Input, name string) bool {
	base := path.Clean(in.Path)
	if base == name || base == "." || below(name, base) {
		return true
	}
	if in.From != nil {
		return false
	}
	if doublestar.MatchUnvalidated(base, name) {
		return true
	}
	// A glob that matches a directory takes in everything in it.
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if doublestar.MatchUnvalidated(base, dir) && strings.HasSuffix(base, "**") {
			return true
		}
	}
	return false
}

// below reports whether name lies in the directory dir.
func below(name, dir string) bool { return strings.HasPrefix(name, dir+"/") }
