package apply

import (
	"slices"

	"github.com/flow-pipelines/flow/engine/event"
	"github.com/flow-pipelines/flow/engine/stage"
)

// redact takes secrets out of what is told: a program may have them in a
// message of its progress, or in its own name.
func (a *apply) redact(e *event.Event) {
	if a.secrets.Load().Empty() {
		return
	}
	e.Text = a.secrets.Load().Redact(e.Text)
	for _, lines := range []*[]string{&e.LogTail, &e.Hints} {
		*lines = slices.Clone(*lines)
		for i, l := range *lines {
			(*lines)[i] = a.secrets.Load().Redact(l)
		}
	}
	e.Diags = slices.Clone(e.Diags)
	for i, d := range e.Diags {
		clean := *d
		clean.Summary, clean.Detail = a.secrets.Load().Redact(d.Summary), a.secrets.Load().Redact(d.Detail)
		e.Diags[i] = &clean
	}
}

// redacted takes secrets out of metrics, which stand in flow.lock.
func (a *apply) redacted(m stage.Metrics) stage.Metrics {
	if a.secrets.Load().Empty() || m == nil {
		return m
	}
	return a.redactedValue(map[string]any(m)).(map[string]any)
}

func (a *apply) redactedValue(v any) any {
	switch v := v.(type) {
	case string:
		return a.secrets.Load().Redact(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = a.redactedValue(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k := range v {
			out[a.secrets.Load().Redact(k)] = a.redactedValue(v[k])
		}
		return out
	}
	return v
}
