package view

import (
	"encoding/json"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/event"
	"github.com/flow-pipelines/flow/engine/plan"
)

// stream writes one JSON object a line, in the shape of Terraform's UI stream,
// so that programs that read one can read the other: @level, @message, @module,
// @timestamp and type, the first of type version.
//
//	planned_change   change{resource, action, reason}
//	change_summary   changes{operation, …counts}
//	apply_start      hook{resource, action, usual_seconds}
//	apply_progress   hook{resource, elapsed_seconds, step, total, unit, metrics}
//	stage_log        hook{resource}, line
//	apply_retry      hook{resource, attempt, reason}
//	apply_complete   hook{resource, action, elapsed_seconds, metrics}
//	apply_errored    hook{resource, elapsed_seconds, reason, exit, log_path, log_tail, hints}
//	apply_skipped    hook{resource, reason}
//	diagnostic       diagnostic{severity, summary, detail, address, range, snippet}
//	waiting          the message says for what
//	run_start        run
//	outputs          outputs{NAME{value, known, sensitive}}
type stream struct {
	mu    sync.Mutex
	enc   *json.Encoder
	clock func() time.Time
	files map[string]*hcl.File
	began map[addr.Address]time.Time
}

var _ Progress = (*stream)(nil)

// UIVersion is the version of the stream's shape.
const UIVersion = "1.0"

func newStream(w io.Writer, o ProgressOptions) *stream {
	s := &stream{enc: json.NewEncoder(w), clock: o.Clock, files: o.Files, began: map[addr.Address]time.Time{}}
	s.enc.SetEscapeHTML(false)
	s.write("info", "flow "+o.Version, "version", map[string]any{"flow": o.Version, "ui": UIVersion})
	return s
}

func (s *stream) write(level, message, typ string, fields map[string]any) {
	s.writeAt(s.clock(), level, message, typ, fields)
}

func (s *stream) writeAt(at time.Time, level, message, typ string, fields map[string]any) {
	line := map[string]any{
		"@level": level, "@message": message, "@module": "flow.ui",
		"@timestamp": at.UTC().Format("2006-01-02T15:04:05.000000Z07:00"), "type": typ,
	}
	for k, v := range fields {
		line[k] = v
	}
	_ = s.enc.Encode(line) // nobody reads any more; nothing could tell them
}

func resource(a addr.Address) map[string]any {
	r := map[string]any{"addr": a.String(), "resource": a.String(), "resource_type": a.Type, "resource_name": a.Name, "resource_key": nil}
	switch {
	case a.Key.IsInt():
		r["resource_key"] = a.Key.Index()
	case !a.Key.IsZero():
		r["resource_key"] = a.Key.Text()
	}
	return r
}

// Plan implements Progress.
func (s *stream) Plan(pl *plan.Plan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range pl.Steps {
		if st.Action == plan.Keep {
			continue
		}
		reason := ""
		if len(st.Reasons) > 0 {
			reason = st.Reasons[0].Text
		}
		s.write("info", st.Addr.String()+": plan to "+string(st.Action), "planned_change", map[string]any{
			"change": map[string]any{"resource": resource(st.Addr), "action": st.Action, "reason": reason},
		})
	}
	changes := map[string]any{"operation": "plan"}
	for _, a := range []plan.Action{plan.Keep, plan.Restore, plan.Run, plan.Defer, plan.Blocked} {
		changes[string(a)] = pl.Count(a)
	}
	s.write("info", "planned", "change_summary", map[string]any{"changes": changes})
}

// Event implements Progress.
func (s *stream) Event(e event.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := e.Addr.String()
	hook := map[string]any{"resource": resource(e.Addr)}
	fields := map[string]any{"hook": hook}
	switch e.Kind {
	case event.RunStarted:
		s.writeAt(e.Time, "info", "run "+e.Run, "run_start", map[string]any{"run": e.Run})
	case event.Waiting:
		s.writeAt(e.Time, "info", e.Text, "waiting", nil)
	case event.Started:
		s.began[e.Addr] = e.Time
		hook["action"] = e.Action
		setPositive(hook, "usual_seconds", e.Usual)
		s.writeAt(e.Time, "info", name+": "+startText(e), "apply_start", fields)
	case event.Progress:
		hook["elapsed_seconds"] = e.Time.Sub(s.began[e.Addr]).Seconds()
		hook["step"], hook["total"], hook["unit"], hook["metrics"], hook["message"] = e.Step, e.Total, e.Unit, e.Metrics, e.Text
		s.writeAt(e.Time, "info", name+": "+stepText(e), "apply_progress", fields)
	case event.Log:
		fields["line"] = e.Text
		s.writeAt(e.Time, "info", name+"> "+e.Text, "stage_log", fields)
	case event.Retrying:
		hook["attempt"], hook["reason"] = e.Attempt, e.Text
		s.writeAt(e.Time, "warn", name+": "+retryText(e), "apply_retry", fields)
	case event.Done:
		hook["action"], hook["elapsed_seconds"], hook["metrics"] = e.Action, e.Elapsed, e.Metrics
		s.writeAt(e.Time, "info", name+": "+doneText(e), "apply_complete", fields)
	case event.Failed:
		s.failed(e, hook, fields)
	case event.Skipped:
		hook["reason"] = e.Text
		s.writeAt(e.Time, "info", name+": not run: "+e.Text, "apply_skipped", fields)
	case event.Warning:
		d := diagnosticJSON{Severity: "warning", Summary: e.Text}
		if !e.Addr.IsZero() {
			d.Address = name
		}
		s.writeAt(e.Time, "warn", "warning: "+e.Text, "diagnostic", map[string]any{"diagnostic": d})
	case event.RunFinished:
		changes := map[string]any{"operation": "apply", "status": e.Text}
		for _, n := range countNames() {
			changes[n] = e.Counts[n]
		}
		s.writeAt(e.Time, "info", "run "+e.Text, "change_summary", map[string]any{"changes": changes, "elapsed_seconds": e.Elapsed})
	}
}

func (s *stream) failed(e event.Event, hook, fields map[string]any) {
	hook["elapsed_seconds"], hook["reason"], hook["exit"] = e.Elapsed, e.Text, e.Exit
	hook["log_path"], hook["log_tail"], hook["hints"] = e.LogPath, list(e.LogTail), list(e.Hints)
	s.writeAt(e.Time, "error", e.Addr.String()+": failed: "+e.Text, "apply_errored", fields)
	for _, d := range e.Diags {
		j := diagnosticToJSON(d, s.files)
		j.Address = e.Addr.String()
		s.writeAt(e.Time, "error", j.Severity+": "+j.Summary, "diagnostic", map[string]any{"diagnostic": j})
	}
}

func setPositive(m map[string]any, key string, v float64) {
	if v > 0 {
		m[key] = v
	}
}

// Interrupting implements Progress.
func (s *stream) Interrupting() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.write("warn", interruptText, "interrupt", nil)
}

// Close implements Progress.
func (s *stream) Close() {}

// StreamOutputs writes the outputs as a line of the stream.
func StreamOutputs(p Progress, outs []config.Output) {
	if s, ok := p.(*stream); ok {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.write("info", "outputs", "outputs", map[string]any{"outputs": outputsJSON(outs)})
	}
}

// StreamDiagnostics writes diagnostics as lines of a stream of their own, for
// an apply that did not come to begin.
func StreamDiagnostics(w io.Writer, o ProgressOptions, diags hcl.Diagnostics) {
	s := newStream(w, o)
	for _, d := range diags {
		j := diagnosticToJSON(d, o.Files)
		level := "error"
		if j.Severity == "warning" {
			level = "warn"
		}
		s.write(level, j.Severity+": "+j.Summary, "diagnostic", map[string]any{"diagnostic": j})
	}
}
