package stage

import (
	"path"
	"strings"
)

// ReservedFor says whose a path of the project is that no stage may write to, as
// "git" or "the pipeline's text", or returns "". What would be read there by the
// next command, or is written by flow itself, could break the project. The path
// is in its shortest form.
func ReservedFor(clean string) string {
	first, rest, nested := strings.Cut(clean, "/")
	switch {
	case first == ".flow", first == "flow.lock":
		return "flow"
	case first == ".git", !nested && (first == ".gitignore" || first == ".gitattributes" || first == ".gitmodules"):
		return "git"
	case first == "plugins" && (!nested || strings.HasPrefix(rest, "flow-plugin-")):
		return "the pipeline's plugins"
	case !nested && IsText(path.Base(clean)):
		return "the pipeline's text"
	}
	return ""
}

// IsText reports whether a file of this name is read as text of a pipeline, or as
// values of its variables, if it lies in the directory of a pipeline or module.
func IsText(name string) bool {
	for _, suffix := range []string{".hcl", ".hcl.json", ".auto.hclvars", ".auto.hclvars.json"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}
