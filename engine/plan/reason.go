package plan

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/key"
	"github.com/flow-pipelines/flow/engine/stage"
)

// changes explains the difference of two manifests.
func changes(body stage.Body, before, after key.Manifest, skip func(key.Fact) bool) []Reason {
	rs, before, after := blockChanges(body, before, after, skip)
	for _, c := range key.Diff(before, after, skip) {
		if words := commandChanges(c); words != nil {
			rs = append(rs, words...)
			continue
		}
		r := Reason{Kind: Changed, Text: changeText(c), Change: &c}
		if c.Kind == key.TypeFact || c.Kind == key.PluginFact {
			r.Kind = TypeVersion
		}
		rs = append(rs, r)
	}
	return rs
}

// commandChanges explains a changed command word by word, if there are as many
// words as before.
func commandChanges(c key.Change) []Reason {
	var before, after []string
	if c.Kind != key.Command || json.Unmarshal([]byte(c.Old), &before) != nil || json.Unmarshal([]byte(c.New), &after) != nil || len(before) != len(after) {
		return nil
	}
	var rs []Reason
	for i := range before {
		if before[i] != after[i] {
			rs = append(rs, Reason{Kind: Changed, Change: &c, Text: fmt.Sprintf("command[%d]: %s", i, changed(strconv.Quote(before[i]), strconv.Quote(after[i])))})
		}
	}
	return rs
}

// changeText says what changed in one line.
func changeText(c key.Change) string {
	what := strings.TrimSpace(c.Kind.String() + " " + c.Name)
	switch c.Kind {
	case key.TypeFact:
		return fmt.Sprintf("stage type %s computes differently now (version %s → %s)", c.Name, orNone(c.Old), orNone(c.New))
	case key.PluginFact:
		return pluginText(c)
	case key.Input:
		return inputText(c)
	case key.IsolationFact:
		return fmt.Sprintf("isolation: %s → %s", orDefault(c.Old, "strict"), orDefault(c.New, "strict"))
	case key.MetricsFile:
		what = "metrics"
	}
	switch {
	case !c.HasOld && c.Kind == key.Argument:
		return fmt.Sprintf("%s: default → %s", what, Shorten(c.New))
	case !c.HasNew && c.Kind == key.Argument:
		return fmt.Sprintf("%s: %s → default", what, Shorten(c.Old))
	case !c.HasOld:
		return fmt.Sprintf("new %s: %s", what, Shorten(c.New))
	case !c.HasNew:
		return fmt.Sprintf("%s was removed", what)
	}
	return fmt.Sprintf("%s: %s", what, changed(c.Old, c.New))
}

// pluginText tells another version of a plugin from other code under the same
// version, which its author writes many times a day.
func pluginText(c key.Change) string {
	before, _, _ := strings.Cut(c.Old, " ")
	after, _, _ := strings.Cut(c.New, " ")
	switch name, engine, of := strings.Cut(c.Name, "."); {
	case of:
		return fmt.Sprintf("%s of plugin %s: %s → %s", engine, name, orNone(before), orNone(after))
	case before == after:
		return fmt.Sprintf("plugin %s %s is not the same program as before", name, after)
	default:
		return fmt.Sprintf("plugin %s %s → %s", name, orNone(before), orNone(after))
	}
}

func inputText(c key.Change) string {
	before, seenBefore, _ := key.ParseInput(c.Old)
	after, seenAfter, _ := key.ParseInput(c.New)
	what := "input " + c.Name
	if c.Name == "input" { // as many a stage type calls its only one
		what = c.Name
	}
	switch {
	case !c.HasOld:
		return fmt.Sprintf("new %s, %s", what, nodeText(after))
	case !c.HasNew:
		return what + " was removed"
	case before == after:
		return fmt.Sprintf("%s: path %s → %s", what, seenBefore, seenAfter)
	}
	return fmt.Sprintf("%s changed, %s", what, sizesText(before, after))
}

// explainData adds what differs to the reasons about inputs.
func (d *decision) explainData(ctx context.Context, rs []Reason) error {
	for i := range rs {
		c := rs[i].Change
		if c == nil || c.Kind != key.Input || !c.HasOld || !c.HasNew {
			continue
		}
		before, _, err := key.ParseInput(c.Old)
		at := slices.IndexFunc(d.step.Inputs, func(in Content) bool { return in.Name == c.Name })
		if err != nil || at < 0 {
			continue
		}
		in := d.step.Inputs[at]
		if err := compare(ctx, d.w, in.At, before, in.Node, &rs[i]); err != nil {
			return err
		}
	}
	return nil
}

func dataReason(ctx context.Context, w World, k ReasonKind, o stage.Output, before, after digest.Node) (Reason, error) {
	r := Reason{Kind: k, Text: fmt.Sprintf("%s changed, %s", o.Path, sizesText(before, after))}
	return r, compare(ctx, w, o, before, after, &r)
}

// compare adds what differs between what was and what is at o to a reason that
// ends in sizes: the files of a directory, or, instead of the sizes, the lines of
// a text.
func compare(ctx context.Context, w World, o stage.Output, before, after digest.Node, r *Reason) error {
	if before.Digest == after.Digest || (before.Kind == digest.Dir) != (after.Kind == digest.Dir) {
		return nil
	}
	files, more, err := w.Changes(ctx, o, before, after)
	switch {
	case err != nil:
		return err
	case after.Kind == digest.Dir:
		r.Files, r.More = files, more
	case len(files) == 1 && files[0].Lines != nil:
		r.Lines = files[0].Lines
		r.Text = strings.TrimSuffix(r.Text, sizesText(before, after)) + r.Lines.String()
	}
	return nil
}

// upstreamText says which stages are waited for, and which blocks.
func upstreamText(stages, blocks []addr.Address) string {
	var names []string
	for _, a := range stages {
		names = append(names, a.String())
	}
	for _, b := range blocks {
		names = append(names, config.Deferred{Addr: b}.String())
	}
	switch len(names) {
	case 0:
		return "an upstream stage runs first"
	case 1:
		return fmt.Sprintf("%s runs first", names[0])
	case 2:
		return fmt.Sprintf("%s and %s run first", names[0], names[1])
	}
	return fmt.Sprintf("%s and %d others run first", names[0], len(names)-1)
}

// refusal says why a block cannot be expanded, and what can be done.
func refusal(d config.Deferred) Reason {
	return Reason{Kind: Refused, Text: wrongText("cannot be expanded", d.Mistakes[0], Remedy(d.Needs)), Stages: d.Needs}
}

// wrongText says what is wrong with what is made from the results of stages, and
// what can be done.
func wrongText(what string, m *hcl.Diagnostic, remedy string) string {
	text := what + ": " + strings.TrimSuffix(m.Summary, ".")
	if m.Subject != nil {
		text += fmt.Sprintf(" (%s:%d)", m.Subject.Filename, m.Subject.Start.Line)
	}
	if m.Detail != "" {
		text += ". " + strings.Join(strings.Fields(m.Detail), " ")
	}
	return strings.TrimSuffix(text, ".") + "; " + remedy
}

// Remedy says what can be done about what is made from the results of stages and
// cannot be.
func Remedy(needs []addr.Address) string {
	if len(needs) == 0 {
		return "correct the pipeline"
	}
	a := needs[len(needs)-1]
	return fmt.Sprintf("correct the pipeline, or what %s writes, or make that anew: flow apply --rerun %s", a, shellWord(a.String()))
}

// shellWord quotes an address with a key for a shell.
func shellWord(s string) string {
	if strings.ContainsAny(s, `["`) {
		return "'" + s + "'"
	}
	return s
}

// behindText is the reason of what waits for a block that cannot be expanded.
func behindText(block addr.Address) Reason {
	return Reason{Kind: Upstream, Text: config.Deferred{Addr: block}.String() + " cannot be expanded", Stages: []addr.Address{block}}
}

// behind blocks a step that waits for such a block.
func (s *Step) behind(block addr.Address) {
	s.Action, s.Known, s.Results, s.RestoreBytes = Blocked, false, nil, 0
	s.Reasons = []Reason{behindText(block)}
	s.blame = Blame{block, "it cannot be expanded"}
}

func nodeText(n digest.Node) string {
	if n.Kind == digest.Dir {
		return fmt.Sprintf("%s, %s", plural(n.Files, "file"), Bytes(n.Size))
	}
	return Bytes(n.Size)
}

func sizesText(before, after digest.Node) string {
	if before.Size == after.Size && before.Files == after.Files {
		return "still " + nodeText(after)
	}
	return nodeText(before) + " → " + nodeText(after)
}

func plural(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Bytes writes a size for people, in powers of 1000 as disks and networks are
// sold: 812 B, 1.2 MB.
func Bytes(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n), -1
	for v >= 999.5 && unit < 5 {
		v, unit = v/1000, unit+1
	}
	digits := 1
	if v >= 99.5 {
		digits = 0
	}
	return fmt.Sprintf("%.*f %cB", digits, v, "kMGTPE"[unit])
}

func orNone(s string) string { return orDefault(s, "none") }

func orDefault(s, def string) string {
	if s == "" {
		return def
	}
	return s
}
