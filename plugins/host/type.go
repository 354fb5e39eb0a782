package host

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/plugins/protocol"
)

// newType makes a stage type of a plugin's.
// check is nil if the plugin does not check arguments.
func newType(p *stage.Plugin, t *protocol.Type, check *checker) (stage.Type, error) {
	s, err := t.Schema()
	if err != nil {
		return nil, err
	}
	s.Plugin = p
	plain := &pluginType{plugin: p, typ: t, schema: s}
	if check != nil {
		return checkedType{plain, check}, nil
	}
	return plain, nil
}

// pluginType is a stage type whose schema and outputs follow from a description.
type pluginType struct {
	plugin *stage.Plugin
	typ    *protocol.Type
	schema *stage.Schema
}

var _ stage.Type = (*pluginType)(nil)

// Schema implements stage.Type.
func (t *pluginType) Schema() *stage.Schema { return t.schema }

// checkpoint is where a job finds what an earlier attempt saved.
const checkpoint = ".checkpoint"

// Job implements stage.Type.
func (t *pluginType) Job(req *stage.Request) (*stage.Job, error) {
	outs, err := t.typ.OutputsOf(req.Args, req.IsUnknown)
	if err != nil {
		return nil, err
	}
	job := req.Job(outs...)
	if t.typ.Checkpoint {
		job.Checkpoint = checkpoint
	}
	job.ResumeOver, err = t.resumeOver(req.Args)
	return job, err
}

// resumeOver is the argument that flow has added to a block, of which the plugin
// said over what its runs go on.
func (t *pluginType) resumeOver(args json.RawMessage) ([]string, error) {
	if len(t.typ.ResumeOver) == 0 {
		return nil, nil
	}
	var given struct {
		Over []string `json:"resume_over"` // protocol.ResumeArgument
	}
	if err := json.Unmarshal(args, &given); err != nil {
		return nil, fmt.Errorf("decode arguments: %w", err)
	}
	for i, name := range given.Over {
		if !slices.Contains(t.typ.ResumeOver, name) {
			return nil, stage.Problemf(fmt.Sprintf("%s[%d]", protocol.ResumeArgument, i), fmt.Sprintf("%s does not go on over %q", t.schema.Name, name),
				"It does over %s.", strings.Join(t.typ.ResumeOver, ", "))
		}
	}
	return given.Over, nil
}

// own are the arguments that the plugin has described, without flow's own. A run
// does not get that anyway, since it is no part of the key.
func (t *pluginType) own(args json.RawMessage) (json.RawMessage, error) {
	if len(t.typ.ResumeOver) == 0 {
		return args, nil
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(args, &all); err != nil {
		return nil, fmt.Errorf("decode arguments: %w", err)
	}
	delete(all, protocol.ResumeArgument)
	return json.Marshal(all)
}

// checkedType is one whose plugin judges arguments before anything runs.
type checkedType struct {
	*pluginType
	*checker // of all types of the plugin
}

var _ stage.Attendant = checkedType{}

// Dismiss implements stage.Attendant.
func (t checkedType) Dismiss() { t.dismiss() }

// Inspect implements stage.Inspector. The first one starts the plugin, unlike
// those of flow's own types; it is called for stages that are not kept.
func (t checkedType) Inspect(in *stage.Inspection) (stage.Heads, error) {
	args, err := t.own(in.Args)
	if err != nil {
		return nil, err
	}
	q := protocol.Check{Protocol: protocol.Version, Type: t.schema.Name, Args: args, Inputs: map[string]protocol.CheckInput{}}
	for role, i := range in.Inputs {
		q.Inputs[role] = protocol.CheckInput{Path: i.Path, File: i.Head.File, Columns: i.Head.Columns}
	}
	v, err := t.ask(q)
	if err != nil {
		return nil, stage.Problemf("", fmt.Sprintf("Plugin %s cannot check this stage", t.plugin.Name), "%s.", capital(err.Error()))
	}
	var ps stage.Problems
	for _, p := range v.Problems {
		ps = append(ps, &stage.Problem{Path: p.Path, Summary: p.Summary, Detail: p.Detail})
	}
	if err := t.unwritten(in.Args, v.Columns); err != nil {
		return nil, err
	}
	return v.Columns, ps.Err()
}

// unwritten finds columns that the plugin tells of an output that the stage does
// not have: those of the output that it means would be missed by all behind it.
func (t checkedType) unwritten(args json.RawMessage, columns map[string][]string) error {
	outs, err := t.typ.OutputsOf(args, func(string) bool { return false })
	if err != nil {
		return nil //nolint:nilerr // whoever planned the job has said so
	}
	var names []string
	for _, o := range outs {
		names = append(names, o.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(columns)) {
		if !slices.Contains(names, name) {
			has := "none"
			if len(names) > 0 {
				has = strings.Join(names, ", ")
			}
			return stage.Problemf("", fmt.Sprintf("Plugin %s tells the columns of an output that there is not", t.plugin.Name),
				"It tells those of %q; the outputs of this stage: %s. This is a fault of the plugin (%s, version %s), not of the pipeline.", name, has, t.plugin.Program, t.plugin.Version)
		}
	}
	return nil
}
