package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/flow-pipelines/flow/engine/suggest"
	"github.com/hashicorp/hcl/v2"
)

func errorAt(rng hcl.Range, summary, detail string) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: &rng}
}

// didYouMean is the end of a sentence about a wrong name: a guess, or what
// there is.
func didYouMean(given string, names []string) string {
	if s := suggest.Nearest(given, names); s != "" {
		return fmt.Sprintf(" Did you mean %q?", s)
	}
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf(" There is %s.", list(slices.Sorted(slices.Values(names)), 12))
}

// list joins at most n names: "a, b and c", "a, b and 7 more".
func list(names []string, n int) string {
	if len(names) > n {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:n], ", "), len(names)-n)
	}
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

func mapKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// tidy puts diagnostics in the order of files and lines and drops repetitions,
// such as one mistake seen in every instance of a block.
func tidy(diags hcl.Diagnostics) hcl.Diagnostics {
	slices.SortStableFunc(diags, func(a, b *hcl.Diagnostic) int {
		ra, rb := subject(a), subject(b)
		return cmp.Or(cmp.Compare(ra.Filename, rb.Filename), cmp.Compare(ra.Start.Byte, rb.Start.Byte))
	})
	type place struct {
		file, summary string
		start, end    int
	}
	seen := map[place]bool{}
	var kept hcl.Diagnostics
	for _, d := range diags {
		r := subject(d)
		at := place{r.Filename, d.Summary, r.Start.Byte, r.End.Byte}
		if d.Subject == nil {
			at.summary += d.Detail
		}
		if !seen[at] {
			seen[at] = true
			// With these HCL's writer would print the values of the names in
			// the snippet, secrets included.
			d.Expression, d.EvalContext = nil, nil
			kept = append(kept, d)
		}
	}
	return kept
}

func subject(d *hcl.Diagnostic) hcl.Range {
	if d.Subject == nil {
		return hcl.Range{}
	}
	return *d.Subject
}
