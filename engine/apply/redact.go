package apply

import (
	"encoding/json"
	"slices"
	"strconv"

	"github.com/flow-pipelines/flow/engine/event"
	"github.com/flow-pipelines/flow/engine/executor"
	"github.com/flow-pipelines/flow/engine/stage"
)

// redact takes secrets out of what is told: a program may have them in a
// message of its progress, or in its own name.
func (a *apply) redact(e *event.Event) {
	if a.secrets.Load().Empty() {
		return
	}
	e.Text = a.secrets.Load().Redact(e.Text)
	e.Unit = a.secrets.Load().Redact(e.Unit)
	if e.Metrics != nil {
		metrics := make(map[string]float64, len(e.Metrics))
		for name, v := range e.Metrics {
			if !a.isSecret(v) {
				metrics[a.secrets.Load().Redact(name)] = v
			}
		}
		e.Metrics = metrics
	}
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

// isSecret reports whether a number is one of the secrets: as a whole, for few
// digits of a longer number tell nothing.
func (a *apply) isSecret(v float64) bool {
	return a.secrets.Load().Redact(strconv.FormatFloat(v, 'f', -1, 64)) == executor.Hidden
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
	// A number, of any of Go's types. It is compared as it is written and as
	// another program would write it, not 3.1415926e7.
	text, err := json.Marshal(v)
	if err != nil || v == nil {
		return v
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if a.secrets.Load().Redact(string(text)) == executor.Hidden || err == nil && a.isSecret(f) {
		return executor.Hidden
	}
	return v
}
