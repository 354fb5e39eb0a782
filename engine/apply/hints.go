package apply

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/flow-pipelines/flow/engine/executor"
)

// wanted finds the files of the project that the program looked for and was
// not given.
func (j *job) wanted(log, command []string) []executor.Hint {
	st := j.step.Stage
	f := executor.Failure{
		Log: []byte(strings.Join(log, "\n")), Argv: command, Project: j.Root, Dir: j.work,
		Exists: func(rel string) bool {
			_, err := os.Stat(filepath.Join(j.Root, filepath.FromSlash(rel)))
			return err == nil
		},
	}
	for _, in := range st.Job.Inputs {
		f.Inputs = append(f.Inputs, in.Path)
	}
	for _, o := range st.Job.Outputs {
		f.Outputs = append(f.Outputs, o.Path)
	}
	// What lies in an environment needs no declaration.
	return slices.DeleteFunc(executor.Hints(f), func(h executor.Hint) bool {
		abs := filepath.Join(j.Root, filepath.FromSlash(h.Path))
		return slices.ContainsFunc(j.envs, func(env string) bool {
			return abs == env || strings.HasPrefix(abs, env+string(filepath.Separator))
		})
	})
}

// hints says what to write so that the program finds what it wanted.
func (j *job) hints(wanted []executor.Hint) []string {
	st := j.step.Stage
	var missing, hints []string
	for _, h := range wanted {
		switch {
		case h.Input != "":
			missing = append(missing, h.Input)
		case h.Absolute:
			hints = append(hints, fmt.Sprintf("%s is an input of %s, but the program asked for it by its absolute path; stages find their inputs relative to their working directory", h.Path, st.Addr))
		}
	}
	if len(missing) == 0 {
		return hints
	}
	slices.Sort(missing)
	missing = slices.Compact(missing)
	isIn := "is in the project, but not declared as an input"
	if len(missing) > 1 {
		isIn = "are in the project, but not declared as inputs"
	}
	return append(hints, fmt.Sprintf("%s %s of %s; write\n  %s", strings.Join(missing, ", "), isIn, st.Addr, j.inputsWith(missing)))
}

// inputsWith is the line of HCL that declares more inputs: the one there is,
// with them, or a new one.
func (j *job) inputsWith(more []string) string {
	quoted := make([]string, len(more))
	for i, m := range more {
		quoted[i] = strconv.Quote(m)
	}
	added := strings.Join(quoted, ", ")
	rng := j.pipeline().ArgRange(j.step.Addr, "inputs")
	if f := j.pipeline().Files()[rng.Filename]; f != nil && rng.CanSliceBytes(f.Bytes) {
		text := string(rng.SliceBytes(f.Bytes))
		list, isList := strings.CutSuffix(strings.TrimSpace(text), "]")
		switch {
		case strings.HasPrefix(list, "[") && isList && !strings.Contains(text, "\n"):
			return "inputs = " + strings.TrimSuffix(list, ",") + ", " + added + "]"
		case strings.HasPrefix(text, "[") && isList:
			return "inputs = [ …, " + added + " ]"
		}
	}
	return "inputs = [" + added + "]"
}
