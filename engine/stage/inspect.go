package stage

import (
	"encoding/json"
	"path/filepath"
	"strings"
)

// Inspector is a Type that reads tables and can judge its arguments by their
// heads, the names of their columns, before anything runs.
type Inspector interface {
	Type
	// Inspect is called while planning, for stages that are not kept and whose
	// arguments are all known. It reads no rows and takes microseconds. A
	// mistake, such as a column that there is not, is a *Problem or Problems;
	// what cannot be told yet is left to the run. It returns the heads of the
	// outputs, as far as they follow from those of the inputs.
	Inspect(in *Inspection) (Heads, error)
}

// Attendant is an Inspector that keeps something running from one inspection to
// the next, as a plugin's program is, whose start costs more than an answer.
type Attendant interface {
	Inspector
	// Dismiss ends what is running. It is called when a plan is made; an
	// inspection after it starts anew.
	Dismiss()
}

// Heads are the names of the columns of outputs that are tables, by output. Of
// an output that is missing nothing is known.
type Heads map[string][]string

// Head is what is known of an input that is, or will be, a table.
type Head struct {
	// File is its absolute path if it is in place, and the directory's if it
	// is one. "" if it is not.
	File string
	// Columns are its columns if it is not in place; nil: not known.
	Columns []string
}

// Inspection is what an Inspector looks at.
type Inspection struct {
	// Args holds the resolved arguments, as in Request.
	Args json.RawMessage
	// Inputs are the stage's inputs, by role.
	Inputs map[string]InspectedInput
}

// InspectedInput is an input with its head.
type InspectedInput struct {
	Path string // where the job finds it, as the arguments name it
	Head Head
}

// Head returns what is known of the artifact that the argument at role names;
// false if nothing is.
func (in *Inspection) Head(role string, a Artifact) (Head, bool) {
	input, ok := in.Inputs[role]
	if !ok {
		return Head{}, false
	}
	// The artifact may be a file in an output that is a directory.
	below, within := strings.CutPrefix(string(a), input.Path+"/")
	switch {
	case string(a) == input.Path:
		return input.Head, input.Head.File != "" || input.Head.Columns != nil
	case within && input.Head.File != "":
		return Head{File: filepath.Join(input.Head.File, filepath.FromSlash(below))}, true
	}
	return Head{}, false
}
