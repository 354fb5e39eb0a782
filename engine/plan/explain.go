package plan

import "github.com/flow-pipelines/flow/engine/key"

// Explain says in a plan's words how one manifest differs from another. Facts
// for which skip returns true are left out.
func Explain(before, after key.Manifest, skip func(key.Fact) bool) []string {
	var texts []string
	for _, r := range changes(before, after, skip) {
		texts = append(texts, r.Text)
	}
	return texts
}
