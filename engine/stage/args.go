package stage

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// Artifact is an argument that names a file or a directory: a stage, one of
// its outputs, or a path in the project. In a running job it is the path at
// which the file is, relative to the job's directory.
type Artifact string

// Reference is an argument that names a whole stage, with its metrics. In HCL
// it is the stage itself: candidates = train.mlp takes all its instances.
type Reference struct {
	Address string `json:"address"`
	// Outputs are the stage's, by name.
	Outputs map[string]Artifact `json:"outputs"`
	Metrics Metrics             `json:"metrics"`
}

// Expression is an argument that is evaluated later, by the stage itself and
// against its own variables, such as a condition on each row of a table.
type Expression struct {
	// Source is HCL, without comments, spaces normalised.
	Source string `json:"source"`
	// Constants are the values of the references in Source that the
	// pipeline knows, by their text: {"var.limit": 3}. A reference that
	// starts with "row" is the stage's own and not among them.
	Constants map[string]any `json:"constants,omitempty"`
}

// Decode reads resolved arguments into a configuration struct, the same that
// BodyOf described them by. A number that is not whole where one has to be is a
// *Problem.
func Decode[C any](args json.RawMessage) (C, error) {
	var c C
	d := json.NewDecoder(bytes.NewReader(args))
	d.UseNumber()
	err := d.Decode(&c)
	var wrong *json.UnmarshalTypeError
	switch {
	case err == nil:
		return c, nil
	case errors.As(err, &wrong) && wrong.Type.Kind() >= reflect.Int && wrong.Type.Kind() <= reflect.Uint64:
		return c, Problemf(wrong.Field, wrong.Field+" is a whole number", "It is one of 64 bits at most; got %s.", strings.TrimPrefix(wrong.Value, "number "))
	}
	return c, fmt.Errorf("decode arguments: %w", err)
}
