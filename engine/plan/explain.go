package plan

import (
	"github.com/flow-pipelines/flow/engine/key"
	"github.com/flow-pipelines/flow/engine/stage"
)

// Explain says in a plan's words how one manifest differs from another. Facts
// for which skip returns true are left out. Blocks are not told from arguments.
func Explain(before, after key.Manifest, skip func(key.Fact) bool) []string {
	var texts []string
	for _, r := range changes(stage.Body{}, before, after, skip) {
		texts = append(texts, r.Text)
	}
	return texts
}
