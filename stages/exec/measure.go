package exec

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/flow-pipelines/flow/engine/stage"
)

var _ stage.Measurer = Type{}

// Measure reads the metrics files that a job wrote and merges them in order:
// of one name, the later file's value counts, and objects are merged in turn.
func (Type) Measure(dir string, files []string) (stage.Metrics, error) {
	all := map[string]any{}
	var problems stage.Problems
	for i, name := range files {
		m, err := parseMetrics(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			remedy := "Let it write values in that format"
			if errors.Is(err, fs.ErrNotExist) {
				remedy = "Let it write the file"
			}
			problems = append(problems, stage.Problemf(fmt.Sprintf("metrics[%d]", i),
				fmt.Sprintf("The metrics in %q cannot be read", name),
				"After the program ended: %v. %s, or take it out of metrics.", err, remedy))
			continue
		}
		merge(all, m)
	}
	// A Problem rather than a list of one, which is what callers look for first.
	if len(problems) == 1 {
		return nil, problems[0]
	}
	return all, problems.Err()
}

func merge(into, from map[string]any) {
	for name, value := range from {
		inner, ok := value.(map[string]any)
		outer, has := into[name].(map[string]any)
		if ok && has {
			merge(outer, inner)
			continue
		}
		into[name] = value
	}
}
