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
//	planned_block    block{resource, reason}; its instances are known after apply
//	change_summary   changes{operation, …counts}, forecast or elapsed_seconds
//	apply_start      hook{resource, action, usual_seconds}
//	apply_progress   hook{resource, elapsed_seconds, step, total, unit, metrics, message}
//	stage_log        hook{resource}, line
//	apply_retry      hook{resource, attempt, reason}
//	apply_complete   hook{resource, action, elapsed_seconds, metrics}
//	apply_errored    hook{resource, elapsed_seconds, reason, exit, log_path, log_tail, hints}
//	block_expanded   hook{resource, total}; total counts the stages that it added
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
	board *board
	pulse *pulse
}

// streamHeartbeat is how long the stream may say nothing of how far a running
// stage is; then it says that it still runs. Terraform's does so as often.
const streamHeartbeat = 10 * time.Second

var _ Progress = (*stream)(nil)

// UIVersion is the version of the stream's shape.
const UIVersion = "1.5"

func newStream(w io.Writer, o ProgressOptions) *stream {
	s := &stream{enc: json.NewEncoder(w), clock: o.Clock, files: o.Files, board: newBoard()}
	s.enc.SetEscapeHTML(false)
	s.write("info", "flow "+o.Version, "version", map[string]any{"flow": o.Version, "ui": UIVersion})
	s.pulse = newPulse(s.beat)
	return s
}

// beat writes signs of life.
func (s *stream) beat() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stillRunning(s.clock())
}

func (s *stream) stillRunning(now time.Time) {
	for _, r := range s.board.running {
		if now.Sub(r.heard) < streamHeartbeat {
			continue
		}
		r.heard = now
		hook := hookJSON{Resource: resource(r.addr), Elapsed: now.Sub(r.began).Seconds(), Message: r.still(now)}
		s.writeAt(now, "info", r.addr.String()+": "+hook.Message, "apply_progress", map[string]any{"hook": hook})
	}
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

type resourceJSON struct {
	Addr     string `json:"addr"`
	Module   string `json:"module,omitempty"`
	Resource string `json:"resource"`
	Type     string `json:"resource_type"`
	Name     string `json:"resource_name"`
	// Key is a text, a number, or null.
	Key any `json:"resource_key"`
}

func resource(a addr.Address) *resourceJSON {
	r := &resourceJSON{Addr: a.String(), Module: a.Module.String(), Resource: a.Local().String(), Type: a.Type, Name: a.Name}
	switch {
	case a.Key.IsInt():
		r.Key = a.Key.Index()
	case !a.Key.IsZero():
		r.Key = a.Key.Text()
	}
	return r
}

// hookJSON is what an event says of a stage; what does not apply is left out.
type hookJSON struct {
	Resource *resourceJSON      `json:"resource"`
	Action   string             `json:"action,omitempty"`
	Usual    float64            `json:"usual_seconds,omitempty"`
	Elapsed  float64            `json:"elapsed_seconds,omitempty"`
	Step     int64              `json:"step,omitempty"`
	Total    int64              `json:"total,omitempty"`
	Unit     string             `json:"unit,omitempty"`
	Metrics  map[string]float64 `json:"metrics,omitempty"`
	Message  string             `json:"message,omitempty"`
	Attempt  int                `json:"attempt,omitempty"`
	Reason   string             `json:"reason,omitempty"`
	Exit     int                `json:"exit,omitempty"`
	LogPath  string             `json:"log_path,omitempty"`
	LogTail  []string           `json:"log_tail,omitempty"`
	Hints    []string           `json:"hints,omitempty"`
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
		what := "plan to " + string(st.Action)
		if st.Action == plan.Blocked {
			what = signOf(st).meaning
		}
		s.write("info", st.Addr.String()+": "+what, "planned_change", map[string]any{
			"change": map[string]any{"resource": resource(st.Addr), "action": st.Action, "reason": reason},
		})
	}
	for _, d := range pl.Deferred {
		s.write("info", d.String()+": "+laterText(d), "planned_block", map[string]any{
			"block": map[string]any{"resource": resource(d.Addr), "reason": d.Reason.Text},
		})
	}
	changes := map[string]any{"operation": "plan", "known_after_apply": pl.Later()}
	for _, a := range []plan.Action{plan.Keep, plan.Restore, plan.Run, plan.Defer, plan.Blocked} {
		changes[string(a)] = pl.Count(a)
	}
	s.write("info", "planned", "change_summary", map[string]any{"changes": changes, "forecast": pl.Forecast})
}

// Event implements Progress.
func (s *stream) Event(e event.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.board.event(e)
	name := e.Addr.String()
	hook := hookJSON{Resource: resource(e.Addr)}
	write := func(level, message, typ string) {
		s.writeAt(e.Time, level, message, typ, map[string]any{"hook": hook})
	}
	switch e.Kind {
	case event.Started:
		hook.Action, hook.Usual = e.Action, e.Usual
		write("info", name+": "+startText(e), "apply_start")
	case event.Progress:
		if r := s.board.find(e.Addr); r != nil {
			hook.Elapsed, r.heard = e.Time.Sub(r.began).Seconds(), e.Time
		}
		hook.Step, hook.Total, hook.Unit, hook.Metrics, hook.Message = e.Step, e.Total, e.Unit, e.Metrics, e.Text
		write("info", name+": "+stepText(e), "apply_progress")
	case event.Log:
		s.writeAt(e.Time, "info", name+"> "+e.Text, "stage_log", map[string]any{"hook": hook, "line": e.Text})
	case event.Retrying:
		hook.Attempt, hook.Reason = e.Attempt, e.Text
		write("warn", name+": "+retryText(e), "apply_retry")
	case event.Done:
		hook.Action, hook.Elapsed, hook.Metrics = e.Action, e.Elapsed, e.Metrics
		write("info", name+": "+doneText(e), "apply_complete")
	case event.Failed:
		hook.Elapsed, hook.Reason, hook.Exit, hook.LogPath, hook.LogTail, hook.Hints = e.Elapsed, e.Text, e.Exit, e.LogPath, e.LogTail, e.Hints
		write("error", name+": failed: "+e.Text, "apply_errored")
		for _, d := range e.Diags {
			s.diagnostic(e.Time, e.Addr, diagnosticToJSON(d, s.files))
		}
	case event.Expanded:
		hook.Total = e.Total
		write("info", name+": "+expandedText(e), "block_expanded")
	case event.Skipped:
		hook.Reason = e.Text
		write("info", name+": not run: "+e.Text, "apply_skipped")
	case event.Warning:
		for _, d := range e.Diags {
			s.diagnostic(e.Time, e.Addr, diagnosticToJSON(d, s.files))
		}
		if len(e.Diags) == 0 {
			s.diagnostic(e.Time, e.Addr, diagnosticJSON{Severity: "warning", Summary: e.Text})
		}
	case event.RunStarted, event.Waiting, event.RunFinished:
		s.runEvent(e)
	}
}

// runEvent writes what is about the run as a whole.
func (s *stream) runEvent(e event.Event) {
	switch e.Kind {
	case event.RunStarted:
		s.writeAt(e.Time, "info", "run "+e.Run, "run_start", map[string]any{"run": e.Run})
	case event.Waiting:
		s.writeAt(e.Time, "info", e.Text, "waiting", nil)
	default:
		changes := map[string]any{"operation": "apply", "status": e.Text}
		for _, n := range countNames() {
			changes[n] = e.Counts[n]
		}
		s.writeAt(e.Time, "info", "run "+e.Text, "change_summary", map[string]any{"changes": changes, "elapsed_seconds": e.Elapsed})
	}
}

func (s *stream) diagnostic(when time.Time, a addr.Address, d diagnosticJSON) {
	if !a.IsZero() {
		d.Address = a.String()
	}
	level := "error"
	if d.Severity == "warning" {
		level = "warn"
	}
	s.writeAt(when, level, d.Severity+": "+d.Summary, "diagnostic", map[string]any{"diagnostic": d})
}

// Interrupting implements Progress.
func (s *stream) Interrupting() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.write("warn", interruptText, "interrupt", nil)
}

// Close implements Progress.
func (s *stream) Close() { s.pulse.end() }

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
		s.diagnostic(o.Clock(), addr.Address{}, diagnosticToJSON(d, o.Files))
	}
}
