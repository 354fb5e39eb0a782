package pinned

import (
	"fmt"
	"time"

	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/key"
	"github.com/flow-pipelines/flow/engine/lock"
	"github.com/flow-pipelines/flow/engine/plan"
	"github.com/flow-pipelines/flow/engine/stage"
)

// Values returns the values of the variables that are not sensitive.
func (d *Document) Values() (map[string]cty.Value, error) {
	values := map[string]cty.Value{}
	for _, v := range d.Variables {
		if v.Sensitive {
			continue
		}
		value, err := unmarshal(v.Type, v.Value)
		if err != nil {
			return nil, fmt.Errorf("variable %s in the plan: %w", v.Name, err)
		}
		values[v.Name] = value
	}
	return values, nil
}

func unmarshal(typ, value []byte) (cty.Value, error) {
	t, err := ctyjson.UnmarshalType(typ)
	if err != nil {
		return cty.NilVal, err
	}
	return ctyjson.Unmarshal(value, t)
}

// Plan returns the plan as it was, to look at. Its stages know what a view
// asks about, and nothing that could be run.
func (d *Document) Plan() (*plan.Plan, error) {
	pl := &plan.Plan{
		Targeted: d.Targeted, Removed: d.Removed,
		Forecast: d.Forecast, Moved: d.Moved, Unmanaged: d.Unmanaged,
	}
	for i := range d.Stages {
		s, err := d.Stages[i].step()
		if err != nil {
			return nil, fmt.Errorf("%s in the plan: %w", d.Stages[i].Address, err)
		}
		pl.Steps = append(pl.Steps, s)
	}
	if err := d.rest(pl); err != nil {
		return nil, err
	}
	for _, o := range d.Outputs {
		out := config.Output{Name: o.Name, Sensitive: o.Sensitive, Description: o.Description, Value: cty.DynamicVal}
		if o.Value != nil {
			var err error
			if out.Value, err = unmarshal(o.Type, o.Value); err != nil {
				return nil, fmt.Errorf("output %s in the plan: %w", o.Name, err)
			}
		}
		pl.Outputs = append(pl.Outputs, out)
	}
	return pl, nil
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func (s *Stage) step() (*plan.Step, error) {
	step := &plan.Step{
		Addr: s.Address, Action: s.Action, Reasons: s.Reasons, Key: s.Key, Known: s.Known, Failing: diagnostics(s.Failing),
		Usual: seconds(s.Usual), RestoreBytes: s.RestoreBytes,
		Stage: &config.Stage{
			Addr: s.Address, Deps: s.DependsOn, Awaits: s.Awaits, Unknown: s.Unknown,
			Schema: &stage.Schema{Name: s.Address.Type, Effect: s.Effect}, Job: &stage.Job{Given: s.Given},
		},
	}
	var err error
	if step.Manifest, err = s.manifest(); err != nil {
		return nil, err
	}
	if step.Metrics, err = plan.DecodeMetrics(s.Metrics); err != nil {
		return nil, err
	}
	for _, r := range s.Results {
		n, err := parseNode(r.Content)
		if err != nil {
			return nil, fmt.Errorf("result %s: %w", r.Name, err)
		}
		step.Results = append(step.Results, lock.Result{Name: r.Name, Path: r.Path, Node: n, Given: r.Given})
	}
	return step, nil
}

// manifest returns the facts; sensitive values are key.Hidden.
func (s *Stage) manifest() (key.Manifest, error) {
	m := make(key.Manifest, 0, len(s.Facts))
	for _, f := range s.Facts {
		k, ok := key.ParseKind(f.Kind)
		if !ok {
			return nil, fmt.Errorf("unknown kind of fact %q", f.Kind)
		}
		m = append(m, key.Fact{Kind: k, Name: f.Name, Value: f.Value, Sensitive: f.Value == key.Hidden})
	}
	return m, nil
}

func parseNode(s string) (digest.Node, error) {
	if s == "" {
		return digest.Node{}, nil
	}
	n, _, err := key.ParseNode(s)
	return n, err
}
